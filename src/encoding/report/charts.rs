//! How does one feature space fare? Horizontal bars per region, and histograms of its voxels.
//!
//! Drawn 420 units wide, so that eleven-unit letters are still letters on a phone.

use super::figure::{Anchor, Figure, LETTER, Mark, Size, Stroke, TICK_LETTER, fitted};
use super::metric::{Metric, number};
use super::scale::Scale;
use super::{FeatureSpace, RegionScores, Score};

/// Units from side to side.
pub(super) const WIDTH: f64 = 420.0;

/// Every value that a score draws.
pub(super) fn ends(score: &Score) -> impl Iterator<Item = f64> {
    let interval = score.interval.map(|i| [i.low, i.high]);
    let all = [score.value].into_iter().chain(score.baseline).chain(interval.into_iter().flatten());
    all.chain(score.each.iter().copied())
}

/// A bar per region and metric, its interval as a whisker, the mean pattern's as a thick tick, its value at the right.
pub(super) fn bars(name: &'static str, what: String, regions: &[&RegionScores], metrics: &[Metric]) -> Figure {
    const BAR: f64 = 12.0;
    const GAP: f64 = 9.0;
    const VALUES: f64 = 44.0;
    let longest = regions.iter().map(|r| r.region.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 8.0).clamp(40.0, 140.0);
    let all = regions.iter().flat_map(|r| metrics.iter().filter_map(|m| (m.of)(r)).flat_map(ends));
    let scale = Scale::new(all, left, WIDTH - VALUES - 6.0);
    let group = BAR * metrics.len() as f64 + GAP;
    let bottom = group * regions.len() as f64 + 4.0;

    let mut marks = Vec::new();
    for tick in scale.ticks() {
        let x = scale.at(tick);
        marks.push(Mark::Line(if tick == 0.0 { Stroke::Axis } else { Stroke::Grid }, [x, 0.0, x, bottom]));
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [x, bottom + 12.0], scale.label(tick)));
    }
    for (i, region) in regions.iter().enumerate() {
        let top = i as f64 * group + GAP / 2.0 + 2.0;
        let middle = top + (group - GAP) / 2.0 + 4.0;
        let words = fitted(&region.region, left - 6.0, LETTER);
        marks.push(Mark::Text(Size::Label, Anchor::End, [left - 6.0, middle], words));
        for (j, metric) in metrics.iter().enumerate() {
            let Some(score) = (metric.of)(region) else { continue };
            let (y, half) = (top + j as f64 * BAR, (BAR - 2.0) / 2.0);
            let (a, b) = (scale.at(score.value.min(0.0)), scale.at(score.value.max(0.0)));
            let words = format!("{}: {}", region.region, score.words(metric.name));
            marks.push(Mark::Rect(metric.colour, [a, y, b - a, BAR - 2.0], words));
            if let Some(interval) = score.interval {
                let (low, high, y) = (scale.at(interval.low), scale.at(interval.high), y + half);
                for line in [[low, y, high, y], [low, y - 3.0, low, y + 3.0], [high, y - 3.0, high, y + 3.0]] {
                    marks.push(Mark::Line(Stroke::Whisker, line));
                }
            }
            if let Some(baseline) = score.baseline {
                let x = scale.at(baseline);
                marks.push(Mark::Line(Stroke::Baseline, [x, y - 0.5, x, y + BAR - 1.5]));
            }
            for value in &score.each {
                marks.push(Mark::Circle("ink", [scale.at(*value), y + half, 1.8], String::new()));
            }
            marks.push(Mark::Text(Size::Tick, Anchor::End, [WIDTH - 2.0, y + BAR - 3.0], number(score.value)));
        }
    }
    let mut key: Vec<(&'static str, String)> = metrics.iter().map(|m| (m.colour, m.name.into())).collect();
    key.push(("ink", "mean pattern (tick)".into()));
    Figure { name, what, width: WIDTH, height: bottom + 18.0, marks, key }
}

/// How many voxels have which R: of each space, one above the other, all on the same axis.
pub(super) fn histograms(spaces: &[(&FeatureSpace, &'static str)], what: String) -> Figure {
    const LEFT: f64 = 44.0;
    let one = spaces.len() == 1;
    let height = if one { 140.0 } else { 58.0 };
    let bins = |space: &FeatureSpace| {
        let of = &space.overall.r_histogram;
        let width = (of.high - of.low) / of.counts.len().max(1) as f64;
        let (low, counts) = (of.low, of.counts.clone());
        counts.into_iter().enumerate().filter(|(_, n)| *n > 0).map(move |(i, n)| {
            let edge = low + i as f64 * width;
            (edge, edge + width, n)
        })
    };
    let span = spaces.iter().flat_map(|(space, _)| bins(space)).flat_map(|(a, b, _)| [a, b]);
    let x = Scale::new(span, LEFT, WIDTH - 14.0);
    let mut marks = Vec::new();
    let mut top = 4.0;
    for (space, colour) in spaces {
        if !one {
            top += 14.0;
            let words = fitted(&space.name, WIDTH - 14.0 - LEFT, LETTER);
            marks.push(Mark::Text(Size::Label, Anchor::Start, [LEFT, top - 3.0], words));
        }
        let bottom = top + height;
        let y = Scale::new(bins(space).map(|(.., n)| n as f64), bottom, top + 4.0);
        let ticks: Vec<f64> = if one { y.ticks().collect() } else { vec![0.0, y.high()] };
        for tick in ticks {
            marks.push(Mark::Line(Stroke::Grid, [LEFT, y.at(tick), WIDTH - 14.0, y.at(tick)]));
            let words = fitted(&y.label(tick), LEFT - 5.0, TICK_LETTER);
            marks.push(Mark::Text(Size::Tick, Anchor::End, [LEFT - 5.0, y.at(tick) + 3.5], words));
        }
        for (low, high, n) in bins(space) {
            let (a, b, at) = (x.at(low), x.at(high), y.at(n as f64));
            let words = format!("{} to {}: {n}", number(low), number(high));
            marks.push(Mark::Rect(colour, [a, at, (b - a - 0.6).max(0.4), y.at(0.0) - at], words));
        }
        marks.push(Mark::Line(Stroke::Axis, [x.at(0.0), top, x.at(0.0), bottom]));
        top = bottom + 4.0;
    }
    for tick in x.ticks() {
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [x.at(tick), top + 10.0], x.label(tick)));
    }
    Figure { name: "histogram", what, width: WIDTH, height: top + 18.0, marks, key: Vec::new() }
}
