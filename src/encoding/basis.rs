//! In which directions do the features of a fold vary? Xc = U S Qᵀ, found once for every λ and voxel.
//!
//! From the eigenvectors of XcᵀXc or, where there are fewer rows than features, of XcXcᵀ; both in double precision. With
//! Z = (XcQ)ᵀ Yc the weights for any λ are Q (S² + λ)⁻¹ Z, and what they predict for other rows X′ is
//! ȳ + (X′ − x̄)Q (S² + λ)⁻¹ Z. Feature spaces scaled by √γ (banded ridge) are scaled within Q as well, so that weights and
//! predictions are those of the features as they are.

use super::EncodingError;
use super::products::{Block, Products};
use crate::linalg::{self, Real};

/// The rows that teach a fold, decomposed.
pub(super) struct Basis<T> {
    fold: usize,
    /// The features' means over those rows, told from the products' shift.
    means: Vec<f64>,
    /// S², largest first.
    pub values: Vec<f64>,
    /// Q, F × rank.
    directions: Vec<T>,
    /// Only where rows are fewer than features.
    dual: Option<Dual<T>>,
}

struct Dual<T> {
    /// U S, rows × rank.
    scores: Vec<T>,
    /// U S⁻¹, rows × rank.
    left: Vec<f64>,
    gammas: Vec<f64>,
}

impl<T: Real> Basis<T> {
    /// Of one fold, its feature spaces scaled by √γ.
    ///
    /// # Errors
    /// Features that are not finite.
    pub fn of(products: &Products<'_, T>, fold: usize, gammas: &[f64]) -> Result<Self, EncodingError> {
        let means = products.means(fold);
        if products.is_dual() {
            let rows = products.taught.get(fold).copied().unwrap_or_default();
            let kernel = products.kernel_of(fold, rows, gammas);
            let (values, vectors) = decompose(&kernel, rows.len())?;
            let scaled = |by: fn(f64) -> f64| scale_columns(&vectors, &values, by);
            let (scores, left) = (narrow(&scaled(f64::sqrt)), scaled(|value| 1.0 / value.sqrt()));
            let dual = Some(Dual { scores, left, gammas: gammas.to_vec() });
            return Ok(Self { fold, means, values, directions: vec![], dual });
        }
        let scale = products.scale(gammas);
        let (values, mut directions) = decompose(&products.gram(fold, &means, &scale), scale.len())?;
        for (row, by) in directions.chunks_exact_mut(values.len().max(1)).zip(&scale) {
            row.iter_mut().for_each(|v| *v *= by);
        }
        Ok(Self { fold, means, values, directions: narrow(&directions), dual: None })
    }

    pub fn rank(&self) -> usize {
        self.values.len()
    }

    /// (X′ − x̄) Q for these rows: rows × rank.
    pub fn project(&self, products: &Products<'_, T>, rows: &[usize]) -> Vec<T> {
        let taught = products.taught.get(self.fold).map_or(0, |rows| rows.len());
        if let Some(dual) = &self.dual {
            let kernel = products.kernel_of(self.fold, rows, &dual.gammas);
            return narrow(&linalg::multiply(&kernel, &dual.left, rows.len(), taught, self.rank()));
        }
        let features = products.rows(rows, &self.means);
        let mut out = vec![T::default(); rows.len() * self.rank()];
        linalg::gemm(&mut out, &features, false, &self.directions, [rows.len(), products.x.ncols(), self.rank()]);
        out
    }

    /// Q, F × rank: what gives weights.
    pub fn directions(&self, products: &Products<'_, T>) -> Vec<T> {
        let Some(dual) = &self.dual else { return self.directions.clone() };
        let rows = products.taught.get(self.fold).copied().unwrap_or_default();
        let features: Vec<f64> = products.rows(rows, &self.means).iter().map(|v| v.wide()).collect();
        let mut out = vec![0.0; products.x.ncols() * self.rank()];
        linalg::gemm(&mut out, &features, true, &dual.left, [products.x.ncols(), rows.len(), self.rank()]);
        for (row, by) in out.chunks_exact_mut(self.rank().max(1)).zip(products.scale(&dual.gammas)) {
            row.iter_mut().for_each(|v| *v *= by * by);
        }
        narrow(&out)
    }

    /// Z, rank × voxels, and the responses' means, told from the block's shift.
    pub fn rotate(&self, products: &Products<'_, T>, block: &Block<'_, T>) -> (Vec<T>, Vec<f64>) {
        let means = products.response_means(self.fold, block);
        let mut out = vec![T::default(); self.rank() * block.voxels.len()];
        let (left, right, inner) = match &self.dual {
            Some(dual) => {
                let rows = products.taught.get(self.fold).copied().unwrap_or_default();
                (&dual.scores, block.rows(rows, &means), rows.len())
            }
            None => (&self.directions, products.cross(self.fold, block, &means), products.x.ncols()),
        };
        linalg::gemm(&mut out, left, true, &right, [self.rank(), inner, block.voxels.len()]);
        (out, means)
    }

    /// Intercepts of weights (F × voxels) whose responses have these means.
    pub fn intercepts(&self, products: &Products<'_, T>, weights: &[T], means: Vec<f64>) -> Vec<f64> {
        let mut intercepts = means;
        let voxels = intercepts.len().max(1);
        for (row, mean) in weights.chunks_exact(voxels).zip(products.absolute(&self.means)) {
            intercepts.iter_mut().zip(row).for_each(|(b, w)| *b -= mean * w.wide());
        }
        intercepts
    }
}

/// The eigenvalues that carry anything, largest first, and their eigenvectors as columns, of which the lower half is given.
fn decompose(matrix: &[f64], size: usize) -> Result<(Vec<f64>, Vec<f64>), EncodingError> {
    let eigen = linalg::eigen(matrix, size).map_err(|_| EncodingError::Unsolvable)?;
    let vectors = eigen.vectors();
    // What rounding leaves of nothing.
    let floor = eigen.values.last().copied().unwrap_or(0.0) * f64::EPSILON * size as f64;
    let kept: Vec<usize> = (0..size).rev().filter(|i| eigen.values.get(*i).is_some_and(|v| *v > floor)).collect();
    let values: Vec<f64> = kept.iter().filter_map(|i| eigen.values.get(*i).copied()).collect();
    let row = |row: &[f64]| kept.iter().map(|i| row.get(*i).copied().unwrap_or(0.0)).collect::<Vec<f64>>();
    Ok((values, vectors.chunks_exact(size.max(1)).flat_map(row).collect()))
}

fn scale_columns(matrix: &[f64], values: &[f64], by: fn(f64) -> f64) -> Vec<f64> {
    let scale: Vec<f64> = values.iter().map(|value| by(*value)).collect();
    matrix.chunks_exact(scale.len().max(1)).flat_map(|row| row.iter().zip(&scale).map(|(v, by)| v * by)).collect()
}

fn narrow<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|v| T::of(*v)).collect()
}
