//! What do all samples together teach? One model file, for predicting elsewhere and for learning on live.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use ndarray::{Array2, ArrayView2, Axis};
use ndarray_npy::write_npy;
use serde::Deserialize;
use serde_json::json;

use super::design::{Chosen, Design, progress, settled};
use super::scores::Quality;
use super::timing::Timing;
use super::write::whole;
use crate::cli::{FitArgs, FoldArgs, ModelArgs, ScaleArg, Score};
use crate::datasets::Voxel;
use crate::encoding::solve::Weights;
use crate::frame::Unit;
use crate::ridge::{Description, FeatureSpace, FittedModel, Moments, Provenance, Target};

/// Fits, in double precision, whatever the arrays are.
///
/// # Errors
/// What cannot be read, decomposed, or written.
pub fn run(args: &FitArgs) -> anyhow::Result<()> {
    if let Some(tr) = args.model.tr.filter(|tr| !(*tr > 0.0 && tr.is_finite())) {
        bail!("--tr {tr}: give a positive number of seconds");
    }
    let unit: Unit = serde_json::from_value(args.unit.as_str().into())
        .map_err(|_| anyhow::anyhow!("--unit {}: give uV, uV2, z, psc or a.u.", args.unit))?;
    let folds = FoldArgs { by: args.by.clone(), train: args.train.clone(), test: None };
    let (model, folds) = settled(&args.model, &folds);
    let design = Design::<f64>::read(&model, &folds)?;
    let bar = progress(2, "step");
    let rows = design.teachers();
    let folds = design.inner_folds(&rows)?;
    let (Chosen { lambdas, .. }, Weights { weights, intercepts }) = design.choose_and_fit(&folds, &rows)?;
    bar.inc(1);
    let (features, targets) = weights.dim();
    let never_learns = never_learns(&model, args.no_moments);
    let of_rows = |x, y| Moments::of_rows(&row_major(x, &rows), &row_major(y, &rows), features, targets);
    let moments = never_learns.is_none().then(|| of_rows(design.x.view(), design.y()));
    let feature_means = match design.ridge.centre {
        true => design.x.select(Axis(0), &rows).mean_axis(Axis(0)).map(|means| means.to_vec()).unwrap_or_default(),
        false => vec![0.0; features],
    };
    let mut model = FittedModel {
        description: describe(args, &design, rows.len(), unit)?,
        sha256: "".into(),
        weights: weights.iter().copied().collect(),
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
    tell(args, &model, never_learns)
}

/// Why the model predicts, and does not learn on; nothing where it does.
fn never_learns(model: &ModelArgs, no_moments: bool) -> Option<&'static str> {
    Some(match () {
        () if no_moments => "its moments were left out",
        () if model.no_centre => "it was not centred",
        () if model.scale != ScaleArg::None => "its λ is of scaled features",
        () if model.banded.is_some() => "each of its feature spaces has a λ of its own",
        () => return None,
    })
}

/// These rows, one after the other.
fn row_major(array: ArrayView2<'_, f64>, rows: &[usize]) -> Vec<f64> {
    let mut out = Vec::with_capacity(rows.len() * array.ncols());
    rows.iter().for_each(|row| out.extend(array.row(*row)));
    out
}

fn describe(args: &FitArgs, design: &Design<f64>, samples: usize, unit: Unit) -> anyhow::Result<Description> {
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
    let (delays, hrf) = match &design.timing {
        Timing::Delays(delays) => (delays.clone(), None),
        Timing::Response(response, _) => (Vec::new(), Some(*response)),
    };
    Ok(Description {
        name: args.out.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        samples: samples as u64,
        centred: design.ridge.centre,
        features: spaces.collect::<anyhow::Result<_>>()?,
        delays,
        hrf,
        tr: args.model.tr,
        unit,
        targets: targets.collect(),
        provenance: Provenance {
            command: command(args),
            version: env!("CARGO_PKG_VERSION").into(),
            lambda: args.model.lambda.clone(),
            seed: args.by.seed,
            files: data.files.iter().cloned().collect::<BTreeMap<_, _>>(),
        },
    })
}

/// What was asked for, without where things lie on this machine.
fn command(args: &FitArgs) -> String {
    let name = |path: &Path| path.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned());
    let list = |values: Vec<String>| values.join(",");
    let mut words = format!("neurod encode fit {}", name(&args.model.data));
    words += &match args.model.paper {
        true => " --paper".into(),
        false => format!(" --lambda {}", args.model.lambda),
    };
    words += &match &args.train {
        Some(train) => format!(" --train {train}"),
        None if args.model.paper => String::new(),
        None => format!(" --folds {}", args.by.folds),
    };
    words += &format!(" --seed {}", args.by.seed);
    if !args.model.features.is_empty() {
        words += &format!(" --features {}", list(args.model.features.clone()));
    }
    if !args.model.grid.is_empty() {
        words += &format!(" --grid {}", list(args.model.grid.iter().map(f64::to_string).collect()));
    }
    if !args.model.delays.is_empty() {
        words += &format!(" --delays {}", list(args.model.delays.iter().map(usize::to_string).collect()));
    }
    words += &args.model.hrf.map(|hrf| format!(" --hrf {}", format!("{hrf:?}").to_lowercase())).unwrap_or_default();
    words += &args.model.tr.map(|tr| format!(" --tr {tr}")).unwrap_or_default();
    if args.model.scale != ScaleArg::None {
        words += &format!(" --scale {}", format!("{:?}", args.model.scale).to_lowercase());
    }
    words += &args.model.banded.map(|count| format!(" --banded {count}")).unwrap_or_default();
    words += if args.model.score == Score::R2 { " --score r2" } else { "" };
    words += if args.by.keep_repeats { " --keep-repeats" } else { "" };
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
    whole(path, |partial| Ok(write_npy(partial, weights)?))
        .with_context(|| format!("--export-weights {}", path.display()))
}

fn tell(args: &FitArgs, model: &FittedModel, never_learns: Option<&str>) -> anyhow::Result<()> {
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
    if let Some(why) = never_learns {
        writeln!(out, "it predicts, and does not learn on live: {why}")?;
    }
    Ok(())
}
