//! What does a connectome say? A model of brain networks: one matrix in, calibrated probabilities or a number out.

use std::sync::Arc;

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
        if let Some(features) = &takes.features {
            let problem = format!(
                "it takes features of nodes ({}) beside connectivity, which are not computed live (train one with other features)",
                features.kind
            );
            return Err(EncoderError::Source { problem: format!("{}: {problem}", path.display()) });
        }
        let n = takes.regions.len();
        let shape = [Some(1), Some(n), Some(n)];
        let network =
            Network::load(runtime, files, &[(&takes.input, TensorElementType::Float32, shape.as_slice())], threads)?;
        let sha256 = manifest.sha256.model.to_ascii_lowercase().into();
        let mut model = Self { network, takes, outputs, sha256 };
        let trial = model.predict(&vec![0.0; n * n], &mut Vec::new());
        trial.map_err(|error| EncoderError::Trial { path, error })?;
        Ok(model)
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

    /// What it says of one network, N × N: the probability of each class, or one number, into `out`, which is cleared first.
    ///
    /// # Errors
    /// The runtime refuses, or the answer is not finite.
    pub fn predict(&mut self, connectivity: &[f32], out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let n = self.takes.regions.len();
        let failed = |error: ort::Error| EncodeError::Run {
            model: Arc::clone(self.network.model()),
            problem: error.to_string(),
        };
        let tensor = TensorRef::from_array_view(([1, n, n], connectivity)).map_err(failed)?;
        self.network.run(&[tensor.into()], out)?;
        debug_assert_eq!(out.len(), self.outputs);
        Ok(())
    }
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
