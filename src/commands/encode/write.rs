//! The files that others read: written beside their places, and moved there when all of them are whole.

use std::fs;
use std::path::Path;

use anyhow::Context;
use ndarray::Array2;
use ndarray_npy::{WritableElement, write_npy};
use serde_json::{Value, json};

use super::scores::{Quality, Results};
use crate::cli::EvaluateArgs;
use crate::datasets::{Folder, Voxel};
use crate::encoding::report::{FeatureSpace, Input, Provenance, RegionScores, Report, Setting};

/// What a folder of results holds.
pub const FILES: [&str; 5] = ["predictions.npy", "scores.tsv", "voxels.tsv", "summary.json", "report.html"];

/// Everything that made the numbers, and the numbers of the whole.
pub fn summary<T>(
    args: &EvaluateArgs,
    data: &Folder<T>,
    columns: usize,
    folds: usize,
    purged: usize,
    results: &Results,
) -> Value {
    let count = |quality| results.voxels.iter().filter(|v| v.quality == quality).count();
    let whole: serde_json::Map<String, Value> = results
        .scores()
        .filter(|(of, ..)| of.region == "all")
        .map(|(_, metric, s)| {
            (
                metric.to_owned(),
                json!({ "value": s.value, "mean_pattern": s.baseline, "ci": s.interval.map(|i| [i.low, i.high]) }),
            )
        })
        .collect();
    let files: serde_json::Map<String, Value> =
        data.files.iter().map(|(name, hash)| (name.clone(), hash.clone().into())).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "lambda": args.model.lambda, "grid": args.model.grid, "folds": args.folds.folds,
        "seed": args.folds.seed, "permutations": args.permutations, "delays": args.model.delays,
        "scale": format!("{:?}", args.model.scale).to_lowercase(), "samples_left_out": data.left_out.len(), "centre": !args.model.no_centre,
        "score": format!("{:?}", args.model.score).to_lowercase(), "samples": data.responses.nrows(),
        "features": columns, "feature_spaces": data.spaces.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "voxels": data.responses.ncols(), "constant_voxels": count(Quality::Constant),
        "voxels_left_out": count(Quality::NotFinite), "parts": folds, "purged_samples": purged,
        "scores": whole, "sha256": files,
    })
}

/// The page for people.
pub fn report<T>(
    args: &EvaluateArgs,
    data: &Folder<T>,
    columns: usize,
    folds: usize,
    purged: usize,
    results: &Results,
) -> Report {
    let name = data.spaces.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" + ");
    let mut notes = Vec::new();
    let left_out = results.voxels.iter().filter(|v| v.quality == Quality::NotFinite).count();
    if left_out > 0 {
        notes.push(format!("{left_out} voxels hold values that are not finite, and are left out."));
    }
    if purged > 0 {
        notes.push(format!("{purged} times a sample was kept from teaching because its stimulus was to be predicted."));
    }
    let over = if data.runs.is_empty() { "stretches of ten samples" } else { "runs" };
    let setting = |name: &str, value: String| Setting { name: name.into(), value };
    let settings = vec![
        setting("λ", args.model.lambda.clone()),
        setting("grid", format!("{:?}", args.model.grid)),
        setting("folds", format!("{} ({folds} parts)", args.folds.folds)),
        setting("delays", format!("{:?}", args.model.delays)),
        setting("scale", format!("{:?}", args.model.scale).to_lowercase()),
        setting("centred", (!args.model.no_centre).to_string()),
        setting("permutations", args.permutations.to_string()),
    ];
    let (overall, regions) = match results.regions.split_first() {
        Some((overall, regions)) => (vec![overall.clone()], regions.to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    let space = |overall: RegionScores| FeatureSpace {
        name: name.clone(),
        features: columns,
        overall,
        regions: regions.clone(),
    };
    Report {
        title: format!("{name} → {} voxels", data.responses.ncols()),
        provenance: Provenance {
            command: format!("neurod encode evaluate --lambda {} --folds {}", args.model.lambda, args.folds.folds),
            version: env!("CARGO_PKG_VERSION").into(),
            seed: args.folds.seed,
            inputs: data
                .files
                .iter()
                .map(|(name, sha256)| Input { name: name.clone(), sha256: sha256.clone() })
                .collect(),
            settings,
        },
        intervals: format!("95 % bootstrap over {over}, 1000 draws"),
        notes,
        spaces: overall.into_iter().map(space).collect(),
    }
}

/// Writes all files into `folder`, or none; voxels.tsv with some more columns.
///
/// # Errors
/// What the system refused.
pub fn all<T: WritableElement>(
    folder: &Path,
    predicted: &Array2<T>,
    results: &Results,
    voxels: &[Voxel],
    more: &[(String, &[f64])],
    summary: &Value,
    report: &Report,
) -> anyhow::Result<()> {
    let failed = || format!("--out {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let partial = |name: &str| folder.join(format!(".{name}.partial"));
    let [predictions, scores, by_voxel, json, page] = FILES;
    fs::write(partial(page), report.html()).with_context(failed)?;
    write_npy(partial(predictions), predicted).with_context(failed)?;
    let mut text = String::from("region\tmetric\tvalue\tci_low\tci_high\tmean_pattern\tvoxels\n");
    for (of, metric, score) in results.scores() {
        let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| v.to_string());
        let [low, high] = [score.interval.map(|i| i.low), score.interval.map(|i| i.high)].map(known);
        let (region, value, baseline) = (&of.region, score.value, known(score.baseline));
        text += &format!("{region}\t{metric}\t{value}\t{low}\t{high}\t{baseline}\t{}\n", of.voxels);
    }
    fs::write(partial(scores), text).with_context(failed)?;
    let mut text = String::from("voxel\tregion\tr\tr2\tmae\tlambda\tquality\tceiling\tp\tq");
    more.iter().for_each(|(name, _)| text += &format!("\t{name}"));
    for (v, (voxel, score)) in voxels.iter().zip(&results.voxels).enumerate() {
        let number = |value: f64| if score.quality == Quality::NotFinite { "n/a".into() } else { value.to_string() };
        let (r, r2, mae) = (number(score.r), number(score.r2), number(score.mae));
        let (lambda, quality) = (score.lambda, score.quality.as_str());
        let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), number);
        let (p, q) = score.significance.unzip();
        let [ceiling, p, q] = [score.ceiling, p, q].map(known);
        let (name, region) = (&voxel.name, &voxel.region);
        text += &format!("\n{name}\t{region}\t{r}\t{r2}\t{mae}\t{lambda}\t{quality}\t{ceiling}\t{p}\t{q}");
        more.iter().for_each(|(_, values)| {
            text += &format!("\t{}", values.get(v).copied().map_or_else(|| "n/a".into(), number))
        });
    }
    text.push('\n');
    fs::write(partial(by_voxel), text).with_context(failed)?;
    fs::write(partial(json), serde_json::to_string_pretty(summary)? + "\n").with_context(failed)?;
    FILES.iter().try_for_each(|name| fs::rename(partial(name), folder.join(name))).with_context(failed)
}
