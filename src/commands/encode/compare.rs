//! Which features predict best, and where? Every feature space on the same folds, by the same draws, in one report.

use std::io::{self, Write};
use std::path::Path;

use anyhow::ensure;
use ndarray::{Array2, Axis};
use ndarray_npy::ReadableElement;
use serde_json::{Value, json};

use super::chance::{Exchanges, Predicted, Tested};
use super::design::{Design, settled};
use super::report::name;
use super::scores::{Quality, Results};
use super::spaces::{Candidate, candidates};
use super::validate::{Validated, cross_validate};
use super::write::{self, Staged};
use crate::cli::{CompareArgs, ModelArgs};
use crate::commands::table;
use crate::datasets::{Voxel, is_single};
use crate::encoding::partition::{Part, parts, subsets};
use crate::encoding::report::{Difference, FeatureSpace, Partitioned, RegionScores, Report, Score};
use crate::encoding::scoring::{Drawn, SetScores, predicted_rows};
use crate::encoding::statistics::Bootstrap;
use crate::linalg::Real;

/// Regions of which differences are told: of more, only all together.
const MOST_REGIONS: usize = 64;

/// Compares.
///
/// # Errors
/// What cannot be read, divided, decomposed, or written.
pub fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let (model, folds) = settled(&args.model, &args.folds);
    let args = &CompareArgs { model, folds, ..args.clone() };
    let folders: Vec<&Path> =
        std::iter::once(args.model.data.as_path()).chain(args.more.iter().map(|more| more.as_path())).collect();
    let mut reports: Vec<(String, Report)> = Vec::new();
    for folder in &folders {
        let mut subject = name(folder);
        while reports.iter().any(|(known, _)| *known == subject) {
            subject += "'";
        }
        let out = if folders.len() > 1 { args.out.join(&subject) } else { args.out.clone() };
        let model = ModelArgs { data: folder.into(), ..args.model.clone() };
        let report = match is_single(folder)? {
            true => one::<f32>(args, &model, &subject, &out)?,
            false => one::<f64>(args, &model, &subject, &out)?,
        };
        reports.push((subject, report));
    }
    let report = match folders.len() {
        1 => reports.into_iter().map(|(_, report)| report).next().unwrap_or_default(),
        _ => {
            let report = Report::together(reports, write::command_line());
            let mut files = Staged::new(&args.out)?;
            common(&mut files, &report)?;
            files.finish()?;
            report
        }
    };
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary(&report)?)?)?;
    } else {
        write!(out, "{}", table::rows(&["features", "r", "95 %", "2V2", "R²", "MAE"], &rows(&report)))?;
        writeln!(out, "\n{} (scores.tsv, summary.json, report.html, figures)", args.out.display())?;
    }
    Ok(())
}

/// What is kept of one feature space when the next is evaluated.
struct Evaluated {
    space: FeatureSpace,
    /// Of every set of voxels: Pearson per voxel and 2V2, draw by draw.
    drawn: Vec<[Drawn; 2]>,
    r: Vec<f64>,
    r2: Vec<f64>,
    /// Where it is asked what differences are by chance.
    predicted: Option<Predicted>,
}

/// One subject.
fn one<T: Real + ReadableElement>(
    args: &CompareArgs,
    model: &ModelArgs,
    subject: &str,
    out: &Path,
) -> anyhow::Result<Report> {
    let mut design = Design::<T>::read(model, &args.folds)?;
    let names: Vec<String> = design.data.spaces.iter().map(|(name, _)| name.clone()).collect();
    let wanted = candidates(&names, &args.fuse)?;
    let divided = if args.partition { subsets(names.len()) } else { Vec::new() };
    ensure!(
        !args.partition || (2..=4).contains(&names.len()),
        "--partition divides the variance of two to four feature spaces, and there are {} (choose with --features)",
        names.len()
    );
    let (mut evaluated, mut notes, mut parts_of_folds) = (Vec::new(), Vec::new(), 0);
    let mut evaluate = |candidate: &Candidate| -> anyhow::Result<Option<Evaluated>> {
        design.only(&candidate.spaces);
        let validated = cross_validate(&design, 0, args.folds.by.seed)?;
        notes = validated.notes(design.data.responses.nrows());
        let Validated { results, folds, purged, predicted, .. } = validated;
        notes.extend(write::notes(&results, purged));
        parts_of_folds = folds;
        let places = design.data.kept();
        let scored = predicted_rows(&design.folds()?.0.folds).into_iter().filter_map(|row| places.get(row).copied());
        let scored = (args.permutations > 0).then(|| predicted.select(Axis(0), &scored.collect::<Vec<_>>()));
        let scored = scored.map(|values| values.mapv(|value| value.wide() as f32));
        Ok(kept(candidate, design.width(), results, &design.data.voxels, scored))
    };
    for candidate in &wanted {
        evaluated.extend(evaluate(candidate)?);
    }
    // What --partition needs besides.
    let mut r2 = Vec::new();
    for spaces in &divided {
        let known = wanted.iter().position(|of| of.spaces == *spaces).and_then(|place| evaluated.get(place));
        match known {
            Some(known) => r2.push(known.r2.clone()),
            None => {
                let name = spaces.iter().filter_map(|space| names.get(*space).cloned()).collect::<Vec<_>>().join("+");
                let candidate = Candidate { name, spaces: spaces.clone(), layer: None };
                r2.extend(evaluate(&candidate)?.map(|of| of.r2));
            }
        }
    }
    let tested = tested(args, &design, &evaluated)?;
    if !tested.is_empty() {
        notes.push(format!(
            "p of a difference: how many of {} exchanges of the two predictions, by {}, give as much; q over all regions and \
             feature spaces.",
            args.permutations,
            if design.data.runs.is_empty() { "stretches of ten samples" } else { "runs" }
        ));
    }
    let labels: Vec<&str> = names.iter().map(String::as_str).collect();
    let parts = if args.partition { parts(&labels, &r2) } else { Vec::new() };
    let voxels = &design.data.voxels;
    let report = Report {
        title: format!("{} feature spaces → {} voxels of {subject}", evaluated.len(), voxels.len()),
        provenance: write::provenance(model, &args.folds, &design.data.files, parts_of_folds, args.permutations),
        intervals: write::intervals(&design.data.runs),
        notes,
        differences: differences(&evaluated, &tested),
        partition: partitioned(&parts, &evaluated, voxels, &design.quality),
        spaces: evaluated.iter().map(|of| of.space.clone()).collect(),
        subjects: Vec::new(),
    };
    let mut files = Staged::new(out)?;
    files.text("voxels.tsv", by_voxel(&evaluated, &tested, &parts, voxels, &design.quality))?;
    common(&mut files, &report)?;
    files.finish()?;
    Ok(report)
}

fn kept(
    candidate: &Candidate,
    columns: usize,
    results: Results,
    voxels: &[Voxel],
    predicted: Option<Array2<f32>>,
) -> Option<Evaluated> {
    let space = write::space(&candidate.name, columns, &results, voxels)?;
    let (r, r2) = results.voxels.iter().map(|voxel| (voxel.scores.r, voxel.scores.r2)).unzip();
    let most = if results.sets.len() > MOST_REGIONS { 1 } else { results.sets.len() };
    let of_set = |set: SetScores| ([set.pearson_per_voxel, set.two_v_two], set.won);
    let (drawn, won) = results.sets.into_iter().take(most).map(of_set).unzip();
    let predicted = predicted.map(|values| Predicted { values, won });
    Some(Evaluated { space: FeatureSpace { layer: candidate.layer.clone(), ..space }, drawn, r, r2, predicted })
}

/// The best of all voxels together, and the others.
fn ranked(all: &[Evaluated]) -> Option<(&Evaluated, impl Iterator<Item = &Evaluated>)> {
    let r = |of: &&Evaluated| of.space.overall.pearson_per_voxel.value;
    let best = all.iter().max_by(|a, b| r(a).total_cmp(&r(b)))?;
    Some((best, all.iter().filter(|other| other.space.name != best.space.name)))
}

/// What the differences from each of the others are by chance; nothing where that was not asked for.
fn tested<T: Real + ReadableElement>(
    args: &CompareArgs,
    design: &Design<T>,
    all: &[Evaluated],
) -> anyhow::Result<Vec<Tested>> {
    let Some((best, others)) = ranked(all) else { return Ok(Vec::new()) };
    let Some(best) = &best.predicted else { return Ok(Vec::new()) };
    let others: Vec<&Predicted> = others.filter_map(|other| other.predicted.as_ref()).collect();
    let rows = predicted_rows(&design.folds()?.0.folds);
    let exchanges = Exchanges {
        y: design.y(),
        rows: &rows,
        runs: &design.data.runs,
        voxels: &design.data.voxels,
        quality: &design.quality,
        draws: args.permutations,
        seed: args.folds.by.seed,
    };
    exchanges.test(best, &others)
}

/// The best of all voxels together less each other one, in every region: the same draws on both sides.
fn differences(all: &[Evaluated], tested: &[Tested]) -> Vec<Difference> {
    let Some((best, others)) = ranked(all) else { return Vec::new() };
    let bootstrap = Bootstrap::default();
    let less = |a: &Drawn, b: &Drawn| Score {
        interval: Some(bootstrap.percentiles(a.draws.iter().zip(&b.draws).map(|(a, b)| a - b).collect())),
        baseline: None,
        ..Score::of(a.value - b.value)
    };
    let mut found = Vec::new();
    for (place, other) in others.enumerate() {
        let regions = std::iter::once(&best.space.overall).chain(&best.space.regions);
        for (set, (region, (ours, theirs))) in regions.zip(best.drawn.iter().zip(&other.drawn)).enumerate() {
            found.push(Difference {
                region: region.region.clone(),
                space: best.space.name.clone(),
                than: other.space.name.clone(),
                pearson_per_voxel: less(&ours[0], &theirs[0]),
                two_v_two: less(&ours[1], &theirs[1]),
                chance: tested.get(place).and_then(|of| of.sets.get(set)).copied(),
            });
        }
    }
    found
}

/// The mean of every part over the voxels of each region.
fn partitioned(parts: &[Part], all: &[Evaluated], voxels: &[Voxel], quality: &[Quality]) -> Vec<Partitioned> {
    let Some(first) = all.first().filter(|_| !parts.is_empty()) else { return Vec::new() };
    let regions = std::iter::once(&first.space.overall).chain(&first.space.regions);
    let within = super::scores::members(voxels, quality);
    let mean = |values: &[f64], columns: &[usize]| {
        columns.iter().filter_map(|v| values.get(*v)).sum::<f64>() / columns.len().max(1) as f64
    };
    let of = |(region, columns): (&RegionScores, &Vec<usize>)| Partitioned {
        region: region.region.clone(),
        level: region.level,
        parts: parts.iter().map(|part| (part.name.clone(), mean(&part.per_voxel, columns))).collect(),
    };
    regions.zip(&within).map(of).collect()
}

/// A row a voxel: what is known of it, r of every feature space, how likely by chance the best is so far from each other
/// one, and the parts of its variance.
fn by_voxel(all: &[Evaluated], tested: &[Tested], parts: &[Part], voxels: &[Voxel], quality: &[Quality]) -> String {
    let mut text = String::from("voxel\tregion\themisphere\tnetwork\tquality");
    all.iter().for_each(|of| text += &format!("\tr:{}", of.space.name));
    if let Some((best, others)) = ranked(all).filter(|_| !tested.is_empty()) {
        let pairs = others.map(|other| format!("{}-{}", best.space.name, other.space.name));
        pairs.for_each(|pair| text += &format!("\tp:{pair}\tq:{pair}"));
    }
    parts.iter().for_each(|part| text += &format!("\tr2:{}", part.name));
    text.push('\n');
    for (v, (voxel, quality)) in voxels.iter().zip(quality).enumerate() {
        let word = |word: &str| if word.is_empty() { "n/a".into() } else { word.to_owned() };
        let (hemisphere, network) = (word(&voxel.hemisphere), word(&voxel.network));
        text += &format!("{}\t{}\t{hemisphere}\t{network}\t{}", voxel.name, voxel.region, quality.as_str());
        let cell = |known: Option<f64>| {
            known.filter(|_| *quality != Quality::NotFinite).map_or("\tn/a".into(), |value| format!("\t{value}"))
        };
        all.iter().for_each(|of| text += &cell(of.r.get(v).copied()));
        for chance in tested.iter().map(|of| of.voxels.get(v).copied().flatten()) {
            text += &(cell(chance.map(|of| of.p)) + &cell(chance.map(|of| of.q)));
        }
        parts.iter().for_each(|part| text += &cell(part.per_voxel.get(v).copied()));
        text.push('\n');
    }
    text
}

/// What a comparison of one subject and of several have alike.
fn common(files: &mut Staged, report: &Report) -> anyhow::Result<()> {
    let mut scores = format!("{}\tfeatures\n", write::SCORES);
    for space in &report.spaces {
        let all: Vec<RegionScores> = std::iter::once(&space.overall).chain(&space.regions).cloned().collect();
        scores += &write::scores(&all, &format!("\t{}", space.name));
    }
    files.text("scores.tsv", scores)?;
    let mut text = String::from("region\tmetric\tdifference\tci_low\tci_high\tfeatures\tthan\tp\tq\n");
    for of in &report.differences {
        let [r, pairs] = of.chance.map_or([None; 2], |chances| chances.map(Some));
        for (metric, score, chance) in [("pearson_per_voxel", &of.pearson_per_voxel, r), ("2v2", &of.two_v_two, pairs)]
        {
            let [low, high, p, q] = [
                score.interval.map(|i| i.low),
                score.interval.map(|i| i.high),
                chance.map(|of| of.p),
                chance.map(|of| of.q),
            ]
            .map(|known| known.map_or_else(|| "n/a".into(), |known| known.to_string()));
            let (region, value, space, than) = (&of.region, score.value, &of.space, &of.than);
            text += &format!("{region}\t{metric}\t{value}\t{low}\t{high}\t{space}\t{than}\t{p}\t{q}\n");
        }
    }
    files.text("differences.tsv", text)?;
    if !report.partition.is_empty() {
        let mut text = String::from("region\tpart\tr2\tlevel\n");
        for of in &report.partition {
            for (part, r2) in &of.parts {
                text += &format!("{}\t{part}\t{r2}\t{}\n", of.region, of.level.as_str());
            }
        }
        files.text("partition.tsv", text)?;
    }
    files.text("summary.json", serde_json::to_string_pretty(&summary(report)?)? + "\n")?;
    files.text("report.html", report.html())?;
    files.figures(report)
}

/// The numbers of the whole, and the report.
fn summary(report: &Report) -> anyhow::Result<Value> {
    let of = |space: &FeatureSpace| {
        let scores: serde_json::Map<String, Value> = space
            .overall
            .scores()
            .map(|(metric, s)| {
                let ends = s.interval.map(|i| [i.low, i.high]);
                (metric.to_owned(), json!({ "value": s.value, "mean_pattern": s.baseline, "ci": ends }))
            })
            .collect();
        (space.name.clone(), Value::from(scores))
    };
    let spaces: serde_json::Map<String, Value> = report.spaces.iter().map(of).collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"), "seed": report.provenance.seed, "scores": spaces,
        "subjects": report.subjects, "report": serde_json::to_value(report)?,
    }))
}

/// A row a feature space, for people.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let row = |space: &FeatureSpace| {
        let of = &space.overall;
        let ends = of.pearson_per_voxel.interval.map_or(String::new(), |i| format!("{:.4} to {:.4}", i.low, i.high));
        let [r, pairs, r2, mae] = [&of.pearson_per_voxel, &of.two_v_two, &of.r2_per_voxel, &of.mae]
            .map(|score| format!("{:.4}", score.value));
        vec![space.name.clone(), r, ends, pairs, r2, mae]
    };
    report.spaces.iter().map(row).collect()
}
