//! Features on their way from an encoder or a source to a predictor.

use crate::frame::{Block, Instant, Quality};

/// Features held over a stretch of time, from one encoder or source.
#[derive(Clone, Debug)]
pub struct Features {
    /// From when.
    pub start: Instant,
    /// Until when.
    pub end: Instant,
    /// The values that are held.
    pub values: Vec<f64>,
    /// The newest thing that went in.
    pub measured_at: Instant,
    /// When that arrived.
    pub arrived_at: Instant,
    /// What is wrong with it.
    pub quality: Quality,
    /// The run it belongs to.
    pub run: u32,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            start: Instant::default(),
            end: Instant::default(),
            values: Vec::new(),
            measured_at: Instant::default(),
            arrived_at: Instant::default(),
            quality: Quality::GOOD,
            run: 0,
        }
    }
}

impl Features {
    /// Becomes sample `index` of a chain's output: its values hold for the period that ends with it. A bad channel
    /// counts as zero.
    pub fn of_sample(&mut self, block: &Block, index: usize, period: f64) {
        let at = block.time_of(index, period);
        self.values.clear();
        let good = |(c, v): (usize, &f64)| if block.bad.contains(c) || !v.is_finite() { 0.0 } else { *v };
        self.values.extend(block.sample(index).iter().enumerate().map(good));
        (self.start, self.end) = (at - period, at);
        (self.measured_at, self.arrived_at) = (at, block.arrived_at);
        (self.quality, self.run) = (block.quality, block.run);
    }
}
