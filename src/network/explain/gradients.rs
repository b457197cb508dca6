//! How much of what a model gains by the truth passes through an edge? Integrated gradients (Sundararajan, Taly and Yan 2017, ICML,
//! *Axiomatic Attribution for Deep Networks*) of people it has not seen, against what those people are.
//!
//! A person's attributions sum to how far the model's output is from that of the baseline. Their mean over people says little: what
//! speaks for the class in one half speaks against it in the other. So an edge's value is the slope of its attribution on the
//! truth over the held-out people: of a class the mean of those who are in it less the mean of those who are not. The values of all
//! edges sum to the slope of the model's output itself, and the baseline's output falls out of them.

use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::layers::Integrated;
use crate::network::baselines::linear::Link;
use crate::network::baselines::{Linear, Vectors};
use crate::network::{Inside, NetworkError, Networks, Rows, Targets};

/// What the held-out people of one fold tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// The slope of each entry's attribution on the truth: outputs × N × N.
    pub slope: Array3<f64>,
    /// The mean gradient of each entry over people and the way: outputs × N × N.
    pub gradient: Array3<f64>,
    /// What attributions miss of the outputs' changes, as a share of those: Σ |gap| / Σ |change| over people and outputs.
    pub gap: f64,
}

/// Integrated gradients of `rows` against their truth, from `baseline`; `name` is the model's.
///
/// # Errors
/// A model without gradients; people who are all of one class; gradients that are 0 everywhere.
pub fn carried(
    name: &str,
    model: Inside<'_>,
    rows: Rows<'_>,
    baseline: ArrayView2<'_, f64>,
    steps: usize,
) -> Result<Carried, NetworkError> {
    let wrong = |problem: &str| NetworkError::Model { model: name.into(), problem: problem.into() };
    let shares = slopes(rows)?;
    let (nodes, outputs) = (rows.networks.nodes(), shares.ncols());
    let mut all = Carried {
        slope: Array3::zeros((outputs, nodes, nodes)),
        gradient: Array3::zeros((outputs, nodes, nodes)),
        gap: 0.0,
    };
    let (mut missed, mut changed) = (0.0, 0.0);
    for (row, shares) in rows.rows.iter().zip(shares.rows()) {
        let network = rows.networks.connectivity.index_axis(Axis(0), *row);
        let one = match model {
            Inside::Layers(layers) => layers.integrated(network, baseline, steps)?,
            Inside::Linear(linear) => of_linear(linear, network, baseline, outputs)
                .ok_or_else(|| wrong("has no weight an edge of these networks (choose --method pattern)"))?,
            Inside::Closed => return Err(wrong("has no gradients (choose a linear or a deep model)")),
        };
        for (output, share) in shares.iter().enumerate() {
            all.slope.index_axis_mut(Axis(0), output).scaled_add(*share, &one.attribution.index_axis(Axis(0), output));
            missed += one.gap(output).abs();
            changed += one.change.get(output).copied().unwrap_or_default().abs();
        }
        all.gradient.scaled_add(1.0 / rows.rows.len() as f64, &one.gradient);
    }
    if all.gradient.iter().all(|gradient| *gradient == 0.0) {
        return Err(wrong(
            "has no gradient: edges reach it through counts, bins or eigenvectors alone (choose another model)",
        ));
    }
    all.gap = if changed > 0.0 { missed / changed } else { 0.0 };
    Ok(all)
}

/// What each row counts in the slope on the truth of each output: rows × outputs. Of two classes the truth is 1 for the second one;
/// of more there is an output a class.
fn slopes(rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
    let truths: Vec<Vec<f64>> = match rows.targets {
        Targets::Values(values) => {
            vec![rows.rows.iter().map(|row| values.get(*row).copied().unwrap_or(f64::NAN)).collect()]
        }
        Targets::Classes { names, of } => {
            let first = if names.len() == 2 { 1 } else { 0 };
            let is = |class: usize| rows.rows.iter().map(|row| f64::from(of.get(*row) == Some(&class))).collect();
            (first..names.len()).map(is).collect()
        }
    };
    let mut shares = Array2::zeros((rows.rows.len(), truths.len()));
    for (mut column, truth) in shares.columns_mut().into_iter().zip(truths) {
        let mean = truth.iter().sum::<f64>() / truth.len() as f64;
        let squares: f64 = truth.iter().map(|value| (value - mean).powi(2)).sum();
        if squares.is_nan() || squares <= 0.0 {
            let problem = "the people who are left out do not differ in what they are (take fewer folds)";
            return Err(NetworkError::Folds(problem.into()));
        }
        column.iter_mut().zip(truth).for_each(|(share, value)| *share = (value - mean) / squares);
    }
    Ok(shares)
}

/// The same of a linear model in closed form: each weight times how far its edge is from the baseline. None of one whose vector is
/// not made of edges, or that has not seen every class.
fn of_linear(
    model: &Linear,
    network: ArrayView2<'_, f64>,
    baseline: ArrayView2<'_, f64>,
    outputs: usize,
) -> Option<Integrated> {
    let Vectors::Edges(edges) = &model.vectors else { return None };
    if !edges.of_connectivity() || edges.nodes() != network.nrows() || model.weights.ncols() != outputs {
        return None;
    }
    let mut gradient = Array3::zeros((outputs, network.nrows(), network.ncols()));
    for ((weights, scale), (i, j)) in model.weights.rows().into_iter().zip(&model.standard.scale).zip(edges.places()) {
        let common = if model.link == Link::Softmax { weights.sum() / outputs as f64 } else { 0.0 };
        for (output, weight) in weights.iter().enumerate() {
            gradient[[output, i, j]] = (weight - common) / scale;
        }
    }
    let attribution = &gradient * &(&network - &baseline);
    // By the model itself, so that what is missed can show.
    let both = Networks { connectivity: ndarray::stack(Axis(0), &[baseline, network]).ok()?, ..Networks::default() };
    let said =
        model.decisions(Rows { networks: &both, targets: &Targets::Values(vec![0.0; 2]), rows: &[0, 1] }).ok()?;
    let moved = &said.row(1) - &said.row(0);
    let common = if model.link == Link::Softmax { moved.sum() / outputs as f64 } else { 0.0 };
    let change = moved.iter().map(|value| value - common).collect();
    Some(Integrated { attribution, gradient, change })
}
