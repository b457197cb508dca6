//! What does a trained model say of networks? The same file that answers live, on networks of a data set.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use ndarray::Array3;

use crate::cli::PredictNetworksArgs;
use crate::commands::encode::{progress, whole};
use crate::datasets;
use crate::encoders::{EdgeRecipe, ModelFiles, Runtime};
use crate::frame::TANGENT;
use crate::native::{self, Library};
use crate::network::Networks;
use crate::runtime::NetworkReader;

/// Predicts every sample.
///
/// # Errors
/// A model or networks that cannot be read, or that do not go together.
pub fn run(args: &PredictNetworksArgs) -> anyhow::Result<()> {
    let networks = datasets::networks::read(&args.networks)?;
    let runtime = Runtime::load(Some(&native::find(Library::OnnxRuntime, None)?))?;
    let mut reader = NetworkReader::load(&runtime, &ModelFiles::read_model(&args.model)?, 1)?;
    let (name, takes) = (Arc::clone(reader.model().name()), reader.model().takes().clone());
    let matrices = matrices(&reader, &networks)
        .map_err(|problem| anyhow::anyhow!("{}: model {name}: {problem}", args.networks.display()))?;
    let classes = takes.classes;
    let columns: String = classes.iter().map(|class| format!("\t{class}")).collect();
    let mut table = format!("sample\tparticipant\tpredicted{columns}\n");
    let bar = progress(networks.len(), "networks");
    let mut answer = Vec::new();
    let named = networks.samples.iter().zip(&networks.participants);
    for (network, (sample, participant)) in matrices.outer_iter().zip(named) {
        reader.read(network, &mut answer).with_context(|| format!("{}: {sample}", args.networks.display()))?;
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

/// What the model takes of each sample: its network, or where its covariance lies in the model's tangent space, whatever its network
/// is.
fn matrices<'a>(reader: &NetworkReader, networks: &'a Networks) -> Result<Cow<'a, Array3<f64>>, String> {
    let making = &networks.making;
    let edges = match reader.space() {
        Some(_) => EdgeRecipe {
            connectivity: TANGENT,
            shrinkage: networks.covariance_shrinkage(),
            fisher_z: false,
            threshold: None,
            sign: None,
        },
        None => EdgeRecipe {
            connectivity: &networks.kind,
            shrinkage: &making.shrinkage,
            fisher_z: making.fisher_z,
            threshold: making.threshold.as_deref(),
            sign: making.sign.as_deref(),
        },
    };
    reader.model().takes().difference(&networks.regions, edges).map_or(Ok(()), Err)?;
    let Some(space) = reader.space() else { return Ok(Cow::Borrowed(&networks.connectivity)) };
    let Some(covariance) = &networks.covariance else {
        return Err("it takes covariances, which the file does not hold (build the networks from time series)".into());
    };
    let mut all = Array3::zeros(covariance.raw_dim());
    for (mut into, covariance) in all.outer_iter_mut().zip(covariance.outer_iter()) {
        into.assign(&space.transform(covariance).map_err(|error| error.to_string())?);
    }
    Ok(Cow::Owned(all))
}
