//! What is one column of a block? A named channel, or a brain region, with its unit.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The unit of a channel's values, written on the wire as in BIDS and LSL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Microvolts: EEG.
    #[serde(rename = "uV")]
    Microvolt,
    /// Microvolts squared: power in a band.
    #[serde(rename = "uV2")]
    MicrovoltSquared,
    /// Standard deviations from the run's trend: fMRI.
    #[serde(rename = "z")]
    ZScore,
    /// Percent of a baseline: fMRI.
    #[serde(rename = "psc")]
    PercentSignalChange,
    /// A statistic: an effect over its standard error.
    #[serde(rename = "t")]
    TValue,
    /// Whatever the device counts in.
    #[default]
    #[serde(rename = "a.u.")]
    Arbitrary,
}

impl Unit {
    /// The wire name: `uV`, `uV2`, `z`, `psc`, `t` or `a.u.`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unit::Microvolt => "uV",
            Unit::MicrovoltSquared => "uV2",
            Unit::ZScore => "z",
            Unit::PercentSignalChange => "psc",
            Unit::TValue => "t",
            Unit::Arbitrary => "a.u.",
        }
    }
}

/// One column of a block: an electrode by its 10–20 name, a feature, or a brain region by its atlas label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Unique within its block.
    pub name: String,
    /// As in BIDS channels.tsv: `EEG`, `EOG`, `MISC`; `REGION` or `VOXEL` for fMRI; `FEATURE` for what a stage derived.
    pub kind: String,
    /// What the values are counted in.
    pub unit: Unit,
}

impl Channel {
    /// A channel of this name, kind and unit.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, unit: Unit) -> Self {
        Self { name: name.into(), kind: kind.into(), unit }
    }

    /// `count` channels named after their kind and number from 1: `EEG1`, `EEG2`, …
    pub fn numbered(kind: &str, count: usize, unit: Unit) -> Vec<Self> {
        (1..=count).map(|i| Self::new(format!("{kind}{i}"), kind, unit)).collect()
    }
}

/// Makes names unique: the second `insula` becomes `insula_2`, the third `insula_3`. The order stays.
///
/// ```
/// let names = neurod::frame::unique_names(["a", "b", "a"].map(String::from));
/// assert_eq!(names, ["a", "b", "a_2"]);
/// ```
pub fn unique_names(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let names: Vec<String> = names.into_iter().collect();
    let mut taken: HashMap<String, usize> = names.iter().map(|n| (n.clone(), 0)).collect();
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let seen = taken.get(&name).copied().unwrap_or(0) + 1;
        let mut count = seen;
        let mut unique = name.clone();
        while count > 1 && (count == seen || taken.contains_key(&unique)) {
            unique = format!("{name}_{count}");
            if !taken.contains_key(&unique) {
                break;
            }
            count += 1;
        }
        taken.insert(name, count);
        taken.entry(unique.clone()).or_insert(1);
        out.push(unique);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_get_a_suffix_that_nobody_else_has() {
        let names = unique_names(["a", "a", "a_2", "a", "b"].map(String::from));
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 5, "{names:?}");
        assert_eq!((names[0].as_str(), names[2].as_str(), names[4].as_str()), ("a", "a_2", "b"));
    }
}
