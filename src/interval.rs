//! Between which values does a statistic lie? The percentile interval of what was drawn.

use serde::{Deserialize, Serialize};

/// An interval; of the percentile bootstrap (Efron 1979), so many of the draws lie below it and as many above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Leaves out the share `tail` of what was drawn, in whatever order, at each end; 0 to 0 of nothing.
    pub(crate) fn of(mut drawn: Vec<f64>, tail: f64) -> Self {
        drawn.sort_unstable_by(f64::total_cmp);
        Self { low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) }
    }
}

/// Of ascending values, interpolated between neighbours as numpy's default does; 0 of none.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * sorted.len().saturating_sub(1) as f64;
    let value = |i: f64| sorted.get(i as usize).copied().unwrap_or(0.0);
    let (below, above) = (value(at.floor()), value(at.ceil()));
    below + (above - below) * at.fract()
}
