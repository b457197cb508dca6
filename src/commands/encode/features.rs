//! What are the features of what was shown? features/NAME.npy, a row a sample, and NAME.json, which says how it was made.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, bail};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde_json::{Value, json};

use super::extract::{Extracted, Extraction, Stimuli, stores};
use super::reads::Reads;
use crate::cli::FeaturesArgs;
use crate::datasets::{DatasetError, Shown, sha256};
use crate::encoders::{FeatureStore, Manifest, ModelFiles, Runtime};
use crate::native::{self, Library};

/// The most batches at a time, unless more are asked for: each has a copy of the model.
const JOBS: usize = 4;
/// How many bad rows are named one by one.
const NAMED: usize = 10;

/// Encodes.
///
/// # Errors
/// What cannot be read, loaded or written; stimuli that cannot be encoded, unless they are to be skipped.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<()> {
    if args.batch == 0 || args.jobs == Some(0) {
        bail!("--batch and --jobs: give 1 or more");
    }
    if !args.names.is_empty() && args.names.len() != args.models.len() {
        bail!("--name: {} names for {} models (give one for each, or none)", args.names.len(), args.models.len());
    }
    let single = args.data.join("features.npy");
    if single.exists() {
        let problem = "would hide what is written (move it to features/NAME.npy, as a space beside the others)".into();
        return Err(DatasetError::Array { path: single.display().to_string(), problem }.into());
    }
    let names: Vec<String> = match args.names.is_empty() {
        true => args.models.iter().map(|model| folder_name(model)).collect::<anyhow::Result<_>>()?,
        false => args.names.clone(),
    };
    for (i, name) in names.iter().enumerate() {
        proper(name)?;
        if names.iter().take(i).any(|other| other == name) {
            bail!("two models would both be called {name} (give a --name for each)");
        }
    }
    let mut made = Vec::new();
    for (model, name) in args.models.iter().zip(&names) {
        made.extend(of_model(args, model, name)?);
    }
    if args.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&made)?)?;
    }
    Ok(())
}

fn folder_name(model: &Path) -> anyhow::Result<String> {
    let full = fs::canonicalize(model).with_context(|| format!("--model {}", model.display()))?;
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned());
    name.with_context(|| format!("--model {}: give it a --name", model.display()))
}

/// A name becomes a file's, and one in a list that commas part.
fn proper(name: &str) -> anyhow::Result<()> {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ',');
    if name.is_empty() || name.starts_with('.') || name.contains(odd) {
        bail!("\"{}\" is no name for a feature space (no / and no comma, no dot in front)", name.escape_debug());
    }
    Ok(())
}

/// The spaces of one model, written; what is told of each.
fn of_model(args: &FeaturesArgs, model: &Path, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut files = ModelFiles::read(model)?;
    let Some(reads) = Reads::of(&files.manifest) else {
        bail!("{}: a model of windows of a recording, which reads no stimuli", model.display());
    };
    let layers = match args.layers.as_slice() {
        [all] if all == "all" && !files.manifest.layers.is_empty() => files.manifest.layers.keys().cloned().collect(),
        layers => layers.to_vec(),
    };
    files.choose_all(&layers)?;
    layers.iter().try_for_each(|layer| proper(layer))?;
    let shown = Shown::read(&args.data, reads.columns())?;
    let folder = args.stimuli.clone().unwrap_or_else(|| args.data.join("stimuli"));
    let stimuli = Stimuli::new(&shown.samples, reads, &folder);
    let jobs = args.jobs.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get).min(JOBS));
    let extraction = Extraction { files: &files, reads, folder: &folder, cut: args.cut, batch: args.batch, jobs };
    let features = args.data.join("features");
    let cache = args.cache.clone().unwrap_or_else(|| features.join(".cache"));
    let mut stores = stores(&files, &cache, args.cut)?;
    let runtime = || Ok(Runtime::load(Some(&native::find(Library::OnnxRuntime, None)?))?);
    let extracted = extraction.run(&stimuli, &runtime, &mut stores)?;
    let bad = bad_rows(&stimuli, &extracted, args.skip_bad)?;
    let mut written = Vec::new();
    for (i, (part, store)) in files.parts().iter().zip(&stores).enumerate() {
        let layer = layers.get(i);
        let name = layer.map_or_else(|| name.to_owned(), |layer| format!("{name}.{layer}"));
        let matrix = matrix(&stimuli, &extracted, store, part.dims)?;
        let space = Space { name, layer, part, shown: &shown, stimuli: &stimuli, extracted: &extracted, bad: &bad };
        written.push(space.write_beside(args, reads, &features, &matrix)?);
    }
    let mut told = Vec::new();
    for Written { files, about, line } in written {
        for (beside, place) in files {
            fs::rename(&beside, &place).with_context(|| place.display().to_string())?;
        }
        if !args.json {
            writeln!(io::stdout(), "{line}")?;
        }
        told.push(about);
    }
    Ok(told)
}

/// The rows that have no features, and why.
fn bad_rows(stimuli: &Stimuli, extracted: &Extracted, skip: bool) -> anyhow::Result<Vec<(usize, String)>> {
    let problem = |(row, shown): (usize, &Option<usize>)| {
        let problem = extracted.key_of(stimuli, (*shown)?).err()?;
        Some((row, problem.to_owned()))
    };
    let bad: Vec<_> = stimuli.of_samples.iter().enumerate().filter_map(problem).collect();
    let shown = stimuli.of_samples.iter().flatten().count();
    if shown == 0 {
        let (path, problem) = ("runs.tsv".into(), "nothing is shown in any row (every one says n/a)".into());
        return Err(DatasetError::Array { path, problem }.into());
    }
    if bad.is_empty() {
        return Ok(bad);
    }
    let mut listed: String = bad.iter().take(NAMED).map(|(row, problem)| format!("\n  row {row}: {problem}")).collect();
    if bad.len() > NAMED {
        listed += &format!("\n  and {} more", bad.len() - NAMED);
    }
    if !skip || bad.len() == shown {
        return Err(DatasetError::Stimuli { rows: bad.len(), samples: stimuli.of_samples.len(), listed }.into());
    }
    writeln!(io::stderr(), "{} rows have a stimulus that cannot be encoded, and NaN for features:{listed}", bad.len())?;
    Ok(bad)
}

/// Zeros where nothing was shown, NaN where what was shown has no features: samples × dims.
fn matrix(stimuli: &Stimuli, extracted: &Extracted, store: &FeatureStore, dims: usize) -> anyhow::Result<Array2<f32>> {
    let mut matrix = Array2::zeros((stimuli.of_samples.len(), dims));
    for (mut row, shown) in matrix.rows_mut().into_iter().zip(&stimuli.of_samples) {
        let Some(stimulus) = shown else { continue };
        match extracted.key_of(stimuli, *stimulus) {
            Err(_) => row.fill(f32::NAN),
            Ok(key) => {
                let feature = store.get(&key)?.context("a feature that was kept is gone (run it again)")?;
                row.iter_mut().zip(feature).for_each(|(slot, value)| *slot = value);
            }
        }
    }
    Ok(matrix)
}

/// One feature space, and where it comes from.
struct Space<'a> {
    name: String,
    layer: Option<&'a String>,
    part: &'a Manifest,
    shown: &'a Shown,
    stimuli: &'a Stimuli,
    extracted: &'a Extracted,
    bad: &'a [(usize, String)],
}

/// What lies beside its place, what is told of it, and the same in a line.
struct Written {
    files: [(PathBuf, PathBuf); 2],
    about: Value,
    line: String,
}

impl Space<'_> {
    /// Writes array and origin whole, but beside their places.
    fn write_beside(
        &self,
        args: &FeaturesArgs,
        reads: Reads,
        folder: &Path,
        matrix: &Array2<f32>,
    ) -> anyhow::Result<Written> {
        let place = |ending: &str| {
            let name = format!("{}.{ending}", self.name);
            (folder.join(format!("{name}.part")), folder.join(name))
        };
        let [array, origin] = [place("npy"), place("json")];
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let written = File::create(&array.0).and_then(|file| {
            let mut file = BufWriter::new(file);
            matrix.write_npy(&mut file).map_err(io::Error::other)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        written.with_context(|| array.0.display().to_string())?;
        let part = self.part;
        let samples = self.stimuli.of_samples.len();
        let without = self.stimuli.of_samples.iter().filter(|shown| shown.is_none()).count();
        let different = self.extracted.encoded + self.extracted.kept;
        let files: serde_json::Map<String, Value> =
            self.shown.files.iter().map(|(name, hash)| (name.clone(), hash.clone().into())).collect();
        let bad: Vec<Value> = self.bad.iter().map(|(row, problem)| json!({ "row": row, "problem": problem })).collect();
        let about = json!({
            "version": env!("CARGO_PKG_VERSION"), "name": self.name, "model": part.name, "licence": part.licence,
            "source": part.source, "kind": part.kind, "sha256": part.sha256, "layer": self.layer, "output": part.output,
            "row": part.layer, "pooling": part.pooling, "identity": part.identity(), "dims": part.dims,
            "samples": samples, "samples_without_stimulus": without, "stimuli": different, "bad_rows": bad,
            "columns": reads.columns().iter().map(|(column, _)| column).collect::<Vec<_>>(), "batch": args.batch, "cut": args.cut, "files": files, "features_sha256": sha256(&array.0)?,
        });
        fs::write(&origin.0, serde_json::to_string_pretty(&about)? + "\n")
            .with_context(|| origin.0.display().to_string())?;
        let line = format!(
            "{}: {samples} × {}; {different} different stimuli ({} of them kept from before), {without} rows without one",
            array.1.display(),
            part.dims,
            self.extracted.kept
        );
        Ok(Written { files: [array, origin], about, line })
    }
}
