//! How do regions interact? Time × regions become regions × regions, by the conventions of nilearn's `ConnectivityMeasure`.
//!
//! A region that never varies has no correlation with any other: it gets 0 there, and is counted in [`Connectome::flat`].

mod coherence;
mod correlation;
mod covariance;
mod precision;
mod sign;
mod tangent;
mod threshold;
mod vectorise;

use ndarray::{Array2, ArrayView2};

use super::NetworkError;

pub use coherence::{Band, coherence};
pub use correlation::{fisher_z, ranks};
pub use covariance::Shrinkage;
pub(in crate::network) use covariance::ledoit_wolf;
pub use sign::Sign;
pub use tangent::TangentSpace;
pub use threshold::Threshold;
pub use vectorise::{matrix, vector_length, vectorise};

/// What is measured between two regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Pearson's correlation.
    Pearson,
    /// Pearson's correlation of ranks.
    Spearman,
    /// Correlation given all other regions.
    Partial,
    /// Covariance, divided by the number of volumes.
    Covariance,
    /// The inverse of the covariance.
    Precision,
    /// Magnitude-squared coherence, averaged over a band.
    Coherence(Band),
}

/// A network made from one stretch of time, with what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Connectome {
    /// N × N, symmetric.
    pub matrix: Array2<f64>,
    /// N × N, shrunk as asked for: what a tangent space is made from.
    pub covariance: Array2<f64>,
    /// How many regions never varied.
    pub flat: usize,
    /// How much of the covariance is its mean diagonal, 0 to 1.
    pub shrinkage: f64,
}

/// The network of `series`, T volumes × N regions.
///
/// `sample` names it where something is wrong.
///
/// # Errors
/// Fewer than two volumes or two regions; a value that is not finite; for partial correlation and precision a covariance that has
/// no inverse.
pub fn connectome(
    series: ArrayView2<'_, f64>,
    kind: Kind,
    shrinkage: Shrinkage,
    sample: &str,
) -> Result<Connectome, NetworkError> {
    let wrong = |problem: String| NetworkError::Sample { sample: sample.to_owned(), problem };
    let (volumes, regions) = series.dim();
    if regions < 2 {
        return Err(wrong(format!("{regions} region (a network has at least two)")));
    }
    if volumes < 2 {
        return Err(wrong(format!("{volumes} volumes (at least two, and better more than there are regions)")));
    }
    if let Some(((t, region), value)) = series.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(wrong(format!(
            "{value} in volume {}, region {} (leave the volume or the region out, or fill it in)",
            t + 1,
            region + 1
        )));
    }
    let centred = covariance::Centred::new(series);
    let flat = centred.flat.iter().filter(|flat| **flat).count();
    let (covariance, amount) = centred.covariance(shrinkage);
    let singular = || {
        let why = match (shrinkage, flat) {
            (_, 1..) => format!("{flat} regions never vary"),
            _ => format!("{volumes} volumes of {regions} regions"),
        };
        wrong(format!("its covariance has no inverse, {why} (--shrinkage ledoit-wolf, or leave regions out)"))
    };
    let matrix = match kind {
        Kind::Pearson => centred.standardised().covariance_as_correlation(shrinkage),
        Kind::Spearman => {
            covariance::Centred::new(ranks(series).view()).standardised().covariance_as_correlation(shrinkage)
        }
        Kind::Covariance | Kind::Precision | Kind::Partial => of_covariance(&covariance, kind).ok_or_else(singular)?,
        Kind::Coherence(band) => coherence(series, &centred.flat, band).map_err(wrong)?,
    };
    Ok(Connectome { matrix, covariance, flat, shrinkage: amount })
}

/// The network that a covariance (of standardised regions for Pearson's correlation) decides alone; none where it has no inverse,
/// and of a kind that is made of more.
pub(in crate::network) fn of_covariance(covariance: &Array2<f64>, kind: Kind) -> Option<Array2<f64>> {
    match kind {
        Kind::Pearson => Some(correlation::as_correlation(covariance)),
        Kind::Covariance => Some(covariance.clone()),
        Kind::Precision => precision::inverse(covariance),
        Kind::Partial => precision::inverse(covariance).map(|inverse| precision::partial(&inverse)),
        Kind::Spearman | Kind::Coherence(_) => None,
    }
}
