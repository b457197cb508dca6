//! What would be found if the truth were known? Networks of people of two groups, with an effect that was put there.
//!
//! Edge (i, j) of person p is `z = b_ij + 0.25 u_p + 0.25 e_pij`, in units of Fisher's z: `b` is normal with deviation 0.3 and the same
//! for all, `u` is one normal number a person (scanners and sleepiness shift whole networks), and `e` is noise. To half of the people,
//! the group `case`, `strength` is added on the edges of the effect: in units of Fisher's z, so that 0.25 is one deviation of the
//! noise of an edge. The networks are tanh z, with 1 on the diagonal.

use ndarray::{Array2, Array3};

use super::{NetworkError, Networks};
use crate::draws::Draws;

/// Deviations: of edges, of people, of the edges of a person.
const SPREAD: [f64; 3] = [0.3, 0.25, 0.25];

/// Where groups differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Among the first quarter of the regions (at least three), all edges are stronger: a community that holds together.
    Community,
    /// On scattered pairs of regions, one in twenty (at least one), half are stronger and half weaker, so that hardly any region's
    /// strength changes.
    Edges,
    /// Nowhere.
    None,
}

/// Networks that are to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synthetic {
    /// Where groups differ.
    pub effect: Effect,
    /// By how much, in Fisher's z.
    pub strength: f64,
    /// How many people, one network each.
    pub people: usize,
    /// How many regions.
    pub regions: usize,
    /// What chance draws from.
    pub seed: u64,
}

impl Synthetic {
    /// The edges of the effect, below the diagonal, with the sign of each.
    pub fn edges(&self) -> Vec<(usize, usize, f64)> {
        let pairs = |n: usize| (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        match self.effect {
            Effect::None => Vec::new(),
            Effect::Community => {
                let size = (self.regions / 4).max(3).min(self.regions);
                pairs(size).map(|(i, j)| (i, j, 1.0)).collect()
            }
            Effect::Edges => {
                let mut all: Vec<(usize, usize)> = pairs(self.regions).collect();
                Draws::new(self.seed, 0).shuffle(&mut all);
                let count = (all.len() / 20).max(1);
                let sign = |at: usize| if at.is_multiple_of(2) { 1.0 } else { -1.0 };
                all.into_iter().take(count).enumerate().map(|(at, (i, j))| (i, j, sign(at))).collect()
            }
        }
    }

    /// Makes them: labels are `case` and `control`, alternating.
    ///
    /// # Errors
    /// Fewer than two people or three regions, or a strength that is no number.
    pub fn make(&self) -> Result<Networks, NetworkError> {
        let (n, people) = (self.regions, self.people);
        if people < 2 || n < 3 || !self.strength.is_finite() {
            return Err(NetworkError::Labels(format!(
                "{people} people of {n} regions with an effect of {} (at least 2 people, 3 regions, and a finite effect)",
                self.strength
            )));
        }
        let pairs = || (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let mut shared = Array2::zeros((n, n));
        let mut draws = Draws::new(self.seed, 1);
        pairs().for_each(|(i, j)| shared[[i, j]] = SPREAD[0] * draws.normal());
        let mut effect = Array2::zeros((n, n));
        self.edges().into_iter().for_each(|(i, j, sign)| effect[[i, j]] = sign * self.strength);
        let mut connectivity = Array3::zeros((people, n, n));
        for person in 0..people {
            let mut draws = Draws::new(self.seed, 2 + person);
            let shift = SPREAD[1] * draws.normal();
            let case = if person.is_multiple_of(2) { 1.0 } else { 0.0 };
            for (i, j) in pairs() {
                let z: f64 = shared[[i, j]] + case * effect[[i, j]] + shift + SPREAD[2] * draws.normal();
                (connectivity[[person, i, j]], connectivity[[person, j, i]]) = (z.tanh(), z.tanh());
            }
            (0..n).for_each(|i| connectivity[[person, i, i]] = 1.0);
        }
        let width = people.to_string().len();
        let names: Vec<String> = (1..=people).map(|person| format!("sub-{person:0width$}")).collect();
        let label = |person: usize| if person.is_multiple_of(2) { "case" } else { "control" }.to_owned();
        Ok(Networks {
            kind: "synthetic".into(),
            connectivity,
            samples: names.clone(),
            participants: names,
            labels: (0..people).map(label).collect(),
            regions: (1..=n).map(|region| format!("REGION{region}")).collect(),
            ..Networks::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(effect: Effect, strength: f64) -> (Synthetic, Array2<f64>) {
        let synthetic = Synthetic { effect, strength, people: 400, regions: 12, seed: 7 };
        let networks = synthetic.make().unwrap();
        let z = networks.connectivity.mapv(|r| r.clamp(-0.999_999, 0.999_999).atanh());
        let of = |label: &str| {
            let rows: Vec<usize> = (0..400).filter(|row| networks.labels[*row] == label).collect();
            assert_eq!(rows.len(), 200);
            z.select(ndarray::Axis(0), &rows).mean_axis(ndarray::Axis(0)).unwrap()
        };
        (synthetic, of("case") - of("control"))
    }

    #[test]
    fn groups_differ_where_it_was_put_and_nowhere_else() {
        for effect in [Effect::Community, Effect::Edges, Effect::None] {
            let (synthetic, differ) = groups(effect, 0.5);
            let planted = synthetic.edges();
            let expected = match effect {
                Effect::Community | Effect::Edges => 3,
                Effect::None => 0,
            };
            assert_eq!(planted.len(), expected);
            for i in 0..12 {
                for j in 0..i {
                    let truth =
                        planted.iter().find(|(a, b, _)| (*a, *b) == (i, j)).map_or(0.0, |(.., sign)| 0.5 * sign);
                    // √(2 (0.25² + 0.25²) / 200) = 0.035, times four.
                    assert!((differ[[i, j]] - truth).abs() < 0.14, "{effect:?} {i} {j} {}", differ[[i, j]]);
                }
            }
        }
    }

    #[test]
    fn one_seed_makes_one_set_and_what_cannot_be_is_refused() {
        let synthetic = Synthetic { effect: Effect::Edges, strength: 1.0, people: 4, regions: 5, seed: 1 };
        assert_eq!(synthetic.make().unwrap(), synthetic.make().unwrap());
        assert_ne!(synthetic.make().unwrap(), Synthetic { seed: 2, ..synthetic }.make().unwrap());
        let refused = Synthetic { regions: 2, ..synthetic }.make().unwrap_err().to_string();
        assert!(refused.contains("4 people of 2 regions"), "{refused}");
        assert!(Synthetic { strength: f64::NAN, ..synthetic }.make().is_err());
    }
}
