//! Which samples may enter a state? Finite ones of a sane size; in place of others, the last good value is held.

use pulp::{Arch, Simd, WithSimd};

use crate::frame::{Block, BlockSpec, Channel, ChannelMask, Quality, Unit};

/// Stands at the door of every step of this folder, so that no NaN, infinity or absurd magnitude gets into a filter, a
/// window or a history, whatever comes before the step.
///
/// A refused sample is replaced by the channel's last good value (0 before the first). From then on the channel is bad
/// for `heal` samples: as long as the step still remembers the replacement. A channel that arrives marked as bad keeps
/// its values, if they are finite, and is bad for as long too.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    limit: Box<[f64]>,
    held: Box<[f64]>,
    /// For how many samples each channel is bad yet, the present one included.
    left: Box<[u32]>,
    /// The same for refused samples only, which are worth a flag of their own.
    refused: Box<[u32]>,
    heal: u32,
    healing: bool,
    arch: Arch,
}

/// Whether all samples are within their channels' limits, for the vector unit.
struct Within<'a> {
    samples: &'a [f64],
    limits: &'a [f64],
}

impl WithSimd for Within<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let mut wrong = false;
        for row in self.samples.chunks_exact(self.limits.len().max(1)) {
            for (x, limit) in row.iter().zip(self.limits) {
                // NaN is not within any limit.
                let within = x.abs() <= *limit;
                wrong |= !within;
            }
        }
        !wrong
    }
}

/// The largest magnitude that a channel of this unit can have: 10 V for EEG, and far beyond any device for others.
fn limit_of(channel: &Channel) -> f64 {
    match channel.unit {
        Unit::Microvolt => 1e7,
        Unit::MicrovoltSquared => 1e14,
        _ => 1e15,
    }
}

impl Guard {
    /// A guard for blocks of this shape, before a step that remembers a sample for `heal` samples (at least 1: the
    /// sample itself).
    pub fn new(spec: &BlockSpec, heal: usize) -> Self {
        let channels = spec.channels.len();
        Self {
            limit: spec.channels.iter().map(limit_of).collect(),
            held: vec![0.0; channels].into(),
            left: vec![0; channels].into(),
            refused: vec![0; channels].into(),
            heal: u32::try_from(heal.max(1)).unwrap_or(u32::MAX),
            healing: false,
            arch: Arch::new(),
        }
    }

    /// How many channels it guards; 0 before `prepare`.
    pub fn channels(&self) -> usize {
        self.limit.len()
    }

    /// Whether `channel` may take in `value`.
    pub fn accepts(&self, channel: usize, value: f64) -> bool {
        self.limit.get(channel).is_some_and(|limit| value.abs() <= *limit)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.held.fill(0.0);
        self.left.fill(0);
        self.refused.fill(0);
        self.healing = false;
    }

    /// Whether nothing is wrong with these samples (one or more), nor with any that a step may still remember.
    fn all_good(&self, samples: &[f64], marked: &ChannelMask) -> bool {
        if self.healing || !marked.is_empty() {
            return false;
        }
        self.arch.dispatch(Within { samples, limits: &self.limit })
    }

    /// Makes `output` the cleaned `input`, with the channels that are bad at any of its samples. Both have the prepared
    /// width. Returns whether nothing was or is wrong.
    pub fn clean(&mut self, input: &Block, output: &mut Block) -> bool {
        output.inherit(input);
        output.set_len(input.len());
        if self.all_good(input.data(), &input.bad) {
            output.data_mut().copy_from_slice(input.data());
            if let Some(row) = input.newest() {
                self.held.copy_from_slice(row);
            }
            return true;
        }
        for i in 0..output.len() {
            let (at, width) = (i * self.channels(), self.channels());
            let quality = self.clean_row(input.sample(i), &input.bad, &mut output.data_mut()[at..at + width]);
            output.quality |= quality;
            for channel in self.bad() {
                output.bad.set(channel, true);
            }
        }
        false
    }

    /// Cleans one sample; `marked` are the channels that arrive as bad. Returns the flag to raise, if any.
    pub fn clean_row(&mut self, row: &[f64], marked: &ChannelMask, out: &mut [f64]) -> Quality {
        if row.len() == out.len() && row.len() == self.channels() && self.all_good(row, marked) {
            out.copy_from_slice(row);
            self.held.copy_from_slice(row);
            return Quality::GOOD;
        }
        let mut quality = Quality::GOOD;
        self.healing = false;
        for (channel, (x, y)) in row.iter().zip(out).enumerate() {
            let accepted = self.accepts(channel, *x);
            let marked = marked.contains(channel);
            let (Some(held), Some(left), Some(refused)) =
                (self.held.get_mut(channel), self.left.get_mut(channel), self.refused.get_mut(channel))
            else {
                continue;
            };
            // Counted down before the sample, so that it reads as "bad now" afterwards.
            *left = left.saturating_sub(1);
            *refused = refused.saturating_sub(1);
            if !accepted {
                *refused = self.heal;
            }
            if !accepted || marked {
                *left = self.heal;
            }
            *y = if accepted { *x } else { *held };
            if accepted && !marked {
                *held = *x;
            }
            if *refused > 0 {
                quality |= Quality::NON_FINITE;
            }
            self.healing |= *left > 0;
        }
        quality
    }

    /// The channels that are bad at the sample cleaned last.
    pub fn bad(&self) -> impl Iterator<Item = usize> {
        // While nothing heals there is nothing to look through.
        let left = if self.healing { &*self.left } else { &[] };
        left.iter().enumerate().filter(|(_, left)| **left > 0).map(|(channel, _)| channel)
    }

    /// Whether `channel` is bad at the sample cleaned last.
    pub fn is_bad(&self, channel: usize) -> bool {
        self.healing && self.left.get(channel).is_some_and(|left| *left > 0)
    }
}

/// Which channels are electrodes: those of kind `EEG`, or all where none says so. References and artifact limits are
/// for them; a trigger channel is not flat because it waits.
pub(super) fn electrodes(spec: &BlockSpec) -> Vec<bool> {
    let any = spec.channels.iter().any(|c| c.kind == "EEG");
    spec.channels.iter().map(|c| !any || c.kind == "EEG").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_samples_are_held_and_the_channel_heals_alone() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 10.0, 8);
        let mut guard = Guard::new(&spec, 3);
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        input.push(&[1.0, 2.0]);
        assert!(guard.clean(&input, &mut output));

        for (wrong, flagged) in [(f64::NAN, true), (5.0, true), (6.0, true), (7.0, false)] {
            input.clear();
            input.push(&[wrong, 2.0]);
            guard.clean(&input, &mut output);
            let expected = if wrong.is_finite() { wrong } else { 1.0 };
            assert_eq!(output.sample(0), &[expected, 2.0]);
            assert_eq!((output.bad.contains(0), output.bad.contains(1)), (flagged, false));
            assert_eq!(output.quality.contains(Quality::NON_FINITE), flagged);
        }
        for absurd in [f64::INFINITY, f64::NEG_INFINITY, 1e38, -2e7] {
            assert!(!guard.accepts(0, absurd));
        }
    }

    #[test]
    fn a_marked_channel_keeps_its_values_and_stays_marked_as_long_as_they_are_remembered() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 10.0, 8);
        let mut guard = Guard::new(&spec, 2);
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        for (marked, bad) in [(true, true), (false, true), (false, false)] {
            input.clear();
            input.push(&[4.0]);
            input.bad.set(0, marked);
            guard.clean(&input, &mut output);
            assert_eq!((output.sample(0)[0], output.bad.contains(0)), (4.0, bad));
            assert_eq!(output.quality, Quality::GOOD);
        }
    }
}
