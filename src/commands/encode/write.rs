//! The files that others read: written beside their places, and moved there when all of them are whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::scores::{Quality, Results};
use crate::cli::{FoldArgs, ModelArgs};
use crate::datasets::{Folder, Voxel};
use crate::encoding::report::figures::NAMES;
use crate::encoding::report::{Brain, FeatureSpace, Input, Provenance, RegionScores, Report, Setting};
use crate::encoding::scoring::LEAST_CEILING;

/// Files of one folder that appear together.
pub struct Staged {
    folder: PathBuf,
    names: Vec<String>,
    stale: Vec<String>,
}

impl Staged {
    /// Into `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// What the system refused.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
        Ok(Self { folder: folder.into(), names: Vec::new(), stale: Vec::new() })
    }

    /// Writes a file beside its place; `name` may have one folder in it.
    ///
    /// # Errors
    /// What the system refused.
    pub fn add(&mut self, name: &str, write: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let failed = || format!("--out {}", self.folder.display());
        if let Some(parent) = self.folder.join(name).parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        write(&self.partial(name)).with_context(failed)?;
        self.names.push(name.into());
        Ok(())
    }

    /// Writes a file of text, or of bytes.
    ///
    /// # Errors
    /// What the system refused.
    pub fn text(&mut self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.add(name, |path| Ok(fs::write(path, content)?))
    }

    /// Every figure of a report as SVG and PNG, in `figures/`.
    ///
    /// # Errors
    /// What the system refused.
    pub fn figures(&mut self, report: &Report) -> anyhow::Result<()> {
        for figure in report.figures() {
            self.text(&format!("figures/{}.svg", figure.name), figure.svg())?;
            if let Some(pixels) = figure.png() {
                self.text(&format!("figures/{}.png", figure.name), pixels)?;
            }
        }
        // Those of an earlier result that this one has not would be taken for its own.
        self.replaces(NAMES.iter().flat_map(|name| ["svg", "png"].map(|kind| format!("figures/{name}.{kind}"))));
        Ok(())
    }

    /// Removes those of these files, which an earlier result may have left, that this one has not.
    pub fn replaces(&mut self, names: impl IntoIterator<Item = String>) {
        let stale: Vec<String> = names.into_iter().filter(|name| !self.names.contains(name)).collect();
        self.stale.extend(stale);
    }

    /// Moves all of them to their places.
    ///
    /// # Errors
    /// What the system refused.
    pub fn finish(self) -> anyhow::Result<()> {
        let failed = || format!("--out {}", self.folder.display());
        for name in &self.names {
            fs::rename(self.partial(name), self.folder.join(name)).with_context(failed)?;
        }
        for path in self.stale.iter().map(|name| self.folder.join(name)).filter(|path| path.exists()) {
            fs::remove_file(path).with_context(failed)?;
        }
        Ok(())
    }

    fn partial(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.with_file_name(format!(".{file}.partial"))
    }
}

/// Writes one file beside its place, and moves it there when it is whole.
///
/// # Errors
/// What the system refused.
pub fn whole(path: &Path, write: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial = path.with_file_name(format!(".{name}.partial"));
    write(&partial)?;
    Ok(fs::rename(&partial, path)?)
}

/// Everything that made the numbers, the numbers of the whole, and the report.
///
/// # Errors
/// None that is known: what is serialised is plain.
pub fn summary<T>(
    model: &ModelArgs,
    folds: &FoldArgs,
    data: &Folder<T>,
    permutations: usize,
    results: &Results,
    [columns, parts, purged]: [usize; 3],
    report: &Report,
) -> anyhow::Result<Value> {
    let count = |quality| results.voxels.iter().filter(|v| v.quality == quality).count();
    let whole: serde_json::Map<String, Value> = results
        .regions
        .iter()
        .take(1)
        .flat_map(RegionScores::scores)
        .map(|(metric, s)| {
            (
                metric.to_owned(),
                json!({ "value": s.value, "mean_pattern": s.baseline, "ci": s.interval.map(|i| [i.low, i.high]) }),
            )
        })
        .collect();
    let files: serde_json::Map<String, Value> =
        data.files.iter().map(|(name, hash)| (name.clone(), hash.clone().into())).collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"), "lambda": model.lambda, "grid": model.grid, "folds": folds.by.folds,
        "seed": folds.by.seed, "permutations": permutations, "delays": model.delays, "centre": !model.no_centre,
        "scale": format!("{:?}", model.scale).to_lowercase(), "samples_left_out": data.left_out.len(),
        "score": format!("{:?}", model.score).to_lowercase(), "samples": data.responses.nrows(),
        "features": columns, "feature_spaces": data.spaces.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "voxels": data.responses.ncols(), "constant_voxels": count(Quality::Constant),
        "voxels_left_out": count(Quality::NotFinite), "parts": parts, "purged_samples": purged,
        "scores": whole, "sha256": files, "report": serde_json::to_value(report)?,
    }))
}

/// All that is needed to make the same results again.
pub fn provenance(
    model: &ModelArgs,
    folds: &FoldArgs,
    files: &[(String, String)],
    parts: usize,
    permutations: usize,
) -> Provenance {
    let setting = |name: &str, value: String| Setting { name: name.into(), value };
    let list = |values: Vec<String>| if values.is_empty() { "the usual".into() } else { values.join(", ") };
    Provenance {
        command: command_line(),
        version: env!("CARGO_PKG_VERSION").into(),
        seed: folds.by.seed,
        inputs: files.iter().map(|(name, sha256)| Input { name: name.clone(), sha256: sha256.clone() }).collect(),
        settings: vec![
            setting("λ", model.lambda.clone()),
            setting("grid", list(model.grid.iter().map(f64::to_string).collect())),
            setting("chosen by", format!("{:?}", model.score).to_lowercase()),
            setting("folds", format!("{} ({parts} parts)", folds.by.folds)),
            setting("delays", model.delays.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
            setting("scale", format!("{:?}", model.scale).to_lowercase()),
            setting("centred", (!model.no_centre).to_string()),
            setting("permutations", permutations.to_string()),
        ],
    }
}

/// How the intervals were drawn.
pub fn intervals(runs: &[String]) -> String {
    format!("95 % bootstrap over {}, 1000 draws", if runs.is_empty() { "stretches of ten samples" } else { "runs" })
}

/// What the reader must know of the data.
pub fn notes(results: &Results, purged: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let voxels = |count: usize| if count == 1 { "1 voxel".to_owned() } else { format!("{count} voxels") };
    let left_out = results.voxels.iter().filter(|v| v.quality == Quality::NotFinite).count();
    if left_out > 0 {
        notes.push(format!("Left out for values that are not finite: {}.", voxels(left_out)));
    }
    let constant = results.voxels.iter().filter(|v| v.quality == Quality::Constant).count();
    if constant > 0 {
        notes.push(format!("Never vary, so that nothing can be explained, and count as 0: {}.", voxels(constant)));
    }
    if purged > 0 {
        notes.push(format!("{purged} times a sample was kept from teaching because its stimulus was to be predicted."));
    }
    let beside = results.regions.first().and_then(|all| all.normalised.as_ref());
    if let Some(left_out) = beside.map(|of| of.left_out).filter(|count| *count > 0) {
        notes.push(format!(
            "Left out of the normalised scores for a noise ceiling below {LEAST_CEILING}: {}.",
            voxels(left_out)
        ));
    }
    notes
}

/// What one set of features predicts, as the report has it; none where no voxel is good for anything.
pub fn space(name: &str, columns: usize, results: &Results, voxels: &[Voxel]) -> Option<FeatureSpace> {
    let (overall, regions) = results.regions.split_first()?;
    let good = results.voxels.iter().zip(voxels).filter(|(score, _)| score.quality != Quality::NotFinite);
    let places: Vec<([f64; 3], f64)> = good.filter_map(|(score, v)| Some((v.place?, score.scores.r))).collect();
    Some(FeatureSpace {
        name: name.into(),
        layer: None,
        features: columns,
        overall: overall.clone(),
        regions: regions.to_vec(),
        brain: Brain::of(&places),
    })
}

/// The columns of scores.tsv.
pub const SCORES: &str = "region\tmetric\tvalue\tci_low\tci_high\tmean_pattern\tvoxels\tlevel";

/// A line a region and metric, each with `more` at its end.
pub fn scores(regions: &[RegionScores], more: &str) -> String {
    let mut text = String::new();
    for (of, metric, score) in regions.iter().flat_map(|of| of.scores().map(move |(metric, score)| (of, metric, score)))
    {
        let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| v.to_string());
        let [low, high] = [score.interval.map(|i| i.low), score.interval.map(|i| i.high)].map(known);
        let (region, value, baseline) = (&of.region, score.value, known(score.baseline));
        let (voxels, level) = (of.voxels, of.level.as_str());
        text += &format!("{region}\t{metric}\t{value}\t{low}\t{high}\t{baseline}\t{voxels}\t{level}{more}\n");
    }
    text
}

/// voxels.tsv, with the γ of every feature space that was penalised by itself.
pub fn voxels(results: &Results, voxels: &[Voxel], gammas: &[(&str, &[f64])]) -> String {
    let mut text = String::from(
        "voxel\tregion\tr\tr2\tmae\tlambda\tquality\tceiling\tp\tq\tr_normalised\tr2_normalised\themisphere\tnetwork\tx\ty\tz",
    );
    gammas.iter().for_each(|(name, _)| text += &format!("\tgamma_{name}"));
    text.push('\n');
    for (v, (voxel, of)) in voxels.iter().zip(&results.voxels).enumerate() {
        let number = |value: f64| if of.quality == Quality::NotFinite { "n/a".into() } else { value.to_string() };
        let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), number);
        let word = |word: &str| if word.is_empty() { "n/a".into() } else { word.to_owned() };
        let scores = &of.scores;
        let beside = scores.normalised;
        let place =
            |axis: usize| voxel.place.and_then(|p| p.get(axis).copied()).map_or("n/a".into(), |mm| mm.to_string());
        let cells: [String; 17] = [
            voxel.name.clone(),
            voxel.region.clone(),
            number(scores.r),
            number(scores.r2),
            number(scores.mae),
            of.lambda.to_string(),
            of.quality.as_str().into(),
            known(scores.ceiling),
            known(scores.p),
            known(of.q),
            known(beside.map(|[r, _]| r)),
            known(beside.map(|[_, r2]| r2)),
            word(&voxel.hemisphere),
            word(&voxel.network),
            place(0),
            place(1),
            place(2),
        ];
        text += &cells.join("\t");
        gammas.iter().for_each(|(_, gamma)| text += &format!("\t{}", known(gamma.get(v).copied())));
        text.push('\n');
    }
    text
}

/// What was typed, quoted where a shell needs it.
pub fn command_line() -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=,:+@%".contains(c);
    let quoted = |word: String| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("neurod".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
