//! Which models are there, by name? One line each; a TOML file gives one other settings, or a grid of them.
//!
//! ```toml
//! name = "logistic, tuned"    # what tables call it; else the file's name
//! model = "logistic"
//! [settings]
//! balanced = true
//! [grid]                      # every combination is tried, on inner folds only
//! c = [0.0001, 0.001, 0.01, 0.1]
//! ```

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::network::baselines::{Constant, KernelRidge, Logistic, M2e, MkSvm, Mpca, Ridge, Svm};
use crate::network::{Learner, NetworkError, Networks, Targets};

/// What kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Does not look at networks.
    Constant,
    /// A weight an edge.
    Linear,
    /// Neither linear nor deep.
    Shallow,
    /// Trained in epochs.
    Deep,
}

/// What it can learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learns {
    /// Classes.
    Classes,
    /// Numbers.
    Values,
    /// Either.
    Both,
}

/// What the networks must have besides edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No more.
    Edges,
    /// Covariances, of which the tangent space of a fold is made.
    Covariance,
}

/// A model that is known by name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it stands among in the table.
    pub group: &'static str,
    /// What kind.
    pub family: Family,
    /// What it can learn.
    pub learns: Learns,
    /// What it needs.
    pub needs: Needs,
    /// The setting that says how many epochs it is trained for at the most, where it is trained in epochs.
    pub epochs: Option<&'static str>,
    /// Its usual settings and grid, as in a TOML file.
    pub usual: &'static str,
    /// Makes it.
    pub make: Make,
}

/// Makes a model of a name and its settings.
pub type Make = fn(&str, Table) -> Result<Box<dyn Learner>, NetworkError>;

/// All models that are known by name, in the order of the table.
pub const ENTRIES: &[&[Entry]] = &[BASELINES, crate::network::deep::ENTRIES];

const NONE: &str = "No model";
const LINEAR: &str = "Linear baselines";
const SHALLOW: &str = "Shallow baselines";

const BASELINES: &[Entry] = &[
    entry("majority", NONE, Family::Constant, Learns::Classes, "", |name, settings| {
        made(name, settings, |name, None {}| Ok(Constant::new(name)))
    }),
    entry("mean", NONE, Family::Constant, Learns::Values, "", |name, settings| {
        made(name, settings, |name, None {}| Ok(Constant::new(name)))
    }),
    entry("logistic", LINEAR, Family::Linear, Learns::Classes, "", logistic),
    entry("logistic-tuned", LINEAR, Family::Linear, Learns::Classes, GRID_C, logistic),
    tangent("logistic-tangent", logistic),
    entry("svm", LINEAR, Family::Linear, Learns::Classes, "", svm),
    entry("svm-tuned", LINEAR, Family::Linear, Learns::Classes, GRID_C, svm),
    tangent("svm-tangent", svm),
    entry("ridge", LINEAR, Family::Linear, Learns::Values, "", ridge),
    entry("ridge-tuned", LINEAR, Family::Linear, Learns::Values, GRID_ALPHA, ridge),
    entry("m2e", SHALLOW, Family::Shallow, Learns::Classes, "", |name, settings| made(name, settings, M2e::new)),
    entry("mpca", SHALLOW, Family::Shallow, Learns::Classes, "", |name, settings| made(name, settings, Mpca::new)),
    entry("mk-svm", SHALLOW, Family::Shallow, Learns::Classes, "", |name, settings| made(name, settings, MkSvm::new)),
    entry("kernel-ridge", SHALLOW, Family::Shallow, Learns::Values, "", |name, settings| {
        made(name, settings, KernelRidge::new)
    }),
];

const GRID_C: &str = "[grid]\nc = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]";
const GRID_ALPHA: &str = "[grid]\nalpha = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5]";

fn logistic(name: &str, settings: Table) -> Result<Box<dyn Learner>, NetworkError> {
    made(name, settings, Logistic::new)
}

fn svm(name: &str, settings: Table) -> Result<Box<dyn Learner>, NetworkError> {
    made(name, settings, Svm::new)
}

fn ridge(name: &str, settings: Table) -> Result<Box<dyn Learner>, NetworkError> {
    made(name, settings, Ridge::new)
}

const fn entry(
    name: &'static str,
    group: &'static str,
    family: Family,
    learns: Learns,
    usual: &'static str,
    make: Make,
) -> Entry {
    Entry { name, group, family, learns, needs: Needs::Edges, epochs: None, usual, make }
}

/// A model of classes on vectors in the tangent space.
const fn tangent(name: &'static str, make: Make) -> Entry {
    let usual = "[settings]\nvectors = \"tangent\"";
    Entry { needs: Needs::Covariance, ..entry(name, LINEAR, Family::Linear, Learns::Classes, usual, make) }
}

/// No settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct None {}

/// A model of a name and of settings that are read into its configuration.
///
/// # Errors
/// Settings that it does not know or cannot take.
pub fn made<C: DeserializeOwned, L: Learner + 'static>(
    name: &str,
    settings: Table,
    new: impl FnOnce(&str, C) -> Result<L, NetworkError>,
) -> Result<Box<dyn Learner>, NetworkError> {
    let config = C::deserialize(Value::Table(settings)).map_err(|error| wrong(name, error.to_string().trim()))?;
    Ok(Box::new(new(name, config)?))
}

/// A model with its settings, or with several of which inner folds choose one.
pub struct Model {
    /// What tables call it.
    pub name: String,
    /// What it is.
    pub entry: Entry,
    /// Each of its settings in words, and a learner that has them.
    pub candidates: Vec<(String, Box<dyn Learner>)>,
    /// All of its settings: two models of one identity give the same.
    pub identity: String,
}

/// A model as a TOML file describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: Option<String>,
    model: Option<String>,
    #[serde(default)]
    settings: Table,
    #[serde(default)]
    grid: Table,
}

impl Model {
    /// What does not look at the networks: what every model is held against.
    ///
    /// # Errors
    /// None that is known.
    pub fn no_look(targets: &Targets) -> Result<Self, NetworkError> {
        let name = if matches!(targets, Targets::Classes { .. }) { "majority" } else { "mean" };
        Self::named(name, None)
    }

    /// One that is known by name, trained for `epochs` at the most where it is trained in epochs.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn named(name: &str, epochs: Option<u32>) -> Result<Self, NetworkError> {
        Self::of(name, by_name(name)?, Described::default(), epochs)
    }

    /// One that a TOML text describes; `stem` is what it is called where the text does not say.
    ///
    /// # Errors
    /// What cannot be read, is not known, or cannot be set.
    pub fn described(stem: &str, text: &str, epochs: Option<u32>) -> Result<Self, NetworkError> {
        let described: Described = toml::from_str(text).map_err(|error| wrong(stem, error.to_string().trim()))?;
        let name = described.name.clone().unwrap_or_else(|| stem.into());
        let Some(model) = &described.model else {
            return Err(wrong(&name, "says no `model` (such as model = \"logistic\")"));
        };
        Self::of(&name, by_name(model)?, described, epochs)
    }

    fn of(name: &str, entry: Entry, over: Described, epochs: Option<u32>) -> Result<Self, NetworkError> {
        let usual: Described = toml::from_str(entry.usual).map_err(|error| wrong(name, &error.to_string()))?;
        let mut settings = usual.settings;
        // What is set is not searched.
        let mut grid: Table = usual.grid.into_iter().filter(|(key, _)| !over.settings.contains_key(key)).collect();
        settings.extend(over.settings);
        grid.extend(over.grid);
        if let (Some(key), Some(most)) = (entry.epochs, epochs) {
            let set = settings.get(key).and_then(Value::as_integer).unwrap_or(i64::MAX);
            settings.insert(key.into(), Value::Integer(set.min(most.into())));
            grid.remove(key);
        }
        let mut combinations = vec![Table::new()];
        for (key, values) in &grid {
            let Some(values) = values.as_array().filter(|values| !values.is_empty()) else {
                return Err(wrong(name, &format!("grid.{key} is no list of values to try")));
            };
            let with = |of: &Table, value: &Value| {
                let mut of = of.clone();
                of.insert(key.clone(), value.clone());
                of
            };
            combinations = combinations.iter().flat_map(|of| values.iter().map(move |v| with(of, v))).collect();
        }
        let candidates = combinations.into_iter().map(|chosen| {
            let words = chosen.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ");
            let mut all = settings.clone();
            all.extend(chosen);
            Ok((words, (entry.make)(name, all)?))
        });
        let candidates = candidates.collect::<Result<Vec<_>, NetworkError>>()?;
        let identity = format!("{}\n[settings]\n{settings}[grid]\n{grid}", entry.name);
        Ok(Self { name: name.into(), entry, candidates, identity })
    }

    /// Why it cannot learn these targets from these networks.
    ///
    /// # Errors
    /// What it would need.
    pub fn suits(&self, networks: &Networks, targets: &Targets) -> Result<(), NetworkError> {
        let problem = match (self.entry.learns, targets, self.entry.needs) {
            (Learns::Classes, Targets::Values(_), _) => "learns classes, but the labels are numbers",
            (Learns::Values, Targets::Classes { .. }, _) => "learns numbers, but the labels are classes",
            (.., Needs::Covariance) if networks.covariance.is_none() => {
                "needs covariances, which these networks do not hold (build them from time series)"
            }
            _ => return Ok(()),
        };
        Err(wrong(&self.name, problem))
    }
}

/// Every model known by name that suits these networks and targets.
///
/// # Errors
/// Usual settings that cannot be.
pub fn all(networks: &Networks, targets: &Targets, epochs: Option<u32>) -> Result<Vec<Model>, NetworkError> {
    let every = ENTRIES.iter().copied().flatten().map(|entry| Model::named(entry.name, epochs));
    every.filter(|model| model.as_ref().map_or(true, |model| model.suits(networks, targets).is_ok())).collect()
}

/// The entry of this name.
///
/// # Errors
/// A name that is not known, with those that are.
pub fn by_name(name: &str) -> Result<Entry, NetworkError> {
    let all = || ENTRIES.iter().copied().flatten();
    all().find(|entry| entry.name == name).copied().ok_or_else(|| {
        let mut names: Vec<&str> = all().map(|entry| entry.name).collect();
        names.sort_by_key(|known| (1e6 - 1e6 * strsim::jaro_winkler(known, name)) as u64);
        wrong(
            name,
            &format!(
                "is not known (did you mean \"{}\"? there are {})",
                names.first().unwrap_or(&""),
                names.join(", ")
            ),
        )
    })
}

fn wrong(model: &str, problem: &str) -> NetworkError {
    NetworkError::Model { model: model.into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_sets_tries_and_names() {
        let text = "model = \"logistic\"\n[settings]\nbalanced = true\n[grid]\nc = [0.1, 1.0]\n";
        let model = Model::described("mine", text, Some(3)).unwrap();
        let words: Vec<&str> = model.candidates.iter().map(|(words, _)| words.as_str()).collect();
        assert_eq!((model.name.as_str(), words), ("mine", vec!["c = 0.1", "c = 1.0"]));
        assert!(model.identity.contains("balanced = true") && model.identity.contains("c = [0.1, 1.0]"));
        // What is set is not searched any more.
        let fixed = Model::described("m", "name = \"n\"\nmodel = \"svm-tuned\"\nsettings.c = 2.0", None).unwrap();
        assert_eq!((fixed.name.as_str(), fixed.candidates.len()), ("n", 1));
        assert_ne!(fixed.identity, Model::named("svm-tuned", None).unwrap().identity);
    }

    #[test]
    fn what_cannot_be_described_says_why() {
        let says = |text: &str| Model::described("mine", text, None).err().map_or_else(String::new, |e| e.to_string());
        assert!(says("").contains("model \"mine\": says no `model`"));
        assert!(says("model = \"nothing\"").contains("model \"nothing\": is not known"));
        assert!(says("model = \"logistic\"\ngrid.c = []").contains("grid.c is no list of values"));
        assert!(says("model = \"logistic\"\ngrid.c = [1.0, -1.0]").contains("c = -1 (give a number above 0)"));
        assert!(says("model = \"majority\"\nsettings.c = 1.0").contains("unknown field `c`"));
        assert!(says("colour = 1").contains("unknown field `colour`"));
    }

    #[test]
    fn names_are_known_once_and_their_usual_settings_can_be() {
        let mut names: Vec<&str> = ENTRIES.iter().copied().flatten().map(|entry| entry.name).collect();
        assert!(names.iter().all(|name| Model::named(name, Some(1)).is_ok()), "{names:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
