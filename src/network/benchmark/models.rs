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
    entry("svm", LINEAR, Family::Linear, Learns::Classes, "", svm),
    entry("svm-tuned", LINEAR, Family::Linear, Learns::Classes, GRID_C, svm),
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
    Entry { name, group, family, learns, needs: Needs::Edges, usual, make }
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
    /// One that is known by name, with `more` settings over its usual ones where it knows them.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn named(name: &str) -> Result<Self, NetworkError> {
        Self::of(name, by_name(name)?, Described::default())
    }

    /// One that a TOML text describes; `stem` is what it is called where the text does not say.
    ///
    /// # Errors
    /// What cannot be read, is not known, or cannot be set.
    pub fn described(stem: &str, text: &str) -> Result<Self, NetworkError> {
        let described: Described = toml::from_str(text).map_err(|error| wrong(stem, error.to_string().trim()))?;
        let name = described.name.clone().unwrap_or_else(|| stem.into());
        let Some(model) = &described.model else {
            return Err(wrong(&name, "says no `model` (such as model = \"logistic\")"));
        };
        Self::of(&name, by_name(model)?, described)
    }

    fn of(name: &str, entry: Entry, over: Described) -> Result<Self, NetworkError> {
        let usual: Described = toml::from_str(entry.usual).map_err(|error| wrong(name, &error.to_string()))?;
        let mut settings = usual.settings;
        // What is set is not searched.
        let mut grid: Table = usual.grid.into_iter().filter(|(key, _)| !over.settings.contains_key(key)).collect();
        settings.extend(over.settings);
        grid.extend(over.grid);
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
pub fn all(networks: &Networks, targets: &Targets) -> Result<Vec<Model>, NetworkError> {
    let every = ENTRIES.iter().copied().flatten().map(|entry| Model::named(entry.name));
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
