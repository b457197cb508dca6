//! How well do these features predict these responses? Every sample predicted once, by weights that never saw it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ndarray_npy::{ReadableElement, WritableElement};
use serde_json::{Value, json};

use super::design::{Design, settled};
use super::validate::{Validated, cross_validate};
use super::write;
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::datasets::{Folder, is_single};
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
    let validated = cross_validate(&design, design.scheme, args.permutations, args.folds.seed)?;
    let (data, columns) = (&design.data, design.x.ncols());
    let Validated { predicted, results, folds, purged, repeated, samples, chosen } = &validated;
    let mut summary = write::summary(args, data, columns, *folds, *purged, results);
    let mut report = write::report(args, data, columns, *folds, *purged, results);
    if *repeated > 0 {
        report.notes.push(format!("{repeated} times a sample was predicted although its stimulus also taught."));
    }
    if *samples < data.responses.nrows() {
        report.notes.push(format!("{samples} of {} samples are predicted and scored.", data.responses.nrows()));
    }
    let gammas: Vec<(String, &[f64])> = data
        .spaces
        .iter()
        .zip(&chosen.gammas)
        .map(|((name, _), gamma)| (format!("gamma_{name}"), &gamma[..]))
        .collect();
    let more =
        [("paper", json!(args.model.paper)), ("repeated_samples", json!(repeated)), ("predicted", json!(samples))];
    for (name, value) in more {
        summary[name] = value;
    }
    if !gammas.is_empty() {
        summary["banded"] = banded(args, data, &chosen.gammas);
    }
    write::all(&args.out, predicted, results, &data.voxels, &gammas, &summary, &report)?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{}", table::rows(&["region", "metric", "value", "95 %", "mean pattern"], &results.rows()))?;
        writeln!(out, "\n{} ({})", args.out.display(), write::FILES.join(", "))?;
    }
    Ok(())
}

/// The mean γ of every feature space, over all voxels and by region.
fn banded<T>(args: &EvaluateArgs, data: &Folder<T>, gammas: &[Vec<f64>]) -> Value {
    let mut regions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (v, voxel) in data.voxels.iter().enumerate() {
        regions.entry("all").or_default().push(v);
        if voxel.region != "all" {
            regions.entry(&voxel.region).or_default().push(v);
        }
    }
    let mean =
        |gamma: &[f64], of: &[usize]| of.iter().filter_map(|v| gamma.get(*v)).sum::<f64>() / of.len().max(1) as f64;
    let of_region = |of: &Vec<usize>| -> Value {
        let spaces = data.spaces.iter().zip(gammas);
        spaces
            .map(|((name, _), gamma)| (name.clone(), json!(mean(gamma, of))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let means: serde_json::Map<String, Value> =
        regions.iter().map(|(name, of)| ((*name).to_owned(), of_region(of))).collect();
    json!({ "mixes": args.model.banded, "mean_gamma": means })
}
