//! Which networks of layers are known by name? The rows of the paper's Table III, and whatever a TOML file combines.
//!
//! The settings of a model, flat in one table, are those of its network ([`GraphNetwork`]) and of its [`Training`]:
//! ```toml
//! model = "node-edge-concat"
//! [settings]
//! messages = "node concat with attention"
//! pooling = "mean"
//! hidden = 32
//! lr = 0.001
//! ```

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::network::Network;
use super::{BrainGnn, BrainNetCnn, BrainTransformer, DeepLearner, GraphNetwork, Perceptron, Training};
use crate::network::benchmark::{Entry, Family, Learns, Make, Needs};
use crate::network::{Learner, NetworkError};

const FEATURES: &str = "Node features";
const MESSAGES: &str = "Message passing";
const ATTENTION: &str = "Attention";
const POOLING: &str = "Pooling";
const PEERS: &str = "Other networks";

/// All of them, in the order of the table. What a row does not say is as in the paper: connection profile, node edge concat,
/// concat.
pub const ENTRIES: &[Entry] = &[
    row("identity", FEATURES, "settings.features = \"identity\""),
    row("eigenvector", FEATURES, "settings.features = \"eigenvector\""),
    row("degree", FEATURES, "settings.features = \"degree\""),
    row("degree-profile", FEATURES, "settings.features = \"degree profile\""),
    row("degree-bin", FEATURES, "settings.features = \"degree bin\""),
    row("edge-weighted", MESSAGES, "settings.messages = \"edge weighted\""),
    row("bin-concat", MESSAGES, "settings.messages = \"bin concat\""),
    row("edge-weight-concat", MESSAGES, "settings.messages = \"edge weight concat\""),
    row("node-edge-concat", MESSAGES, "settings.messages = \"node edge concat\""),
    row("node-concat", MESSAGES, "settings.messages = \"node concat\""),
    row("attention-weighted", ATTENTION, "settings.messages = \"attention weighted\""),
    row("edge-weighted-attention", ATTENTION, "settings.messages = \"edge weighted with attention\""),
    row("attention-edge-sum", ATTENTION, "settings.messages = \"attention edge sum\""),
    row("node-edge-concat-attention", ATTENTION, "settings.messages = \"node edge concat with attention\""),
    row("node-concat-attention", ATTENTION, "settings.messages = \"node concat with attention\""),
    row("mean-pooling", POOLING, "settings.pooling = \"mean\""),
    row("sum-pooling", POOLING, "settings.pooling = \"sum\""),
    row("diffpool", POOLING, "settings.pooling = \"diffpool\""),
    entry("mlp", PEERS, "", learner::<Perceptron>),
    entry("brainnetcnn", PEERS, "", learner::<BrainNetCnn>),
    entry("braingnn", PEERS, "", learner::<BrainGnn>),
    entry("brain-network-transformer", PEERS, "", learner::<BrainTransformer>),
];

const fn row(name: &'static str, group: &'static str, settings: &'static str) -> Entry {
    entry(name, group, settings, graph)
}

const fn entry(name: &'static str, group: &'static str, usual: &'static str, make: Make) -> Entry {
    Entry {
        name,
        group,
        family: Family::Deep,
        learns: Learns::Both,
        needs: Needs::Edges,
        epochs: Some("epochs"),
        usual,
        make,
    }
}

/// A graph network: `as_released` counts for what it computes, and for how it learns.
fn graph(name: &str, settings: Table) -> Result<Box<dyn Learner>, NetworkError> {
    let released = settings.get("as_released").and_then(Value::as_bool).unwrap_or_default();
    let mut learner: DeepLearner<GraphNetwork> = parsed(name, settings)?;
    learner.network.as_released = released;
    learner.network.check().map_err(|error| wrong(name, &error.to_string()))?;
    Ok(Box::new(learner))
}

/// A network of a name, with its settings and those of its training in one table.
///
/// # Errors
/// Settings that it does not know or cannot take.
pub fn learner<N: Network + DeserializeOwned>(name: &str, settings: Table) -> Result<Box<dyn Learner>, NetworkError> {
    Ok(Box::new(parsed::<N>(name, settings)?))
}

fn parsed<N: Network + DeserializeOwned>(name: &str, settings: Table) -> Result<DeepLearner<N>, NetworkError> {
    // Whatever training has is set there, and all else is the network's.
    let known = Table::try_from(Training::default()).unwrap_or_default();
    let (training, network): (Table, Table) = settings.into_iter().partition(|(key, _)| known.contains_key(key));
    let training = Training::deserialize(Value::Table(training)).map_err(|e| wrong(name, e.to_string().trim()))?;
    let network = N::deserialize(Value::Table(network)).map_err(|e| wrong(name, e.to_string().trim()))?;
    training.check().map_err(|error| wrong(name, &error.to_string()))?;
    Ok(DeepLearner { name: name.into(), network, training })
}

fn wrong(model: &str, problem: &str) -> NetworkError {
    NetworkError::Model { model: model.into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::super::{Messages, Pooling};
    use super::*;
    use crate::network::benchmark::Model;

    #[test]
    fn every_row_is_what_its_name_says_and_the_rest_is_as_in_the_paper() {
        for entry in ENTRIES {
            assert!(Model::named(entry.name, None).is_ok(), "{}", entry.name);
        }
        let table: Table = toml::from_str("messages = \"node concat\"\npooling = \"diffpool\"\nlr = 0.01").unwrap();
        let learner: DeepLearner<GraphNetwork> = parsed("x", table).unwrap();
        assert_eq!((learner.network.messages, learner.network.pooling), (Messages::NodeConcat, Pooling::DiffPool));
        assert_eq!((learner.training.lr, learner.training.batch), (0.01, 16));
    }

    #[test]
    fn settings_that_are_wrong_say_which() {
        let said = |settings: &str| match graph("x", toml::from_str(settings).unwrap()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{settings} is taken"),
        };
        assert!(said("hiden = 3").contains("unknown field `hiden`"), "{}", said("hiden = 3"));
        assert!(said("messages = \"telepathy\"").contains("unknown variant `telepathy`"));
        assert_eq!(said("layers = 0"), "model \"x\": layers must be at least 1");
        assert_eq!(said("epochs = 0"), "model \"x\": epochs must be at least 1");
        assert_eq!(said("dropout = 1.0"), "model \"x\": dropout must be 0 or more, and less than 1");
    }
}
