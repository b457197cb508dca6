//! How do feature spaces compare, region by region? Grouped columns, and columns that are stacked of parts.
//!
//! A region's columns stand together; where all do not fit side by side, they go on below.

use super::charts::ends;
use super::figure::{Anchor, Figure, LETTER, Mark, Size, Stroke, fitted};
use super::metric::{Metric, number};
use super::palette::series;
use super::scale::Scale;
use super::{Partitioned, RegionScores, Score};

/// Units from side to side.
const WIDTH: f64 = 860.0;

/// Left of the columns, for the numbers of the axis.
const LEFT: f64 = 40.0;

/// Of a row of columns, without what stands below it.
const HEIGHT: f64 = 150.0;

/// Between regions.
const GAP: f64 = 14.0;

/// The columns of one region: its name, and a colour and score each.
struct Group<'a> {
    name: &'a str,
    columns: Vec<(&'static str, &'a str, &'a Score)>,
}

impl<'a> Group<'a> {
    fn of(name: &'a str, metric: Metric, spaces: &'a [(&'a str, Vec<&'a RegionScores>)]) -> Self {
        let mut columns = Vec::new();
        for (place, (space, scores)) in spaces.iter().enumerate() {
            let score = scores.iter().find(|of| of.region == name).and_then(|of| (metric.of)(of));
            columns.extend(score.map(|score| (series(place), *space, score)));
        }
        Self { name, columns }
    }
}

/// Where groups stand: rows of so many, each group and column so wide.
struct Layout {
    per_row: usize,
    group: f64,
    column: f64,
}

impl Layout {
    fn new<'a>(names: impl Iterator<Item = &'a str>, groups: usize, columns: usize) -> Self {
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0) as f64 * LETTER;
        let columns = columns.max(1) as f64;
        // As wide as the longest name, within reason; and no column so wide that it looks like a wall.
        let least = (columns * 7.0).max(longest.min(96.0)) + GAP;
        let per_row = (((WIDTH - LEFT) / least) as usize).clamp(1, groups.max(1));
        // Rows that are as full as each other.
        let per_row = groups.max(1).div_ceil(groups.max(1).div_ceil(per_row));
        let group = ((WIDTH - LEFT) / per_row as f64).min(columns * 34.0 + GAP + 20.0).max(least);
        Self { per_row, group, column: ((group - GAP) / columns).min(34.0) }
    }
}

/// A column per region and space, its interval as a whisker, the mean pattern's as a tick, a dot a subject.
pub(super) fn columns(
    name: &'static str,
    what: String,
    metric: Metric,
    spaces: &[(&str, Vec<&RegionScores>)],
) -> Figure {
    let regions: Vec<&str> =
        spaces.first().map_or(Vec::new(), |(_, of)| of.iter().map(|r| r.region.as_str()).collect());
    let groups: Vec<Group<'_>> = regions.iter().map(|region| Group::of(region, metric, spaces)).collect();
    let layout = Layout::new(regions.iter().copied(), groups.len(), spaces.len());
    let values: Vec<f64> = groups.iter().flat_map(|group| group.columns.iter().flat_map(|(.., s)| ends(s))).collect();
    let mut marks = Vec::new();
    let mut top = 6.0;
    for row in groups.chunks(layout.per_row) {
        let y = Scale::new(values.iter().copied(), top + HEIGHT, top);
        axis(&mut marks, &y);
        for (i, group) in row.iter().enumerate() {
            let middle = LEFT + (i as f64 + 0.5) * layout.group;
            let left = middle - layout.column * group.columns.len() as f64 / 2.0;
            for (j, (colour, space, score)) in group.columns.iter().enumerate() {
                let x = left + j as f64 * layout.column;
                column(
                    &mut marks,
                    &y,
                    [x, layout.column],
                    colour,
                    score,
                    &format!("{}, {space}: {}", group.name, score.words(metric.name)),
                );
            }
            let words = fitted(group.name, layout.group - 4.0, LETTER);
            marks.push(Mark::Text(Size::Label, Anchor::Middle, [middle, top + HEIGHT + 15.0], words));
        }
        top += HEIGHT + 32.0;
    }
    let mut key: Vec<(&'static str, String)> =
        spaces.iter().enumerate().map(|(place, (space, _))| (series(place), (*space).into())).collect();
    key.push(("ink", "mean pattern (tick)".into()));
    Figure { name, what, width: WIDTH, height: top - 8.0, marks, key }
}

fn axis(marks: &mut Vec<Mark>, y: &Scale) {
    for tick in y.ticks() {
        let stroke = if tick == 0.0 { Stroke::Axis } else { Stroke::Grid };
        marks.push(Mark::Line(stroke, [LEFT, y.at(tick), WIDTH, y.at(tick)]));
        marks.push(Mark::Text(Size::Tick, Anchor::End, [LEFT - 5.0, y.at(tick) + 3.5], y.label(tick)));
    }
}

fn column(marks: &mut Vec<Mark>, y: &Scale, [x, width]: [f64; 2], colour: &'static str, score: &Score, words: &str) {
    let (high, low) = (y.at(score.value.max(0.0)), y.at(score.value.min(0.0)));
    let inner = (width - if width > 8.0 { 2.0 } else { 1.0 }).max(1.0);
    marks.push(Mark::Rect(colour, [x, high, inner, low - high], words.into()));
    let middle = x + inner / 2.0;
    if let Some(baseline) = score.baseline {
        marks.push(Mark::Line(Stroke::Baseline, [x, y.at(baseline), x + inner, y.at(baseline)]));
    }
    if let Some(interval) = score.interval {
        let (low, high, cap) = (y.at(interval.low), y.at(interval.high), (inner / 4.0).min(3.0));
        for line in [
            [middle, low, middle, high],
            [middle - cap, low, middle + cap, low],
            [middle - cap, high, middle + cap, high],
        ] {
            marks.push(Mark::Line(Stroke::Whisker, line));
        }
    }
    let many = score.each.len() as f64;
    for (i, value) in score.each.iter().enumerate() {
        // Beside each other, so that subjects who are alike are still counted.
        let aside = (i as f64 - (many - 1.0) / 2.0) * (inner / (many + 1.0)).min(4.0);
        marks.push(Mark::Circle("ink", [middle + aside, y.at(*value), 1.7], String::new()));
    }
}

/// A column per region, stacked of what each space explains alone and together; what is below nothing hangs below it.
pub(super) fn stacked(what: String, regions: &[&Partitioned]) -> Figure {
    let layout = Layout::new(regions.iter().map(|of| of.region.as_str()), regions.len(), 1);
    let parts = |of: &Partitioned| of.parts.split_last().map_or(Vec::new(), |(_, parts)| parts.to_vec());
    let ends = |of: &&Partitioned| {
        let (up, down) = parts(of).iter().fold((0.0, 0.0), |(up, down), (_, v)| (up + v.max(0.0), down + v.min(0.0)));
        [up, down]
    };
    let values: Vec<f64> = regions.iter().flat_map(ends).collect();
    let mut marks = Vec::new();
    let mut top = 6.0;
    for row in regions.chunks(layout.per_row) {
        let y = Scale::new(values.iter().copied(), top + HEIGHT, top);
        axis(&mut marks, &y);
        for (i, of) in row.iter().enumerate() {
            let middle = LEFT + (i as f64 + 0.5) * layout.group;
            let x = middle - layout.column / 2.0;
            let (mut up, mut down) = (0.0, 0.0);
            for (place, (name, value)) in parts(of).iter().enumerate().filter(|(_, (_, value))| value.is_finite()) {
                let from = if *value >= 0.0 { &mut up } else { &mut down };
                let (a, b) = (y.at(*from), y.at(*from + value));
                *from += value;
                let words = format!("{}, {name}: R² {}", of.region, number(*value));
                marks.push(Mark::Rect(series(place), [x, a.min(b), layout.column, (a - b).abs()], words));
            }
            if let Some((_, total)) = of.parts.last() {
                marks
                    .push(Mark::Line(Stroke::Baseline, [x - 3.0, y.at(*total), x + layout.column + 3.0, y.at(*total)]));
            }
            let words = fitted(&of.region, layout.group - 4.0, LETTER);
            marks.push(Mark::Text(Size::Label, Anchor::Middle, [middle, top + HEIGHT + 15.0], words));
        }
        top += HEIGHT + 32.0;
    }
    let names = regions.first().map_or(Vec::new(), |of| parts(of));
    let mut key: Vec<(&'static str, String)> =
        names.iter().enumerate().map(|(place, (name, _))| (series(place), name.clone())).collect();
    key.push(("ink", "total (tick)".into()));
    Figure { name: "partition", what, width: WIDTH, height: top - 8.0, marks, key }
}
