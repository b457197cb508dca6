//! Which samples teach, and which are predicted? Nobody is on both sides, and every part has its share of every class.
//!
//! What is divided is never a sample but a [`Units`] unit: a participant with all its samples, or, where sites are to be kept apart
//! as well, a site with all its participants. The way is that of scikit-learn's `StratifiedGroupKFold`: units in an order drawn by
//! the seed, those whose samples are most of one class first, each into the part that it leaves most alike in its classes.

use std::collections::BTreeMap;

use super::{NetworkError, Targets};
use crate::draws::Draws;

/// Bins that numbers are divided by, as if they were classes.
const BINS: usize = 5;

/// How samples are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Into so many parts, each predicted from all others.
    Parts(usize),
    /// Each unit is predicted from all others: leave one participant, or one site, out.
    Each,
}

/// One division: samples that teach, samples that are predicted; both ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Samples that teach.
    pub train: Vec<usize>,
    /// Samples that are predicted.
    pub test: Vec<usize>,
}

/// What is never divided: of each sample the unit it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units(Vec<usize>);

impl Units {
    /// Participants; with `groups` (of each sample its site, family, scanner), all that is linked by a participant or a group.
    pub fn of(participants: &[String], groups: Option<&[String]>) -> Self {
        let mut first_of: BTreeMap<(bool, &str), usize> = BTreeMap::new();
        let mut of: Vec<usize> = (0..participants.len()).collect();
        for sample in 0..participants.len() {
            let group = groups.and_then(|groups| groups.get(sample)).map(|group| (true, group.as_str()));
            let participant = participants.get(sample).map(|participant| (false, participant.as_str()));
            for name in participant.into_iter().chain(group) {
                let first = *first_of.entry(name).or_insert(sample);
                let unit = |at: usize| of.get(at).copied().unwrap_or(at);
                let (one, other) = (unit(first), unit(sample));
                let (low, high) = (one.min(other), one.max(other));
                of.iter_mut().filter(|of| **of == high).for_each(|of| *of = low);
            }
        }
        Self(of)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.members(&(0..self.0.len()).collect::<Vec<_>>()).len()
    }

    /// The samples of each unit, of these.
    fn members(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in rows {
            of.entry(self.0.get(*row).copied().unwrap_or(*row)).or_default().push(*row);
        }
        of.into_values().collect()
    }
}

/// Divides the samples `rows`, which are ascending.
///
/// # Errors
/// Fewer units than parts.
pub fn divide(
    rows: &[usize],
    units: &Units,
    targets: &Targets,
    scheme: Scheme,
    seed: u64,
) -> Result<Vec<Fold>, NetworkError> {
    let members = units.members(rows);
    let parts = match scheme {
        Scheme::Parts(parts) => parts,
        Scheme::Each => members.len(),
    };
    if parts < 2 || parts > members.len() {
        return Err(NetworkError::Folds(format!(
            "{parts} parts of {} participants or groups that belong together (take 2 or more, and no more than there are)",
            members.len()
        )));
    }
    let part = match scheme {
        Scheme::Each => (0..members.len()).collect(),
        Scheme::Parts(_) => {
            let counts = counts(&members, rows, targets);
            let mut order: Vec<usize> = (0..members.len()).collect();
            Draws::new(seed, 0).shuffle(&mut order);
            assigned(&counts, order, parts)
        }
    };
    let fold = |of: usize| {
        let taken = |test: bool| {
            let chosen = members.iter().zip(&part).filter(|(_, part)| (**part == of) == test);
            let mut rows: Vec<usize> = chosen.flat_map(|(members, _)| members.iter().copied()).collect();
            rows.sort_unstable();
            rows
        };
        Fold { train: taken(false), test: taken(true) }
    };
    Ok((0..parts).map(fold).collect())
}

/// What is held back of `rows` to stop a training by: about the share `share` of them, whose participants are nobody else's.
/// None where that would leave nobody on one side.
pub fn held_back(rows: &[usize], units: &Units, targets: &Targets, share: f64, seed: u64) -> Option<Fold> {
    if !(share > 0.0 && share < 1.0) {
        return None;
    }
    let parts = ((1.0 / share).round() as usize).clamp(2, units.members(rows).len().max(2));
    divide(rows, units, targets, Scheme::Parts(parts), seed).ok()?.into_iter().next()
}

/// Of every unit how many samples it has of every class, or of every fifth of the numbers.
fn counts(members: &[Vec<usize>], rows: &[usize], targets: &Targets) -> Vec<Vec<f64>> {
    let (strata, of): (usize, BTreeMap<usize, usize>) = match targets {
        Targets::Classes { names, of } => {
            (names.len(), rows.iter().map(|row| (*row, of.get(*row).copied().unwrap_or(0))).collect())
        }
        Targets::Values(values) => {
            let value = |row: &usize| values.get(*row).copied().unwrap_or(f64::NAN);
            let mut ranked = rows.to_vec();
            ranked.sort_by(|a, b| value(a).total_cmp(&value(b)));
            let bin = |(rank, row): (usize, usize)| (row, rank * BINS / rows.len().max(1));
            (BINS, ranked.into_iter().enumerate().map(bin).collect())
        }
    };
    let count = |members: &Vec<usize>| {
        let mut count = vec![0.0; strata];
        for stratum in members.iter().filter_map(|row| of.get(row)) {
            count.get_mut(*stratum).into_iter().for_each(|count| *count += 1.0);
        }
        count
    };
    members.iter().map(count).collect()
}

fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The part of every unit, as `StratifiedGroupKFold` would have it for units in this order.
fn assigned(counts: &[Vec<f64>], mut order: Vec<usize>, parts: usize) -> Vec<usize> {
    let of = |unit: usize| counts.get(unit).map_or(&[][..], Vec::as_slice);
    order.sort_by(|a, b| spread(of(*b)).total_cmp(&spread(of(*a))));
    let strata = of(0).len();
    let totals: Vec<f64> =
        (0..strata).map(|stratum| counts.iter().filter_map(|unit| unit.get(stratum)).sum::<f64>().max(1.0)).collect();
    let mut held = vec![vec![0.0; strata]; parts];
    let mut part = vec![0; counts.len()];
    for unit in order {
        let count = of(unit);
        let uneven = |with: usize| {
            let share = |stratum: usize| {
                let total = totals.get(stratum).copied().unwrap_or(1.0);
                let more = |part: usize| if part == with { count.get(stratum).copied().unwrap_or(0.0) } else { 0.0 };
                let shares = held.iter().enumerate();
                shares.map(|(part, held)| (held.get(stratum).unwrap_or(&0.0) + more(part)) / total).collect::<Vec<_>>()
            };
            (0..strata).map(|stratum| spread(&share(stratum))).sum::<f64>() / strata.max(1) as f64
        };
        let mut best = (f64::INFINITY, f64::INFINITY, 0);
        for (candidate, held) in held.iter().enumerate() {
            let (uneven, samples) = (uneven(candidate), held.iter().sum::<f64>());
            let tie = (uneven - best.0).abs() <= 1e-8 + 1e-5 * best.0.abs();
            if (uneven < best.0 && !tie) || (tie && samples < best.1) {
                best = (uneven, samples, candidate);
            }
        }
        held.get_mut(best.2).into_iter().flatten().zip(count).for_each(|(held, more)| *held += more);
        part.get_mut(unit).into_iter().for_each(|part| *part = best.2);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    fn classes(text: &str) -> Targets {
        Targets::classes(&names(text)).unwrap()
    }

    #[test]
    fn nobody_is_on_both_sides_everybody_is_predicted_once_and_every_part_has_its_share() {
        let people: Vec<String> = (0..120).map(|i| format!("p{}", i / 4)).collect();
        let of: Vec<String> = (0..120).map(|i| if (i / 4) % 3 == 0 { "ill" } else { "well" }.to_owned()).collect();
        let targets = Targets::classes(&of).unwrap();
        let (rows, units) = ((0..120).collect::<Vec<_>>(), Units::of(&people, None));
        let folds = |seed| divide(&rows, &units, &targets, Scheme::Parts(5), seed).unwrap();
        let mut all: Vec<usize> = folds(0).into_iter().flat_map(|fold| fold.test).collect();
        all.sort_unstable();
        assert_eq!(all, rows);
        for fold in folds(0) {
            assert!(fold.test.iter().all(|t| fold.train.iter().all(|r| people[*t] != people[*r])));
            assert_eq!((fold.test.len(), fold.test.iter().filter(|row| of[**row] == "ill").count()), (24, 8));
            let inner = held_back(&fold.train, &units, &targets, 0.2, 1).unwrap();
            assert!(inner.test.iter().all(|t| inner.train.iter().all(|r| people[*t] != people[*r])));
            assert!((16..=24).contains(&inner.test.len()), "{}", inner.test.len());
        }
        assert!(folds(0) == folds(0) && folds(0) != folds(1));
        assert_eq!(held_back(&rows, &units, &targets, 0.0, 1), None);
    }

    #[test]
    fn a_site_keeps_its_people_and_people_of_two_sites_keep_both() {
        let units = Units::of(&names("aabbccdd"), Some(&names("xxxxyyzz")));
        assert_eq!((units.count(), Units::of(&names("aabbccdd"), None).count()), (3, 4));
        let rows: Vec<usize> = (0..8).collect();
        let folds = divide(&rows, &units, &classes("uvuvuvuv"), Scheme::Each, 0).unwrap();
        assert_eq!(folds.iter().map(|fold| fold.test.len()).collect::<Vec<_>>(), [4, 2, 2]);
        // c was at y and at z.
        assert_eq!(Units::of(&names("aabbcccd"), Some(&names("xxxxyyzz"))).count(), 2);
    }

    #[test]
    fn units_go_where_scikit_learn_puts_them() {
        // StratifiedGroupKFold(3).split on these counts as samples; `assigned` of units in their own order.
        let counts = [[3.0, 1.0], [0.0, 4.0], [2.0, 2.0], [1.0, 0.0], [5.0, 1.0], [0.0, 2.0], [2.0, 3.0], [1.0, 1.0]];
        let counts: Vec<Vec<f64>> = counts.iter().map(|of| of.to_vec()).collect();
        assert_eq!(assigned(&counts, (0..8).collect(), 3), GOLDEN);
    }

    const GOLDEN: [usize; 8] = [2, 0, 2, 0, 1, 2, 1, 0];

    #[test]
    fn numbers_are_spread_over_the_parts() {
        let people: Vec<String> = (0..50).map(|i| format!("p{i}")).collect();
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i)).collect();
        let targets = Targets::Values(values.clone());
        let folds = divide(&(0..50).collect::<Vec<_>>(), &Units::of(&people, None), &targets, Scheme::Parts(5), 3);
        for fold in folds.unwrap() {
            let low = fold.test.iter().filter(|row| **row < 10).count();
            assert_eq!((fold.test.len(), low), (10, 2), "{fold:?}");
        }
    }

    #[test]
    fn too_few_people_are_refused() {
        let divided = divide(&[0, 1, 2], &Units::of(&names("aab"), None), &classes("uvu"), Scheme::Parts(3), 0);
        assert!(divided.unwrap_err().to_string().contains("folds: 3 parts of 2 participants"));
    }
}
