//! Every stage, through the one harness: however it is cut, whatever is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own configuration fails")]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/stage_harness.rs"]
mod stage_harness;

use neurod::fmri::FmriConfig;
use neurod::frame::{Block, BlockSpec, Channel, PrepareError, Stage, Unit};
use neurod::signal::{Iir, SignalConfig, build};
use stage_harness::{Spec, check_stage};

/// 11 channels (no multiple of a vector's width) at 250 Hz, up to 32 samples a block.
fn eeg() -> BlockSpec {
    BlockSpec::new(Channel::numbered("EEG", 11, Unit::Microvolt), 250.0, 32)
}

fn irregular() -> BlockSpec {
    BlockSpec { rate: 0.0, ..eeg() }
}

fn signal(toml: &str) -> impl Fn() -> Box<dyn Stage> {
    let config: SignalConfig = toml::from_str(toml).unwrap();
    move || build(&config)
}

fn refusing(refused: &[(BlockSpec, &'static str)], spec: Spec) -> Spec {
    Spec { refused: refused.to_vec(), ..spec }
}

/// A filter's stream: it must be good again one settling time after a bad sample, as blocks allow.
fn within_settling(mut iir: Iir) -> Spec {
    iir.prepare(&eeg()).unwrap();
    let heals_within = iir.settling() + eeg().capacity;
    let refused = vec![(irregular(), "regular rate"), (BlockSpec { rate: 60.0, ..eeg() }, "half the sampling rate")];
    Spec { heals_within, refused, ..Spec::new(eeg(), 2 * heals_within + 100) }
}

fn check_filter(toml: &str) {
    let spec = within_settling(match toml::from_str(toml).unwrap() {
        SignalConfig::Bandpass(c) => Iir::bandpass(c),
        SignalConfig::Highpass(c) => Iir::highpass(c),
        SignalConfig::Lowpass(c) => Iir::lowpass(c),
        SignalConfig::Notch(c) => Iir::notch(c),
        other => unreachable!("{other:?} is not a filter"),
    });
    check_stage(signal(toml), spec);
}

#[test]
fn bandpass() {
    check_filter("bandpass = { low = 1.0, high = 40.0, order = 4 }");
}

#[test]
fn highpass() {
    check_filter("highpass = { cutoff = 40.0, order = 2 }");
}

#[test]
fn lowpass() {
    check_filter("lowpass = { cutoff = 35.0, order = 5 }");
}

#[test]
fn notch() {
    check_filter("notch = { frequency = 50.0, harmonics = 2 }");
}

#[test]
fn average_reference() {
    // Whatever is wrong with one channel changes the average, so all others step a little, and are not marked.
    check_stage(signal("reference = \"average\""), Spec { reached: |_, _| true, ..Spec::new(eeg(), 200) });
}

#[test]
fn channel_reference() {
    let without = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 250.0, 32);
    let spec = refusing(&[(without, "there is no channel \"EEG3\"")], Spec::new(eeg(), 200));
    check_stage(signal("reference = { channels = [\"EEG3\", \"EEG4\"] }"), spec);
}

#[test]
fn artifact() {
    let spec = refusing(&[(irregular(), "regular rate")], Spec::new(eeg(), 1000));
    check_stage(signal("artifact = { clip_uv = 5000.0, window = 0.5, heal = 0.5 }"), spec);
}

#[test]
fn band_power() {
    let spec = Spec { reached: |output, _| output < 2, ..Spec::new(eeg(), 1500) };
    let refused = [(irregular(), "regular rate"), (BlockSpec { rate: 50.0, ..eeg() }, "within 0 to 25 Hz")];
    check_stage(
        signal("band_power = { bands = { alpha = [8, 13], beta = [13, 30] }, window = 1.0, hop = 0.1 }"),
        refusing(&refused, spec),
    );
}

#[test]
fn band_power_with_several_hops_a_block() {
    let spec = Spec { reached: |output, _| output < 1, ..Spec::new(eeg(), 600) };
    check_stage(
        signal("band_power = { bands = [[10, 40]], window = 0.4, hop = 0.02, segment = 0.1, log = true }"),
        spec,
    );
}

#[test]
fn delays() {
    check_stage(
        signal("delays = { taps = 5, step = 0.02 }"),
        refusing(&[(irregular(), "regular rate")], Spec::new(eeg(), 300)),
    );
}

/// Puts a pulse of three samples on the last channel, every so many samples: markers of volumes, or heart beats; and adds
/// a wave of this size to the others, the same after every pulse.
struct Pulsed {
    every: usize,
    wave: f64,
    seen: usize,
    inner: Box<dyn Stage>,
    pulsed: Option<Block>,
}

impl Stage for Pulsed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        self.pulsed = Some(Block::new(input));
        self.inner.prepare(input)
    }
    fn process(&mut self, input: &Block, output: &mut Block) {
        let Some(pulsed) = &mut self.pulsed else { return output.clear() };
        if input.channels() != pulsed.channels() {
            return self.inner.process(input, output);
        }
        pulsed.copy_from(input);
        for row in pulsed.data_mut().chunks_exact_mut(input.channels()) {
            let phase = self.seen % self.every;
            let wave = self.wave * (0.9 * phase as f64).sin() * phase as f64 / self.every as f64;
            row.iter_mut().for_each(|x| *x += wave);
            row[input.channels() - 1] = if phase < 3 { 1000.0 } else { 0.0 };
            self.seen += 1;
        }
        self.inner.process(pulsed, output);
    }
    fn reset(&mut self) {
        self.seen = 0;
        self.inner.reset();
    }
    fn new_run(&mut self) {
        self.inner.new_run();
    }
}

fn pulsed(toml: &str, every: usize, wave: f64) -> impl Fn() -> Box<dyn Stage> {
    let make = signal(toml);
    move || Box::new(Pulsed { every, wave, seen: 0, inner: make(), pulsed: None })
}

#[test]
fn gradient_artifact() {
    let unmarked = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 250.0, 32);
    let refused = [
        (irregular(), "regular rate"),
        (unmarked, "there is no channel \"EEG11\" with the markers of volumes: set marker to one of EEG1, EEG2"),
        (BlockSpec { rate: 100.0, ..eeg() }, "tr = 0.4 s is too short at 100 Hz, where 0.840 s are needed"),
    ];
    // Each channel learns by itself where volumes begin on samples; of what is no artifact, four epochs are remembered.
    let locked = pulsed("gradient_artifact = { tr = 0.4, marker = \"EEG11\", volumes = 4, locked = true }", 100, 0.0);
    check_stage(locked, refusing(&refused, Spec { heals_within: 1000, ..Spec::new(eeg(), 3000) }));
    // Where not, the electrode with the largest artifact says for all when a volume began.
    let free = pulsed("gradient_artifact = { tr = 0.4, marker = \"EEG11\", volumes = 4 }", 100, 2000.0);
    check_stage(free, Spec { reached: |_, _| true, ..Spec::new(eeg(), 3000) });
}

#[test]
fn pulse_artifact() {
    let without = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 250.0, 32);
    let refused = [
        (irregular(), "at least 100 Hz"),
        (without, "there is no channel \"EEG11\" with an electrocardiogram: set ecg to one of EEG1, EEG2"),
    ];
    let make = pulsed("pulse_artifact = { ecg = \"EEG11\", beats = 4 }", 200, 0.0);
    check_stage(make, refusing(&refused, Spec { heals_within: 2000, ..Spec::new(eeg(), 6000) }));
}

/// 11 regions every 2 s, so many volumes a block.
fn regions(volumes: usize) -> BlockSpec {
    BlockSpec::new(Channel::numbered("REGION", 11, Unit::Arbitrary), 0.5, volumes)
}

fn fmri(toml: &str) -> impl Fn() -> Box<dyn Stage> {
    let config: FmriConfig = toml::from_str(toml).unwrap();
    move || config.build().unwrap()
}

#[test]
fn quality() {
    let refused = [(regions(8), "set block = 1")];
    check_stage(fmri("quality = {}"), refusing(&refused, Spec::new(regions(1), 300)));
}

#[test]
fn nuisance() {
    let refused = [(BlockSpec { rate: 0.0, ..regions(8) }, "irregular stream")];
    let spec = refusing(&refused, Spec::new(regions(8), 1500));
    check_stage(fmri("nuisance = { motion = 0, drift = 300.0 }"), spec);
    let refused = [(regions(8), "set block = 1")];
    check_stage(fmri("nuisance = { motion = 24 }"), refusing(&refused, Spec::new(regions(1), 1500)));
}

/// Stages one after another hold to what each holds to.
struct Chain(Vec<(Box<dyn Stage>, Option<Block>)>);

impl Chain {
    fn new(steps: &[&str]) -> Self {
        Self(steps.iter().map(|toml| (signal(toml)(), None)).collect())
    }
}

impl Stage for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }
    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        self.0.iter_mut().try_fold(input.clone(), |spec, (stage, output)| {
            let shown = stage.prepare(&spec)?;
            *output = Some(Block::new(&shown));
            Ok(shown)
        })
    }
    fn process(&mut self, input: &Block, output: &mut Block) {
        let mut before = input;
        for (stage, block) in &mut self.0 {
            let Some(block) = block else { return output.clear() };
            stage.process(before, block);
            before = block;
        }
        output.copy_from(before);
    }
    fn reset(&mut self) {
        self.0.iter_mut().for_each(|(stage, _)| stage.reset());
    }
    fn new_run(&mut self) {
        self.0.iter_mut().for_each(|(stage, _)| stage.new_run());
    }
}

#[test]
fn a_whole_chain() {
    let steps = [
        "artifact = { clip_uv = 5000.0, window = 0.5, heal = 0.5 }",
        "bandpass = { low = 4.0, high = 40.0 }",
        "notch = { frequency = 50.0, quality = 5.0 }",
        // A bad electrode shows in the others' average, for as long as it is left out.
        "reference = \"average\"",
        "band_power = { bands = { alpha = [8, 13] }, window = 1.0, hop = 0.1 }",
        "delays = { taps = 3 }",
    ];
    check_stage(|| Box::new(Chain::new(&steps)), Spec { reached: |_, _| true, ..Spec::new(eeg(), 6000) });
}
