//! How sure is a network, truly? Its logits are divided by a temperature that the validation samples choose.
//!
//! Source: Guo et al. 2017, *On Calibration of Modern Neural Networks* (arXiv 1706.04599), section 4.2.

/// How far a temperature may go from 1: beyond that a validation set that the network has right, or wrong, throughout decides.
const FURTHEST: f64 = 20.0;

/// exp(x/T) / Σ exp(x/T)
pub(super) fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logits.iter().map(|x| ((x - most) / temperature).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter().map(|share| share / total).collect()
}

/// The temperature at which these logits (samples × classes) say best which class each sample is: the least mean −log p, found
/// by golden section in ln T, of which it is a function with one minimum.
pub(super) fn temperature(logits: &[f64], classes: usize, of: &[usize]) -> f64 {
    let loss = |ln: f64| -> f64 {
        let rows = logits.chunks_exact(classes.max(1)).zip(of);
        rows.map(|(row, class)| {
            let p = softmax(row, ln.exp()).get(*class).copied().unwrap_or_default();
            -p.max(f64::MIN_POSITIVE).ln()
        })
        .sum()
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-FURTHEST.ln(), FURTHEST.ln());
    while high - low > 1e-6 {
        let [left, right] = [high - golden * (high - low), low + golden * (high - low)];
        if loss(left) <= loss(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temperature_is_where_the_slope_of_the_loss_is_zero() {
        // Two classes, logits ±2, of which three in four are right: p = 3/4 at 4/T = ln 3.
        let logits = [2.0, -2.0, 2.0, -2.0, 2.0, -2.0, 2.0, -2.0];
        let found = temperature(&logits, 2, &[0, 0, 0, 1]);
        assert!((found - 4.0 / 3f64.ln()).abs() < 1e-4, "{found}");
    }

    #[test]
    fn what_is_always_right_does_not_become_certain() {
        assert!((temperature(&[1.0, 0.0], 2, &[0]) - 1.0 / FURTHEST).abs() < 1e-5);
        assert_eq!(softmax(&[1000.0, 0.0], 1.0), [1.0, 0.0]);
    }
}
