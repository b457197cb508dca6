//! Which loops of the window must be fast? Those over pairs of regions, compiled for every instruction set.
//!
//! Only the upper triangle is kept up to date; it is mirrored when somebody reads.

use pulp::{Arch, Simd, WithSimd};

/// Rows that are mirrored together: as many as fill a cache line of a lower row.
const PANEL: usize = 8;

/// The instruction set of this machine, looked up once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kernels(Arch);

impl Kernels {
    /// `m[i][j] += Σ_k left[k][i] · right[k][j]` for `j ≥ i`: rank-one updates in one pass. Rows are `stride` apart, and the
    /// vectors `stride` long; what lies left of the diagonal means nothing afterwards.
    pub fn update<const RANK: usize>(self, m: &mut [f64], stride: usize, left: [&[f64]; RANK], right: [&[f64]; RANK]) {
        if stride > 0 {
            self.0.dispatch(Update { m, stride, left, right });
        }
    }

    /// `out[i][j] = out[j][i] = m[i][j] · scale[i] · scale[j]`, of `n` rows and columns without gaps.
    pub fn mirror_scaled(self, m: &[f64], stride: usize, scale: &[f64], n: usize, out: &mut [f64]) {
        if n > 0 {
            self.0.dispatch(MirrorScaled { m, stride, scale, n, out });
        }
    }
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
        // Two rows at once: what is right is loaded once for both. The stride is even.
        for (pair, rows) in m.chunks_exact_mut(2 * stride).enumerate() {
            let i = 2 * pair;
            // From a whole vector on, so that loads are aligned as the rows are.
            let first = i - i % PANEL;
            let (a, b) = rows.split_at_mut(stride);
            let (a, _) = S::as_mut_simd_f64s(&mut a[first..]);
            let (b, _) = S::as_mut_simd_f64s(&mut b[first..]);
            let right: [&[S::f64s]; RANK] = std::array::from_fn(|k| &S::as_simd_f64s(&right[k][first..]).0[..a.len()]);
            let up: [S::f64s; RANK] = std::array::from_fn(|k| simd.splat_f64s(left[k][i]));
            let low: [S::f64s; RANK] = std::array::from_fn(|k| simd.splat_f64s(left[k][i + 1]));
            for (lane, (a, b)) in a.iter_mut().zip(b).enumerate() {
                let (mut first, mut second) = (*a, *b);
                for k in 0..RANK {
                    first = simd.mul_add_e_f64s(up[k], right[k][lane], first);
                    second = simd.mul_add_e_f64s(low[k], right[k][lane], second);
                }
                (*a, *b) = (first, second);
            }
        }
    }
}

struct MirrorScaled<'a> {
    m: &'a [f64],
    stride: usize,
    scale: &'a [f64],
    n: usize,
    out: &'a mut [f64],
}

impl WithSimd for MirrorScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, stride, scale, n, out } = self;
        for first in (0..n).step_by(PANEL) {
            let rows = PANEL.min(n - first);
            for i in first..first + rows {
                let row = &m[i * stride + first..i * stride + n];
                let out = &mut out[i * n + first..(i + 1) * n];
                let (row, row_tail) = S::as_simd_f64s(row);
                let (scales, scales_tail) = S::as_simd_f64s(&scale[first..n]);
                let (out, out_tail) = S::as_mut_simd_f64s(out);
                let own = simd.splat_f64s(scale[i]);
                for ((out, m), scale) in out.iter_mut().zip(row).zip(scales) {
                    *out = simd.mul_f64s(simd.mul_f64s(*m, own), *scale);
                }
                for ((out, m), other) in out_tail.iter_mut().zip(row_tail).zip(scales_tail) {
                    *out = m * scale[i] * other;
                }
            }
            let (upper, lower) = out.split_at_mut((first + rows) * n);
            let upper = &mut upper[first * n..];
            for (j, line) in lower.chunks_exact_mut(n).enumerate() {
                let j = first + rows + j;
                for (r, value) in line[first..first + rows].iter_mut().enumerate() {
                    *value = upper[r * n + j];
                }
            }
            for i in 0..rows {
                for j in 0..i {
                    upper[i * n + first + j] = upper[j * n + first + i];
                }
            }
        }
    }
}
