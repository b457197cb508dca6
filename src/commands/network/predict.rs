//! What does a trained model say of networks? The same file that answers live, on networks of a data set.

use std::fs;
use std::io::{self, Write};

use anyhow::{Context, bail};

use crate::cli::PredictNetworksArgs;
use crate::commands::encode::{progress, whole};
use crate::datasets;
use crate::encoders::{EdgeRecipe, ModelFiles, NetworkModel, Runtime};
use crate::native::{self, Library};

/// Predicts every sample.
///
/// # Errors
/// A model or networks that cannot be read, or that do not go together.
pub fn run(args: &PredictNetworksArgs) -> anyhow::Result<()> {
    let networks = datasets::networks::read(&args.networks)?;
    let runtime = Runtime::load(Some(&native::find(Library::OnnxRuntime, None)?))?;
    let mut model = NetworkModel::load(&runtime, &ModelFiles::read_model(&args.model)?, 1)?;
    let making = &networks.making;
    let edges = EdgeRecipe {
        connectivity: &networks.kind,
        shrinkage: &making.shrinkage,
        fisher_z: making.fisher_z,
        threshold: making.threshold.as_deref(),
        sign: making.sign.as_deref(),
    };
    if let Some(problem) = model.takes().difference(&networks.regions, edges) {
        bail!("{}: model {}: {problem}", args.networks.display(), model.name());
    }
    let classes = model.takes().classes.clone();
    let columns: String = classes.iter().map(|class| format!("\t{class}")).collect();
    let mut table = format!("sample\tparticipant\tpredicted{columns}\n");
    let bar = progress(networks.len(), "networks");
    let (mut input, mut answer) = (Vec::new(), Vec::new());
    let named = networks.samples.iter().zip(&networks.participants);
    for (network, (sample, participant)) in networks.connectivity.outer_iter().zip(named) {
        input.clear();
        input.extend(network.iter().map(|edge| *edge as f32));
        model.predict(&input, &mut answer).with_context(|| format!("{}: {sample}", args.networks.display()))?;
        let best = answer.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i).unwrap_or_default();
        let (predicted, probabilities) = match classes.get(best) {
            Some(class) => (class.clone(), answer.iter().map(|p| format!("\t{p}")).collect::<String>()),
            None => (answer.first().map(f32::to_string).unwrap_or_default(), String::new()),
        };
        table += &format!("{sample}\t{participant}\t{predicted}{probabilities}\n");
        bar.inc(1);
    }
    bar.finish_and_clear();
    match args.out.as_os_str() == "-" {
        true => io::stdout().write_all(table.as_bytes()).map_err(Into::into),
        false => whole(&args.out, |partial| Ok(fs::write(partial, table)?)),
    }
    .with_context(|| format!("--out {}", args.out.display()))
}
