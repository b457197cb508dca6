//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

use std::io::{self, Write};

use ndarray_npy::{ReadableElement, WritableElement, write_npy};

use super::design::{Design, scheme};
use super::validate::{Validated, cross_validate};
use super::write::{self, Staged};
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::datasets::is_single;
use crate::encoding::report::Report;
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
    let Validated { predicted, results, folds, purged } = &validated;
    let (data, sizes) = (&design.data, [design.x.ncols(), *folds, *purged]);
    let name = data.spaces.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" + ");
    let report = Report {
        title: format!("{name} → {} voxels", data.responses.ncols()),
        provenance: write::provenance(&args.model, &args.folds, &data.files, *folds, args.permutations),
        intervals: write::intervals(&data.runs),
        notes: write::notes(results, *purged),
        spaces: write::space(&name, design.x.ncols(), results, &data.voxels).into_iter().collect(),
        ..Report::default()
    };
    let summary = write::summary(&args.model, &args.folds, data, args.permutations, results, sizes, &report)?;
    let mut files = Staged::new(&args.out)?;
    files.add("predictions.npy", |path| Ok(write_npy(path, predicted)?))?;
    files.text("scores.tsv", format!("{}\n{}", write::SCORES, write::scores(&results.regions, "")))?;
    files.text("voxels.tsv", write::voxels(results, &data.voxels))?;
    files.text("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
    files.text("report.html", report.html())?;
    files.figures(&report)?;
    files.finish()?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{}", table::rows(&["region", "metric", "value", "95 %", "mean pattern"], &results.rows()))?;
        writeln!(
            out,
            "\n{} (predictions.npy, scores.tsv, voxels.tsv, summary.json, report.html, figures)",
            args.out.display()
        )?;
    }
    Ok(())
}
