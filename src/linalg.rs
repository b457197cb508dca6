//! Who solves the equations? faer, wrapped here and nowhere else: row-major slices in, row-major vectors out.
//!
//! Everything runs on the caller's thread (`Par::Seq`), so the same input gives the same bits however many cores there
//! are; who has more to do than one core gives each thread columns of its own.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::{Accum, Mat, MatRef, Par, Side};

/// What can be multiplied: `f32` where speed counts, `f64` where digits do.
pub trait Real: faer::traits::RealField + Copy + Default + Send + Sync {
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// Exactly.
    fn wide(self) -> f64;
    /// What is too small beside 1 to matter where only a λ is chosen by it: a score of this type is not surer than that,
    /// once it is summed from a thousand products for each of a thousand samples.
    const TOLERANCE: f64;
    /// The difference between 1 and the next number.
    const EPSILON: f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    const TOLERANCE: f64 = 1e-5;
    const EPSILON: f64 = f32::EPSILON as f64;
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    const TOLERANCE: f64 = 1e-14;
    const EPSILON: f64 = f64::EPSILON;
}

/// `out = a b`, or `aᵀ b` where `a` is given with its rows as columns; all row-major. `out` is rows×columns, and `inner`
/// is what is summed over: `a` is rows×inner, or inner×rows when `transposed`.
pub(crate) fn gemm<T: Real>(out: &mut [T], a: &[T], transposed: bool, b: &[T], dims: [usize; 3]) {
    product_into(out, Accum::Replace, a, transposed, b, dims);
}

/// `out += aᵀ b`, as [`gemm`] otherwise.
pub(crate) fn add_gram<T: Real>(out: &mut [T], a: &[T], b: &[T], dims: [usize; 3]) {
    product_into(out, Accum::Add, a, true, b, dims);
}

fn product_into<T: Real>(
    out: &mut [T],
    accumulate: Accum,
    a: &[T],
    transposed: bool,
    b: &[T],
    [rows, inner, columns]: [usize; 3],
) {
    let a = match transposed {
        true => MatRef::from_row_major_slice(a, inner, rows).transpose(),
        false => MatRef::from_row_major_slice(a, rows, inner),
    };
    let b = MatRef::from_row_major_slice(b, inner, columns);
    let out = faer::MatMut::from_row_major_slice_mut(out, rows, columns);
    matmul(out, accumulate, a, b, T::of(1.0), Par::Seq);
}

/// Σ over rows of (wanted − Σ_k mix_k part_k)², for every mixture and column: mixtures × columns.
///
/// `wanted` is rows × columns, each of `parts` as well, both row-major; a mixture has a share of each part. Mixtures are taken while
/// a tile of the parts is at hand, in the nearest cache.
pub(crate) fn squared_errors<T: Real>(wanted: &[T], parts: &[Vec<T>], mixes: &[Vec<T>], columns: usize) -> Vec<f64> {
    /// Rows summed up in `T` before they are added in `f64`.
    const ROWS: usize = 16;
    const WIDE: usize = 32;
    type Tile<T> = [[T; WIDE]; ROWS];
    /// Copies what there is of a tile; the rest stays zero.
    fn take<T: Real>(into: &mut Tile<T>, from: &[T], row: usize, column: usize, columns: usize) {
        let wide = WIDE.min(columns - column);
        for (into, from) in into.iter_mut().zip(from.chunks_exact(columns).skip(row)) {
            into.iter_mut().zip(from.iter().skip(column).take(wide)).for_each(|(into, from)| *into = *from);
        }
    }
    let mut errors = vec![0.0; mixes.len() * columns];
    let blank = [[T::default(); WIDE]; ROWS];
    let mut tiles = vec![blank; parts.len()];
    let rows = wanted.len() / columns.max(1);
    pulp::Arch::new().dispatch(|| {
        for column in (0..columns).step_by(WIDE) {
            for row in (0..rows).step_by(ROWS) {
                let mut truth = blank;
                take(&mut truth, wanted, row, column, columns);
                for (tile, part) in tiles.iter_mut().zip(parts) {
                    if row + ROWS > rows || column + WIDE > columns {
                        *tile = blank;
                    }
                    take(tile, part, row, column, columns);
                }
                for (mix, errors) in mixes.iter().zip(errors.chunks_exact_mut(columns)) {
                    let mut sums = [T::default(); WIDE];
                    for (i, truth) in truth.iter().enumerate() {
                        let mut rest = *truth;
                        for (tile, share) in tiles.iter().zip(mix) {
                            rest.iter_mut().zip(&tile[i]).for_each(|(rest, p)| *rest -= *share * *p);
                        }
                        sums.iter_mut().zip(&rest).for_each(|(sum, e)| *sum += *e * *e);
                    }
                    errors.iter_mut().skip(column).zip(&sums).for_each(|(error, sum)| *error += sum.wide());
                }
            }
        }
    });
    errors
}

/// Why a system of equations has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsolvable;

/// `A = Q diag(values) Qᵀ` of a symmetric F×F matrix, values ascending.
pub(crate) struct Eigen {
    /// The eigenvalues, ascending; those that rounding made negative are 0.
    pub values: Vec<f64>,
    vectors: Mat<f64>,
}

/// The eigendecomposition of the row-major symmetric `a` (F×F), of which the lower half is read, and which must be positive
/// semidefinite but for rounding.
pub(crate) fn eigen(a: &[f64], features: usize) -> Result<Eigen, Unsolvable> {
    let decomposition =
        MatRef::from_row_major_slice(a, features, features).self_adjoint_eigen(Side::Lower).map_err(|_| Unsolvable)?;
    let values = decomposition.S().column_vector().iter().map(|v| v.max(0.0)).collect();
    Ok(Eigen { values, vectors: decomposition.U().to_owned() })
}

impl Eigen {
    /// `Qᵀ m` for a row-major F×`columns` matrix.
    pub fn rotate(&self, m: &[f64], columns: usize) -> Vec<f64> {
        product(self.vectors.transpose(), MatRef::from_row_major_slice(m, self.values.len(), columns))
    }

    /// `Qᵀ m Q` for a row-major symmetric F×F matrix.
    pub fn rotate_both(&self, m: &[f64]) -> Vec<f64> {
        let features = self.values.len();
        let half = self.rotate(m, features);
        product(MatRef::from_row_major_slice(&half, features, features), self.vectors.as_ref())
    }

    /// `Q`, row-major F×F: one eigenvector a column.
    pub fn vectors(&self) -> Vec<f64> {
        row_major(self.vectors.as_ref())
    }

    /// `Q diag(scale) Qᵀ`, row-major.
    fn compose(&self, scale: impl Fn(f64) -> f64) -> Vec<f64> {
        let features = self.values.len();
        let scaled = Mat::from_fn(features, features, |i, j| self.vectors[(i, j)] * scale(self.values[j]));
        product(scaled.as_ref(), self.vectors.transpose())
    }
}

/// `Q diag(f(values)) Qᵀ` of the row-major symmetric `a`, n×n, of which the lower half is read; values may be negative.
pub(crate) fn symmetric(a: &[f64], n: usize, f: impl Fn(f64) -> f64) -> Result<Vec<f64>, Unsolvable> {
    let decomposition =
        MatRef::from_row_major_slice(a, n, n).self_adjoint_eigen(Side::Lower).map_err(|_| Unsolvable)?;
    let values: Vec<f64> = decomposition.S().column_vector().iter().map(|value| f(*value)).collect();
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Unsolvable);
    }
    let vectors = decomposition.U();
    let scaled = Mat::from_fn(n, n, |i, j| vectors[(i, j)] * values[j]);
    let mut mapped = product(scaled.as_ref(), vectors.transpose());
    mirror(&mut mapped, n);
    Ok(mapped)
}

/// Makes what is symmetric but for rounding the same both ways round, from below the diagonal.
fn mirror(a: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            a[j * n + i] = a[i * n + j];
        }
    }
}

/// The inverse of the row-major symmetric positive definite `a`, n×n.
pub(crate) fn inverse(a: &[f64], n: usize) -> Result<Vec<f64>, Unsolvable> {
    let factor = Llt::new(MatRef::from_row_major_slice(a, n, n), Side::Lower).map_err(|_| Unsolvable)?;
    let mut inverse = row_major(factor.inverse().as_ref());
    mirror(&mut inverse, n);
    if inverse.iter().all(|value| value.is_finite()) { Ok(inverse) } else { Err(Unsolvable) }
}

/// `aᵀ` of a row-major rows × columns matrix.
pub(crate) fn transpose(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    row_major(MatRef::from_row_major_slice(a, rows, columns).transpose())
}

/// `a b`, both row-major: `rows`×`inner` by `inner`×`columns`.
pub(crate) fn multiply(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
    product(MatRef::from_row_major_slice(a, rows, inner), MatRef::from_row_major_slice(b, inner, columns))
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Vec<f64> {
    let mut out = vec![0.0; a.nrows() * b.ncols()];
    let to = faer::MatMut::from_row_major_slice_mut(&mut out, a.nrows(), b.ncols());
    matmul(to, Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// `(G + λI)⁻¹` and `(G + λI)⁻¹ C` for row-major symmetric `g` (F×F) and `c` (F×V), λ > 0.
///
/// By Cholesky factorisation; where rounding has made `G` indefinite beyond λ, by eigenvalues, the negative ones taken
/// as 0.
pub(crate) fn ridge(
    g: &[f64],
    c: &[f64],
    lambda: f64,
    features: usize,
    targets: usize,
) -> Result<(Vec<f64>, Vec<f64>), Unsolvable> {
    let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
    if !finite(g) || !finite(c) {
        return Err(Unsolvable);
    }
    let shifted = Mat::from_fn(features, features, |i, j| g[i * features + j] + if i == j { lambda } else { 0.0 });
    let (p, w) = match Llt::new(shifted.as_ref(), Side::Lower) {
        Ok(factor) => {
            let inverse = factor.inverse();
            let weights = factor.solve(MatRef::from_row_major_slice(c, features, targets));
            (row_major(inverse.as_ref()), row_major(weights.as_ref()))
        }
        Err(_) => {
            let p = eigen(g, features)?.compose(|value| 1.0 / (value + lambda));
            let w = multiply(&p, c, features, features, targets);
            (p, w)
        }
    };
    if finite(&p) && finite(&w) { Ok((p, w)) } else { Err(Unsolvable) }
}

fn row_major(m: MatRef<'_, f64>) -> Vec<f64> {
    let (rows, columns) = (m.nrows(), m.ncols());
    let mut out = vec![0.0; rows * columns];
    faer::MatMut::from_row_major_slice_mut(&mut out, rows, columns).copy_from(m);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_solves_and_an_indefinite_matrix_still_has_one() {
        let g = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let c = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let (p, w) = ridge(&g, &c, 0.5, 3, 2).unwrap();
        let a: Vec<f64> = g.iter().enumerate().map(|(i, v)| v + if i % 4 == 0 { 0.5 } else { 0.0 }).collect();
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&multiply(&a, &w, 3, 3, 2), &c));
        assert!(close(&multiply(&a, &p, 3, 3, 3), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));

        let e = eigen(&g, 3).unwrap();
        assert!(close(&e.compose(|v| v), &g) && e.values.is_sorted());
        assert!(close(&multiply(&e.rotate(&g, 3), &p, 3, 3, 3), &e.rotate(&multiply(&g, &p, 3, 3, 3), 3)));

        let (p, w) = ridge(&[1e20, 1e20, 1e20, 1e20 - 1e5], &[1.0, 1.0], 1e-3, 2, 1).unwrap();
        assert!(p.iter().chain(&w).all(|v| v.is_finite()));
        assert_eq!(ridge(&[f64::NAN], &[1.0], 1.0, 1, 1), Err(Unsolvable));
    }
}
