//! What do all samples together teach? One model as ONNX, with a manifest that says what it takes and what it has learned from.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use ndarray::{Array2, ArrayView2};

use super::labels::{known, targets};
use super::models::model;
use crate::cli::TrainArgs;
use crate::commands::encode::whole;
use crate::datasets::networks;
use crate::encoders::{FeaturesInput, Hashes, Kind, Manifest, ModelFiles, NetworkInput, hex_sha256};
use crate::frame::TANGENT;
use crate::network::benchmark::Model;
use crate::network::deep::{CONNECTIVITY, FEATURES, PROBABILITIES, REFERENCE, VALUE, with_constant};
use crate::network::division::{Fold, Units, held_back};
use crate::network::scores::Metric;
use crate::network::{Exported, Fitted, Learner, Making, Networks, Rows, Targets, learn_calibrated, log_loss};

/// Learns and writes.
///
/// # Errors
/// What cannot be read, learned or written.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    if args.export.extension().is_none_or(|extension| extension != "onnx") {
        bail!("--export {}: give a file that ends in .onnx", args.export.display());
    }
    let (networks, model) = (networks::read(&args.networks)?, model("--model", &args.model, None)?);
    let known = known(args.labels.as_deref(), &networks)?;
    let targets = targets(args.task, &known, networks.len())?;
    model.suits(&networks, &targets)?;
    let learner = only(&model)?;
    let units = Units::of(&networks.participants, None);
    let held = learner.stops().then(|| held_back(&known.rows, &units, &targets, args.validation, args.seed)).flatten();
    // Only what the model's file holds can be told of networks that are seen later, and those held back are seen later.
    let (networks, space) = networks.measured_from(held.as_ref().map_or(&known.rows, |fold| &fold.train))?;
    let all = Rows { networks: &networks, targets: &targets, rows: &known.rows };
    let learned = match learner.stops() {
        true => stopped(args, learner, all, held)?,
        false => everybody(args, learner, all, &units)?,
    };
    let Some(mut exported) = learned.fitted.export()? else {
        bail!("model \"{}\" has no ONNX form; give another --model", model.name);
    };
    if let Some(space) = space {
        exported.reference = Some(space.reference().to_owned());
    }
    if let Some(reference) = &exported.reference {
        let values: Vec<f64> = reference.iter().copied().collect();
        exported.model = with_constant(&exported.model, REFERENCE, reference.shape(), &values);
    }
    let manifest = manifest(args, &model.name, &networks, &targets, &exported)?;
    write(&args.export, &exported.model, &manifest)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{}: learned from {} samples of {} regions", model.name, learned.samples, networks.nodes())?;
    if known.missing + known.unlisted > 0 {
        let (missing, unlisted) = (known.missing, known.unlisted);
        writeln!(out, "left out: {missing} samples without a label, {unlisted} of people who are not in the table")?;
    }
    learned.said.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "{}", args.export.display())?;
    writeln!(out, "{}", ModelFiles::manifest_of(&args.export).display())?;
    Ok(())
}

/// A model, from how many samples it has learned, and what should be known of that.
struct Learned {
    fitted: Box<dyn Fitted>,
    samples: usize,
    said: Vec<String>,
}

/// Learns in epochs, stopped and calibrated by people who are held back.
fn stopped(args: &TrainArgs, learner: &dyn Learner, all: Rows<'_>, held: Option<Fold>) -> anyhow::Result<Learned> {
    let Some(Fold { train, test }) = held else {
        let said = "nobody was held back, so it learned all epochs and is not calibrated".into();
        let fitted = learner.fit(all, None, args.seed)?;
        return Ok(Learned { fitted, samples: all.rows.len(), said: vec![said] });
    };
    let held = Rows { rows: &test, ..all };
    let fitted = learner.fit(Rows { rows: &train, ..all }, Some(held), args.seed)?;
    let scores = scores(all.targets, &test, fitted.predict(held)?.view());
    let said = vec![
        format!("on {} samples that were held back to stop it: {scores}", test.len()),
        "how good it is on people it has not seen: `neurod network benchmark`".into(),
    ];
    Ok(Learned { fitted, samples: train.len(), said })
}

/// Learns from everybody; calibrated on what is said of people by models that have not learned from them.
fn everybody(args: &TrainArgs, learner: &dyn Learner, all: Rows<'_>, units: &Units) -> anyhow::Result<Learned> {
    let (fitted, left_out) = learn_calibrated(learner, all, units, args.seed)?;
    let said = match &left_out {
        None => vec!["too few people to leave some out, so it is not calibrated".into()],
        Some(left_out) => {
            let (targets, rows) = (all.targets, &left_out.rows);
            let mut said = vec![format!(
                "on people who were left out in turn, each told by a model that has not seen them: {}",
                scores(targets, rows, left_out.predicted.view())
            )];
            if let Targets::Classes { .. } = targets {
                let loss = |predicted: &Array2<f64>| log_loss(targets, rows, predicted.view());
                let (before, after) = (loss(&left_out.predicted), loss(&left_out.calibrated()));
                let temperature = left_out.temperature;
                said.push(format!(
                    "calibrated on the same: log loss {before:.3} → {after:.3} at temperature {temperature:.2}"
                ));
            }
            said
        }
    };
    Ok(Learned { fitted, samples: all.rows.len(), said })
}

fn scores(targets: &Targets, rows: &[usize], predicted: ArrayView2<'_, f64>) -> String {
    let score = |metric: &Metric| format!("{} {:.3}", metric.title(), metric.score(targets, rows, predicted));
    Metric::of(targets).iter().map(score).collect::<Vec<_>>().join(", ")
}

/// Its learner, of which there must be one.
fn only(model: &Model) -> anyhow::Result<&dyn Learner> {
    match model.candidates.as_slice() {
        [(_, learner)] => Ok(learner.as_ref()),
        several => bail!(
            "model \"{}\" has a grid of {} settings; let `neurod network benchmark` choose, and give the ones it chose",
            model.name,
            several.len()
        ),
    }
}

fn manifest(
    args: &TrainArgs,
    name: &str,
    networks: &Networks,
    targets: &Targets,
    exported: &Exported,
) -> anyhow::Result<Manifest> {
    let classes = match targets {
        Targets::Classes { names, .. } => names.clone(),
        Targets::Values(_) => Vec::new(),
    };
    let features = exported.features.as_ref().map(|features| FeaturesInput {
        input: FEATURES.into(),
        kind: features.kind.clone(),
        dims: features.dims,
    });
    let labels = args.labels.as_deref().unwrap_or("its labels");
    // What it takes of a model in a tangent space are covariances, whatever the networks of the file are.
    let making = match &exported.reference {
        Some(_) => Making { shrinkage: networks.covariance_shrinkage().into(), ..Making::default() },
        None => networks.making.clone(),
    };
    let manifest = Manifest {
        name: name.into(),
        licence: args.licence.clone(),
        source: format!(
            "neurod {}, from {} and {labels}, seed {}",
            env!("CARGO_PKG_VERSION"),
            args.networks.display(),
            args.seed
        ),
        kind: Kind::Network,
        output: if classes.is_empty() { VALUE } else { PROBABILITIES }.into(),
        layer: None,
        pooling: None,
        dims: targets.outputs(),
        sha256: Hashes { model: hex_sha256(&exported.model), tokenizer: None },
        text: None,
        window: None,
        image: None,
        regions: None,
        network: Some(NetworkInput {
            input: CONNECTIVITY.into(),
            connectivity: exported.reference.as_ref().map_or(networks.kind.as_str(), |_| TANGENT).into(),
            shrinkage: making.shrinkage,
            reference: exported.reference.as_ref().map(|_| REFERENCE.into()),
            fisher_z: making.fisher_z,
            threshold: making.threshold,
            sign: making.sign,
            features,
            classes,
            temperature: exported.temperature,
            window: args.window,
            regions: networks.regions.clone(),
        }),
        layers: std::collections::BTreeMap::new(),
    };
    // What is written must be readable.
    let text = toml::to_string(&manifest)?;
    Ok(Manifest::parse(&text, &ModelFiles::manifest_of(&args.export).display().to_string())?)
}

/// The model, then its manifest: whoever finds a manifest finds the model that it names.
fn write(path: &Path, model: &[u8], manifest: &Manifest) -> anyhow::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let beside = ModelFiles::manifest_of(path);
    for (path, bytes) in [(path, model), (&beside, toml::to_string(manifest)?.as_bytes())] {
        whole(path, |partial| Ok(fs::write(partial, bytes)?)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
