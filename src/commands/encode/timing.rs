//! When does a feature show in the responses? Some samples later, or spread as blood follows; never across runs.

use anyhow::bail;
use ndarray::{Array2, ArrayView2, s};

use crate::cli::{Hrf, ModelArgs};
use crate::linalg::Real;
use crate::ridge::{Description, Response, response_weights};

/// How features meet responses.
#[derive(Clone, Debug, PartialEq)]
pub enum Timing {
    /// One copy of the features a delay, in samples; `[0]` for features as they are.
    Delays(Vec<usize>),
    /// One copy, convolved with a response; the seconds between two samples.
    Response(Response, f64),
}

impl Timing {
    /// As it was asked for.
    ///
    /// # Errors
    /// Seconds between samples that cannot be.
    pub fn asked(args: &ModelArgs) -> anyhow::Result<Self> {
        let tr = args.tr.unwrap_or(f64::NAN);
        match args.hrf {
            None if args.delays.is_empty() => Ok(Timing::Delays(vec![0])),
            None => Ok(Timing::Delays(args.delays.clone())),
            Some(_) if !(tr > 0.0 && tr.is_finite()) => bail!("--tr {tr}: give the seconds between samples, such as 2"),
            Some(Hrf::Spm) => Ok(Timing::Response(Response::Spm, tr)),
            Some(Hrf::Glover) => Ok(Timing::Response(Response::Glover, tr)),
        }
    }

    /// As a model was fitted.
    pub fn of(model: &Description) -> Self {
        match (model.hrf, model.tr) {
            (Some(response), Some(tr)) => Timing::Response(response, tr),
            _ => Timing::Delays(model.delays.clone()),
        }
    }

    /// The features as the responses may know them: n × (F · copies), one copy of all features a delay.
    pub fn apply<T: Real>(&self, x: ArrayView2<'_, T>, runs: &[String]) -> Array2<T> {
        match self {
            Timing::Delays(delays) => delayed(x, runs, delays),
            Timing::Response(response, tr) => convolved(x, runs, &response_weights(*response, *tr)),
        }
    }

    /// The columns in what [`apply`](Self::apply) gives of feature spaces of these sizes: a stretch a copy.
    pub fn spaces(&self, sizes: &[usize]) -> Vec<Vec<std::ops::Range<usize>>> {
        let all: usize = sizes.iter().sum();
        let copies = match self {
            Timing::Delays(delays) => delays.len(),
            Timing::Response(..) => 1,
        };
        let mut begins = 0;
        let space = |size: &usize| {
            begins += size;
            (0..copies).map(|copy| copy * all + begins - size..copy * all + begins).collect()
        };
        sizes.iter().map(space).collect()
    }
}

/// One copy of the features a delay, zero where a run has not lasted that long.
fn delayed<T: Real>(x: ArrayView2<'_, T>, runs: &[String], delays: &[usize]) -> Array2<T> {
    let mut out = Array2::from_elem((x.nrows(), x.ncols() * delays.len()), T::of(0.0));
    for (row, since) in since_run_began(x.nrows(), runs) {
        for (copy, delay) in delays.iter().enumerate().filter(|(_, delay)| since >= **delay) {
            let from = copy * x.ncols();
            out.slice_mut(s![row, from..from + x.ncols()]).assign(&x.row(row - delay));
        }
    }
    out
}

/// Each row the sum of those before it in its run, weighed by how long ago they were.
fn convolved<T: Real>(x: ArrayView2<'_, T>, runs: &[String], weights: &[f64]) -> Array2<T> {
    let mut out = Array2::from_elem(x.raw_dim(), T::of(0.0));
    let mut sums = vec![0.0; x.ncols()];
    for (row, since) in since_run_began(x.nrows(), runs) {
        sums.fill(0.0);
        for (ago, weight) in weights.iter().enumerate().take(since + 1) {
            sums.iter_mut().zip(x.row(row - ago)).for_each(|(sum, v)| *sum += weight * v.wide());
        }
        out.row_mut(row).iter_mut().zip(&sums).for_each(|(out, sum)| *out = T::of(*sum));
    }
    out
}

/// Every row, and how many rows of its run came before it.
fn since_run_began(rows: usize, runs: &[String]) -> impl Iterator<Item = (usize, usize)> {
    let mut begins = 0;
    (0..rows).map(move |row| {
        if row > 0 && runs.get(row) != runs.get(row - 1) {
            begins = row;
        }
        (row, row - begins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn a_response_begins_anew_with_every_run() {
        let x = Array::from_iter((0..6).map(f64::from)).into_shape_with_order((6, 1)).unwrap();
        let runs: Vec<String> = "aaabbb".chars().map(String::from).collect();
        let out = convolved(x.view(), &runs, &[0.5, 0.25]);
        assert_eq!(out.into_raw_vec_and_offset().0, [0.0, 0.5, 1.25, 1.5, 2.75, 3.5]);
        let out = delayed(x.view(), &runs, &[0, 2]);
        assert_eq!(out.column(1).to_vec(), [0.0, 0.0, 0.0, 0.0, 0.0, 3.0]);
    }
}
