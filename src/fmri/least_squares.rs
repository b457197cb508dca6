//! How do many regions fit the same regressors, volume by volume? Least squares into which each row is rotated.
//!
//! What is kept is the triangle `R` of a QR decomposition and `Qᵀy`. A new row is rotated into them, one column after the
//! other (Givens rotations: Gentleman 1973, *Least squares computations by Givens transformations without square roots*,
//! J. Inst. Maths Applics 12:329–336). What is left of it is the residual but for the product of the cosines, so nothing
//! is solved and no product of columns is formed: regressors may be almost alike (McWhirter 1983, *Recursive least-squares
//! minimization using a systolic array*, Proc. SPIE 431:105–112). The first columns alone make a model, too, whose residual
//! is met on the way; so a basis can grow while older rows stay.

/// A column of which the others leave less than this part says nothing of its own.
const DEPENDENT: f64 = 1e-9;

/// Least squares of many targets on the same regressors, by row. Nothing is allocated after [`new`](Self::new).
#[derive(Clone, Debug)]
pub(super) struct LeastSquares {
    columns: usize,
    targets: usize,
    /// What the triangle's diagonal begins with: the square root of each column's penalty.
    begin: Vec<f64>,
    /// `R`, columns × columns, row-major.
    triangle: Vec<f64>,
    /// `Qᵀy`, columns × targets, row-major.
    rotated: Vec<f64>,
    /// Per target, the squares of what all columns leave.
    left: Vec<f64>,
    /// The row on its way.
    x: Vec<f64>,
}

impl LeastSquares {
    /// No row yet; one penalty a column, 0 for none. The weights `β` are those that make `Σ (y − xᵀβ)² + Σ λ β²` least.
    pub fn new(penalties: &[f64], targets: usize) -> Self {
        let columns = penalties.len();
        let begin = penalties.iter().map(|penalty| penalty.sqrt()).collect();
        let (triangle, rotated) = (vec![0.0; columns * columns], vec![0.0; columns * targets]);
        let (left, x) = (vec![0.0; targets], vec![0.0; columns]);
        let mut made = Self { columns, targets, begin, triangle, rotated, left, x };
        made.reset();
        made
    }

    /// Forgets every row.
    pub fn reset(&mut self) {
        self.triangle.fill(0.0);
        self.rotated.fill(0.0);
        self.left.fill(0.0);
        for (row, begin) in self.triangle.chunks_exact_mut(self.columns.max(1)).zip(0..) {
            if let (Some(diagonal), Some(root)) = (row.get_mut(begin), self.begin.get(begin)) {
                *diagonal = *root;
            }
        }
    }

    /// As if `target`, which was 0 in every row so far, had been `value` in all of them. `constant` is the column of ones, which
    /// has no penalty.
    pub fn begin_at(&mut self, target: usize, constant: usize, value: f64) {
        for k in 0..=constant.min(self.columns.saturating_sub(1)) {
            let place = k * self.targets + target;
            if let Some(rotated) = self.rotated.get_mut(place) {
                *rotated = value * self.triangle[k * self.columns + constant];
            }
        }
    }

    /// Writes what the first `used` regressors of a row lead to expect of each target. A direction in which no row has been
    /// yet counts for nothing.
    pub fn expect(&mut self, regressors: &[f64], used: usize, out: &mut [f64]) {
        // xᵀβ = xᵀR⁻¹(Qᵀy): Rᵀg = x, from the first column on.
        let used = used.min(self.columns);
        out.fill(0.0);
        for (i, regressor) in regressors.iter().enumerate().take(used) {
            let known: f64 = (0..i).map(|k| self.triangle[k * self.columns + i] * self.x[k]).sum();
            let diagonal = self.triangle[i * self.columns + i];
            self.x[i] = if diagonal == 0.0 { 0.0 } else { (regressor - known) / diagonal };
            let rotated = &self.rotated[i * self.targets..(i + 1) * self.targets];
            for (out, rotated) in out.iter_mut().zip(rotated) {
                *out += self.x[i] * rotated;
            }
        }
    }

    /// Takes in a row. `row` is one value a target, and becomes its residual against the fit of the first `used` columns to
    /// all rows so far, this one included. `spare` is room for as many values.
    pub fn observe(&mut self, regressors: &[f64], used: usize, row: &mut [f64], spare: &mut [f64]) {
        if regressors.len() != self.columns || row.len() != self.targets || spare.len() != self.targets {
            return;
        }
        self.x.copy_from_slice(regressors);
        let mut cosines = 1.0;
        for k in 0..self.columns {
            if k == used {
                spare.iter_mut().zip(&*row).for_each(|(spare, y)| *spare = cosines * y);
            }
            let (diagonal, entry) = (self.triangle[k * self.columns + k], self.x[k]);
            if entry == 0.0 {
                continue;
            }
            let length = diagonal.hypot(entry);
            let (cosine, sine) = (diagonal / length, entry / length);
            cosines *= cosine;
            self.triangle[k * self.columns + k] = length;
            for j in k + 1..self.columns {
                turn(&mut self.triangle[k * self.columns + j], &mut self.x[j], cosine, sine);
            }
            let rotated = &mut self.rotated[k * self.targets..(k + 1) * self.targets];
            for (rotated, y) in rotated.iter_mut().zip(&mut *row) {
                turn(rotated, y, cosine, sine);
            }
        }
        self.left.iter_mut().zip(&*row).for_each(|(left, y)| *left += y * y);
        if used < self.columns {
            row.copy_from_slice(spare);
        } else {
            row.iter_mut().for_each(|y| *y *= cosines);
        }
    }

    /// Writes `cᵀβ` of each target, `β` the weights of the first `used` columns. What its variance is, in units of that of a
    /// residual: `cᵀA⁻¹XᵀXA⁻¹c` with `A = XᵀX + Λ`; and the rank of these columns. `None` where the rows so far do not tell.
    pub fn contrast(&mut self, weights: &[f64], used: usize, out: &mut [f64]) -> Option<(f64, usize)> {
        let (columns, used) = (self.columns, used.min(self.columns).min(weights.len()));
        out.fill(0.0);
        let (mut variance, mut rank) = (0.0, 0);
        // Rᵀg = c, then Rh = g: h = A⁻¹c.
        for (i, weight) in weights.iter().enumerate().take(used) {
            let column = |k: usize| self.triangle[k * columns + i];
            let left = weight - (0..i).map(|k| column(k) * self.x[k]).sum::<f64>();
            let length = (0..=i).map(|k| column(k).powi(2)).sum::<f64>().sqrt();
            // A penalty alone shows nothing.
            let shown = length * length - self.begin[i].powi(2) > DEPENDENT * length * length;
            let told = shown && column(i).abs() > DEPENDENT * length;
            if !told && (left.abs() > DEPENDENT || (!shown && *weight != 0.0)) {
                return None;
            }
            let g = if told { left / column(i) } else { 0.0 };
            rank += usize::from(told);
            variance += g * g;
            self.x[i] = g;
            let rotated = &self.rotated[i * self.targets..(i + 1) * self.targets];
            out.iter_mut().zip(rotated).for_each(|(out, rotated)| *out += g * rotated);
        }
        if self.begin.iter().any(|root| *root > 0.0) {
            self.back_substitute(used);
            let penalised = self.x.iter().zip(&self.begin).take(used);
            variance -= penalised.map(|(h, root)| (root * h).powi(2)).sum::<f64>();
        }
        Some((variance, rank))
    }

    /// Writes `‖y − Xβ‖²` of each target over all rows, `β` the weights of the first `used` columns.
    pub fn residual_squares(&mut self, used: usize, out: &mut [f64]) {
        let used = used.min(self.columns);
        let penalised = self.begin.iter().take(used).any(|root| *root > 0.0);
        for (target, out) in out.iter_mut().enumerate().take(self.targets) {
            let rotated = |k: usize| self.rotated[k * self.targets + target];
            *out = self.left[target] + (used..self.columns).map(|k| rotated(k).powi(2)).sum::<f64>();
            if penalised {
                (0..used).for_each(|k| self.x[k] = self.rotated[k * self.targets + target]);
                self.back_substitute(used);
                let weights = self.x.iter().zip(&self.begin).take(used);
                *out -= weights.map(|(weight, root)| (root * weight).powi(2)).sum::<f64>();
            }
        }
    }

    /// Makes `x` the solution of `R` times it, of the first `used` columns.
    fn back_substitute(&mut self, used: usize) {
        for i in (0..used).rev() {
            let row = &self.triangle[i * self.columns..(i + 1) * self.columns];
            let known: f64 = (i + 1..used).map(|k| row[k] * self.x[k]).sum();
            self.x[i] = if row[i] == 0.0 { 0.0 } else { (self.x[i] - known) / row[i] };
        }
    }
}

#[inline(always)]
fn turn(a: &mut f64, b: &mut f64, cosine: f64, sine: f64) {
    (*a, *b) = (cosine * *a + sine * *b, cosine * *b - sine * *a);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(t: usize) -> ([f64; 3], [f64; 2]) {
        let s = t as f64 / 10.0;
        let noise = ((t * 7919 + 13) % 101) as f64 / 101.0 - 0.5;
        ([1.0, (1.3 * s).sin(), s], [100.0 + 3.0 * s + noise, 5.0 * (1.3 * s).sin() - s + 2.0 * noise])
    }

    /// The residual of the last of `n` rows, by the normal equations of the first `used` columns.
    fn direct(n: usize, used: usize, penalty: f64) -> [f64; 2] {
        let mut gram = ndarray::Array2::<f64>::zeros((used, used));
        let mut product = ndarray::Array2::<f64>::zeros((used, 2));
        for (x, y) in (0..n).map(row) {
            for i in 0..used {
                (0..used).for_each(|j| gram[(i, j)] += x[i] * x[j]);
                (0..2).for_each(|j| product[(i, j)] += x[i] * y[j]);
            }
        }
        (1..used).for_each(|i| gram[(i, i)] += penalty);
        // Gauss–Jordan: three columns at most.
        for i in 0..used {
            let pivot = gram[(i, i)];
            gram.row_mut(i).mapv_inplace(|v| v / pivot);
            product.row_mut(i).mapv_inplace(|v| v / pivot);
            for k in (0..used).filter(|k| *k != i) {
                let factor = gram[(k, i)];
                for j in 0..used {
                    gram[(k, j)] -= factor * gram[(i, j)];
                }
                for j in 0..2 {
                    product[(k, j)] -= factor * product[(i, j)];
                }
            }
        }
        let (x, y) = row(n - 1);
        [0, 1].map(|j| y[j] - (0..used).map(|i| x[i] * product[(i, j)]).sum::<f64>())
    }

    #[test]
    fn each_rows_residual_is_that_of_the_whole_fit_with_few_columns_as_with_all() {
        for (used, penalty) in [(1, 0.5), (2, 0.5), (3, 0.5), (3, 0.0), (2, 0.0)] {
            let mut fit = LeastSquares::new(&[0.0, penalty, penalty], 2);
            for n in 1..60 {
                let (x, mut y) = row(n - 1);
                fit.observe(&x, used, &mut y, &mut [0.0; 2]);
                if n > used {
                    let expected = direct(n, used, penalty);
                    let near = y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
                    assert!(near, "{used} columns, {n} rows: {y:?} against {expected:?}");
                } else if penalty == 0.0 {
                    assert!(y.iter().all(|v| v.abs() < 1e-9), "as many rows as columns leave nothing: {y:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_expected_is_what_would_leave_nothing() {
        let mut fit = LeastSquares::new(&[0.0; 3], 2);
        let mut out = [7.0; 2];
        fit.expect(&[1.0, 2.0, 3.0], 3, &mut out);
        assert_eq!(out, [0.0; 2], "nothing is known yet");
        for (x, mut y) in (0..20).map(row) {
            fit.observe(&x, 3, &mut y, &mut [0.0; 2]);
        }
        let (x, y) = row(20);
        fit.expect(&x, 3, &mut out);
        let before = fit.clone();
        let mut expected = out;
        fit.observe(&x, 3, &mut expected, &mut [0.0; 2]);
        assert!(expected.iter().all(|v| v.abs() < 1e-9), "{expected:?}");
        assert!(out.iter().zip(y).all(|(a, b)| (a - b).abs() < 2.0), "{out:?} against {y:?}");
        fit = before;
        fit.reset();
        let mut first = y;
        fit.observe(&x, 3, &mut first, &mut [0.0; 2]);
        assert_eq!(first, [0.0; 2]);
    }
}
