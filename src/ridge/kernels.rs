//! Which loops must be fast? The passes over the big matrices, written once and compiled for every instruction set.
//!
//! `pulp` picks the widest instructions the machine has when the program runs, so one portable binary serves all.
//! Every pass here is bound by memory: it touches each matrix element once and does with it all that there is to do.

use pulp::{Arch, Simd, WithSimd};

/// Rows handled together: the running sums are loaded and stored once for so many rows.
const ROWS: usize = 8;

/// Columns handled together, so that the running sums stay in the first-level cache.
const TILE: usize = 1024;

/// Columns of a rank-one update handled together, so that all right-hand vectors of the tile stay in that cache.
const UPDATE_TILE: usize = 256;

/// The instruction set of this machine, looked up once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kernels(Arch);

impl Kernels {
    /// `out += Mᵀ d` for a row-major `M` of `d.len()` rows, `stride` apart, of which the first `out.len()` columns count.
    pub fn transpose_multiply(self, m: &[f64], stride: usize, d: &[f64], out: &mut [f64]) {
        if !out.is_empty() {
            self.0.dispatch(TransposeMultiply { m, stride, d, out });
        }
    }

    /// In one pass over `M`: `down += Mᵀ d` and `across += M t`. `M` has `d.len()` rows and `t.len()` columns.
    pub fn multiply_both(self, m: &[f64], stride: usize, d: &[f64], t: &[f64], down: &mut [f64], across: &mut [f64]) {
        if !t.is_empty() {
            self.0.dispatch(MultiplyBoth { m, stride, d, t, down, across });
        }
    }

    /// `row[r] += Σ_i left[i][r] · right[i]` for every row of `M`: `RANK` rank-one updates in one pass.
    pub fn update<const RANK: usize>(self, m: &mut [f64], stride: usize, left: [&[f64]; RANK], right: [&[f64]; RANK]) {
        if stride > 0 {
            self.0.dispatch(Update { m, stride, left, right });
        }
    }

    /// `out += Σ_i scale[i] · rows[i]`.
    pub fn combine<const RANK: usize>(self, rows: [&[f64]; RANK], scale: [f64; RANK], out: &mut [f64]) {
        self.0.dispatch(Combine { rows, scale, out });
    }

    /// `Σ a b`.
    pub fn dot(self, a: &[f64], b: &[f64]) -> f64 {
        self.0.dispatch(Dot { a, b })
    }

    /// `y += Wᵀ d` in f32, for a row-major `W` of `d.len()` rows and `y.len()` columns.
    pub fn transpose_multiply_f32(self, w: &[f32], d: &[f32; 8], y: &mut [f32]) {
        self.0.dispatch(TransposeMultiply32 { w, d, y });
    }
}

struct TransposeMultiply<'a> {
    m: &'a [f64],
    stride: usize,
    d: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for TransposeMultiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, stride, d, out } = self;
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            let first = tile * TILE;
            let mut group = 0;
            while group < d.len() {
                let rows = ROWS.min(d.len() - group);
                let row = |r: usize| &m[(group + r) * stride + first..][..out.len()];
                if rows == ROWS {
                    let rows: [&[f64]; ROWS] = std::array::from_fn(row);
                    let scale: [f64; ROWS] = std::array::from_fn(|r| d[group + r]);
                    combine(simd, rows, scale, out);
                } else {
                    for r in 0..rows {
                        let line = [&m[(group + r) * stride + first..][..out.len()]];
                        combine(simd, line, [d[group + r]], out);
                    }
                }
                group += rows;
            }
        }
    }
}

#[inline(always)]
fn combine<S: Simd, const N: usize>(simd: S, rows: [&[f64]; N], scale: [f64; N], out: &mut [f64]) {
    let (out, out_tail) = S::as_mut_simd_f64s(out);
    let lanes = out.len();
    let heads: [&[S::f64s]; N] = std::array::from_fn(|i| &S::as_simd_f64s(rows[i]).0[..lanes]);
    let tails: [&[f64]; N] = std::array::from_fn(|i| &S::as_simd_f64s(rows[i]).1[..out_tail.len()]);
    let splat: [S::f64s; N] = std::array::from_fn(|i| simd.splat_f64s(scale[i]));
    for (lane, value) in out.iter_mut().enumerate() {
        let mut sum = *value;
        for i in 0..N {
            sum = simd.mul_add_e_f64s(splat[i], heads[i][lane], sum);
        }
        *value = sum;
    }
    for (lane, value) in out_tail.iter_mut().enumerate() {
        for i in 0..N {
            *value += scale[i] * tails[i][lane];
        }
    }
}

/// [`combine`] into two rows at once, so that each right-hand vector is loaded once for both.
#[inline(always)]
fn combine_two<S: Simd, const N: usize>(
    simd: S,
    rows: [&[f64]; N],
    scale: [[f64; 2]; N],
    a: &mut [f64],
    b: &mut [f64],
) {
    let (a, a_tail) = S::as_mut_simd_f64s(a);
    let (b, b_tail) = S::as_mut_simd_f64s(b);
    let heads: [&[S::f64s]; N] = std::array::from_fn(|i| &S::as_simd_f64s(rows[i]).0[..a.len()]);
    let tails: [&[f64]; N] = std::array::from_fn(|i| &S::as_simd_f64s(rows[i]).1[..a_tail.len()]);
    for (lane, (a, b)) in a.iter_mut().zip(b).enumerate() {
        let (mut first, mut second) = (*a, *b);
        for i in 0..N {
            let element = heads[i][lane];
            first = simd.mul_add_e_f64s(simd.splat_f64s(scale[i][0]), element, first);
            second = simd.mul_add_e_f64s(simd.splat_f64s(scale[i][1]), element, second);
        }
        (*a, *b) = (first, second);
    }
    for (lane, (a, b)) in a_tail.iter_mut().zip(b_tail).enumerate() {
        for i in 0..N {
            *a += scale[i][0] * tails[i][lane];
            *b += scale[i][1] * tails[i][lane];
        }
    }
}

struct MultiplyBoth<'a> {
    m: &'a [f64],
    stride: usize,
    d: &'a [f64],
    t: &'a [f64],
    down: &'a mut [f64],
    across: &'a mut [f64],
}

impl WithSimd for MultiplyBoth<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, stride, d, t, down, across } = self;
        let mut first = 0;
        while first < t.len() {
            let width = TILE.min(t.len() - first);
            let (t, down) = (&t[first..][..width], &mut down[first..][..width]);
            let mut row = 0;
            while row < d.len() {
                if d.len() - row >= 4 {
                    let rows: [&[f64]; 4] = std::array::from_fn(|r| &m[(row + r) * stride + first..][..width]);
                    let scale: [f64; 4] = std::array::from_fn(|r| d[row + r]);
                    let sums = both(simd, rows, scale, t, down);
                    for (across, sum) in across[row..].iter_mut().zip(sums) {
                        *across += sum;
                    }
                    row += 4;
                } else {
                    let [sum] = both(simd, [&m[row * stride + first..][..width]], [d[row]], t, down);
                    across[row] += sum;
                    row += 1;
                }
            }
            first += width;
        }
    }
}

#[inline(always)]
fn both<S: Simd, const N: usize>(simd: S, rows: [&[f64]; N], scale: [f64; N], t: &[f64], down: &mut [f64]) -> [f64; N] {
    let (down, down_tail) = S::as_mut_simd_f64s(down);
    let lanes = down.len();
    let (t, t_tail) = S::as_simd_f64s(t);
    let t = &t[..lanes];
    let heads: [&[S::f64s]; N] = std::array::from_fn(|i| &S::as_simd_f64s(rows[i]).0[..lanes]);
    let tails: [&[f64]; N] = std::array::from_fn(|i| S::as_simd_f64s(rows[i]).1);
    let splat: [S::f64s; N] = std::array::from_fn(|i| simd.splat_f64s(scale[i]));
    let mut sums: [S::f64s; N] = [simd.splat_f64s(0.0); N];
    for (lane, value) in down.iter_mut().enumerate() {
        let mut sum = *value;
        for i in 0..N {
            let element = heads[i][lane];
            sum = simd.mul_add_e_f64s(splat[i], element, sum);
            sums[i] = simd.mul_add_e_f64s(element, t[lane], sums[i]);
        }
        *value = sum;
    }
    let mut out: [f64; N] = std::array::from_fn(|i| simd.reduce_sum_f64s(sums[i]));
    for (lane, value) in down_tail.iter_mut().enumerate() {
        for i in 0..N {
            *value += scale[i] * tails[i][lane];
            out[i] += tails[i][lane] * t_tail[lane];
        }
    }
    out
}

struct Update<'a, const RANK: usize> {
    m: &'a mut [f64],
    stride: usize,
    left: [&'a [f64]; RANK],
    right: [&'a [f64]; RANK],
}

impl<const RANK: usize> WithSimd for Update<'_, RANK> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, stride, left, right } = self;
        let mut first = 0;
        while first < stride {
            let width = UPDATE_TILE.min(stride - first);
            let right: [&[f64]; RANK] = std::array::from_fn(|i| &right[i][first..][..width]);
            let mut pairs = m.chunks_exact_mut(2 * stride);
            let mut r = 0;
            for pair in &mut pairs {
                let (a, b) = pair.split_at_mut(stride);
                let scale = std::array::from_fn(|i| [left[i][r], left[i][r + 1]]);
                combine_two(simd, right, scale, &mut a[first..][..width], &mut b[first..][..width]);
                r += 2;
            }
            for row in pairs.into_remainder().chunks_exact_mut(stride) {
                combine(simd, right, std::array::from_fn(|i| left[i][r]), &mut row[first..][..width]);
            }
            first += width;
        }
    }
}

struct Combine<'a, const RANK: usize> {
    rows: [&'a [f64]; RANK],
    scale: [f64; RANK],
    out: &'a mut [f64],
}

impl<const RANK: usize> WithSimd for Combine<'_, RANK> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        combine(simd, self.rows, self.scale, self.out);
    }
}

struct Dot<'a> {
    a: &'a [f64],
    b: &'a [f64],
}

impl WithSimd for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (a, a_tail) = S::as_simd_f64s(self.a);
        let (b, b_tail) = S::as_simd_f64s(self.b);
        let mut sums = [simd.splat_f64s(0.0); 4];
        let (a4, a_rest) = a.as_chunks::<4>();
        let (b4, b_rest) = b.as_chunks::<4>();
        for (a, b) in a4.iter().zip(b4) {
            for i in 0..4 {
                sums[i] = simd.mul_add_e_f64s(a[i], b[i], sums[i]);
            }
        }
        for (a, b) in a_rest.iter().zip(b_rest) {
            sums[0] = simd.mul_add_e_f64s(*a, *b, sums[0]);
        }
        let sum = simd.add_f64s(simd.add_f64s(sums[0], sums[1]), simd.add_f64s(sums[2], sums[3]));
        simd.reduce_sum_f64s(sum) + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f64>()
    }
}

struct TransposeMultiply32<'a> {
    w: &'a [f32],
    d: &'a [f32; 8],
    y: &'a mut [f32],
}

impl WithSimd for TransposeMultiply32<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.y.len();
        let (y, y_tail) = S::as_mut_simd_f32s(self.y);
        let lanes = y.len();
        // Rows past the end of W stand for zeros: its caller gives them d = 0 and they repeat the first row.
        let row = |r: usize| self.w.get(r * width..(r + 1) * width).unwrap_or(&self.w[..width]);
        let heads: [&[S::f32s]; 8] = std::array::from_fn(|r| &S::as_simd_f32s(row(r)).0[..lanes]);
        let tails: [&[f32]; 8] = std::array::from_fn(|r| S::as_simd_f32s(row(r)).1);
        let splat: [S::f32s; 8] = std::array::from_fn(|r| simd.splat_f32s(self.d[r]));
        for (lane, value) in y.iter_mut().enumerate() {
            let mut sum = *value;
            for r in 0..8 {
                sum = simd.mul_add_e_f32s(splat[r], heads[r][lane], sum);
            }
            *value = sum;
        }
        for (lane, value) in y_tail.iter_mut().enumerate() {
            for (d, tail) in self.d.iter().zip(tails) {
                *value += d * tail[lane];
            }
        }
    }
}
