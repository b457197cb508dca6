//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

use std::io::{self, Write};

use ndarray_npy::{ReadableElement, WritableElement};

use super::design::{Design, scheme};
use super::validate::{Validated, cross_validate};
use super::write;
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::datasets::is_single;
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
    let validated = cross_validate(&design, scheme, args.permutations, args.folds.seed)?;
    let (data, columns) = (&design.data, design.x.ncols());
    let Validated { predicted, results, folds, purged } = &validated;
    let summary = write::summary(args, data, columns, *folds, *purged, results);
    let report = write::report(args, data, columns, *folds, *purged, results);
    write::all(&args.out, predicted, results, &data.voxels, &summary, &report)?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{}", table::rows(&["region", "metric", "value", "95 %", "mean pattern"], &results.rows()))?;
        writeln!(out, "\n{} ({})", args.out.display(), write::FILES.join(", "))?;
    }
    Ok(())
}
