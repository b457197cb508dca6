//! How sure is a score? As sure as it stays when other people had come: the bootstrap over participants.

use std::collections::BTreeMap;

use crate::draws::Draws;
use crate::interval::Interval;

/// Predictions by whom they are of, so that all of a participant are drawn together.
#[derive(Clone, Debug)]
pub struct People {
    /// Of each participant the places of its predictions.
    of: Vec<Vec<usize>>,
}

impl People {
    /// Of the predictions whose participants these are.
    pub fn of<'a>(participants: impl Iterator<Item = &'a str>) -> Self {
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, participant) in participants.enumerate() {
            of.entry(participant).or_default().push(place);
        }
        Self { of: of.into_values().collect() }
    }

    /// What 95 % of the draws lie in, of what `score` says of the places drawn, over `draws` draws of as many people as there are, with replacement.
    /// The same seed draws the same people, whatever is scored. Draws without a score are left out; None of fewer than half.
    pub fn interval(&self, draws: usize, seed: u64, score: impl Fn(&[usize]) -> f64) -> Option<Interval> {
        let scores: Vec<f64> = (0..draws)
            .map(|draw| {
                let mut chance = Draws::new(seed, draw);
                let drawn = (0..self.of.len()).filter_map(|_| self.of.get(chance.below(self.of.len())));
                score(&drawn.flatten().copied().collect::<Vec<_>>())
            })
            .filter(|score| score.is_finite())
            .collect();
        if scores.is_empty() || 2 * scores.len() < draws {
            return None;
        }
        Some(Interval::of(scores, 0.025))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_people_not_of_their_samples() {
        // 40 people with 10 equal samples each: the standard error is that of 40 numbers.
        let who: Vec<String> = (0..400).map(|i| format!("p{}", i % 40)).collect();
        let people = People::of(who.iter().map(String::as_str));
        let value = |place: usize| (place % 40) as f64;
        let mean = |places: &[usize]| places.iter().map(|p| value(*p)).sum::<f64>() / places.len() as f64;
        let interval = people.interval(2000, 1, mean).unwrap();
        // sd 11.54 / √40 = 1.825; ± 1.96 of it.
        assert!((interval.low - (19.5 - 3.577)).abs() < 0.3 && (interval.high - (19.5 + 3.577)).abs() < 0.3);
        assert_eq!(people.interval(2000, 1, mean), Some(interval));
        assert_eq!(people.interval(100, 1, |_| f64::NAN), None);
    }
}
