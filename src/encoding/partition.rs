//! What does a feature space explain that no other does? Variance partitioning from the R² of sets of spaces.
//!
//! Each set's model explains the union of what its spaces explain, so set algebra gives every part from out-of-fold R²
//! (Borcard, Legendre and Drapeau 1992, Ecology 73:1045; for encoding models, Lescroart, Stansbury and Gallant 2015,
//! Front. Comput. Neurosci. 9:135). What exactly the spaces in S share, and no other has, is
//! `Σ_{T⊆S} (−1)^{|T|+1} R²(T ∪ Sᶜ)`. R² of finite data and penalised models does not quite obey that algebra, so a part
//! may come out a little below zero; it is reported as it is.
//!
//! ```
//! use neurod::encoding::partition::{parts, subsets};
//!
//! assert_eq!(subsets(2), [vec![0], vec![1], vec![0, 1]]);
//! let found = parts(&["vision", "language"], &[vec![0.3], vec![0.2], vec![0.4]]);
//! let names: Vec<&str> = found.iter().map(|part| part.name.as_str()).collect();
//! assert_eq!(names, ["only vision", "only language", "vision and language", "total"]);
//! assert!((found[2].per_voxel[0] - 0.1).abs() < 1e-12);
//! ```

/// Of so many spaces every part is told; of more, only what each has alone.
const EVERY_PART: usize = 3;

/// One part of the variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `only A`, `A and B` (what exactly these share), `total`.
    pub name: String,
    /// In units of R², one a voxel.
    pub per_voxel: Vec<f64>,
}

/// Which sets of `spaces` feature spaces must be evaluated, each by the numbers of its spaces, ascending; the last is all
/// of them.
///
/// Of up to three spaces these are all 2ⁿ − 1 sets, smaller ones first; of more, all but one, for each, and all.
pub fn subsets(spaces: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..spaces).collect();
    if spaces > EVERY_PART {
        let without = |one: usize| all.iter().copied().filter(|space| *space != one).collect();
        return (0..spaces).map(without).chain([all.clone()]).collect();
    }
    let mut sets: Vec<Vec<usize>> = (1..1 << spaces).map(members).collect();
    sets.sort_by_key(|set| (set.len(), set.clone()));
    sets
}

/// The parts of the variance, from the R² per voxel of each of [`subsets`]`(names.len())`, in that order: what each space
/// has alone; of two or three, what they share; and the total. A set whose R² is missing leaves NaN.
pub fn parts(names: &[&str], r2: &[Vec<f64>]) -> Vec<Part> {
    let sets = subsets(names.len());
    let voxels = r2.iter().map(Vec::len).max().unwrap_or(0);
    let everything = (1usize << names.len()) - 1;
    let of = |set: usize, voxel: usize| -> f64 {
        if set == 0 {
            return 0.0;
        }
        let place = sets.iter().position(|known| *known == members(set));
        place.and_then(|place| r2.get(place)?.get(voxel).copied()).unwrap_or(f64::NAN)
    };
    // The sum over the subsets T of S.
    let exactly = |shared: usize, voxel: usize| -> f64 {
        let inside = (0..=shared).filter(|t| t & !shared == 0);
        inside
            .map(|t| {
                let sign = if t.count_ones() % 2 == 1 { 1.0 } else { -1.0 };
                sign * of(t | (everything & !shared), voxel)
            })
            .sum()
    };
    let most = if names.len() > EVERY_PART { 1 } else { names.len() };
    let mut told: Vec<Vec<usize>> = (1..=everything).map(members).filter(|set| set.len() <= most).collect();
    told.sort_by_key(|set| (set.len(), set.clone()));
    let mut found: Vec<Part> = told
        .iter()
        .map(|set| {
            let shared = set.iter().fold(0, |mask, space| mask | 1 << space);
            Part { name: name(set, names), per_voxel: (0..voxels).map(|voxel| exactly(shared, voxel)).collect() }
        })
        .collect();
    let total = (0..voxels).map(|voxel| of(everything, voxel)).collect();
    found.push(Part { name: "total".into(), per_voxel: total });
    found
}

/// The numbers of the spaces in a set, of which each bit is one.
fn members(set: usize) -> Vec<usize> {
    (0..usize::BITS as usize).filter(|space| set >> space & 1 == 1).collect()
}

fn name(set: &[usize], names: &[&str]) -> String {
    let named: Vec<&str> = set.iter().filter_map(|space| names.get(*space).copied()).collect();
    match named.split_last() {
        Some((last, [])) => format!("only {last}"),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, concatenate};

    use super::*;
    use crate::draws::Draws;
    use crate::encoding::folds::{Samples, Scheme, divide};
    use crate::encoding::solve::predict;

    /// Out-of-fold R² of these columns of `x`.
    fn r2(x: &Array2<f64>, y: &Array2<f64>, columns: &[usize]) -> Vec<f64> {
        let x = x.select(Axis(1), columns);
        let folds = divide(y.nrows(), Scheme::Consecutive(5), &Samples::default()).unwrap().folds;
        let lambdas = vec![1e-3; y.ncols()];
        let predicted: Vec<Array2<f64>> =
            folds.iter().map(|fold| predict(x.view(), y.view(), fold, &lambdas, true).unwrap()).collect();
        let predicted = concatenate(Axis(0), &predicted.iter().map(|p| p.view()).collect::<Vec<_>>()).unwrap();
        let spread = y - &y.mean_axis(Axis(0)).unwrap();
        let error = (y - &predicted).mapv(|e| e * e).sum_axis(Axis(0));
        (1.0 - error / spread.mapv(|e| e * e).sum_axis(Axis(0))).to_vec()
    }

    #[test]
    fn a_simulation_with_known_parts_gives_them_back() {
        // Seven independent sources; each space sees those that it alone has and those that it shares.
        let (n, shares) = (20_000, [0.10, 0.15, 0.05, 0.12, 0.08, 0.06, 0.20]);
        let mut draws = Draws::new(5, 0);
        let mut draw =
            || (0..6).map(|_| draws.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5).sum::<f64>() / 0.5f64.sqrt();
        let sources = Array2::from_shape_simple_fn((n, 7), &mut draw);
        let noise = Array2::from_shape_simple_fn((n, 1), &mut draw);
        let weights = Array2::from_shape_fn((7, 1), |(i, _)| f64::sqrt(shares[i]));
        let y = sources.dot(&weights) + noise * (1.0 - shares.iter().sum::<f64>()).sqrt();
        // Source i belongs to the spaces of the i-th set: a, b, c, ab, ac, bc, abc.
        let sets = subsets(3);
        let sees = |set: &[usize]| -> Vec<usize> {
            (0..7).filter(|source| sets[*source].iter().any(|space| set.contains(space))).collect()
        };
        let found: Vec<Vec<f64>> = sets.iter().map(|set| r2(&sources, &y, &sees(set))).collect();
        let three = parts(&["a", "b", "c"], &found);
        for (part, share) in three.iter().zip(shares.iter().chain([&shares.iter().sum()])) {
            assert!((part.per_voxel[0] - share).abs() < 0.015, "{}: {} for {share}", part.name, part.per_voxel[0]);
        }
        let names: Vec<&str> = three.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["only a", "only b", "only c", "a and b", "a and c", "b and c", "a, b and c", "total"]);
        let whole: f64 = three[..7].iter().map(|part| part.per_voxel[0]).sum();
        assert!((whole - three[7].per_voxel[0]).abs() < 1e-12, "the parts make up the whole exactly");

        // Of a and b alone, what c has with one of them is theirs alone.
        let two = parts(&["a", "b"], &[found[0].clone(), found[1].clone(), found[3].clone()]);
        for (part, share) in two.iter().zip([0.10 + 0.08, 0.15 + 0.06, 0.12 + 0.20]) {
            assert!((part.per_voxel[0] - share).abs() < 0.015, "{}: {} for {share}", part.name, part.per_voxel[0]);
        }
    }

    #[test]
    fn of_many_spaces_each_tells_what_it_has_alone() {
        assert_eq!(subsets(4), [vec![1, 2, 3], vec![0, 2, 3], vec![0, 1, 3], vec![0, 1, 2], vec![0, 1, 2, 3]]);
        let found = parts(&["a", "b", "c", "d"], &[vec![0.3], vec![0.5], vec![0.45], vec![0.4], vec![0.5]]);
        let told: Vec<(&str, f64)> = found.iter().map(|part| (part.name.as_str(), part.per_voxel[0])).collect();
        let expected = [("only a", 0.2), ("only b", 0.0), ("only c", 0.05), ("only d", 0.1), ("total", 0.5)];
        assert!(told.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12), "{told:?}");
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn one_space_is_the_whole_and_a_missing_set_shows() {
        assert_eq!((subsets(0).len(), subsets(1)), (0, vec![vec![0]]));
        let one = parts(&["a"], &[vec![0.25, -0.1]]);
        assert_eq!((one.len(), one[0].per_voxel.clone(), &one[1].name), (2, vec![0.25, -0.1], &"total".into()));
        assert!(parts(&["a", "b"], &[vec![0.2], vec![0.1]])[3].per_voxel[0].is_nan());
    }
}
