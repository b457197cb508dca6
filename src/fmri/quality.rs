//! How good is the signal while it is measured? DVARS, tSNR and spikes of every volume, said with it.

use serde::{Deserialize, Serialize};

use super::{FmriError, SignalQuality};
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage, VolumeSignal};

/// How many volumes before it a volume's DVARS is held against.
const REMEMBERED: usize = 512;
/// Fewer than this say nothing of what is usual.
const FEWEST: usize = 20;

/// Numbers of every volume, in frames `neurod.quality_frame.v1` and in metrics. Meant for regions as they are measured, so
/// it stands first in the chain.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityConfig {
    /// A volume whose DVARS lies this many interquartile ranges above the upper quartile is a spike; 1.5 by default.
    pub spike: f64,
}

impl Default for QualityConfig {
    fn default() -> Self {
        Self { spike: 1.5 }
    }
}

/// The step of [`QualityConfig`]: blocks go through as they are, with their [`VolumeSignal`].
///
/// DVARS and tSNR are [`SignalQuality`]'s, anew in each run. The rule for spikes is that of FSL's `fsl_motion_outliers` (the
/// box plot's: Tukey 1977), against the volumes of the run before this one, of which there must be 20 and the newest 512
/// count, because those to come are not known. A region that is in the mask, not finite, or past 10¹² is left out, gives 0, is in
/// the mask, and the block is flagged `NON_FINITE`; all other values stay as they are.
#[derive(Debug)]
pub struct VolumeQuality {
    factor: f64,
    signal: Option<SignalQuality>,
    row: Vec<f64>,
    /// DVARS of the volumes before, a ring.
    before: Vec<f64>,
    sorted: Vec<f64>,
    next: usize,
    volumes: u32,
    spikes: u32,
}

impl VolumeQuality {
    /// The step, unprepared.
    ///
    /// # Errors
    /// A factor that is negative or no number.
    pub fn new(config: &QualityConfig) -> Result<Self, FmriError> {
        if !(config.spike >= 0.0 && config.spike.is_finite()) {
            let problem = format!("{} is not 0 or more interquartile ranges", config.spike);
            return Err(FmriError::Setting { key: "quality.spike", problem });
        }
        let (before, sorted) = (Vec::with_capacity(REMEMBERED), Vec::with_capacity(REMEMBERED));
        let factor = config.spike;
        Ok(Self { factor, signal: None, row: Vec::new(), before, sorted, next: 0, volumes: 0, spikes: 0 })
    }

    /// Whether `dvars` lies far above what came before; then remembers it.
    fn is_spike(&mut self, dvars: f64) -> bool {
        if !dvars.is_finite() {
            return false;
        }
        let spike = self.before.len() >= FEWEST && {
            self.sorted.clear();
            self.sorted.extend_from_slice(&self.before);
            self.sorted.sort_unstable_by(f64::total_cmp);
            let [lower, upper] = [1, 3].map(|quarter| self.sorted[quarter * (self.sorted.len() - 1) / 4]);
            dvars > upper + self.factor * (upper - lower)
        };
        if self.before.len() < REMEMBERED {
            self.before.push(dvars);
        } else if let Some(oldest) = self.before.get_mut(self.next) {
            *oldest = dvars;
            self.next = (self.next + 1) % REMEMBERED;
        }
        spike
    }
}

impl Stage for VolumeQuality {
    fn name(&self) -> &'static str {
        "quality"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        if input.capacity != 1 {
            let problem =
                format!("blocks of {} samples come in, and it looks at volumes (set block = 1)", input.capacity);
            return Err(PrepareError::new(self.name(), problem));
        }
        self.row = vec![0.0; input.channels.len()];
        self.signal = Some(SignalQuality::new(input.channels.len()));
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        output.copy_from(input);
        let (Some(signal), false) = (&mut self.signal, output.is_empty()) else { return };
        let (mut missing, regions) = (false, self.row.len());
        for (channel, (to, value)) in self.row.iter_mut().zip(output.data_mut()).enumerate() {
            let usable = !input.bad.contains(channel) && value.abs() <= super::ABSURD;
            *to = if usable { *value } else { f64::NAN };
            if !usable {
                (*value, missing) = (0.0, true);
            }
        }
        if missing {
            output.quality |= Quality::NON_FINITE;
            (0..regions).filter(|r| self.row[*r].is_nan()).for_each(|r| output.bad.set(r, true));
        }
        let dvars = signal.observe(&self.row).unwrap_or(f64::NAN);
        let tsnr = signal.median_tsnr();
        let spike = self.is_spike(dvars);
        self.volumes = self.volumes.saturating_add(1);
        self.spikes = self.spikes.saturating_add(u32::from(spike));
        output.signal = Some(VolumeSignal { dvars, tsnr, spike, volumes: self.volumes, spikes: self.spikes });
    }

    fn reset(&mut self) {
        self.signal.iter_mut().for_each(SignalQuality::reset);
        self.before.clear();
        (self.next, self.volumes, self.spikes) = (0, 0, 0);
    }

    /// What is usual in the run is so after a gap, too; the change over it is not one from volume to volume.
    fn gap(&mut self) {
        self.signal.iter_mut().for_each(SignalQuality::interrupt);
    }

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};

    fn spec() -> BlockSpec {
        BlockSpec::new(Channel::numbered("REGION", 3, Unit::Arbitrary), 0.5, 1)
    }

    /// What is said of each volume of three regions.
    fn said(stage: &mut VolumeQuality, volumes: impl Iterator<Item = [f64; 3]>) -> Vec<VolumeSignal> {
        let (mut block, mut out) = (Block::new(&spec()), Block::new(&spec()));
        let mut one = |values: [f64; 3]| {
            block.clear();
            block.push(&values);
            stage.process(&block, &mut out);
            let usable = |v: f64| if v.abs() <= 1e12 { v } else { 0.0 };
            assert!(out.data().iter().zip(values).all(|(a, b)| *a == usable(b)));
            out.signal.expect("a volume was looked at")
        };
        volumes.map(&mut one).collect()
    }

    fn wave(t: usize) -> [f64; 3] {
        [1.0, 2.0, 3.0].map(|r| 100.0 * r + (t as f64 * (1.0 + 0.37 * r)).sin())
    }

    #[test]
    fn a_jump_is_a_spike_and_a_new_run_knows_nothing_of_it() {
        let mut stage = VolumeQuality::new(&QualityConfig::default()).expect("a stage");
        stage.prepare(&spec()).expect("a shape");
        let jump = |t: usize| if t == 40 { wave(t).map(|v| v + 20.0) } else { wave(t) };
        let first = said(&mut stage, (0..60).map(jump));
        let spikes: Vec<usize> = (0..60).filter(|t| first[*t].spike).collect();
        assert_eq!(spikes, [40, 41], "there and back again");
        assert!(first[0].dvars.is_nan() && first[0].tsnr.is_nan() && first[59].spikes == 2 && first[59].volumes == 60);
        let change = wave(7).iter().zip(wave(6)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        assert!((first[7].dvars - (change / 3.0).sqrt()).abs() < 1e-12);
        // The median region is the second: 200 over the deviation of a sine.
        assert!((first[39].tsnr - 200.0 / 0.5f64.sqrt()).abs() < 20.0, "{}", first[39].tsnr);
        stage.new_run();
        let again = said(&mut stage, (0..60).map(jump));
        let same = |(a, b): (&VolumeSignal, &VolumeSignal)| format!("{a:?}") == format!("{b:?}");
        assert!(first.iter().zip(&again).all(same));
    }

    #[test]
    fn quiet_volumes_are_no_spikes_however_many_and_a_missing_region_is_left_out() {
        let mut stage = VolumeQuality::new(&QualityConfig { spike: 3.0 }).expect("a stage");
        stage.prepare(&spec()).expect("a shape");
        let holed = |t: usize| if t % 50 == 30 { [f64::NAN, wave(t)[1], 1e30] } else { wave(t) };
        let all = said(&mut stage, (0..2000).map(holed));
        assert!(all.iter().skip(1).all(|v| !v.spike && v.dvars < 5.0 && v.tsnr.is_finite() || v.volumes < 3));
    }

    #[test]
    fn settings_and_shapes_that_cannot_be_are_named() {
        let wrong = VolumeQuality::new(&QualityConfig { spike: -1.0 }).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(wrong, Err("quality.spike: -1 is not 0 or more interquartile ranges".into()));
        let mut stage = VolumeQuality::new(&QualityConfig::default()).expect("a stage");
        let wide = stage.prepare(&spec().with_capacity(4)).map_err(|e| e.to_string());
        let said = "stage \"quality\": blocks of 4 samples come in, and it looks at volumes (set block = 1)";
        assert_eq!(wide.map(|_| ()), Err(said.into()));
    }
}
