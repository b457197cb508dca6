//! How many products does a grid of λ take? As many as its filters are independent, which is fewer.
//!
//! Along direction `i` of the features, ridge keeps the share hᵢ(λ) = s²ᵢ/(s²ᵢ + λ) of what least squares would predict.
//! For a grid of λ these filters are smooth and alike: some of them, mixed, give all the others (fewer, the less the s²
//! differ). So predictions are made for an orthonormal basis of the filters, one matrix product each, and mixed
//! afterwards.

/// An orthonormal basis of the filters of a grid of λ, and how each filter is mixed from it.
pub(super) struct Filters {
    /// `basis[k][i]`: one vector over the directions of the features.
    pub basis: Vec<Vec<f64>>,
    /// `mix[l][k]`: `hᵢ(λ_l) = Σ_k mix[l][k] basis[k][i]`.
    pub mix: Vec<Vec<f64>>,
}

impl Filters {
    /// For these s² and λ; what is left out of a filter is below `tolerance` of the largest one.
    ///
    /// Gram and Schmidt with the largest remainder first, each vector orthogonalised twice: the rank shows as it goes.
    pub fn new(values: &[f64], lambdas: &[f64], tolerance: f64) -> Self {
        let filter = |lambda: &f64| values.iter().map(|value| value / (value + lambda)).collect::<Vec<f64>>();
        let filters: Vec<Vec<f64>> = lambdas.iter().map(filter).collect();
        let mut rest = filters.clone();
        let floor = rest.iter().map(|r| norm(r)).fold(0.0, f64::max) * tolerance;
        let mut basis: Vec<Vec<f64>> = Vec::new();
        while let Some(next) = rest.iter().max_by(|a, b| norm(a).total_cmp(&norm(b))).filter(|r| norm(r) > floor) {
            let mut vector = next.clone();
            for known in &basis {
                remove(&mut vector, known);
            }
            let length = norm(&vector);
            vector.iter_mut().for_each(|v| *v /= length);
            rest.iter_mut().for_each(|r| remove(r, &vector));
            basis.push(vector);
            if basis.len() == lambdas.len() {
                break;
            }
        }
        let mix = filters.iter().map(|f| basis.iter().map(|b| dot(f, b)).collect()).collect();
        Self { basis, mix }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn remove(from: &mut [f64], direction: &[f64]) {
    let share = dot(from, direction);
    from.iter_mut().zip(direction).for_each(|(v, d)| *v -= share * d);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_filters_give_all_the_others() {
        let values: Vec<f64> = (0..300).map(|i| 1e4 * 0.99f64.powi(i)).collect();
        let lambdas: Vec<f64> = (0..20).map(|i| 10f64.powf(-3.0 + 0.5 * f64::from(i))).collect();
        for (tolerance, most) in [(1e-7, 10), (1e-14, 20)] {
            let filters = Filters::new(&values, &lambdas, tolerance);
            assert!(filters.basis.len() <= most, "{} of 20 for {tolerance}", filters.basis.len());
            for (lambda, mix) in lambdas.iter().zip(&filters.mix) {
                for (i, value) in values.iter().enumerate() {
                    let mixed: f64 = mix.iter().zip(&filters.basis).map(|(m, b)| m * b[i]).sum();
                    assert!((mixed - value / (value + lambda)).abs() < 30.0 * tolerance);
                }
            }
        }
    }

    #[test]
    fn one_lambda_is_its_own_basis() {
        let filters = Filters::new(&[4.0, 1.0], &[1.0], 1e-12);
        assert_eq!((filters.basis.len(), filters.mix.len()), (1, 1));
    }
}
