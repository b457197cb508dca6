//! What is to be fitted to what? The arrays and the choices of the command line, read and checked once.

use std::io::{self, IsTerminal};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ndarray::{Array2, ArrayView2, Axis, s};
use ndarray_npy::ReadableElement;

use super::scores::Quality;
use crate::cli::{FoldArgs, ModelArgs, Score};
use crate::datasets::Folder;
use crate::encoding::EncodingError;
use crate::encoding::folds::{Fold, Folds, Samples, Scheme, divide};
use crate::encoding::solve::{Criterion, Lambda, Ridge};
use crate::linalg::Real;

/// Folds of the teaching rows in which λ is chosen, where they are not runs.
const INNER: usize = 5;

/// Features and responses, ready to be fitted.
pub struct Design<T> {
    /// What was read; its responses hold zeros where a voxel is left out.
    pub data: Folder<T>,
    /// The features with their delays: n × (F · delays).
    pub x: Array2<T>,
    /// What each voxel is good for.
    pub quality: Vec<Quality>,
    /// How λ is found.
    pub ridge: Ridge,
    /// What is known of each sample.
    pub samples: Samples,
}

impl<T: Real + ReadableElement> Design<T> {
    /// Reads and checks what `args` name.
    ///
    /// # Errors
    /// What cannot be read, and features that are not finite.
    pub fn read(args: &ModelArgs) -> anyhow::Result<Self> {
        let ridge = ridge(args)?;
        let mut data = Folder::<T>::read(&args.data, &args.features)?;
        let x = delayed(data.features.view(), &data.runs, &args.delays);
        if let Some(((row, column), _)) = x.indexed_iter().find(|(_, v)| !v.wide().is_finite()) {
            return Err(EncodingError::NotFinite { row, column }.into());
        }
        // A voxel with a hole in it cannot be learned, and must not poison its neighbours.
        let quality = Quality::of(data.responses.view());
        for (v, mut column) in data.responses.columns_mut().into_iter().enumerate() {
            if quality.get(v) == Some(&Quality::NotFinite) {
                column.fill(T::of(0.0));
            }
        }
        let samples = Samples { runs: data.runs.clone(), stimuli: data.stimuli.clone() };
        Ok(Self { data, x, quality, ridge, samples })
    }

    /// Goes on with these of the feature spaces it has read, by their places, side by side.
    pub fn only(&mut self, spaces: &[usize], delays: &[usize]) {
        let mut ends = 0;
        let spans: Vec<(usize, usize)> = self
            .data
            .spaces
            .iter()
            .map(|(_, columns)| {
                ends += columns;
                (ends - columns, ends)
            })
            .collect();
        let columns: Vec<usize> = spaces.iter().filter_map(|s| spans.get(*s)).flat_map(|(a, b)| *a..*b).collect();
        let features = self.data.features.select(Axis(1), &columns);
        self.x = delayed(features.view(), &self.data.runs, delays);
    }

    /// The responses: n × V.
    pub fn y(&self) -> ArrayView2<'_, T> {
        self.data.responses.view()
    }

    /// The folds of all samples.
    ///
    /// # Errors
    /// Samples that cannot be so divided.
    pub fn folds(&self, scheme: Scheme) -> Result<Folds, EncodingError> {
        divide(self.x.nrows(), scheme, &self.samples)
    }

    /// Folds of these rows in which λ is chosen: their runs, or five stretches; none where there is nothing to choose.
    ///
    /// # Errors
    /// Samples that cannot be so divided.
    pub fn inner_folds(&self, rows: &[usize], scheme: Scheme) -> Result<Vec<Fold>, EncodingError> {
        if matches!(self.ridge.lambda, Lambda::Fixed(_)) {
            return Ok(Vec::new());
        }
        let inner = match scheme {
            Scheme::Runs => Scheme::Runs,
            Scheme::Consecutive(_) => Scheme::Consecutive(INNER),
            Scheme::Shuffled(_, seed) => Scheme::Shuffled(INNER, seed),
        };
        let global = |part: &[usize]| part.iter().filter_map(|row| rows.get(*row).copied()).collect();
        let folds = divide(rows.len(), inner, &self.samples.of(rows))?.folds;
        Ok(folds.iter().map(|fold| Fold { train: global(&fold.train), test: global(&fold.test) }).collect())
    }
}

/// The grid of λ that is asked for, or the usual one.
pub fn grid(args: &ModelArgs) -> Vec<f64> {
    match args.grid.is_empty() {
        true => (0..20).map(|i| 10f64.powf(-1.0 + 9.0 * f64::from(i) / 19.0)).collect(),
        false => args.grid.clone(),
    }
}

fn ridge(args: &ModelArgs) -> anyhow::Result<Ridge> {
    let lambda = match args.lambda.as_str() {
        "grid" => Lambda::Shared(grid(args)),
        "auto" => Lambda::PerVoxel(grid(args)),
        text => Lambda::Fixed(
            text.parse().with_context(|| format!("--lambda {text}: give a positive number, `grid` or `auto`"))?,
        ),
    };
    lambda.check()?;
    let criterion = match args.score {
        Score::Loss => Criterion::SquaredError,
        Score::R2 => Criterion::R2,
    };
    Ok(Ridge { lambda, criterion, centre: !args.no_centre })
}

/// How samples are divided.
///
/// # Errors
/// Words that are not understood.
pub fn scheme(args: &FoldArgs) -> anyhow::Result<Scheme> {
    let wrong = || format!("--folds {}: give `runs`, `k=10` or `shuffle=10`", args.folds);
    match args.folds.split_once('=') {
        None if args.folds == "runs" => Ok(Scheme::Runs),
        Some(("k", k)) => Ok(Scheme::Consecutive(k.parse().with_context(wrong)?)),
        Some(("shuffle", k)) => Ok(Scheme::Shuffled(k.parse().with_context(wrong)?, args.seed)),
        _ => bail!(wrong()),
    }
}

/// A bar for `steps` of `what`, on a terminal; nothing elsewhere.
pub fn progress(steps: usize, what: &str) -> ProgressBar {
    let template = format!("{{wide_bar:.cyan}} {what} {{pos}}/{{len}}  {{elapsed}} (left {{eta}})");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps as u64).with_style(style);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// One copy of the features a delay, zero where a run has not lasted that long.
fn delayed<T: Real>(x: ArrayView2<'_, T>, runs: &[String], delays: &[usize]) -> Array2<T> {
    if delays.is_empty() {
        return x.to_owned();
    }
    let mut out = Array2::from_elem((x.nrows(), x.ncols() * delays.len()), T::of(0.0));
    let mut begins = 0;
    for row in 0..x.nrows() {
        if row > 0 && runs.get(row) != runs.get(row - 1) {
            begins = row;
        }
        for (copy, delay) in delays.iter().enumerate().filter(|(_, delay)| row >= begins + **delay) {
            let from = copy * x.ncols();
            out.slice_mut(s![row, from..from + x.ncols()]).assign(&x.row(row - delay));
        }
    }
    out
}
