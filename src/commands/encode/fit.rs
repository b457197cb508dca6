//! What do all samples together teach? One model file, for predicting elsewhere and for learning on live.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use ndarray::Array2;
use ndarray_npy::write_npy;
use serde::Deserialize;
use serde_json::json;

use super::design::{Chosen, Design, progress};
use super::scores::Quality;
use crate::cli::{FitArgs, ScaleArg};
use crate::datasets::Voxel;
use crate::encoding::solve::Weights;
use crate::frame::Unit;
use crate::ridge::{Description, FeatureSpace, FittedModel, Moments, Provenance, Target};

/// Fits, in double precision, whatever the arrays are.
///
/// # Errors
/// What cannot be read, decomposed, or written.
pub fn run(args: &FitArgs) -> anyhow::Result<()> {
    unfit(args)?;
    if let Some(tr) = args.model.tr.filter(|tr| !(*tr > 0.0 && tr.is_finite())) {
        bail!("--tr {tr}: give a positive number of seconds");
    }
    let unit: Unit = serde_json::from_value(args.unit.as_str().into())
        .map_err(|_| anyhow::anyhow!("--unit {}: give uV, uV2, z, psc or a.u.", args.unit))?;
    let design = Design::<f64>::read(&args.model, &args.folds)?;
    let (x, y) = (design.x.view(), design.y());
    let bar = progress(2, "step");
    let folds = design.inner_folds(&Vec::from_iter(0..y.nrows()), design.scheme)?;
    let (Chosen { lambdas, .. }, Weights { weights, intercepts }) = design.choose_and_fit(&folds)?;
    bar.inc(1);
    let (features, targets) = weights.dim();
    let moments =
        never_learns(args).is_none().then(|| Moments::of_rows(&row_major(x), &row_major(y), features, targets));
    let feature_means = match design.ridge.centre {
        true => x.mean_axis(ndarray::Axis(0)).map(|means| means.to_vec()).unwrap_or_default(),
        false => vec![0.0; features],
    };
    let mut model = FittedModel {
        description: describe(args, &design, unit)?,
        sha256: "".into(),
        weights: row_major(weights.view()),
        intercepts,
        lambdas,
        feature_means,
        moments,
    };
    model.write(&args.out)?;
    bar.finish_and_clear();
    if let Some(path) = &args.export_weights {
        export(path, &weights)?;
    }
    tell(args, &model)
}

/// What a model file has no words for.
fn unfit(args: &FitArgs) -> anyhow::Result<()> {
    let model = &args.model;
    let asked = [("--hrf", model.hrf.is_some()), ("--paper", model.paper), ("--train", args.folds.train.is_some())];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((option, _)) => bail!("{option}: `encode fit` does not take it (`encode evaluate` does)"),
        None => Ok(()),
    }
}

/// Why the model predicts, and does not learn on; nothing where it does.
fn never_learns(args: &FitArgs) -> Option<&'static str> {
    Some(match () {
        () if args.no_moments => "its moments were left out",
        () if args.model.no_centre => "it was not centred",
        () if args.model.scale != ScaleArg::None => "its λ is of scaled features",
        () if args.model.banded.is_some() => "each of its feature spaces has a λ of its own",
        () => return None,
    })
}

fn row_major(array: ndarray::ArrayView2<'_, f64>) -> Vec<f64> {
    array.iter().copied().collect()
}

fn describe(args: &FitArgs, design: &Design<f64>, unit: Unit) -> anyhow::Result<Description> {
    let data = &design.data;
    let spaces = data.spaces.iter().map(|(name, dims)| feature_space(&args.model.data, name, *dims));
    let targets = names(&data.voxels)?.into_iter().zip(&data.voxels).zip(&design.quality);
    let targets = targets.map(|((name, voxel), quality)| Target {
        name,
        region: voxel.region.clone(),
        hemisphere: voxel.hemisphere.clone(),
        network: voxel.network.clone(),
        place: voxel.place,
        left_out: *quality == Quality::NotFinite,
    });
    Ok(Description {
        name: args.out.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        samples: design.x.nrows() as u64,
        centred: design.ridge.centre,
        features: spaces.collect::<anyhow::Result<_>>()?,
        delays: if args.model.delays.is_empty() { vec![0] } else { args.model.delays.clone() },
        tr: args.model.tr,
        unit,
        targets: targets.collect(),
        provenance: Provenance {
            command: command(args),
            version: env!("CARGO_PKG_VERSION").into(),
            lambda: args.model.lambda.clone(),
            seed: args.folds.seed,
            files: data.files.iter().cloned().collect::<BTreeMap<_, _>>(),
        },
    })
}

/// What was asked for, without where things lie on this machine.
fn command(args: &FitArgs) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let list = |values: Vec<String>| values.join(",");
    let mut words = format!("neurod encode fit {} --lambda {}", name(&args.model.data), args.model.lambda);
    words += &format!(" --folds {} --seed {}", args.folds.folds, args.folds.seed);
    if !args.model.features.is_empty() {
        words += &format!(" --features {}", list(args.model.features.clone()));
    }
    if !args.model.grid.is_empty() {
        words += &format!(" --grid {}", list(args.model.grid.iter().map(f64::to_string).collect()));
    }
    if !args.model.delays.is_empty() {
        words += &format!(" --delays {}", list(args.model.delays.iter().map(usize::to_string).collect()));
    }
    words += &args.model.tr.map(|tr| format!(" --tr {tr}")).unwrap_or_default();
    if args.model.scale != ScaleArg::None {
        words += &format!(" --scale {}", format!("{:?}", args.model.scale).to_lowercase());
    }
    words += &args.model.banded.map(|count| format!(" --banded {count}")).unwrap_or_default();
    words += if args.model.no_centre { " --no-centre" } else { "" };
    words + if args.no_moments { " --no-moments" } else { "" }
}

/// The encoder that made a feature space: what the file `NAME.json` beside its array says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Encoder {
    model: Option<String>,
    sha256: Option<String>,
    layer: Option<String>,
}

/// What is known of a feature space of `dims` columns.
///
/// # Errors
/// Its description is there and cannot be read.
pub fn feature_space(data: &Path, name: &str, dims: usize) -> anyhow::Result<FeatureSpace> {
    let single = data.join("features.npy").exists();
    let path = if single { data.join("features.json") } else { data.join("features").join(format!("{name}.json")) };
    let encoder = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{}: says which encoder made {name}.npy, and cannot be read", path.display()))?,
        Err(_) => Encoder::default(),
    };
    let Encoder { model, sha256, layer } = encoder;
    Ok(FeatureSpace { name: name.into(), dims, model, sha256, layer })
}

/// A name for each target: its voxel's, or where voxels have none, its region's.
fn names(voxels: &[Voxel]) -> anyhow::Result<Vec<String>> {
    let numbered = voxels.iter().enumerate().all(|(v, voxel)| voxel.name == v.to_string());
    let regions: HashSet<&str> = voxels.iter().map(|voxel| voxel.region.as_str()).collect();
    if numbered && regions.len() == voxels.len() {
        return Ok(voxels.iter().map(|voxel| voxel.region.clone()).collect());
    }
    let mut known = HashSet::new();
    match voxels.iter().find(|voxel| !known.insert(voxel.name.as_str())) {
        Some(twice) => {
            bail!("regions.tsv: two voxels are called \"{}\" (live regions go by name: rename one)", twice.name)
        }
        None => Ok(voxels.iter().map(|voxel| voxel.name.clone()).collect()),
    }
}

fn export(path: &Path, weights: &Array2<f64>) -> anyhow::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = path.with_file_name(format!(".{name}.partial"));
    write_npy(&partial, weights).with_context(|| format!("--export-weights {}", path.display()))?;
    fs::rename(&partial, path).with_context(|| format!("--export-weights {}", path.display()))
}

fn tell(args: &FitArgs, model: &FittedModel) -> anyhow::Result<()> {
    let left_out = model.description.targets.iter().filter(|target| target.left_out).count();
    let (columns, targets, samples) = (model.columns(), model.targets(), model.description.samples);
    let learns = model.moments.is_some();
    let mut out = io::stdout();
    if args.json {
        let told = json!({
            "model": args.out, "sha256": &*model.sha256, "samples": samples, "features": columns, "targets": targets,
            "targets_left_out": left_out, "learns_on": learns,
        });
        writeln!(out, "{told}")?;
        return Ok(());
    }
    writeln!(out, "{}: {samples} samples, {columns} features, {targets} targets", args.out.display())?;
    if left_out > 0 {
        writeln!(out, "{left_out} targets hold values that are not finite, and are left out")?;
    }
    if let Some(why) = never_learns(args) {
        writeln!(out, "it predicts, and does not learn on live: {why}")?;
    }
    Ok(())
}
