//! What does a model of brain networks take? One connectome, made as those that it has learned from were made.
//!
//! Such a model's file has an input `[batch, N, N]` of connectivity, float32, and gives `logits` and calibrated `probabilities`
//! `[batch, classes]`, or of a number its `value` `[batch, 1]`. The manifest's `output` is the one of the last two that it has.

use serde::{Deserialize, Serialize};

use crate::frame::TANGENT;

/// What a model of brain networks takes and gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkInput {
    /// The input of connectivity, `[batch, N, N]`; row `i` is what region `i` receives.
    pub input: String,
    /// How connectivity is made: `pearson`, `spearman`, `partial`, `covariance`, `precision`, `tangent`, `streamlines`, ….
    pub connectivity: String,
    /// How the covariance under it is shrunk: `ledoit-wolf`, or `none`.
    #[serde(default = "none")]
    pub shrinkage: String,
    /// Of connectivity that is `tangent`, the output that gives the reference it is measured from, float64 `[N, N]`.
    pub reference: Option<String>,
    /// Whether each value is its inverse hyperbolic tangent (Fisher's z).
    #[serde(default)]
    pub fisher_z: bool,
    /// Which edges are kept, as `neurod network build` was told; all of them where it is absent.
    pub threshold: Option<String>,
    /// What becomes of negative edges, as `neurod network build` was told; they stay where it is absent.
    pub sign: Option<String>,
    /// A second input of node features, `[batch, N, F]`, which the model does not compute itself.
    pub features: Option<FeaturesInput>,
    /// The classes, in the outputs' order; of two, the second is the positive one. Empty for a model of a number.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What the logits were divided by, so that probabilities are as sure as they are right.
    #[serde(default = "one")]
    pub temperature: f64,
    /// How long the recordings were that the networks are of, in seconds, where that is known.
    pub window: Option<f64>,
    /// The regions' names, N, in the order of rows and columns.
    pub regions: Vec<String>,
}

/// How the edges were made of networks that a model is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeRecipe<'a> {
    /// As in [`NetworkInput`].
    pub connectivity: &'a str,
    /// As in [`NetworkInput`].
    pub shrinkage: &'a str,
    /// As in [`NetworkInput`].
    pub fisher_z: bool,
    /// As in [`NetworkInput`].
    pub threshold: Option<&'a str>,
    /// As in [`NetworkInput`].
    pub sign: Option<&'a str>,
}

/// Node features that are computed outside of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesInput {
    /// The input's name.
    pub input: String,
    /// What they are: `eigenvector`.
    pub kind: String,
    /// How many there are of each region.
    pub dims: usize,
}

fn none() -> String {
    "none".into()
}

fn one() -> f64 {
    1.0
}

impl NetworkInput {
    pub(super) fn problem(&self) -> Option<&'static str> {
        let named = |names: &[String]| {
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            sorted.windows(2).all(|pair| pair.first() != pair.last())
        };
        Some(match () {
            () if self.regions.len() < 2 => "network.regions must name at least two regions",
            () if !named(&self.regions) => "network.regions names a region twice",
            () if self.classes.len() == 1 || !named(&self.classes) => {
                "network.classes must name at least two classes, each once, or none for a number"
            }
            () if !(self.temperature.is_finite() && self.temperature > 0.0) => "network.temperature must be positive",
            () if self.window.is_some_and(|w| !(w.is_finite() && w > 0.0)) => "network.window must be positive seconds",
            () if (self.connectivity == TANGENT) != self.reference.is_some() => {
                "network.reference must name an output where network.connectivity is \"tangent\", and only there"
            }
            () if self.features.as_ref().is_some_and(|f| f.dims == 0) => "network.features.dims must be at least 1",
            () => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, ModelFiles};
    use std::path::Path;

    fn parse(network: &str) -> Result<Manifest, String> {
        let hash = "0".repeat(64);
        let text = format!(
            "name = \"heat\"\nlicence = \"MIT\"\nsource = \"ours\"\nkind = \"network\"\noutput = \"probabilities\"\ndims = 2\n\
             sha256 = {{ model = \"{hash}\" }}\n[network]\ninput = \"connectivity\"\nconnectivity = \"pearson\"\n{network}"
        );
        Manifest::parse(&text, "manifest.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_a_plain_correlation_has_it() {
        let network = parse("regions = [\"a\", \"b\"]\nclasses = [\"heat\", \"rating\"]").unwrap().network.unwrap();
        assert_eq!((network.shrinkage.as_str(), network.fisher_z, network.temperature), ("none", false, 1.0));
        assert_eq!((network.threshold, network.sign, network.window), (None, None, None));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (network, said) in [
            ("regions = [\"a\"]", "network.regions must name at least two regions"),
            ("regions = [\"a\", \"a\"]", "network.regions names a region twice"),
            ("regions = [\"a\", \"b\"]\nclasses = [\"x\"]", "network.classes must name at least two classes"),
            ("regions = [\"a\", \"b\"]\ntemperature = 0.0", "network.temperature must be positive"),
            ("regions = [\"a\", \"b\"]\nwindow = -1.0", "network.window must be positive seconds"),
            ("regions = [\"a\", \"b\"]\nreference = \"reference\"", "network.reference must name an output where"),
        ] {
            let error = parse(network).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_manifest_lies_beside_its_model() {
        let of = |file: &str| ModelFiles::manifest_of(Path::new(file)).display().to_string();
        assert_eq!(of("heat/model.onnx"), "heat/manifest.toml");
        assert_eq!(of("heat.onnx"), "heat.toml");
    }
}
