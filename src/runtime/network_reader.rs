//! What does a model say of a network? What it takes beside the edges is computed here, the same for windows and for files.
//!
//! A model in a tangent space takes displacements from its reference, which lies in its file; node features that no graph gives
//! (eigenvectors) are an input of their own.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::encoders::{EncodeError, EncoderError, ModelFiles, NetworkModel, Runtime};
use crate::network::connectome::TangentSpace;
use crate::network::deep::{EIGENVECTOR, Eigenvectors};

/// A model of networks, and what makes its inputs.
#[derive(Debug)]
pub struct NetworkReader {
    model: NetworkModel,
    space: Option<TangentSpace>,
    features: Option<Eigenvectors>,
    connectivity: Vec<f32>,
    computed: Vec<f32>,
}

impl NetworkReader {
    /// Loads the model in `files`; `threads` is how many compute one pass.
    ///
    /// # Errors
    /// Why the model cannot be used; node features of a name that is not known.
    pub fn load(runtime: &Runtime, files: &ModelFiles, threads: usize) -> Result<Self, EncoderError> {
        let model = NetworkModel::load(runtime, files, threads)?;
        let path = || files.folder.join("model.onnx");
        let space = match model.reference() {
            Some((values, nodes)) => {
                let space = Array2::from_shape_vec((nodes, nodes), values.to_vec())
                    .map_err(|error| error.to_string())
                    .and_then(|reference| TangentSpace::at(reference).map_err(|error| error.to_string()));
                Some(space.map_err(|problem| EncoderError::Mismatch { path: path(), problem })?)
            }
            None => None,
        };
        let features = match &model.takes().features {
            Some(features) => match Eigenvectors::named(&features.kind, features.dims) {
                Some(eigenvectors) => Some(eigenvectors),
                None => {
                    let problem = format!(
                        "network.features.kind is \"{}\", which is not computed here (it can be \"{EIGENVECTOR}\")",
                        features.kind
                    );
                    return Err(EncoderError::Mismatch { path: path(), problem });
                }
            },
            None => None,
        };
        Ok(Self { model, space, features, connectivity: Vec::new(), computed: Vec::new() })
    }

    /// The model.
    pub fn model(&self) -> &NetworkModel {
        &self.model
    }

    /// The tangent space that it reads displacements in, of a model that does.
    pub fn space(&self) -> Option<&TangentSpace> {
        self.space.as_ref()
    }

    /// What it says of a network (N × N; of a model in a tangent space the displacement): the probability of each class, or one
    /// number, into `out`, which is cleared first.
    ///
    /// # Errors
    /// A network that is not finite, or has no eigenvectors; what [`NetworkModel::predict`] says.
    pub fn read(&mut self, network: ArrayView2<'_, f64>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let model = Arc::clone(self.model.name());
        let failed = |problem: String| EncodeError::Run { model: Arc::clone(&model), problem };
        out.clear();
        if !network.iter().all(|value| value.is_finite()) {
            return Err(failed("the network is not finite".into()));
        }
        self.connectivity.clear();
        self.connectivity.extend(network.iter().map(|value| *value as f32));
        self.computed.clear();
        if let Some(features) = &self.features {
            let computed = features.of(network).map_err(|error| failed(error.to_string()))?;
            self.computed.extend(computed.iter().map(|value| *value as f32));
        }
        self.model.predict(&self.connectivity, &self.computed, out)
    }
}
