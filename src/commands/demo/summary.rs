//! How good was it? The figures of a demo, for people and for `--summary`.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{Played, named};

/// What `--summary` writes.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// How many people were played.
    people: usize,
    /// Which of them were scored, first and last.
    scored: (usize, usize),
    /// Volumes scored.
    volumes: u64,
    /// Frames published meanwhile.
    frames: u64,
    /// Pooled Pearson R, mean of the regions.
    r_mean: f64,
    /// The same of the best region.
    r_max: f64,
    /// The best regions with their R.
    best_regions: Vec<(String, f64)>,
    /// Mean absolute error, in z.
    mae: f64,
    /// The same as `r_mean`, of the baseline that knows the design but no words.
    r_mean_onehot: f64,
    /// From a volume's arrival to its frames: real time.
    latency_us: Latency,
    /// Volumes learned from, the teachers' included.
    updates: u64,
    /// Real seconds for everything.
    elapsed_s: f64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Summary {
    /// Of what came of playing these people.
    pub fn new(played: Played, scored: &RangeInclusive<usize>, elapsed_s: f64) -> Self {
        let Played { scorer, names, mut latencies } = played;
        let mut best: Vec<(String, f64)> = names.into_iter().zip(scorer.r("regions")).collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        best.truncate(5);
        latencies.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let at = (latencies.len().saturating_sub(1) as f64 * q) as usize;
            latencies.get(at).copied().unwrap_or(f64::NAN)
        };
        Self {
            people: *scored.end(),
            scored: (*scored.start(), *scored.end()),
            volumes: scorer.volumes,
            frames: scorer.frames,
            r_mean: scorer.r_mean("regions"),
            r_max: best.first().map_or(f64::NAN, |(_, r)| *r),
            best_regions: best,
            mae: scorer.mae("regions"),
            r_mean_onehot: scorer.r_mean("onehot"),
            latency_us: Latency { p50: quantile(0.5), p99: quantile(0.99) },
            updates: scorer.updates("regions"),
            elapsed_s,
        }
    }

    /// The same for people: names and values.
    pub fn lines(&self) -> Vec<(String, String)> {
        let line = |name: &str, value: String| (name.to_owned(), value);
        let best = self.best_regions.iter().map(|(name, r)| format!("{name} {r:.3}")).collect::<Vec<_>>();
        let people = named(&(self.scored.0..=self.scored.1));
        vec![
            line("scored", format!("{people}, {} volumes", self.volumes)),
            line("mean R, sentences", format!("{:.4} (each volume predicted before it was learned from)", self.r_mean)),
            line("mean R, one-hot design", format!("{:.4} (the baseline: no words)", self.r_mean_onehot)),
            line("best regions", best.join(", ")),
            line("mean absolute error", format!("{:.3} z", self.mae)),
            line("volume to frames", format!("p50 {:.0} µs, p99 {:.0} µs", self.latency_us.p50, self.latency_us.p99)),
            line("learned from", format!("{} volumes", self.updates)),
            line("took", format!("{:.1} s", self.elapsed_s)),
        ]
    }
}
