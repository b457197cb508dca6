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

/// What a folder of results holds.
pub const FILES: [&str; 4] = ["predictions.npy", "scores.tsv", "voxels.tsv", "summary.json"];

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
        .regions
        .iter()
        .filter(|row| row.region == "all")
        .map(|row| (row.metric.to_owned(), json!({ "value": row.value, "mean_pattern": row.baseline, "ci": row.interval.map(|i| [i.low, i.high]) })))
        .collect();
    let files: serde_json::Map<String, Value> =
        data.files.iter().map(|(name, hash)| (name.clone(), hash.clone().into())).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "lambda": args.lambda, "grid": args.grid, "folds": args.folds,
        "seed": args.seed, "permutations": args.permutations, "delays": args.delays, "centre": !args.no_centre,
        "score": format!("{:?}", args.score).to_lowercase(), "samples": data.responses.nrows(),
        "features": columns, "feature_spaces": data.spaces.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "voxels": data.responses.ncols(), "constant_voxels": count(Quality::Constant),
        "voxels_left_out": count(Quality::NotFinite), "parts": folds, "purged_samples": purged,
        "scores": whole, "sha256": files,
    })
}

/// Writes all files into `folder`, or none.
///
/// # Errors
/// What the system refused.
pub fn all<T: WritableElement>(
    folder: &Path,
    predicted: &Array2<T>,
    results: &Results,
    voxels: &[Voxel],
    summary: &Value,
) -> anyhow::Result<()> {
    let failed = || format!("--out {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let partial = |name: &str| folder.join(format!(".{name}.partial"));
    let [predictions, scores, by_voxel, json] = FILES;
    write_npy(partial(predictions), predicted).with_context(failed)?;
    let mut text = String::from("region\tmetric\tvalue\tci_low\tci_high\tmean_pattern\tvoxels\n");
    for row in &results.regions {
        let [low, high] = match row.interval {
            Some(interval) => [interval.low, interval.high].map(|v| v.to_string()),
            None => ["n/a", "n/a"].map(String::from),
        };
        let (region, metric, value, baseline) = (&row.region, row.metric, row.value, row.baseline);
        text += &format!("{region}\t{metric}\t{value}\t{low}\t{high}\t{baseline}\t{}\n", row.voxels);
    }
    fs::write(partial(scores), text).with_context(failed)?;
    let mut text = String::from("voxel\tregion\tr\tr2\tmae\tlambda\tquality\tceiling\tp\tq\n");
    for (voxel, score) in voxels.iter().zip(&results.voxels) {
        let number = |value: f64| if score.quality == Quality::NotFinite { "n/a".into() } else { value.to_string() };
        let (r, r2, mae) = (number(score.r), number(score.r2), number(score.mae));
        let (lambda, quality) = (score.lambda, score.quality.as_str());
        let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), number);
        let (p, q) = score.significance.unzip();
        let [ceiling, p, q] = [score.ceiling, p, q].map(known);
        let (name, region) = (&voxel.name, &voxel.region);
        text += &format!("{name}\t{region}\t{r}\t{r2}\t{mae}\t{lambda}\t{quality}\t{ceiling}\t{p}\t{q}\n");
    }
    fs::write(partial(by_voxel), text).with_context(failed)?;
    fs::write(partial(json), serde_json::to_string_pretty(summary)? + "\n").with_context(failed)?;
    FILES.iter().try_for_each(|name| fs::rename(partial(name), folder.join(name))).with_context(failed)
}
