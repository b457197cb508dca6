//! What does a connectome say? A model of brain networks: one matrix in, calibrated probabilities or a number out.

use std::sync::Arc;

use ort::session::SessionInputValue;
use ort::value::{TensorElementType, TensorRef};

use super::manifest::{Kind, ModelFiles};
use super::network::{EdgeRecipe, NetworkInput};
use super::onnx::{Network, Runtime};
use super::{EncodeError, EncoderError};

/// A model of brain networks, ready to answer.
#[derive(Debug)]
pub struct NetworkModel {
    network: Network,
    takes: NetworkInput,
    outputs: usize,
    reference: Option<Vec<f64>>,
    sha256: Arc<str>,
}

impl NetworkModel {
    /// Loads a model of networks; `threads` is how many compute one pass. The network of no edge is answered as a trial.
    ///
    /// # Errors
    /// Why the model cannot be used; see [`EncoderError`].
    pub fn load(runtime: &Runtime, files: &ModelFiles, threads: usize) -> Result<Self, EncoderError> {
        let manifest = &files.manifest;
        let Some(takes) = manifest.network.clone().filter(|_| manifest.kind == Kind::Network) else {
            return Err(EncoderError::WrongKind {
                path: files.folder.clone(),
                wanted: "network",
                other: manifest.kind.name(),
            });
        };
        let path = files.folder.join("model.onnx");
        let outputs = takes.classes.len().max(1);
        if manifest.dims != outputs {
            let problem = format!("dims is {}, but network.classes has {outputs}", manifest.dims);
            return Err(EncoderError::Mismatch { path, problem });
        }
        let (n, columns) = (takes.regions.len(), takes.features.as_ref().map_or(0, |features| features.dims));
        let (square, wide) = ([Some(1), Some(n), Some(n)], [Some(1), Some(n), Some(columns)]);
        let mut inputs = vec![(takes.input.as_str(), TensorElementType::Float32, square.as_slice())];
        if let Some(features) = &takes.features {
            inputs.push((&features.input, TensorElementType::Float32, &wide));
        }
        let mut network = Network::load(runtime, files, &inputs, threads)?;
        let sha256 = manifest.sha256.model.to_ascii_lowercase().into();
        let (connectivity, features) = (vec![0.0; n * n], vec![0.0; n * columns]);
        let reference = match &takes.reference {
            Some(output) => {
                let tensors = tensors(&network, n, columns, &connectivity, &features);
                let given = tensors.and_then(|tensors| network.constant(&tensors, output));
                let problem = |problem| EncoderError::Mismatch { path: path.clone(), problem };
                let given = given.map_err(|error| problem(format!("output \"{output}\": {error}")))?;
                if given.len() != n * n {
                    return Err(problem(format!("output \"{output}\" is not {n} × {n}, as network.regions says")));
                }
                Some(given)
            }
            None => None,
        };
        let mut model = Self { network, takes, outputs, reference, sha256 };
        let trial = model.predict(&connectivity, &features, &mut Vec::new());
        trial.map_err(|error| EncoderError::Trial { path, error })?;
        Ok(model)
    }

    /// Of a model in a tangent space its reference, row-major, and how many regions it has.
    pub fn reference(&self) -> Option<(&[f64], usize)> {
        Some((self.reference.as_deref()?, self.takes.regions.len()))
    }

    /// What it takes and gives.
    pub fn takes(&self) -> &NetworkInput {
        &self.takes
    }

    /// The model's name.
    pub fn name(&self) -> &Arc<str> {
        self.network.model()
    }

    /// SHA-256 of its file.
    pub fn sha256(&self) -> &Arc<str> {
        &self.sha256
    }

    /// Checks that networks are over these regions, in this order, and that an edge is what the model learned from.
    ///
    /// # Errors
    /// What differs, and the fix.
    pub fn fits(&self, regions: &[String], edges: EdgeRecipe<'_>) -> Result<(), EncoderError> {
        let Some(problem) = self.takes.difference(regions, edges) else { return Ok(()) };
        Err(EncoderError::Source { problem: format!("model {}: {problem}", self.name()) })
    }

    /// What it says of one network (N × N, and N × F node features where it takes some): the probability of each class, or one
    /// number, into `out`, which is cleared first.
    ///
    /// # Errors
    /// The runtime refuses, or the answer is not finite.
    pub fn predict(&mut self, connectivity: &[f32], features: &[f32], out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let columns = self.takes.features.as_ref().map_or(0, |features| features.dims);
        let tensors = tensors(&self.network, self.takes.regions.len(), columns, connectivity, features)?;
        self.network.run(&tensors, out)?;
        debug_assert_eq!(out.len(), self.outputs);
        Ok(())
    }
}

/// The inputs in the session's order.
fn tensors<'a>(
    network: &Network,
    n: usize,
    columns: usize,
    connectivity: &'a [f32],
    features: &'a [f32],
) -> Result<Vec<SessionInputValue<'a>>, EncodeError> {
    let of = |input: &usize| match input {
        0 => TensorRef::from_array_view(([1, n, n], connectivity)),
        _ => TensorRef::from_array_view(([1, n, columns], features)),
    };
    let failed =
        |error: ort::Error| EncodeError::Run { model: Arc::clone(network.model()), problem: error.to_string() };
    network.order().iter().map(|input| of(input).map(Into::into).map_err(failed)).collect()
}

impl NetworkInput {
    /// In what networks of these regions and edges differ from those that the model learned from, with the fix.
    pub fn difference(&self, regions: &[String], edges: EdgeRecipe<'_>) -> Option<String> {
        if self.connectivity != edges.connectivity {
            return Some(format!("it takes edges of kind \"{}\", not \"{}\"", self.connectivity, edges.connectivity));
        }
        if self.fisher_z != edges.fisher_z {
            let which = |z: bool| if z { "Fisher's z" } else { "values without Fisher's z" };
            return Some(format!("it takes {}, not {}", which(self.fisher_z), which(edges.fisher_z)));
        }
        let made = [
            ("shrinkage", Some(self.shrinkage.as_str()), Some(edges.shrinkage)),
            ("threshold", self.threshold.as_deref(), edges.threshold),
            ("sign", self.sign.as_deref(), edges.sign),
        ];
        if let Some((what, theirs, ours)) = made.into_iter().find(|(_, theirs, ours)| theirs != ours) {
            let said = |how: Option<&str>| how.unwrap_or("none").to_owned();
            return Some(format!("it takes networks with {what} {}, not {}", said(theirs), said(ours)));
        }
        if self.regions.len() != regions.len() {
            return Some(format!(
                "it takes networks of {} regions, not {} (use the atlas that it was trained with)",
                self.regions.len(),
                regions.len()
            ));
        }
        let (i, (theirs, ours)) = self.regions.iter().zip(regions).enumerate().find(|(_, (a, b))| a != b)?;
        Some(format!("its region {} is \"{theirs}\", not \"{ours}\" (use its regions, in its order)", i + 1))
    }
}
