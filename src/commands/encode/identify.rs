//! Which stimulus was it? Each one ranked among those of its fold, by weights that saw none of them.

use std::fs;
use std::io::{self, Write};

use anyhow::{Context, bail};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::{Value, json};

use super::design::{Design, progress, settled};
use super::scores::Quality;
use super::timing::Timing;
use super::validate::out_of_fold;
use crate::cli::{IdentifyArgs, RankBy};
use crate::commands::table;
use crate::encoding::folds::{Fold, Folds};
use crate::encoding::identification::{By, Identified, Rank, rank, scores};

/// Identifies, in double precision.
///
/// # Errors
/// What cannot be read, divided, decomposed, or written; folds of one candidate.
pub fn run(args: &IdentifyArgs) -> anyhow::Result<()> {
    let (model, folds) = settled(&args.model, &args.folds);
    let args = &IdentifyArgs { model, folds, ..args.clone() };
    if args.folds.train.is_some() {
        bail!("--train: `encode identify` needs residuals of every sample (use --folds)");
    }
    let design = Design::<f64>::read(&args.model, &args.folds)?;
    let y = design.y();
    let (Folds { folds, .. }, _) = design.folds()?;
    let bar = progress(folds.len(), "fold");
    let (predicted, _) = out_of_fold(&design, &folds, &bar)?;
    bar.finish_and_clear();
    let good: Vec<bool> = design.quality.iter().map(|quality| *quality == Quality::Good).collect();
    let mut regions: Vec<(String, Vec<bool>)> = vec![("all".into(), good.clone())];
    for voxel in &design.data.voxels {
        if !regions.iter().any(|(name, _)| *name == voxel.region) {
            let of = design.data.voxels.iter().zip(&good).map(|(other, good)| *good && other.region == voxel.region);
            regions.push((voxel.region.clone(), of.collect()));
        }
    }
    let alone = design.timing == Timing::Delays(vec![0]);
    let stimuli = if alone { design.data.stimuli.as_slice() } else { &[] };
    let by = match args.by {
        RankBy::Likelihood => By::Likelihood,
        RankBy::Cosine => By::Cosine,
    };
    let mut results = Vec::new();
    for (name, voxels) in regions {
        results.push((name, identify(y, predicted.view(), &folds, stimuli, &voxels, by)));
    }
    if results.first().is_none_or(|(_, shown)| shown.is_empty()) {
        bail!("no fold has two candidates (give fewer folds, or more stimuli)");
    }
    write(args, &results)
}

/// What was shown in one fold, and where it came out.
struct Shown {
    fold: usize,
    name: String,
    samples: usize,
    rank: Rank,
    /// What came first instead, or itself.
    best: String,
}

/// Ranks everything that was shown among the candidates of its fold, by these voxels.
fn identify(
    y: ArrayView2<'_, f64>,
    predicted: ArrayView2<'_, f64>,
    folds: &[Fold],
    stimuli: &[String],
    voxels: &[bool],
    by: By,
) -> Vec<Shown> {
    let mut out = Vec::new();
    for (number, fold) in folds.iter().enumerate() {
        let variances = variances(y, predicted, &fold.test, voxels);
        let units = units(&fold.test, stimuli);
        let mean = |of: ArrayView2<'_, f64>| {
            let mut means = Array2::zeros((units.len(), y.ncols()));
            for ((_, rows), mut to) in units.iter().zip(means.rows_mut()) {
                to.assign(&of.select(Axis(0), rows).mean_axis(Axis(0)).unwrap_or_default());
            }
            means
        };
        let (measured, expected) = (mean(y), mean(predicted));
        if units.len() < 2 {
            continue;
        }
        for (right, ((name, rows), measured)) in units.iter().zip(measured.rows()).enumerate() {
            let scores = scores(measured, expected.view(), &variances, by);
            let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).and_then(|(c, _)| units.get(c));
            let best = best.map(|(name, _)| name.clone()).unwrap_or_default();
            let rank = rank(&scores, right);
            out.push(Shown { fold: number, name: name.clone(), samples: rows.len(), rank, best });
        }
    }
    out
}

/// The mean squared residual of each voxel over all rows but these; 0 for voxels that do not count.
fn variances(y: ArrayView2<'_, f64>, predicted: ArrayView2<'_, f64>, without: &[usize], voxels: &[bool]) -> Vec<f64> {
    let mut sums = vec![0.0; y.ncols()];
    let rows = (0..y.nrows()).filter(|row| without.binary_search(row).is_err());
    let mut count = 0.0;
    for row in rows {
        count += 1.0;
        let residuals = y.row(row).into_iter().zip(predicted.row(row)).map(|(y, p)| (y - p) * (y - p));
        sums.iter_mut().zip(residuals).for_each(|(sum, square)| *sum += square);
    }
    sums.iter().zip(voxels).map(|(sum, counts)| if *counts { sum / f64::max(count, 1.0) } else { 0.0 }).collect()
}

/// The stimuli among these rows with the rows of each, in order of appearance; each row by itself where none are named.
fn units(rows: &[usize], stimuli: &[String]) -> Vec<(String, Vec<usize>)> {
    let mut units: Vec<(String, Vec<usize>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        match stimuli.get(*row) {
            None => units.push((row.to_string(), vec![*row])),
            Some(name) => {
                let place = *places.entry(name.as_str()).or_insert(units.len());
                match units.get_mut(place) {
                    Some((_, rows)) => rows.push(*row),
                    None => units.push((name.clone(), vec![*row])),
                }
            }
        }
    }
    units
}

fn write(args: &IdentifyArgs, results: &[(String, Vec<Shown>)]) -> anyhow::Result<()> {
    let failed = || format!("--out {}", args.out.display());
    let mut table_rows = Vec::new();
    let mut summary = serde_json::Map::new();
    for (region, shown) in results {
        let ranks: Vec<Rank> = shown.iter().map(|shown| shown.rank).collect();
        let Identified { top_1, top_5, percentile, chance_1, chance_5 } = Identified::over(&ranks);
        for (metric, value, chance) in
            [("top-1", top_1, chance_1), ("top-5", top_5, chance_5), ("percentile rank", percentile, 0.5)]
        {
            table_rows.push(vec![region.clone(), metric.into(), format!("{value:.4}"), format!("{chance:.4}")]);
        }
        let of = json!({ "top_1": top_1, "top_5": top_5, "percentile": percentile, "chance_1": chance_1,
            "chance_5": chance_5, "identified": shown.len() });
        summary.insert(region.clone(), of);
    }
    let by = if args.by == RankBy::Cosine { "cosine" } else { "likelihood" };
    let summary: Value = json!({
        "version": env!("CARGO_PKG_VERSION"), "by": by, "lambda": args.model.lambda, "folds": args.folds.by.folds,
        "seed": args.folds.by.seed, "delays": args.model.delays, "scores": summary,
    });
    let mut text = String::from("fold\tshown\tsamples\tcandidates\trank\tpercentile\tbest\n");
    for Shown { fold, name, samples, rank, best } in results.first().into_iter().flat_map(|(_, shown)| shown) {
        let (place, percentile) = (rank.place, rank.percentile());
        text += &format!("{fold}\t{name}\t{samples}\t{}\t{place}\t{percentile}\t{best}\n", rank.candidates);
    }
    fs::create_dir_all(&args.out).with_context(failed)?;
    let files = [("identification.tsv", text), ("summary.json", serde_json::to_string_pretty(&summary)? + "\n")];
    for (name, text) in &files {
        fs::write(args.out.join(format!(".{name}.partial")), text).with_context(failed)?;
    }
    for (name, _) in &files {
        fs::rename(args.out.join(format!(".{name}.partial")), args.out.join(name)).with_context(failed)?;
    }
    let mut out = io::stdout();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?,
        false => write!(out, "{}", table::rows(&["region", "metric", "value", "chance"], &table_rows))?,
    }
    Ok(())
}
