//! What does the report draw? Horizontal bars per region, a histogram, and a curve over feature spaces, as inline SVG.
//!
//! Drawn 420 units wide, so that eleven-unit letters are still letters on a phone. Colours and fonts are the page's.

use super::page::{METRICS, Metric, escape, number};
use super::{FeatureSpace, Histogram, RegionScores, Score};

/// Units from side to side.
const WIDTH: f64 = 420.0;

/// A letter's width in 11-unit letters, at the most: what labels are fitted by.
const LETTER: f64 = 6.6;

/// The narrower letters of ticks, of 10 units.
const TICK_LETTER: f64 = 6.0;

/// Where values are drawn between two ends of a line, in units from the left or the top.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// Holds 0 and all values, its ends at ticks.
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let high = if high > low { high } else { low + 1.0 };
        // At most about six ticks, at 1, 2 or 5 times a power of ten.
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
        // An end that is a tick but for its rounding is one.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Self { low: first * step, high: last * step, from, to, step }
    }

    fn at(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.clamp(self.low, self.high) } else { 0.0 };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step).round() as i64;
        let last = (self.high / self.step).round() as i64;
        (first..=last).map(|tick| tick as f64 * self.step)
    }

    /// As many decimals as the step has.
    fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{:.decimals$}", if tick == 0.0 { 0.0 } else { tick })
    }
}

fn line(class: &str, x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#)
}

fn text(class: &str, anchor: &str, x: f64, y: f64, words: &str) -> String {
    format!(r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(words))
}

fn svg(height: f64, what: &str, parts: &str) -> String {
    let what = escape(what);
    format!(r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{what}">{parts}</svg>"#)
}

/// `words`, or as many of their letters as fit.
fn fitted(words: &str, width: f64, letter: f64) -> String {
    let most = (width / letter) as usize;
    if words.chars().count() <= most {
        return words.to_owned();
    }
    words.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn ends(score: &Score) -> impl Iterator<Item = f64> {
    let interval = score.interval.map(|i| [i.low, i.high]);
    [score.value].into_iter().chain(score.baseline).chain(interval.into_iter().flatten())
}

/// A bar per region and metric, its interval as a whisker, the mean pattern's as a thick tick, its value at the right.
pub fn bars(regions: &[RegionScores], metrics: &[Metric], what: &str) -> String {
    const BAR: f64 = 12.0;
    const GAP: f64 = 9.0;
    const VALUES: f64 = 44.0;
    let longest = regions.iter().map(|r| r.region.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 8.0).clamp(40.0, 140.0);
    let all = regions.iter().flat_map(|r| metrics.iter().flat_map(|m| ends((m.of)(r))));
    let scale = Scale::new(all, left, WIDTH - VALUES - 6.0);
    let group = BAR * metrics.len() as f64 + GAP;
    let bottom = group * regions.len() as f64 + 4.0;

    let mut parts = String::new();
    for tick in scale.ticks() {
        let x = scale.at(tick);
        parts += &line(if tick == 0.0 { "axis" } else { "grid" }, x, 0.0, x, bottom);
        parts += &text("tick", "middle", x, bottom + 12.0, &scale.label(tick));
    }
    for (i, region) in regions.iter().enumerate() {
        let top = i as f64 * group + GAP / 2.0 + 2.0;
        let middle = top + (group - GAP) / 2.0 + 4.0;
        parts += &text("", "end", left - 6.0, middle, &fitted(&region.region, left - 6.0, LETTER));
        for (j, metric) in metrics.iter().enumerate() {
            let score = (metric.of)(region);
            let (y, half) = (top + j as f64 * BAR, (BAR - 2.0) / 2.0);
            let (a, b) = (scale.at(score.value.min(0.0)), scale.at(score.value.max(0.0)));
            parts += &format!(
                r#"<rect class="{}" x="{a:.1}" y="{y:.1}" width="{:.1}" height="{:.1}"><title>{}: {}</title></rect>"#,
                metric.class,
                b - a,
                BAR - 2.0,
                escape(&region.region),
                escape(&score.words(metric.name)),
            );
            if let Some(interval) = score.interval {
                let (low, high, y) = (scale.at(interval.low), scale.at(interval.high), y + half);
                parts += &line("whisker", low, y, high, y);
                parts += &line("whisker", low, y - 3.0, low, y + 3.0);
                parts += &line("whisker", high, y - 3.0, high, y + 3.0);
            }
            if let Some(baseline) = score.baseline {
                let x = scale.at(baseline);
                parts += &line("baseline", x, y - 0.5, x, y + BAR - 1.5);
            }
            parts += &text("tick", "end", WIDTH - 2.0, y + BAR - 3.0, &number(score.value));
        }
    }
    svg(bottom + 18.0, what, &parts)
}

/// How many voxels have which R.
pub fn histogram(of: &Histogram, class: &str, what: &str) -> String {
    const HEIGHT: f64 = 170.0;
    const LEFT: f64 = 44.0;
    let bin = (of.high - of.low) / of.counts.len().max(1) as f64;
    let edge = |i: usize| of.low + i as f64 * bin;
    let held = || of.counts.iter().enumerate().filter(|(_, n)| **n > 0);
    let span = held().flat_map(|(i, _)| [edge(i), edge(i + 1)]);
    let x = Scale::new(span, LEFT, WIDTH - 14.0);
    let y = Scale::new(of.counts.iter().map(|n| *n as f64), HEIGHT - 20.0, 10.0);

    let mut parts = String::new();
    for tick in y.ticks() {
        parts += &line("grid", LEFT, y.at(tick), WIDTH - 14.0, y.at(tick));
        parts += &text("tick", "end", LEFT - 5.0, y.at(tick) + 3.5, &fitted(&y.label(tick), LEFT - 5.0, TICK_LETTER));
    }
    for (i, n) in held() {
        let (a, b, top) = (x.at(edge(i)), x.at(edge(i + 1)), y.at(*n as f64));
        parts += &format!(
            r#"<rect class="{class}" x="{a:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>{} to {}: {n}</title></rect>"#,
            (b - a - 0.6).max(0.4),
            y.at(0.0) - top,
            number(edge(i)),
            number(edge(i + 1)),
        );
    }
    for tick in x.ticks() {
        parts += &text("tick", "middle", x.at(tick), HEIGHT - 6.0, &x.label(tick));
    }
    parts += &line("axis", x.at(0.0), 10.0, x.at(0.0), HEIGHT - 20.0);
    svg(HEIGHT, what, &parts)
}

/// Every metric that correlates or compares, over feature spaces in the order given: a network's layers.
pub fn curve(spaces: &[FeatureSpace], what: &str) -> String {
    const HEIGHT: f64 = 210.0;
    const LEFT: f64 = 36.0;
    let metrics = METRICS.get(..3).unwrap_or_default();
    let values = spaces.iter().flat_map(|s| metrics.iter().flat_map(|m| ends((m.of)(&s.overall))));
    let y = Scale::new(values, HEIGHT - 22.0, 10.0);
    let slot = (WIDTH - LEFT - 10.0) / spaces.len().max(1) as f64;
    let x = |i: usize| LEFT + (i as f64 + 0.5) * slot;

    let mut parts = String::new();
    for tick in y.ticks() {
        parts += &line(if tick == 0.0 { "axis" } else { "grid" }, LEFT, y.at(tick), WIDTH - 10.0, y.at(tick));
        parts += &text("tick", "end", LEFT - 5.0, y.at(tick) + 3.5, &y.label(tick));
    }
    // Names where all fit, else their numbers, of which as many as fit.
    let fits = |s: &FeatureSpace| s.name.chars().count() as f64 * TICK_LETTER + 4.0 <= slot;
    let named = spaces.iter().all(fits);
    let every = (spaces.len().to_string().len() as f64 * TICK_LETTER / slot + 0.3).ceil().max(1.0) as usize;
    for (i, space) in spaces.iter().enumerate().filter(|(i, _)| named || i % every == 0) {
        let label = if named { space.name.clone() } else { (i + 1).to_string() };
        parts += &text("tick", "middle", x(i), HEIGHT - 6.0, &label);
    }
    for (j, metric) in metrics.iter().enumerate() {
        // Beside each other, so that whiskers of the same height are still seen.
        let x = |i: usize| x(i) + (j as f64 - 1.0) * (slot / 8.0).min(4.0);
        let points: Vec<String> = spaces
            .iter()
            .enumerate()
            .map(|(i, s)| format!("{:.1},{:.1}", x(i), y.at((metric.of)(&s.overall).value)))
            .collect();
        parts += &format!(r#"<polyline class="{}" points="{}"/>"#, metric.class, points.join(" "));
        for (i, space) in spaces.iter().enumerate() {
            let score = (metric.of)(&space.overall);
            if let Some(interval) = score.interval {
                parts += &line("whisker", x(i), y.at(interval.low), x(i), y.at(interval.high));
            }
            parts += &format!(
                r#"<circle class="{}" cx="{:.1}" cy="{:.1}" r="3"><title>{}: {}</title></circle>"#,
                metric.class,
                x(i),
                y.at(score.value),
                escape(&space.name),
                escape(&score.words(metric.name)),
            );
        }
    }
    svg(HEIGHT, what, &parts)
}
