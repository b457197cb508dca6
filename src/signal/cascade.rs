//! How are sections run? Transposed direct form II, f64, sample-major, SIMD across channels.
//!
//! Each channel's arithmetic is the same wherever it stands in a vector and however a stream is cut into calls, so
//! results do not depend on either.

use pulp::{Arch, Simd, WithSimd};

use super::design::Section;

/// How many vectors advance together: enough independent chains to hide the latency of fused multiply-adds, few enough
/// to keep their state in sixteen registers.
const GROUP: usize = 4;

/// A cascade of sections over many channels, with its state.
#[derive(Clone, Debug)]
pub struct Cascade {
    sections: Box<[Section]>,
    /// Per section: first state of every channel, then second state of every channel.
    state: Box<[f64]>,
    channels: usize,
    arch: Arch,
}

impl Cascade {
    /// A cascade at rest at 0.
    pub fn new(sections: Vec<Section>, channels: usize) -> Self {
        let state = vec![0.0; sections.len() * 2 * channels].into();
        Self { sections: sections.into(), state, channels, arch: Arch::new() }
    }

    /// Filters `rows` (samples × channels) in place.
    pub fn run(&mut self, rows: &mut [f64]) {
        if self.channels == 0 {
            return;
        }
        let Self { sections, state, channels, arch } = self;
        arch.dispatch(Pass { sections, state, rows, channels: *channels });
        arch.dispatch(Flush(state));
    }

    /// Puts one channel into the state it would have after a constant `x` for ever.
    pub fn rest(&mut self, channel: usize, x: f64) {
        let mut x = x;
        for (section, state) in self.sections.iter().zip(self.state.chunks_exact_mut(2 * self.channels.max(1))) {
            let ([first, second], y) = section.rest(x);
            let (firsts, seconds) = state.split_at_mut(self.channels);
            if let (Some(a), Some(b)) = (firsts.get_mut(channel), seconds.get_mut(channel)) {
                (*a, *b) = (first, second);
            }
            x = y;
        }
    }

    /// Back to rest at 0.
    pub fn reset(&mut self) {
        self.state.fill(0.0);
    }
}

/// A filter fed nothing decays into subnormal numbers, which cost a hundred times as much: they become 0.
struct Flush<'a>(&'a mut [f64]);

impl WithSimd for Flush<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for s in self.0 {
            *s = if s.abs() < 1e-300 { 0.0 } else { *s };
        }
    }
}

struct Pass<'a> {
    sections: &'a [Section],
    state: &'a mut [f64],
    rows: &'a mut [f64],
    channels: usize,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sections, state, rows, channels } = self;
        let wide = GROUP * S::F64_LANES;
        let mut at = 0;
        while at < channels {
            let left = channels - at;
            let width = if left >= wide { wide } else { left.min(S::F64_LANES) };
            for (section, state) in sections.iter().zip(state.chunks_exact_mut(2 * channels)) {
                let (first, second) = state.split_at_mut(channels);
                let (first, second) = (&mut first[at..at + width], &mut second[at..at + width]);
                let columns = rows.chunks_exact_mut(channels).map(|row| &mut row[at..at + width]);
                if width == wide {
                    group::<S, GROUP>(simd, section, first, second, columns);
                } else if width == S::F64_LANES {
                    group::<S, 1>(simd, section, first, second, columns);
                } else {
                    partial(simd, section, first, second, columns);
                }
            }
            at += width;
        }
    }
}

/// A section's coefficients in vectors, the denominator negated.
#[derive(Clone, Copy)]
struct Splat<S: Simd> {
    b: [S::f64s; 3],
    a: [S::f64s; 2],
}

impl<S: Simd> Splat<S> {
    #[inline(always)]
    fn new(simd: S, section: &Section) -> Self {
        Self { b: section.b.map(|b| simd.splat_f64s(b)), a: section.a.map(|a| simd.splat_f64s(-a)) }
    }

    #[inline(always)]
    fn step(&self, simd: S, x: S::f64s, first: &mut S::f64s, second: &mut S::f64s) -> S::f64s {
        let y = simd.mul_add_e_f64s(self.b[0], x, *first);
        *first = simd.mul_add_e_f64s(self.a[0], y, simd.mul_add_e_f64s(self.b[1], x, *second));
        *second = simd.mul_add_e_f64s(self.a[1], y, simd.mul_f64s(self.b[2], x));
        y
    }
}

/// `N` whole vectors of channels through one section.
#[inline(always)]
fn group<'a, S: Simd, const N: usize>(
    simd: S,
    section: &Section,
    first: &mut [f64],
    second: &mut [f64],
    rows: impl Iterator<Item = &'a mut [f64]>,
) {
    let c = Splat::new(simd, section);
    let (first, _) = S::as_mut_simd_f64s(first);
    let (second, _) = S::as_mut_simd_f64s(second);
    let (Ok(first), Ok(second)) = (<&mut [S::f64s; N]>::try_from(first), <&mut [S::f64s; N]>::try_from(second)) else {
        return;
    };
    let (mut s0, mut s1) = (*first, *second);
    for row in rows {
        let (row, _) = S::as_mut_simd_f64s(row);
        if let Ok(row) = <&mut [S::f64s; N]>::try_from(row) {
            for i in 0..N {
                row[i] = c.step(simd, row[i], &mut s0[i], &mut s1[i]);
            }
        }
    }
    (*first, *second) = (s0, s1);
}

/// The last channels, fewer than a vector holds.
#[inline(always)]
fn partial<'a, S: Simd>(
    simd: S,
    section: &Section,
    first: &mut [f64],
    second: &mut [f64],
    rows: impl Iterator<Item = &'a mut [f64]>,
) {
    let c = Splat::new(simd, section);
    let (mut s0, mut s1) = (simd.partial_load_f64s(first), simd.partial_load_f64s(second));
    for row in rows {
        let y = c.step(simd, simd.partial_load_f64s(row), &mut s0, &mut s1);
        simd.partial_store_f64s(row, y);
    }
    simd.partial_store_f64s(first, s0);
    simd.partial_store_f64s(second, s1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::design::{Band, butterworth};

    #[test]
    fn every_channel_count_gives_each_channel_the_same() {
        let sections = butterworth(4, Band::Between(1.0, 40.0), 250.0);
        let x: Vec<f64> = (0..200).map(|i| ((i * i) % 37) as f64).collect();
        let run = |channels: usize| {
            let mut rows: Vec<f64> = x.iter().flat_map(|v| std::iter::repeat_n(*v, channels)).collect();
            Cascade::new(sections.clone(), channels).run(&mut rows);
            rows
        };
        let one = run(1);
        for channels in [2, 3, 4, 5, 15, 16, 19, 33, 64, 67] {
            for (row, expected) in run(channels).chunks(channels).zip(&one) {
                assert!(row.iter().all(|v| v == expected), "{channels} channels");
            }
        }
    }

    #[test]
    fn silence_ends_in_zero_and_not_in_subnormal_numbers() {
        let mut cascade = Cascade::new(butterworth(2, Band::High(20.0), 250.0), 3);
        cascade.run(&mut [1.0; 3]);
        for _ in 0..100 {
            cascade.run(&mut [0.0; 300]);
        }
        assert!(cascade.state.iter().all(|s| *s == 0.0));
    }
}
