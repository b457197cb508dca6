//! What is to be fitted to what? The arrays and the choices of the command line, read and checked once.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2, s};
use ndarray_npy::ReadableElement;

use super::scores::Quality;
use crate::cli::{FoldArgs, ModelArgs, ScaleArg, Score};
use crate::datasets::Folder;
use crate::encoding::EncodingError;
use crate::encoding::folds::{Fold, Folds, Samples, Scheme, divide};
use crate::encoding::scale::{Scale, Scaler};
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
    /// In what units they count.
    scale: Scale,
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
        let mut x = delayed(data.features.view(), &data.runs, &args.delays);
        let missing = left_out(&data, &args.delays);
        let kept: Vec<usize> = (0..x.nrows()).filter(|row| missing.binary_search(row).is_err()).collect();
        let not_finite = |row: &&usize| x.row(**row).iter().any(|v| !v.wide().is_finite());
        if let Some(row) = kept.iter().find(not_finite).copied() {
            let column = x.row(row).iter().position(|v| !v.wide().is_finite()).unwrap_or(0);
            return Err(EncodingError::NotFinite { row, column }.into());
        }
        if !missing.is_empty() {
            let (count, samples) = (missing.len(), x.nrows());
            writeln!(io::stderr(), "{count} of {samples} samples are left out: their features are missing")?;
            x = x.select(Axis(0), &kept);
            data.leave_out(missing);
        }
        // A voxel with a hole in it cannot be learned, and must not poison its neighbours.
        let quality = Quality::of(data.responses.view());
        for (v, mut column) in data.responses.columns_mut().into_iter().enumerate() {
            if quality.get(v) == Some(&Quality::NotFinite) {
                column.fill(T::of(0.0));
            }
        }
        let samples = Samples { runs: data.runs.clone(), stimuli: data.stimuli.clone() };
        let scale = match args.scale {
            ScaleArg::None => Scale::None,
            ScaleArg::Space => Scale::Space,
            ScaleArg::Column => Scale::Column,
        };
        Ok(Self { data, x, scale, quality, ridge, samples })
    }

    /// The features in the units that these rows teach: n × (F · delays).
    pub fn scaled(&self, rows: &[usize]) -> CowArray<'_, T, Ix2> {
        if self.scale == Scale::None {
            return self.x.view().into();
        }
        // Each delay repeats all spaces.
        let once: Vec<usize> =
            self.data.spaces.iter().enumerate().flat_map(|(i, (_, columns))| vec![i; *columns]).collect();
        let spaces: Vec<usize> = once.iter().copied().cycle().take(self.x.ncols()).collect();
        Scaler::of(self.x.view(), rows, &spaces, self.scale).apply(self.x.view()).into()
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

/// The rows in which a feature is missing, now or at one of the delays.
fn left_out<T: Real + ReadableElement>(data: &Folder<T>, delays: &[usize]) -> Vec<usize> {
    let mark = |missing| T::of(f64::from(u8::from(missing)));
    let marks: Vec<T> = data.without_features().into_iter().map(mark).collect();
    let marks = delayed(Array1::from(marks).insert_axis(Axis(1)).view(), &data.runs, delays);
    let marked = |row: &usize| marks.row(*row).iter().any(|mark| mark.wide() > 0.0);
    (0..marks.nrows()).filter(marked).collect()
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
