//! How do scores go with depth, and by how much is the best ahead? Layer curves, and differences with their intervals.

use super::charts::{WIDTH, ends};
use super::figure::{Anchor, Figure, LETTER, Mark, Size, Stroke, TICK_LETTER, fitted};
use super::metric::{Metric, number};
use super::scale::Scale;
use super::{Difference, FeatureSpace};

/// A score over the layers of each model, in their order: a name, a colour and one curve a model.
pub(super) fn layers(
    name: &'static str,
    what: String,
    metric: Metric,
    models: &[(&str, &'static str, Vec<&FeatureSpace>)],
) -> Figure {
    const HEIGHT: f64 = 190.0;
    const LEFT: f64 = 36.0;
    let scores = |space: &&FeatureSpace| (metric.of)(&space.overall).cloned();
    let values: Vec<f64> = models
        .iter()
        .flat_map(|(_, _, layers)| layers.iter().filter_map(scores).flat_map(|s| ends(&s).collect::<Vec<_>>()))
        .collect();
    let y = Scale::new(values.into_iter(), HEIGHT - 8.0, 8.0);
    let most = models.iter().map(|(_, _, layers)| layers.len()).max().unwrap_or(1).max(1);
    let slot = (WIDTH - LEFT - 10.0) / most as f64;
    let x = |i: usize| LEFT + (i as f64 + 0.5) * slot;

    let mut marks = Vec::new();
    for tick in y.ticks() {
        let stroke = if tick == 0.0 { Stroke::Axis } else { Stroke::Grid };
        marks.push(Mark::Line(stroke, [LEFT, y.at(tick), WIDTH - 10.0, y.at(tick)]));
        marks.push(Mark::Text(Size::Tick, Anchor::End, [LEFT - 5.0, y.at(tick) + 3.5], y.label(tick)));
    }
    // The layers' names where there is one model and all fit, else their numbers, of which as many as fit.
    let named: Option<Vec<String>> = match models {
        [(_, _, layers)] => layers
            .iter()
            .map(|space| space.layer.as_ref().map_or(&space.name, |[_, layer]| layer))
            .map(|name| (name.chars().count() as f64 * TICK_LETTER + 4.0 <= slot).then(|| name.clone()))
            .collect(),
        _ => None,
    };
    let every = (most.to_string().len() as f64 * TICK_LETTER / slot + 0.3).ceil().max(1.0) as usize;
    for i in (0..most).filter(|i| named.is_some() || i % every == 0) {
        let words = named.as_ref().and_then(|names| names.get(i).cloned()).unwrap_or_else(|| (i + 1).to_string());
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [x(i), HEIGHT + 6.0], words));
    }
    for (j, (model, colour, layers)) in models.iter().enumerate() {
        // Beside each other, so that whiskers of the same height are still seen.
        let aside = (j as f64 - (models.len() as f64 - 1.0) / 2.0) * (slot / (2.0 * models.len() as f64)).min(4.0);
        let points: Vec<_> =
            layers.iter().enumerate().filter_map(|(i, s)| Some((x(i) + aside, s, scores(s)?))).collect();
        let line = points.iter().map(|(x, _, score)| [*x, y.at(score.value)]).collect();
        marks.push(Mark::Curve(colour, line));
        for (x, space, score) in points {
            if let Some(interval) = score.interval {
                marks.push(Mark::Line(Stroke::Whisker, [x, y.at(interval.low), x, y.at(interval.high)]));
            }
            let words = format!("{model}, {}: {}", space.name, score.words(metric.name));
            marks.push(Mark::Circle(colour, [x, y.at(score.value), 3.0], words));
        }
    }
    let key = models.iter().map(|(model, colour, _)| (*colour, (*model).into())).collect();
    Figure { name, what, width: WIDTH, height: HEIGHT + 12.0, marks, key }
}

/// By how much the best is ahead of each other space, and how surely.
pub(super) fn differences(what: String, of: &[&Difference]) -> Figure {
    const ROW: f64 = 20.0;
    let longest = of.iter().map(|d| d.than.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 8.0).clamp(40.0, 180.0);
    let x = Scale::new(of.iter().flat_map(|d| ends(&d.pearson_per_voxel)), left + 6.0, WIDTH - 56.0);
    let bottom = of.len() as f64 * ROW + 6.0;
    let mut marks = Vec::new();
    for tick in x.ticks() {
        let stroke = if tick == 0.0 { Stroke::Baseline } else { Stroke::Grid };
        marks.push(Mark::Line(stroke, [x.at(tick), 0.0, x.at(tick), bottom]));
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [x.at(tick), bottom + 12.0], x.label(tick)));
    }
    for (i, difference) in of.iter().enumerate() {
        let (y, score) = ((i as f64 + 0.5) * ROW + 3.0, &difference.pearson_per_voxel);
        let words = fitted(&difference.than, left - 6.0, LETTER);
        marks.push(Mark::Text(Size::Label, Anchor::End, [left - 6.0, y + 4.0], words));
        if let Some(interval) = score.interval {
            let (a, b) = (x.at(interval.low), x.at(interval.high));
            for line in [[a, y, b, y], [a, y - 4.0, a, y + 4.0], [b, y - 4.0, b, y + 4.0]] {
                marks.push(Mark::Line(Stroke::Whisker, line));
            }
        }
        let words = format!("{} ahead of {}: {}", difference.space, difference.than, score.words("r"));
        marks.push(Mark::Circle("voxel", [x.at(score.value), y, 4.0], words));
        marks.push(Mark::Text(Size::Tick, Anchor::End, [WIDTH - 2.0, y + 3.5], number(score.value)));
    }
    Figure { name: "differences", what, width: WIDTH, height: bottom + 18.0, marks, key: Vec::new() }
}
