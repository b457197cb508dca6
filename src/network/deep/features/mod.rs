//! What is known of a region before its neighbours speak? One file an option.
//!
//! An option that ONNX operations can give is a function over the algebra; one that they cannot is computed natively.

mod connection_profile;
mod degree;
mod degree_bin;
mod degree_profile;
mod eigenvector;
mod identity;

use serde::{Deserialize, Serialize};

use super::network::NativeFeatures;
use super::{Algebra, Failure};

pub use eigenvector::{EIGENVECTOR, Eigenvectors};

/// Node features (Cui et al. 2022, section III-A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeFeatures {
    /// One of N: which region it is.
    #[serde(rename = "identity")]
    Identity,
    /// The leading eigenvectors of the connectivity.
    #[serde(rename = "eigenvector")]
    Eigenvector,
    /// How much a region receives.
    #[serde(rename = "degree")]
    Degree,
    /// How many neighbours a region and its neighbours have.
    #[serde(rename = "degree profile")]
    DegreeProfile,
    /// The row of the connectivity.
    #[default]
    #[serde(rename = "connection profile")]
    ConnectionProfile,
    /// One of several bins of the degree.
    #[serde(rename = "degree bin")]
    DegreeBin,
}

impl NodeFeatures {
    /// All of them, as the paper's table has them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Eigenvector,
        Self::Degree,
        Self::DegreeProfile,
        Self::ConnectionProfile,
        Self::DegreeBin,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Eigenvector => "eigenvector",
            Self::Degree => "degree",
            Self::DegreeProfile => "degree profile",
            Self::ConnectionProfile => "connection profile",
            Self::DegreeBin => "degree bin",
        }
    }

    /// Whether they move smoothly with the edges: counts, bins and eigenvectors with a fixed sign do not.
    pub(super) fn smooth(self) -> bool {
        matches!(self, Self::Identity | Self::Degree | Self::ConnectionProfile)
    }

    /// Of a batch of networks, batch × N × F.
    pub(super) fn of<A: Algebra>(
        self,
        a: &A,
        connectivity: &A::Tensor,
        settings: &super::GraphNetwork,
    ) -> Result<A::Tensor, Failure> {
        match self {
            Self::Identity => identity::of(a, connectivity),
            Self::Degree => degree::of(a, connectivity, settings.as_released),
            Self::DegreeProfile => degree_profile::of(a, connectivity, settings.as_released),
            Self::DegreeBin => degree_bin::of(a, connectivity, settings.degree_bins),
            // Eigenvectors are native, and take the place of whatever stands here.
            Self::ConnectionProfile | Self::Eigenvector => connection_profile::of(a, connectivity),
        }
    }
}

/// Features that no graph gives, as the settings have them.
pub(super) fn native(settings: &super::GraphNetwork) -> Option<&dyn NativeFeatures> {
    (settings.features == NodeFeatures::Eigenvector).then_some(settings as &dyn NativeFeatures)
}
