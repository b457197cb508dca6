//! Which samples teach, and which are predicted? Every sample is predicted once, by weights that never saw it.

use std::collections::BTreeMap;

use super::EncodingError;
use super::draws::Draws;

/// How samples are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Each run is predicted from all others.
    Runs,
    /// So many stretches of consecutive samples, sizes as in scikit-learn's `KFold`.
    Consecutive(usize),
    /// So many parts, drawn at random by a seed.
    Shuffled(usize, u64),
}

/// One division: rows that teach, rows that are predicted; both ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Rows that teach.
    pub train: Vec<usize>,
    /// Rows that are predicted.
    pub test: Vec<usize>,
}

/// What is known of each sample.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The run of each; empty where nothing is known of runs.
    pub runs: Vec<String>,
    /// The stimulus of each; samples of one stimulus are never on both sides. Empty where each stands for itself.
    pub stimuli: Vec<String>,
}

impl Samples {
    /// The samples of these rows.
    pub fn of(&self, rows: &[usize]) -> Self {
        let pick = |from: &[String]| rows.iter().filter_map(|row| from.get(*row).cloned()).collect();
        Self { runs: pick(&self.runs), stimuli: pick(&self.stimuli) }
    }
}

/// What the folds came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// The divisions.
    pub folds: Vec<Fold>,
    /// Samples left out of the teaching because their stimulus was to be predicted, over all folds.
    pub purged: usize,
}

/// Divides `n` samples.
///
/// # Errors
/// No runs, one run, or fewer samples (or stimuli) than parts.
pub fn divide(n: usize, scheme: Scheme, samples: &Samples) -> Result<Folds, EncodingError> {
    let wrong = |problem: String| Err(EncodingError::Folds(problem));
    // Which part each sample is predicted in.
    let parts: Vec<usize> = match scheme {
        Scheme::Runs if samples.runs.len() != n => {
            return wrong(
                "folds = runs: there is no runs.tsv (give one with a column `run`, or use --folds k=10)".into(),
            );
        }
        Scheme::Runs => numbered(&samples.runs),
        Scheme::Consecutive(k) | Scheme::Shuffled(k, _) => {
            let units = if samples.stimuli.len() == n { numbered(&samples.stimuli) } else { (0..n).collect() };
            let count = units.iter().max().map_or(0, |most| most + 1);
            if k < 2 || count < k {
                return wrong(format!(
                    "folds: {k} parts of {count} samples (take 2 or more, and no more than there are)"
                ));
            }
            let mut order: Vec<usize> = (0..count).collect();
            if let Scheme::Shuffled(_, seed) = scheme {
                Draws::new(seed, 0).shuffle(&mut order);
            }
            let mut part = vec![0; count];
            for (place, unit) in order.into_iter().enumerate() {
                if let Some(slot) = part.get_mut(unit) {
                    *slot = part_of(place, count, k);
                }
            }
            units.iter().map(|unit| part.get(*unit).copied().unwrap_or(0)).collect()
        }
    };
    let count = parts.iter().max().map_or(0, |most| most + 1);
    if count < 2 {
        return wrong("folds: everything is one run, so nothing is left to learn from (use --folds k=10)".into());
    }
    let mut purged = 0;
    let folds = (0..count).map(|part| {
        let (test, rest): (Vec<usize>, Vec<usize>) = (0..n).partition(|row| parts.get(*row) == Some(&part));
        let shown: Vec<&String> = test.iter().filter_map(|row| samples.stimuli.get(*row)).collect();
        let seen: std::collections::BTreeSet<&String> = shown.into_iter().collect();
        let before = rest.len();
        let train: Vec<usize> =
            rest.into_iter().filter(|row| samples.stimuli.get(*row).is_none_or(|s| !seen.contains(s))).collect();
        purged += before - train.len();
        Fold { train, test }
    });
    let folds: Vec<Fold> = folds.collect();
    if let Some(empty) = folds.iter().position(|fold| fold.train.is_empty()) {
        return wrong(format!("folds: nothing is left to teach fold {empty} (every stimulus is in it as well)"));
    }
    Ok(Folds { folds, purged })
}

/// Names, numbered in the order of their first appearance.
fn numbered(names: &[String]) -> Vec<usize> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    names
        .iter()
        .map(|name| {
            let next = known.len();
            *known.entry(name).or_insert(next)
        })
        .collect()
}

/// The part of place `place` of `n`, of `k` parts of which the first `n % k` are one longer (`KFold`).
fn part_of(place: usize, n: usize, k: usize) -> usize {
    let (size, longer) = (n / k, n % k);
    let edge = longer * (size + 1);
    if place < edge { place / (size + 1) } else { longer + (place - edge) / size.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn consecutive_parts_are_those_of_kfold() {
        let folds = divide(10, Scheme::Consecutive(4), &Samples::default()).unwrap().folds;
        let tests: Vec<_> = folds.iter().map(|f| f.test.clone()).collect();
        assert_eq!(tests, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7], vec![8, 9]]);
        assert_eq!(folds[1].train, [0, 1, 2, 6, 7, 8, 9]);
    }

    #[test]
    fn a_run_is_predicted_from_all_others_and_a_stimulus_from_none_of_its_own() {
        let samples = Samples { runs: names("aabbcc"), stimuli: names("xyxzvw") };
        let Folds { folds, purged } = divide(6, Scheme::Runs, &samples).unwrap();
        assert_eq!((folds[0].test.clone(), folds[0].train.clone()), (vec![0, 1], vec![3, 4, 5]));
        assert_eq!((folds[1].train.clone(), purged), (vec![1, 4, 5], 2));
        let Folds { folds, purged } = divide(6, Scheme::Consecutive(2), &samples).unwrap();
        assert_eq!((folds[0].test.clone(), purged), (vec![0, 1, 2, 3], 0), "x, y, z and then v, w");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_the_seed_decides() {
        let tests = |seed| {
            let folds = divide(50, Scheme::Shuffled(5, seed), &Samples::default()).unwrap().folds;
            folds.into_iter().map(|f| f.test).collect::<Vec<_>>()
        };
        let mut all: Vec<usize> = tests(3).concat();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert!(tests(3) == tests(3) && tests(3) != tests(4));
    }

    #[test]
    fn what_cannot_be_divided_says_the_fix() {
        let says = |n, scheme, samples: &Samples| divide(n, scheme, samples).unwrap_err().to_string();
        assert!(says(4, Scheme::Runs, &Samples::default()).contains("runs.tsv"));
        let one = Samples { runs: names("aaaa"), ..Samples::default() };
        assert!(says(4, Scheme::Runs, &one).contains("--folds k=10"));
        assert!(says(4, Scheme::Consecutive(5), &Samples::default()).contains("5 parts of 4 samples"));
        let same = Samples { runs: names("ab"), stimuli: names("xx") };
        assert!(says(2, Scheme::Runs, &same).contains("nothing is left to teach fold 0"));
    }
}
