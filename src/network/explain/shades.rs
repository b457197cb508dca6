//! What is drawn of an explanation, and in which colours? Red where more of an edge speaks for it, blue where less does.

use super::Ranked;
use crate::drawing::figure::{Anchor, Mark, Size};
use crate::drawing::page::number;
use crate::drawing::palette::{COLD, HEAT};
use crate::network::baselines::Edges;

/// One output's edges, as figures show them.
pub(super) struct Shown<'a> {
    /// The edges.
    pub edges: &'a Edges,
    /// The regions' names.
    pub regions: &'a [String],
    /// All edges, the first one first.
    pub ranked: &'a [Ranked],
    /// Of each edge, in the order of the list of edges, what is drawn: its size, and the side that it speaks for.
    pub signed: Vec<f64>,
    /// How many edges are first.
    pub top: usize,
    /// How many folds there are.
    pub folds: usize,
    /// What is explained.
    pub of: String,
}

impl Shown<'_> {
    /// The largest size that is drawn.
    pub fn most(&self) -> f64 {
        self.signed.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
    }

    /// The first edges, the least of them first, so that the others are drawn over it: regions, value, and folds that have it
    /// among their first.
    pub fn first(&self) -> Vec<([usize; 2], f64, usize)> {
        let places = self.edges.places();
        let of = |ranked: &Ranked| {
            let (i, j) = places.get(ranked.edge)?;
            let value = self.signed.get(ranked.edge).filter(|value| **value != 0.0)?;
            Some(([*i, *j], *value, ranked.folds))
        };
        let mut all: Vec<_> = self.ranked.iter().take(self.top).filter_map(of).collect();
        all.reverse();
        all
    }

    /// A region's name.
    pub fn name(&self, region: usize) -> &str {
        self.regions.get(region).map_or("", String::as_str)
    }

    /// Of each region the sizes of its first edges together, as a share of the largest.
    pub fn weights(&self) -> Vec<f64> {
        let mut of = vec![0.0_f64; self.regions.len()];
        for (ends, value, _) in self.first() {
            for end in ends {
                of.get_mut(end).into_iter().for_each(|sum| *sum += value.abs());
            }
        }
        let most = of.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        of.into_iter().map(|sum| sum / most).collect()
    }
}

/// The colour of a value beside the largest.
pub(super) fn shade(value: f64, most: f64) -> &'static str {
    let steps = HEAT.len() - 1;
    let step = (value.abs() / most.max(f64::MIN_POSITIVE) * steps as f64).ceil().clamp(0.0, steps as f64) as usize;
    let of = if value < 0.0 { &COLD } else { &HEAT };
    of.get(step).copied().unwrap_or("h0")
}

/// What the colours mean, from the left at this height; 28 units high.
pub(super) fn key(marks: &mut Vec<Mark>, [left, top]: [f64; 2], most: f64, both: bool) {
    const STEP: f64 = 16.0;
    let colours: Vec<&'static str> = match both {
        true => COLD.iter().rev().chain(HEAT.iter().skip(1)).copied().collect(),
        false => HEAT.to_vec(),
    };
    for (at, colour) in colours.iter().enumerate() {
        marks.push(Mark::Rect(colour, [left + at as f64 * STEP, top, STEP, 9.0], String::new()));
    }
    let wide = colours.len() as f64 * STEP;
    let least = if both { -most } else { 0.0 };
    for (anchor, x, value) in [(Anchor::Start, left, least), (Anchor::End, left + wide, most)] {
        marks.push(Mark::Text(Size::Tick, anchor, [x, top + 20.0], number(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_says_how_much_and_of_which_side() {
        assert_eq!([shade(0.0, 2.0), shade(2.0, 2.0), shade(-2.0, 2.0)], ["h0", "h9", "c9"]);
        assert_eq!([shade(1e-9, 2.0), shade(-1e-9, 2.0), shade(0.0, 0.0)], ["h1", "c1", "h0"]);
    }
}
