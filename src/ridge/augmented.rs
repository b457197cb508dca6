//! How is a matrix kept that gains a rank-one term with every sample? As a block that is read often and written rarely.
//!
//! Both halves of the ridge have one shape: a symmetric F×F matrix `S` beside an F×V matrix `R`, and every sample adds
//! `a bᵀ` to the augmented matrix `[S | R]`. For the recursion that is `[P | W] += k [−p | e]ᵀ`, for the moments
//! `[G | C] += g d [d | y − ȳ]ᵀ`. Adding each term at once would read and write the whole matrix for every sample, which
//! is what memory is too slow for. Here the last [`PENDING`] terms wait beside the matrix; each sample writes one
//! *stripe* (an eighth of the rows), with all terms that wait for it, so every sample costs the same. A product with the
//! matrix adds what still waits, so the answer never lags behind.
//!
//! **Invariants.** A waiting term is zero in the rows that have been written. Of `S` only the part on and above the
//! diagonal stripe is kept, so it is symmetric by construction and no rounding can make it otherwise.

use super::kernels::Kernels;
use super::state::{Reader, StateError, Writer};

/// How many rank-one terms wait at most, and how many stripes there are.
const PENDING: usize = 8;

/// Rows `start..end`, kept from column `start` on: `F − start` columns of `S`, then the `V` of `R`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stripe {
    start: usize,
    end: usize,
    offset: usize,
    width: usize,
}

/// The matrix `[S | R]`: F×F symmetric beside F×V, plus the rank-one terms that wait.
#[derive(Clone, Debug)]
pub(super) struct Augmented {
    features: usize,
    targets: usize,
    stripes: [Stripe; PENDING],
    data: Box<[f64]>,
    left: Box<[f64]>,
    right: Box<[f64]>,
    next: usize,
    kernels: Kernels,
}

impl Augmented {
    /// Zero.
    pub fn zero(features: usize, targets: usize) -> Self {
        let rows = features.div_ceil(PENDING);
        let mut stripes = [Stripe::default(); PENDING];
        let mut offset = 0;
        for (s, stripe) in stripes.iter_mut().enumerate() {
            let start = (s * rows).min(features);
            let end = (start + rows).min(features);
            *stripe = Stripe { start, end, offset, width: features - start + targets };
            offset += (end - start) * stripe.width;
        }
        Self {
            features,
            targets,
            stripes,
            data: vec![0.0; offset].into(),
            left: vec![0.0; PENDING * features].into(),
            right: vec![0.0; PENDING * (features + targets)].into(),
            next: 0,
            kernels: Kernels::default(),
        }
    }

    /// `S` (row-major F×F, of which the upper half counts) beside `R` (row-major F×V).
    pub fn from_dense(features: usize, targets: usize, s: &[f64], r: &[f64]) -> Self {
        let mut out = Self::zero(features, targets);
        out.put_left(s);
        out.put_right(0, targets, r);
        out
    }

    /// Sets `S`, of which the upper half of a row-major F×F matrix counts. What is never set takes no memory of its own.
    pub fn put_left(&mut self, s: &[f64]) {
        let features = self.features;
        self.each_line(|f, start, to_s, _| to_s.copy_from_slice(&s[f * features + start..(f + 1) * features]));
    }

    /// Sets the columns of `R` from `first` on to the `width` of `r`, row-major.
    pub fn put_right(&mut self, first: usize, width: usize, r: &[f64]) {
        self.each_line(|f, _, _, to_r| to_r[first..first + width].copy_from_slice(&r[f * width..(f + 1) * width]));
    }

    /// What it would be, had it ever had only these columns of `R`.
    pub fn pick(&self, columns: &[usize]) -> Self {
        let (f, targets) = (self.features, columns.len());
        let mut out = Self { next: self.next, ..Self::zero(f, targets) };
        let pick = |from: &[f64], to: &mut [f64]| {
            let (from_s, from_r) = from.split_at(from.len() - self.targets);
            let (to_s, to_r) = to.split_at_mut(from_s.len());
            to_s.copy_from_slice(from_s);
            to_r.iter_mut().zip(columns).for_each(|(to, column)| *to = from_r[*column]);
        };
        for (from, to) in self.stripes.into_iter().zip(out.stripes) {
            for row in 0..from.end - from.start {
                let line = &self.data[from.offset + row * from.width..][..from.width];
                pick(line, &mut out.data[to.offset + row * to.width..][..to.width]);
            }
        }
        out.left.copy_from_slice(&self.left);
        for i in 0..PENDING {
            pick(
                &self.right[i * (f + self.targets)..][..f + self.targets],
                &mut out.right[i * (f + targets)..][..f + targets],
            );
        }
        out
    }

    /// Calls `each` with the number of every row, the column from which its part of `S` is kept, that part, and its `R`.
    fn each_line(&mut self, mut each: impl FnMut(usize, usize, &mut [f64], &mut [f64])) {
        for stripe in self.stripes {
            for f in stripe.start..stripe.end {
                let line = &mut self.data[stripe.offset + (f - stripe.start) * stripe.width..][..stripe.width];
                let (s, r) = line.split_at_mut(self.features - stripe.start);
                each(f, stripe.start, s, r);
            }
        }
    }

    /// Adds `left rightᵀ`; `left` has F values, `right` F + V.
    pub fn add(&mut self, left: &[f64], right: &[f64]) {
        let (f, w) = (self.features, self.features + self.targets);
        self.left[self.next * f..][..f].copy_from_slice(left);
        self.right[self.next * w..][..w].copy_from_slice(right);
        self.write(self.next);
        self.next = (self.next + 1) % PENDING;
    }

    /// Adds what waits for stripe `index` to `data`, which is this matrix's or that of another of its shape.
    fn write_to(&self, index: usize, data: &mut [f64]) {
        let Stripe { start, end, offset, width } = self.stripes[index];
        let (f, w) = (self.features, self.features + self.targets);
        let left: [&[f64]; PENDING] = std::array::from_fn(|i| &self.left[i * f + start..i * f + end]);
        let right: [&[f64]; PENDING] = std::array::from_fn(|i| &self.right[i * w + start..(i + 1) * w]);
        self.kernels.update(&mut data[offset..offset + (end - start) * width], width, left, right);
    }

    /// Writes what waits for stripe `index`.
    fn write(&mut self, index: usize) {
        let mut data = std::mem::take(&mut self.data);
        self.write_to(index, &mut data);
        self.data = data;
        let (Stripe { start, end, .. }, f) = (self.stripes[index], self.features);
        for i in 0..PENDING {
            self.left[i * f + start..i * f + end].fill(0.0);
        }
    }

    /// Writes everything that waits.
    pub fn settle(&mut self) {
        for stripe in 0..PENDING {
            self.write(stripe);
        }
    }

    /// `out = [S | R]ᵀ d`: `S d` (F values), then `Rᵀ d` (V values). One pass over the matrix.
    pub fn multiply(&self, d: &[f64], out: &mut [f64]) {
        let (f, w) = (self.features, self.features + self.targets);
        out.fill(0.0);
        let (out_s, out_r) = out.split_at_mut(f);
        let right = |i: usize| &self.right[i * w..(i + 1) * w];
        let mut across = [0.0; 64];
        // What waits, seen from the columns: Σ over the rows at or above them, for each waiting term.
        let mut above = [0.0; PENDING];
        for Stripe { start, end, offset, width } in self.stripes {
            if start == end {
                continue;
            }
            let (rows, block) = (&d[start..end], &self.data[offset..offset + (end - start) * width]);
            let own = end - start;
            let (done, below) = out_s.split_at_mut(end);
            let diagonal = &mut done[start..];
            self.kernels.transpose_multiply(block, width, rows, diagonal);
            for (part, rows) in rows.chunks(across.len()).enumerate() {
                let first = part * across.len();
                let sums = &mut across[..rows.len()];
                sums.fill(0.0);
                self.kernels.multiply_both(&block[first * width + own..], width, rows, &d[end..], below, sums);
                for (out, sum) in diagonal[first..].iter_mut().zip(sums) {
                    *out += *sum;
                }
            }
            self.kernels.transpose_multiply(&block[f - start..], width, rows, out_r);
            for (i, above) in above.iter_mut().enumerate() {
                *above += self.kernels.dot(rows, &self.left[i * f + start..i * f + end]);
            }
            self.kernels.combine(std::array::from_fn::<_, PENDING, _>(|i| &right(i)[start..end]), above, diagonal);
        }
        self.kernels.combine(std::array::from_fn::<_, PENDING, _>(|i| &right(i)[f..]), above, out_r);
        // The same from the rows: each row's mirror image left of the diagonal stripe.
        let mut beyond = [0.0; PENDING];
        for stripe in self.stripes.iter().rev() {
            let Stripe { start, end, .. } = *stripe;
            let left = std::array::from_fn::<_, PENDING, _>(|i| &self.left[i * f + start..i * f + end]);
            self.kernels.combine(left, beyond, &mut out_s[start..end]);
            for (i, beyond) in beyond.iter_mut().enumerate() {
                *beyond += self.kernels.dot(&right(i)[start..end], &d[start..end]);
            }
        }
    }

    /// Row `row` of a stripe but for its first `skip` columns, with everything that waits.
    fn row(&self, stripe: &Stripe, row: usize, skip: usize, out: &mut Vec<f64>) {
        let (f, w) = (self.features, self.features + self.targets);
        let first = stripe.offset + (row - stripe.start) * stripe.width;
        out.clear();
        out.extend_from_slice(&self.data[first + skip..first + stripe.width]);
        let right: [&[f64]; PENDING] = std::array::from_fn(|i| &self.right[i * w + stripe.start + skip..(i + 1) * w]);
        self.kernels.combine(right, std::array::from_fn(|i| self.left[i * f + row]), out);
    }

    /// Calls `each` with every row of `R`, in order, with everything that waits.
    pub fn right_rows(&self, mut each: impl FnMut(&[f64])) {
        let mut line = Vec::with_capacity(self.targets);
        for row in 0..self.features {
            self.right_row(row, &mut line);
            each(&line);
        }
    }

    /// One row of `R`, with everything that waits.
    pub fn right_row(&self, row: usize, line: &mut Vec<f64>) {
        line.clear();
        if let Some(stripe) = self.stripes.iter().find(|stripe| (stripe.start..stripe.end).contains(&row)) {
            self.row(stripe, row, self.features - stripe.start, line);
        }
    }

    /// `(S, R)`, row-major, with everything that waits.
    pub fn dense(&self) -> (Vec<f64>, Vec<f64>) {
        let (f, v) = (self.features, self.targets);
        let (mut s, mut r) = (vec![0.0; f * f], Vec::with_capacity(f * v));
        let mut line = Vec::with_capacity(f + v);
        for stripe in &self.stripes {
            for row in stripe.start..stripe.end {
                self.row(stripe, row, 0, &mut line);
                let (from_s, from_r) = line.split_at(f - stripe.start);
                for (column, value) in from_s.iter().enumerate().skip(row - stripe.start) {
                    s[row * f + stripe.start + column] = *value;
                    s[(stripe.start + column) * f + row] = *value;
                }
                r.extend_from_slice(from_r);
            }
        }
        (s, r)
    }

    /// Everything times `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.settle();
        self.data.iter_mut().for_each(|v| *v *= factor);
    }

    /// Adds another matrix of the same shape.
    pub fn merge(&mut self, other: &Augmented) {
        self.settle();
        for (a, b) in self.data.iter_mut().zip(&other.data) {
            *a += b;
        }
        (0..PENDING).for_each(|stripe| other.write_to(stripe, &mut self.data));
    }

    /// Everything it is, what waits included: a resumed learner rounds as one that never stopped.
    pub fn save(&self, to: &mut Writer) {
        to.usize(self.next);
        to.f64s(&self.data);
        to.f64s(&self.left);
        to.f64s(&self.right);
    }

    /// What [`save`](Self::save) wrote, for this shape.
    pub fn load(features: usize, targets: usize, from: &mut Reader<'_>) -> Result<Self, StateError> {
        // Before anything is allocated: the triangle of S, R, and what waits.
        from.expect(8 * (features * features / 2 + features * targets))?;
        let mut out = Self::zero(features, targets);
        out.next = from.index(PENDING, "stripe")?;
        from.f64s(&mut out.data)?;
        from.f64s(&mut out.left)?;
        from.f64s(&mut out.right)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        }
    }

    #[test]
    fn what_waits_is_in_every_answer_whatever_the_shape() {
        for (f, v) in [(1, 1), (3, 2), (8, 0), (9, 5), (37, 11), (64, 17), (130, 3)] {
            let mut draw = noise((f * 31 + v) as u64);
            let mut lazy = Augmented::zero(f, v);
            let (mut s, mut r) = (vec![0.0; f * f], vec![0.0; f * v]);
            for step in 0..21 {
                let a: Vec<f64> = (0..f).map(|_| draw()).collect();
                let y: Vec<f64> = (0..v).map(|_| draw()).collect();
                let b: Vec<f64> = a.iter().copied().chain(y.iter().copied()).collect();
                lazy.add(&a, &b);
                for i in 0..f {
                    for j in 0..f {
                        s[i * f + j] += a[i] * a[j];
                    }
                    for j in 0..v {
                        r[i * v + j] += a[i] * y[j];
                    }
                }
                let d: Vec<f64> = (0..f).map(|_| draw()).collect();
                let mut out = vec![f64::NAN; f + v];
                lazy.multiply(&d, &mut out);
                for j in 0..f + v {
                    let want: f64 = (0..f).map(|i| d[i] * if j < f { s[i * f + j] } else { r[i * v + j - f] }).sum();
                    assert!((out[j] - want).abs() < 1e-12, "{f}x{v} step {step} column {j}: {} {want}", out[j]);
                }
            }
            let columns: Vec<usize> = (0..v).rev().step_by(2).collect();
            let picked = lazy.pick(&columns).dense().1;
            let whole = lazy.dense().1;
            for (i, line) in picked.chunks_exact(columns.len().max(1)).enumerate() {
                assert!(line.iter().zip(&columns).all(|(a, c)| (a - whole[i * v + c]).abs() < 1e-12));
            }
            let mut twice = lazy.clone();
            twice.merge(&lazy);
            assert!(twice.dense().1.iter().zip(&whole).all(|(a, b)| (a - 2.0 * b).abs() < 1e-12));
            let (dense_s, dense_r) = lazy.dense();
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(close(&dense_s, &s) && close(&dense_r, &r));
            let again = Augmented::from_dense(f, v, &dense_s, &dense_r).dense();
            assert_eq!(again, (dense_s, dense_r));
        }
    }
}
