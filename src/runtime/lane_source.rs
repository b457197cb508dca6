//! The lane of one source: acquire, clean, predict, push. One thread, because a wake-up costs more than all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Chain;
use super::decoder::{Decoder, InstantDecoder};
use super::lanes::{Fault, LaneContext};
use super::metrics::SourceMetrics;
use super::priority;
use crate::acquisition::{Pull, Source, SourceError, SourceStats};
use crate::frame::{Block, BlockSpec, Instant, PrepareError, Quality, Stage};
use crate::ring::{LinkReceiver, LinkSender, Wake, link};

/// Opens the source; called on its lane, and again after a failure.
pub type OpenSource = Box<dyn Fn(Arc<SourceStats>) -> Result<Box<dyn Source>, SourceError> + Send>;
/// Makes the stages of its chain.
pub type MakeStages = Box<dyn Fn() -> Result<Vec<Box<dyn Stage>>, PrepareError> + Send>;

/// How long a pull may wait: what bounds a lane's reaction to new weights and to shutdown.
const PULL: Duration = Duration::from_millis(100);
/// Blocks a consumer may fall behind before the oldest is dropped.
const LINK_BLOCKS: usize = 256;

/// Someone who wants the blocks at the end of the chain.
pub struct Consumer {
    /// Is told the shape and given the receiving end, once the source is open.
    pub connect: Box<dyn FnOnce(BlockSpec, LinkReceiver<Block>) + Send>,
    /// The consumer's bell.
    pub wake: Arc<Wake>,
}

/// What the lane of one source is made of.
pub struct SourceLane {
    /// The source's name.
    pub name: String,
    /// Opens it.
    pub open: OpenSource,
    /// Makes its stages.
    pub stages: MakeStages,
    /// What it counts.
    pub stats: Arc<SourceStats>,
    /// Whether it counts its samples itself, as LSL inlets do.
    pub counts_itself: bool,
    /// Who wants its blocks.
    pub consumers: Vec<Consumer>,
    /// Predictors that run here.
    pub decoders: Vec<InstantDecoder>,
    /// A gap longer than this many seconds begins a new run: of this source, or of all where it is a target.
    pub run_gap: f64,
    /// Whether a predictor learns from it: where the scanner pauses, everybody's run is over.
    pub is_target: bool,
    /// The processor it is tied to.
    pub processor: Option<usize>,
    /// Times and ages.
    pub metrics: SourceMetrics,
}

impl SourceLane {
    /// Runs until the context says stop, or the recording ends.
    pub fn run(mut self, context: &LaneContext) {
        self.prepare_thread(context);
        let Some((mut source, mut chain)) = self.open(context) else { return };
        chain.observe(|stage| self.metrics.stage(stage));
        let output = chain.output().clone();
        let mut links: Vec<LinkSender<Block>> = Vec::new();
        for consumer in std::mem::take(&mut self.consumers) {
            let (sender, receiver) = link(LINK_BLOCKS, || Block::new(&output), Arc::clone(&consumer.wake));
            (consumer.connect)(output.clone(), receiver);
            consumer.wake.ring();
            links.push(sender);
        }
        let decoders = std::mem::take(&mut self.decoders);
        let mut decoders: Vec<Decoder> =
            decoders.into_iter().map(|instant| Decoder::new(instant, &output, context)).collect();
        if context.realtime.is_some()
            && let Err(error) = priority::lock_memory()
        {
            tracing::warn!(source = self.name, %error, "memory is not locked: latency may suffer when it is swapped out (LimitMEMLOCK= in the unit, or ulimit -l)");
        }
        context.status.ready(&self.part());
        self.pump(source.as_mut(), &mut chain, &mut links, &mut decoders, context);
        self.stats.up.store(false, Ordering::Relaxed);
        context.status.ended(&self.part());
    }

    fn part(&self) -> String {
        format!("sources.{}", self.name)
    }

    fn prepare_thread(&self, context: &LaneContext) {
        if let Some(processor) = self.processor
            && let Err(error) = priority::pin_to(processor)
        {
            tracing::warn!(source = self.name, processor, %error, "could not be tied to its processor; runs anywhere");
        }
        if let Some(wanted) = context.realtime {
            let granted = priority::ask_for_realtime(wanted);
            self.metrics.realtime(granted.is_ok());
            if let Err(error) = granted {
                tracing::warn!(
                    source = self.name, %error,
                    "no real-time scheduling: latency will suffer under load (LimitRTPRIO= in the unit, or ulimit -r)"
                );
            }
        }
    }

    /// Waits until it opens; `None` when told to stop, or when the chain cannot work on it.
    fn open(&self, context: &LaneContext) -> Option<(Box<dyn Source>, Chain)> {
        let source = context.retry(&self.part(), || (self.open)(Arc::clone(&self.stats)))?;
        match (self.stages)().and_then(|stages| Chain::prepare(stages, source.spec())) {
            Ok(chain) => Some((source, chain)),
            Err(error) => {
                context.fail(Fault::Config, format!("source \"{}\": {error}", self.name));
                None
            }
        }
    }

    fn pump(
        &self,
        source: &mut dyn Source,
        chain: &mut Chain,
        links: &mut [LinkSender<Block>],
        decoders: &mut [Decoder],
        context: &LaneContext,
    ) {
        let mut block = Block::new(source.spec());
        let (mut newest, mut silent): (Option<Instant>, bool) = (None, false);
        while !context.stopping() {
            context.beat();
            for decoder in decoders.iter_mut() {
                decoder.take_weights(context);
            }
            // What a source does not count itself is the session's to count.
            block.run = 0;
            match source.pull(&mut block, PULL) {
                Ok(Pull::Data) => {
                    if std::mem::take(&mut silent) {
                        context.status.ready(&self.part());
                    }
                    self.stats.up.store(true, Ordering::Relaxed);
                    if !self.counts_itself {
                        self.stats.samples.fetch_add(block.len() as u64, Ordering::Relaxed);
                    }
                    let series = source.begins_run();
                    if series || (block.quality.contains(Quality::GAP) && self.is_long(newest, &block, chain)) {
                        let why = if series { "with a series" } else { "after a long gap" };
                        self.begin_run(why, &block, chain, context);
                    }
                    block.run += context.session.run_at(block.measured_at);
                    newest = Some(block.measured_at);
                    self.stats.set_newest(block.measured_at);
                    let output = chain.process(&block);
                    if output.is_empty() {
                        continue;
                    }
                    for decoder in decoders.iter_mut() {
                        decoder.process(output);
                    }
                    for link in links.iter_mut() {
                        if !link.send(|slot| slot.copy_from(output)) {
                            self.metrics.dropped();
                        }
                    }
                }
                Ok(Pull::Idle) => {}
                Ok(Pull::Lost { seconds }) => {
                    silent = true;
                    self.stats.up.store(false, Ordering::Relaxed);
                    context.status.waiting(&self.part(), format!("silent for {seconds:.2} s"));
                    tracing::warn!(source = self.name, seconds, "fell silent; frames are flagged GAP until it returns");
                    decoders.iter_mut().for_each(Decoder::lost);
                }
                Ok(Pull::End) => return,
                Err(error) => {
                    silent = true;
                    self.stats.up.store(false, Ordering::Relaxed);
                    context.status.waiting(&self.part(), error.to_string());
                    tracing::warn!(source = self.name, %error, "gave nothing");
                    context.sleep(0.5);
                }
            }
        }
    }

    /// Whether the gap before `block` is longer than a run lasts.
    fn is_long(&self, newest: Option<Instant>, block: &Block, chain: &Chain) -> bool {
        newest.is_some_and(|t| block.time_of(0, chain.input().period()) - t > self.run_gap)
    }

    fn begin_run(&self, why: &str, block: &Block, chain: &mut Chain, context: &LaneContext) {
        if self.is_target {
            let run = context.session.begin_run(block.time_of(0, chain.input().period()));
            tracing::info!(source = self.name, run, "a new run begins {why}");
        } else {
            chain.begin_run();
            tracing::info!(source = self.name, "begins anew {why}");
        }
    }
}
