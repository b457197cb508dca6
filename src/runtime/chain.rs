//! The stages of one source, one after the other, with their buffers.

use prometheus::Histogram;

use crate::frame::{Block, BlockSpec, Clock, MonotonicClock, PrepareError, Quality, Stage};

struct Link {
    stage: Box<dyn Stage>,
    output: Block,
    duration: Option<Histogram>,
}

/// A source's stages. Validated as a whole before the first sample: each stage is prepared for what the one before it
/// puts out.
///
/// **Invariants.** [`process`](Chain::process) allocates nothing. Every stage is told of a gap before
/// the block that is flagged [`Quality::GAP`], and of a new run; so no stage has to watch for either.
pub struct Chain {
    links: Vec<Link>,
    specs: Vec<BlockSpec>,
    run: Option<u32>,
    /// Set while the next block begins a run of its own.
    run_begins: bool,
}

impl Chain {
    /// Prepares `stages` for blocks of the shape `input`.
    ///
    /// # Errors
    /// The first stage that cannot work on what it would be given.
    pub fn prepare(stages: Vec<Box<dyn Stage>>, input: &BlockSpec) -> Result<Self, PrepareError> {
        let mut specs = vec![input.clone()];
        let mut links = Vec::with_capacity(stages.len());
        let mut spec = input.clone();
        for mut stage in stages {
            spec = stage.prepare(&spec)?;
            specs.push(spec.clone());
            links.push(Link { stage, output: Block::new(&spec), duration: None });
        }
        Ok(Self { links, specs, run: None, run_begins: false })
    }

    /// Times every stage into the histogram that `of` gives for its name.
    pub fn observe(&mut self, mut of: impl FnMut(&'static str) -> Histogram) {
        for link in &mut self.links {
            link.duration = Some(of(link.stage.name()));
        }
    }

    /// The shape of what goes in.
    pub fn input(&self) -> &BlockSpec {
        &self.specs[0]
    }

    /// The shape of what comes out.
    pub fn output(&self) -> &BlockSpec {
        // There is always the input's.
        &self.specs[self.specs.len() - 1]
    }

    /// Each step's name and the shape after it, the input first: what `neurod check` prints.
    pub fn shapes(&self) -> impl Iterator<Item = (&'static str, &BlockSpec)> {
        let names = std::iter::once("input").chain(self.links.iter().map(|link| link.stage.name()));
        names.zip(&self.specs)
    }

    /// The next block begins a run of this source alone, whatever run the others are in: after a long gap.
    pub fn begin_run(&mut self) {
        self.run_begins = true;
    }

    /// Sends `input` through every stage. The result may be empty, where a stage has a hop.
    pub fn process<'a>(&'a mut self, input: &'a Block) -> &'a Block {
        let new_run = std::mem::take(&mut self.run_begins) || self.run.is_some_and(|run| run != input.run);
        self.run = Some(input.run);
        let gap = input.quality.contains(Quality::GAP);
        let mut current = input;
        for link in &mut self.links {
            if gap {
                link.stage.gap();
            }
            if new_run {
                link.stage.new_run();
            }
            match &link.duration {
                Some(histogram) => {
                    let began = MonotonicClock.now();
                    link.stage.process(current, &mut link.output);
                    histogram.observe(MonotonicClock.now() - began);
                }
                None => link.stage.process(current, &mut link.output),
            }
            current = &link.output;
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};

    /// Counts the samples since its reset, and the runs.
    #[derive(Default)]
    struct Counter {
        samples: f64,
        runs: f64,
    }

    impl Stage for Counter {
        fn name(&self) -> &'static str {
            "counter"
        }
        fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
            match input.channels.len() {
                2 => Ok(input.clone()),
                n => Err(PrepareError::new("counter", format!("needs 2 channels, gets {n}"))),
            }
        }
        fn process(&mut self, input: &Block, output: &mut Block) {
            output.clear();
            output.inherit(input);
            for _ in 0..input.len() {
                self.samples += 1.0;
                output.push(&[self.samples, self.runs]);
            }
        }
        fn reset(&mut self) {
            self.samples = 0.0;
        }
        fn new_run(&mut self) {
            self.runs += 1.0;
        }
    }

    fn spec(channels: usize) -> BlockSpec {
        BlockSpec::new(Channel::numbered("EEG", channels, Unit::Microvolt), 10.0, 4)
    }

    #[test]
    fn a_gap_resets_and_a_new_run_is_told() {
        let mut chain = Chain::prepare(vec![Box::<Counter>::default()], &spec(2)).unwrap();
        let mut block = Block::new(&spec(2));
        block.push(&[0.0, 0.0]);
        assert_eq!(chain.process(&block).newest(), Some(&[1.0, 0.0][..]));
        block.run = 1;
        assert_eq!(chain.process(&block).newest(), Some(&[2.0, 1.0][..]));
        block.quality = Quality::GAP;
        assert_eq!(chain.process(&block).newest(), Some(&[1.0, 1.0][..]));
        chain.begin_run();
        assert_eq!(chain.process(&block).newest(), Some(&[1.0, 2.0][..]));
        assert_eq!(chain.process(&block).newest(), Some(&[1.0, 2.0][..]));
    }

    #[test]
    fn a_stage_that_does_not_fit_is_refused_by_name() {
        let error = Chain::prepare(vec![Box::<Counter>::default()], &spec(3)).err().unwrap();
        assert_eq!(error.to_string(), "stage \"counter\": needs 2 channels, gets 3");
    }
}
