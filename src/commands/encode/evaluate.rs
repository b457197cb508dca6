//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ndarray_npy::{ReadableElement, WritableElement, write_npy};
use serde_json::{Value, json};

use super::design::{Design, settled};
use super::validate::{Validated, cross_validate};
use super::write::{self, Staged};
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::datasets::{Folder, is_single};
use crate::encoding::report::Report;
use crate::linalg::Real;

/// Evaluates.
///
/// # Errors
/// What cannot be read, divided, decomposed, or written.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let (model, folds) = settled(&args.model, &args.folds);
    let args = &EvaluateArgs { model, folds, ..args.clone() };
    match is_single(&args.model.data)? {
        true => evaluate::<f32>(args),
        false => evaluate::<f64>(args),
    }
}

fn evaluate<T: Real + ReadableElement + WritableElement>(args: &EvaluateArgs) -> anyhow::Result<()> {
    let design = Design::<T>::read(&args.model, &args.folds)?;
    let validated = cross_validate(&design, args.permutations, args.folds.by.seed)?;
    let Validated { predicted, results, folds, purged, .. } = &validated;
    let (data, sizes) = (&design.data, [design.x.ncols(), *folds, *purged]);
    let name = data.spaces.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" + ");
    let report = Report {
        title: format!("{name} → {} voxels", data.responses.ncols()),
        provenance: write::provenance(&args.model, &args.folds, &data.files, *folds, args.permutations),
        intervals: write::intervals(&data.runs),
        notes: [write::notes(results, *purged), validated.notes(data.responses.nrows())].concat(),
        spaces: write::space(&name, design.x.ncols(), results, &data.voxels).into_iter().collect(),
        ..Report::default()
    };
    let mut summary = write::summary(&args.model, &args.folds, data, args.permutations, results, sizes, &report)?;
    for (name, value) in [
        ("paper", json!(args.model.paper)),
        ("hrf", json!(args.model.hrf.map(|hrf| format!("{hrf:?}").to_lowercase()))),
        ("tr", json!(args.model.tr)),
        ("repeated_samples", json!(validated.repeated)),
        ("predicted", json!(validated.samples)),
    ] {
        summary[name] = value;
    }
    let gammas = validated.chosen.by_space(&data.spaces);
    if !gammas.is_empty() {
        summary["banded"] = banded(args, data, &gammas);
    }
    let mut files = Staged::new(&args.out)?;
    files.add("predictions.npy", |path| Ok(write_npy(path, predicted)?))?;
    files.text("scores.tsv", format!("{}\n{}", write::SCORES, write::scores(&results.regions, "")))?;
    files.text("voxels.tsv", write::voxels(results, &data.voxels, &gammas))?;
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

/// The mean γ of every feature space, over all voxels and by region.
fn banded<T>(args: &EvaluateArgs, data: &Folder<T>, gammas: &[(&str, &[f64])]) -> Value {
    let mut regions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (v, voxel) in data.voxels.iter().enumerate() {
        regions.entry("all").or_default().push(v);
        if voxel.region != "all" {
            regions.entry(&voxel.region).or_default().push(v);
        }
    }
    let mean = |gamma: &[f64], of: &[usize]| of.iter().filter_map(|v| gamma.get(*v)).sum::<f64>() / of.len() as f64;
    let of_region = |of: &[usize]| -> serde_json::Map<String, Value> {
        gammas.iter().map(|(name, gamma)| ((*name).to_owned(), json!(mean(gamma, of)))).collect()
    };
    let means: serde_json::Map<String, Value> =
        regions.iter().map(|(name, of)| ((*name).to_owned(), of_region(of).into())).collect();
    json!({ "mixes": args.model.banded, "mean_gamma": means })
}
