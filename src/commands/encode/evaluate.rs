//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

use std::io::{self, Write};

use ndarray::Array2;
use ndarray_npy::{ReadableElement, WritableElement};

use super::design::{Design, progress, scheme};
use super::scores::{Certainty, Quality, Results};
use super::write;
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::datasets::is_single;
use crate::encoding::folds::Folds;
use crate::encoding::solve::{choose, predict};
use crate::linalg::Real;

/// Evaluates.
///
/// # Errors
/// What cannot be read, divided, decomposed, or written.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    match is_single(&args.model.data)? {
        true => evaluate::<f32>(args),
        false => evaluate::<f64>(args),
    }
}

fn evaluate<T: Real + ReadableElement + WritableElement>(args: &EvaluateArgs) -> anyhow::Result<()> {
    let scheme = scheme(&args.folds)?;
    let design = Design::<T>::read(&args.model)?;
    let (y, ridge) = (design.y(), &design.ridge);
    let Folds { folds, purged } = design.folds(scheme)?;
    let bar = progress(folds.len() + 1, "fold");
    let mut predicted = Array2::from_elem(y.raw_dim(), T::of(0.0));
    for fold in &folds {
        let x = design.scaled(&fold.train);
        let lambdas = choose(x.view(), y, &design.inner_folds(&fold.train, scheme)?, ridge)?;
        let of_fold = predict(x.view(), y, fold, &lambdas, ridge.centre)?;
        for (row, values) in fold.test.iter().zip(of_fold.rows()) {
            predicted.row_mut(*row).assign(&values);
        }
        bar.inc(1);
    }
    let everything: Vec<usize> = (0..y.nrows()).collect();
    let x = design.scaled(&everything);
    let lambdas = choose(x.view(), y, &design.inner_folds(&everything, scheme)?, ridge)?;
    let (data, quality) = (&design.data, &design.quality);
    let certainty =
        Certainty { runs: &data.runs, stimuli: &data.stimuli, permutations: args.permutations, seed: args.folds.seed };
    let results = Results::new(y, predicted.view(), &folds, &data.voxels, quality, &lambdas, &certainty)?;
    bar.finish_and_clear();
    for (v, mut column) in predicted.columns_mut().into_iter().enumerate() {
        if quality.get(v) == Some(&Quality::NotFinite) {
            column.fill(T::of(f64::NAN));
        }
    }
    let summary = write::summary(args, data, x.ncols(), folds.len(), purged, &results);
    let report = write::report(args, data, x.ncols(), folds.len(), purged, &results);
    let predicted = data.in_place(predicted.view());
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
