//! Which samples teach, and which are predicted? Every sample is predicted once, by weights that never saw it.

use std::collections::{BTreeMap, BTreeSet};

use super::EncodingError;
use crate::draws::Draws;

/// How samples are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Each run is predicted from all others.
    Runs,
    /// So many stretches of consecutive samples, sizes as in scikit-learn's `KFold`.
    Consecutive(usize),
    /// So many parts, drawn at random by a seed.
    Shuffled(usize, u64),
    /// Each group is predicted from all others: subjects, sessions, conditions.
    Groups,
    /// Some samples are predicted from some others, once.
    Once,
}

/// What a sample is for, where samples are divided once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// It teaches.
    Train,
    /// It is predicted.
    Test,
    /// Neither.
    #[default]
    Neither,
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
    /// The group of each; empty where samples are not divided by groups.
    pub groups: Vec<String>,
    /// What each is for; empty where samples are not divided once.
    pub parts: Vec<Part>,
}

impl Samples {
    /// The samples of these rows.
    pub fn of(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(from: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().filter_map(|row| from.get(*row).cloned()).collect()
        }
        Self {
            runs: pick(&self.runs, rows),
            stimuli: pick(&self.stimuli, rows),
            groups: pick(&self.groups, rows),
            parts: pick(&self.parts, rows),
        }
    }
}

/// Whether these names are known of every sample, and not all the same: whether samples can be divided by them.
pub fn differ(names: &[String], n: usize) -> bool {
    names.len() == n && names.iter().any(|name| Some(name) != names.first())
}

/// How many times a sample is predicted although its stimulus also taught, over all folds.
pub fn repeated(folds: &[Fold], stimuli: &[String]) -> usize {
    let of = |rows: &[usize]| -> Vec<&String> { rows.iter().filter_map(|row| stimuli.get(*row)).collect() };
    let in_fold = |fold: &Fold| {
        let taught: BTreeSet<&String> = of(&fold.train).into_iter().collect();
        of(&fold.test).into_iter().filter(|stimulus| taught.contains(stimulus)).count()
    };
    folds.iter().map(in_fold).sum()
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
        Scheme::Groups if samples.groups.len() != n => return wrong("folds: nothing is known of groups".into()),
        Scheme::Groups => numbered(&samples.groups),
        Scheme::Once => return once(n, samples),
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
        let what = if scheme == Scheme::Groups { "group" } else { "run" };
        return wrong(format!("folds: everything is one {what}, so nothing is left to learn from (use --folds k=10)"));
    }
    let mut purged = 0;
    let folds: Vec<Fold> = (0..count)
        .map(|part| {
            let (test, rest) = (0..n).partition(|row| parts.get(*row) == Some(&part));
            apart(rest, test, &samples.stimuli, &mut purged)
        })
        .collect();
    if let Some(empty) = folds.iter().position(|fold| fold.train.is_empty()) {
        return wrong(format!(
            "folds: nothing is left to teach fold {empty}: every stimulus is in it as well (use other folds, or --keep-repeats)"
        ));
    }
    Ok(Folds { folds, purged })
}

/// The one fold whose samples are named.
fn once(n: usize, samples: &Samples) -> Result<Folds, EncodingError> {
    let rows = |part: Part| (0..n).filter(|row| samples.parts.get(*row) == Some(&part)).collect::<Vec<usize>>();
    let (train, test) = (rows(Part::Train), rows(Part::Test));
    let mut purged = 0;
    let fold = apart(train, test, &samples.stimuli, &mut purged);
    let problem = match (fold.train.len(), fold.test.len()) {
        (_, 0) => "no sample is to be predicted",
        (0, _) if purged > 0 => {
            "nothing is left to teach: every stimulus is to be predicted as well, without --keep-repeats"
        }
        (0, _) => "no sample teaches",
        _ => return Ok(Folds { folds: vec![fold], purged }),
    };
    Err(EncodingError::Folds(format!("folds: {problem} (see --train and --test)")))
}

/// A fold that no stimulus stands on both sides of; those that would are kept from teaching, and counted.
fn apart(train: Vec<usize>, test: Vec<usize>, stimuli: &[String], purged: &mut usize) -> Fold {
    let seen: BTreeSet<&String> = test.iter().filter_map(|row| stimuli.get(*row)).collect();
    let before = train.len();
    let train: Vec<usize> =
        train.into_iter().filter(|row| stimuli.get(*row).is_none_or(|stimulus| !seen.contains(stimulus))).collect();
    *purged += before - train.len();
    Fold { train, test }
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
        let samples = Samples { runs: names("aabbcc"), stimuli: names("xyxzvw"), ..Samples::default() };
        let Folds { folds, purged } = divide(6, Scheme::Runs, &samples).unwrap();
        assert_eq!((folds[0].test.clone(), folds[0].train.clone()), (vec![0, 1], vec![3, 4, 5]));
        assert_eq!((folds[1].train.clone(), purged), (vec![1, 4, 5], 2));
        let Folds { folds, purged } = divide(6, Scheme::Consecutive(2), &samples).unwrap();
        assert_eq!((folds[0].test.clone(), purged), (vec![0, 1, 2, 3], 0), "x, y, z and then v, w");
    }

    #[test]
    fn groups_and_one_division_keep_stimuli_apart_too() {
        let groups = Samples { stimuli: names("xyzxyz"), groups: names("aaabbb"), ..Samples::default() };
        assert!(
            divide(6, Scheme::Groups, &groups).unwrap_err().to_string().contains("nothing is left to teach fold 0")
        );
        let groups = Samples { groups: names("abcabc"), ..Samples::default() };
        let folds = divide(6, Scheme::Groups, &groups).unwrap().folds;
        assert_eq!((folds.len(), folds[1].test.clone(), folds[1].train.clone()), (3, vec![1, 4], vec![0, 2, 3, 5]));
        let [t, p, n] = [Part::Train, Part::Test, Part::Neither];
        let mut once = Samples { stimuli: names("xyzxyv"), parts: vec![t, t, n, p, n, t], ..Samples::default() };
        let Folds { folds, purged } = divide(6, Scheme::Once, &once).unwrap();
        assert_eq!((folds, purged), (vec![Fold { train: vec![1, 5], test: vec![3] }], 1));
        once.parts = vec![t, n, n, p, n, n];
        assert!(divide(6, Scheme::Once, &once).unwrap_err().to_string().contains("every stimulus is to be predicted"));
        once.parts = vec![t, n, n, n, n, n];
        assert!(divide(6, Scheme::Once, &once).unwrap_err().to_string().contains("no sample is to be predicted"));
    }

    #[test]
    fn repeats_on_both_sides_are_counted() {
        let folds = divide(6, Scheme::Consecutive(2), &Samples::default()).unwrap().folds;
        assert_eq!(repeated(&folds, &names("xyxzxw")), 3, "two x before the middle, one after it");
        assert_eq!((repeated(&folds, &names("aabbcc")), repeated(&folds, &[])), (2, 0));
        assert!(differ(&names("ab"), 2) && !differ(&names("aa"), 2) && !differ(&names("ab"), 3) && !differ(&[], 0));
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
        let same = Samples { runs: names("ab"), stimuli: names("xx"), ..Samples::default() };
        assert!(says(2, Scheme::Runs, &same).contains("nothing is left to teach fold 0"));
    }
}
