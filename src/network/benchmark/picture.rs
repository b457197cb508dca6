//! How far apart are the models? A dot a model with its interval, beside no model at all.

use super::{Standing, Summed};
use crate::drawing::Figure;
use crate::drawing::figure::{Anchor, LETTER, Mark, Size, Stroke, fitted};
use crate::drawing::page::number;
use crate::drawing::palette::series;
use crate::drawing::scale::Scale;
use crate::network::scores::Metric;

const WIDTH: f64 = 640.0;
const ROW: f64 = 17.0;
const VALUES: f64 = 50.0;

/// Of every model the score of all predictions together, 95 % of the draws of the participants as a whisker, its folds as small
/// dots; the score of no look at the networks as a line.
pub(super) fn picture(name: &'static str, metric: Metric, standings: &[Standing], without: Option<f64>) -> Figure {
    let of = |standing: &'_ Standing| -> Option<(Summed, Vec<f64>)> {
        let place = standing.scores.iter().position(|summed| summed.metric == metric)?;
        let folds = standing.folds.iter().filter_map(|fold| fold.scores.get(place).copied());
        Some((*standing.scores.get(place)?, folds.filter(|score| score.is_finite()).collect()))
    };
    let longest = standings.iter().map(|of| of.model.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 10.0).clamp(60.0, 230.0);
    let ends = standings.iter().filter_map(of).flat_map(|(summed, folds)| {
        let interval = summed.interval.map(|interval| [interval.low, interval.high]);
        [summed.pooled].into_iter().chain(interval.into_iter().flatten()).chain(folds)
    });
    // An R² far below 0 would leave no room for those that are not.
    let ends = ends.chain(without).map(|end| end.clamp(-1.0, f64::INFINITY));
    let scale = Scale::new(ends, left, WIDTH - VALUES - 8.0);
    let (mut marks, mut above, mut y) = (Vec::new(), Vec::new(), 4.0);
    let mut group = "";
    let mut key = Vec::new();
    for standing in standings {
        if standing.group != group {
            group = standing.group;
            key.push((series(key.len()), group.to_owned()));
            y += 4.0;
        }
        let colour = key.last().map_or("s0", |(colour, _)| colour);
        let middle = y + ROW / 2.0;
        let words = fitted(&standing.model, left - 8.0, LETTER);
        above.push(Mark::Text(Size::Label, Anchor::End, [left - 8.0, middle + 4.0], words));
        if let Some((summed, folds)) = of(standing).filter(|(summed, _)| summed.pooled.is_finite()) {
            if let Some(interval) = summed.interval {
                let (low, high) = (scale.at(interval.low), scale.at(interval.high));
                above.push(Mark::Line(Stroke::Whisker, [low, middle, high, middle]));
                for end in [low, high] {
                    above.push(Mark::Line(Stroke::Whisker, [end, middle - 3.0, end, middle + 3.0]));
                }
            }
            for score in folds {
                above.push(Mark::Circle("soft", [scale.at(score), middle + 5.0, 1.4], String::new()));
            }
            let words = format!("{}: {} {}", standing.model, metric.title(), number(summed.pooled));
            above.push(Mark::Circle(colour, [scale.at(summed.pooled), middle, 4.2], words));
            above.push(Mark::Text(Size::Tick, Anchor::End, [WIDTH - 2.0, middle + 4.0], number(summed.pooled)));
        }
        y += ROW;
    }
    let bottom = y + 4.0;
    for tick in scale.ticks() {
        let x = scale.at(tick);
        marks.push(Mark::Line(if tick == 0.0 { Stroke::Axis } else { Stroke::Grid }, [x, 0.0, x, bottom]));
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [x, bottom + 12.0], scale.label(tick)));
    }
    if let Some(without) = without.filter(|score| score.is_finite()) {
        let x = scale.at(without);
        marks.push(Mark::Line(Stroke::Baseline, [x, 0.0, x, bottom]));
        key.push(("ink", "no look at the networks (line)".into()));
    }
    marks.extend(above);
    let what = format!("{} of every model, all predictions out of fold together", metric.title());
    Figure { name, what, width: WIDTH, height: bottom + 18.0, marks, key }
}
