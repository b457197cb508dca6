//! What do all samples together teach? One model as ONNX, with a manifest that says what it takes and what it has learned from.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::labels::{known, targets};
use super::models::model;
use crate::cli::TrainArgs;
use crate::commands::encode::whole;
use crate::datasets::networks;
use crate::encoders::{FeaturesInput, Hashes, Kind, Manifest, ModelFiles, NetworkInput, hex_sha256};
use crate::network::benchmark::Model;
use crate::network::deep::{CONNECTIVITY, FEATURES, PROBABILITIES, VALUE};
use crate::network::division::{Units, held_back};
use crate::network::scores::Metric;
use crate::network::{Exported, Learner, Networks, Rows, Targets};

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
    let fold = held_back(&known.rows, &units, &targets, args.validation, args.seed);
    let (train, held) = fold.map_or((known.rows.clone(), Vec::new()), |fold| (fold.train, fold.test));
    let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
    let held = (!held.is_empty()).then(|| rows(&held));
    let fitted = learner.fit(rows(&train), held, args.seed)?;
    let Some(exported) = fitted.export()? else {
        bail!("model \"{}\" has no ONNX form; give another --model", model.name);
    };
    let manifest = manifest(args, &model.name, &networks, &targets, &exported)?;
    write(&args.export, &exported.model, &manifest)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{}: learned from {} samples of {} regions", model.name, train.len(), networks.nodes())?;
    if known.missing + known.unlisted > 0 {
        let (missing, unlisted) = (known.missing, known.unlisted);
        writeln!(out, "left out: {missing} samples without a label, {unlisted} of people who are not in the table")?;
    }
    match held {
        Some(held) => {
            let predicted = fitted.predict(held)?;
            let scores = Metric::of(&targets)
                .iter()
                .map(|metric| format!("{} {:.3}", metric.title(), metric.score(&targets, held.rows, predicted.view())));
            let scores: Vec<String> = scores.collect();
            writeln!(out, "on {} samples that were held back to stop it: {}", held.rows.len(), scores.join(", "))?;
            writeln!(out, "how good it is on people it has not seen: `neurod network benchmark`")?;
        }
        None => writeln!(out, "nobody was held back, so it learned all epochs and is not calibrated")?,
    }
    writeln!(out, "{}", args.export.display())?;
    writeln!(out, "{}", ModelFiles::manifest_of(&args.export).display())?;
    Ok(())
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
            connectivity: networks.kind.clone(),
            shrinkage: networks.making.shrinkage.clone(),
            fisher_z: networks.making.fisher_z,
            threshold: networks.making.threshold.clone(),
            sign: networks.making.sign.clone(),
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
