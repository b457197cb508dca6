//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

mod scores;
mod write;

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, ArrayView2, s};
use ndarray_npy::{ReadableElement, WritableElement};

use super::table;
use crate::cli::{EvaluateArgs, Score};
use crate::datasets::{Folder, is_single};
use crate::encoding::EncodingError;
use crate::encoding::folds::{Fold, Folds, Samples, Scheme, divide};
use crate::encoding::solve::{Criterion, Lambda, Ridge, choose, predict};
use crate::linalg::Real;
use scores::{Certainty, Quality, Results};

/// Folds of the teaching rows in which λ is chosen, where they are not runs.
const INNER: usize = 5;

/// Evaluates.
///
/// # Errors
/// What cannot be read, divided, decomposed, or written.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    match is_single(&args.data)? {
        true => evaluate::<f32>(args),
        false => evaluate::<f64>(args),
    }
}

fn evaluate<T: Real + ReadableElement + WritableElement>(args: &EvaluateArgs) -> anyhow::Result<()> {
    let (ridge, scheme) = (ridge(args)?, scheme(args)?);
    let mut data = Folder::<T>::read(&args.data)?;
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
    let (y, samples) = (data.responses.view(), Samples { runs: data.runs.clone(), stimuli: data.stimuli.clone() });
    let Folds { folds, purged } = divide(x.nrows(), scheme, &samples)?;
    let bar = ProgressBar::new(folds.len() as u64 + 1).with_style(
        ProgressStyle::with_template("{wide_bar:.cyan} fold {pos}/{len}  {elapsed} (left {eta})")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    if !io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let mut predicted = Array2::from_elem(y.raw_dim(), T::of(0.0));
    for fold in &folds {
        let inner = inner_folds(&fold.train, scheme, &samples, &ridge)?;
        let lambdas = choose(x.view(), y, &inner, &ridge)?;
        let of_fold = predict(x.view(), y, fold, &lambdas, ridge.centre)?;
        for (row, values) in fold.test.iter().zip(of_fold.rows()) {
            predicted.row_mut(*row).assign(&values);
        }
        bar.inc(1);
    }
    let everything: Vec<usize> = (0..y.nrows()).collect();
    let lambdas = choose(x.view(), y, &inner_folds(&everything, scheme, &samples, &ridge)?, &ridge)?;
    let certainty =
        Certainty { runs: &data.runs, stimuli: &data.stimuli, permutations: args.permutations, seed: args.seed };
    let results = Results::new(y, predicted.view(), &folds, &data.voxels, &quality, &lambdas, &certainty)?;
    bar.finish_and_clear();
    for (v, mut column) in predicted.columns_mut().into_iter().enumerate() {
        if quality.get(v) == Some(&Quality::NotFinite) {
            column.fill(T::of(f64::NAN));
        }
    }
    let summary = write::summary(args, &data, x.ncols(), folds.len(), purged, &results);
    let report = write::report(args, &data, x.ncols(), folds.len(), purged, &results);
    write::all(&args.out, &predicted, &results, &data.voxels, &summary, &report)?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{}", table::rows(&["region", "metric", "value", "95 %", "mean pattern"], &results.rows()))?;
        writeln!(out, "\n{} ({})", args.out.display(), write::FILES.join(", "))?;
    }
    Ok(())
}

fn ridge(args: &EvaluateArgs) -> anyhow::Result<Ridge> {
    let grid = match args.grid.is_empty() {
        true => (0..20).map(|i| 10f64.powf(-1.0 + 9.0 * f64::from(i) / 19.0)).collect(),
        false => args.grid.clone(),
    };
    let lambda = match args.lambda.as_str() {
        "grid" => Lambda::Shared(grid),
        "auto" => Lambda::PerVoxel(grid),
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

fn scheme(args: &EvaluateArgs) -> anyhow::Result<Scheme> {
    let wrong = || format!("--folds {}: give `runs`, `k=10` or `shuffle=10`", args.folds);
    match args.folds.split_once('=') {
        None if args.folds == "runs" => Ok(Scheme::Runs),
        Some(("k", k)) => Ok(Scheme::Consecutive(k.parse().with_context(wrong)?)),
        Some(("shuffle", k)) => Ok(Scheme::Shuffled(k.parse().with_context(wrong)?, args.seed)),
        _ => bail!(wrong()),
    }
}

/// Folds of these rows in which λ is chosen: their runs, or five stretches; none where there is nothing to choose.
fn inner_folds(rows: &[usize], scheme: Scheme, samples: &Samples, ridge: &Ridge) -> Result<Vec<Fold>, EncodingError> {
    if matches!(ridge.lambda, Lambda::Fixed(_)) {
        return Ok(Vec::new());
    }
    let inner = match scheme {
        Scheme::Runs => Scheme::Runs,
        Scheme::Consecutive(_) => Scheme::Consecutive(INNER),
        Scheme::Shuffled(_, seed) => Scheme::Shuffled(INNER, seed),
    };
    let global = |part: &[usize]| part.iter().filter_map(|row| rows.get(*row).copied()).collect();
    let folds = divide(rows.len(), inner, &samples.of(rows))?.folds;
    Ok(folds.iter().map(|fold| Fold { train: global(&fold.train), test: global(&fold.test) }).collect())
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
