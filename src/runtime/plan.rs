//! Who feeds whom? The names in a configuration, resolved once, before anything is opened.

use thiserror::Error;

/// Where one predictor's input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The encoder of this number.
    Encoder(usize),
    /// The end of this source's chain.
    Source(usize),
}

/// One predictor's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictorPlan {
    /// Its name.
    pub name: String,
    /// Its inputs, in the order of its row.
    pub inputs: Vec<Feed>,
    /// The source it predicts and learns from.
    pub target: Option<usize>,
}

/// What an encoder listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderFeed {
    /// The event source of this number.
    Events(usize),
    /// Windows of the source of this number.
    Windows(usize),
}

/// Whose regions are the nodes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFeed {
    /// Those of the source of this number, at the end of its chain.
    Source(usize),
    /// What the predictor of this number predicts.
    Predictor(usize),
}

/// All connections, by number. Sources, event sources, encoders and predictors are numbered in the order of their
/// names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The names of the sources.
    pub sources: Vec<String>,
    /// The names of the event sources.
    pub events: Vec<String>,
    /// Each encoder's name and what it listens to.
    pub encoders: Vec<(String, EncoderFeed)>,
    /// The predictors.
    pub predictors: Vec<PredictorPlan>,
    /// Each network's name, and whose regions are its nodes.
    pub networks: Vec<(String, NetworkFeed)>,
}

/// A name in the configuration that leads nowhere.
#[derive(Debug, Error, PartialEq)]
#[error("{place} = \"{name}\": there is no {kind} of this name{hint}")]
pub struct PlanError {
    /// The key that holds the name.
    pub place: String,
    /// The name.
    pub name: String,
    /// What was looked for.
    pub kind: &'static str,
    /// What may have been meant, or what there is.
    pub hint: String,
}

impl Plan {
    /// The number of the source called `name`.
    ///
    /// # Errors
    /// There is none; says what there is. `place` is the key that holds the name.
    pub fn source(&self, place: &str, name: &str) -> Result<usize, PlanError> {
        find(place, "source ([sources.…])", name, self.sources.iter())
    }

    /// The number of the predictor called `name`.
    ///
    /// # Errors
    /// There is none; says what there is.
    pub fn predictor(&self, place: &str, name: &str) -> Result<usize, PlanError> {
        find(place, "predictor ([predictors.…])", name, self.predictors.iter().map(|predictor| &predictor.name))
    }

    /// The number of the event source called `name`.
    ///
    /// # Errors
    /// There is none; says what there is.
    pub fn event_source(&self, place: &str, name: &str) -> Result<usize, PlanError> {
        find(place, "event source ([events.…])", name, self.events.iter())
    }

    /// The encoder or source called `name`; an encoder wins.
    ///
    /// # Errors
    /// There is neither; says what there is.
    pub fn features(&self, place: &str, name: &str) -> Result<Feed, PlanError> {
        if let Some(i) = self.encoders.iter().position(|(n, _)| n == name) {
            return Ok(Feed::Encoder(i));
        }
        let names = self.encoders.iter().map(|(n, _)| n).chain(&self.sources);
        find(place, "encoder or source", name, names).map(|i| Feed::Source(i - self.encoders.len()))
    }

    /// The inputs that `feed` has among the predictors: (predictor, input).
    pub fn inputs_of(&self, feed: Feed) -> impl Iterator<Item = (usize, usize)> {
        self.predictors.iter().enumerate().flat_map(move |(p, predictor)| {
            let matching = predictor.inputs.iter().enumerate().filter(move |(_, f)| **f == feed);
            matching.map(move |(i, _)| (p, i))
        })
    }

    /// The predictors that learn from source `source`.
    pub fn learners_of(&self, source: usize) -> impl Iterator<Item = usize> {
        self.predictors.iter().enumerate().filter(move |(_, p)| p.target == Some(source)).map(|(i, _)| i)
    }

    /// The encoders that listen to `feed`.
    pub fn encoders_of(&self, feed: EncoderFeed) -> impl Iterator<Item = usize> {
        self.encoders.iter().enumerate().filter(move |(_, (_, f))| *f == feed).map(|(i, _)| i)
    }

    /// The networks of the regions of `feed`.
    pub fn networks_of(&self, feed: NetworkFeed) -> impl Iterator<Item = usize> {
        self.networks.iter().enumerate().filter(move |(_, (_, f))| *f == feed).map(|(i, _)| i)
    }

    /// The networks of regions that are predicted, each with its predictor's name.
    pub fn networks_of_predictors(&self) -> impl Iterator<Item = (usize, &str)> {
        self.networks.iter().enumerate().filter_map(|(i, (_, feed))| match feed {
            NetworkFeed::Predictor(predictor) => Some((i, self.predictors.get(*predictor)?.name.as_str())),
            NetworkFeed::Source(_) => None,
        })
    }

    /// Whether anybody learns from source `source`, so that its volumes are published as `measured`.
    pub fn is_target(&self, source: usize) -> bool {
        self.learners_of(source).next().is_some()
    }
}

fn find<'a>(
    place: &str,
    kind: &'static str,
    name: &str,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<usize, PlanError> {
    names.clone().position(|n| n == name).ok_or_else(|| {
        let nearest = names.clone().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
        let hint = match nearest {
            Some(n) if strsim::jaro(n, name) > 0.8 => format!("; did you mean \"{n}\"?"),
            Some(_) => format!("; there are: {}", names.map(String::as_str).collect::<Vec<_>>().join(", ")),
            None => "; there is none at all".into(),
        };
        PlanError { place: place.into(), name: name.into(), kind, hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            sources: vec!["eeg".into(), "scanner".into()],
            events: vec!["stimulus".into()],
            encoders: vec![("sentence".into(), EncoderFeed::Events(0))],
            predictors: vec![PredictorPlan {
                name: "regions".into(),
                inputs: vec![Feed::Encoder(0), Feed::Source(0)],
                target: Some(1),
            }],
            networks: Vec::new(),
        }
    }

    #[test]
    fn names_become_numbers_and_connections_are_found_both_ways() {
        let plan = plan();
        assert_eq!(plan.features("x", "sentence"), Ok(Feed::Encoder(0)));
        assert_eq!(plan.features("x", "scanner"), Ok(Feed::Source(1)));
        assert_eq!(plan.inputs_of(Feed::Source(0)).collect::<Vec<_>>(), [(0, 1)]);
        assert!(plan.is_target(1) && !plan.is_target(0));
    }

    #[test]
    fn a_wrong_name_is_answered_with_a_suggestion() {
        let error = plan().source("predictors.regions.targets", "scaner").unwrap_err();
        assert_eq!(
            error.to_string(),
            "predictors.regions.targets = \"scaner\": there is no source ([sources.…]) of this name; did you mean \"scanner\"?"
        );
        let error = plan().event_source("encoders.x.events", "tones").unwrap_err();
        assert!(error.to_string().ends_with("there are: stimulus"), "{error}");
    }
}
