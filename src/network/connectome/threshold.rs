//! Which edges are kept? The strongest, by size whatever their sign; the diagonal is no edge and stays.

use ndarray::Array2;

/// Which edges are kept; the others become 0. Of equally strong edges the earlier in the matrix is the stronger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// So large a share of all pairs, 0 to 1.
    Density(f64),
    /// Those at least this strong.
    Absolute(f64),
    /// The maximum spanning tree, so that no region is cut off, and then the strongest others up to such a share of all pairs.
    Connected(f64),
}

impl Threshold {
    /// Sets all other edges of a symmetric network to 0.
    pub fn apply(self, network: &mut Array2<f64>) {
        let n = network.nrows();
        let mut edges: Vec<(usize, usize, f64)> =
            (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| (i, j, network[[i, j]].abs())).collect();
        edges.sort_by(|a, b| b.2.total_cmp(&a.2));
        let most = |share: f64| (share.clamp(0.0, 1.0) * edges.len() as f64).round() as usize;
        let kept: Vec<bool> = match self {
            Self::Absolute(least) => edges.iter().map(|(.., size)| *size >= least).collect(),
            Self::Density(share) => (0..edges.len()).map(|rank| rank < most(share)).collect(),
            Self::Connected(share) => {
                let mut kept = spanning(n, &edges);
                let mut left = most(share).saturating_sub(kept.iter().filter(|kept| **kept).count());
                for kept in kept.iter_mut().filter(|kept| !**kept) {
                    *kept = left > 0;
                    left = left.saturating_sub(1);
                }
                kept
            }
        };
        for ((i, j, _), _) in edges.iter().zip(kept).filter(|(_, kept)| !kept) {
            (network[[*i, *j]], network[[*j, *i]]) = (0.0, 0.0);
        }
    }
}

/// Of `edges`, the strongest first, those of the maximum spanning tree (Kruskal 1956); an edge of 0 is none.
fn spanning(nodes: usize, edges: &[(usize, usize, f64)]) -> Vec<bool> {
    let mut parents: Vec<usize> = (0..nodes).collect();
    let mut root = |mut node: usize, joined: Option<usize>| {
        while parents[node] != node {
            parents[node] = parents[parents[node]];
            node = parents[node];
        }
        if let Some(other) = joined {
            parents[node] = other;
        }
        node
    };
    let joins = |(i, j, size): &(usize, usize, f64)| {
        let (from, to) = (root(*i, None), root(*j, None));
        let joins = from != to && *size > 0.0;
        if joins {
            root(from, Some(to));
        }
        joins
    };
    edges.iter().map(joins).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn kept(threshold: Threshold) -> Vec<f64> {
        // 0–1 and 2–3 are strong, 0–2 is weak, and everything else is weaker.
        let mut network =
            array![[1.0, 0.9, -0.3, 0.1], [0.9, 1.0, 0.1, 0.1], [-0.3, 0.1, 1.0, -0.8], [0.1, 0.1, -0.8, 1.0]];
        threshold.apply(&mut network);
        assert_eq!(network, network.t());
        assert_eq!(network.diag().sum(), 4.0);
        crate::network::connectome::vectorise(network.view(), false)
    }

    #[test]
    fn the_strongest_edges_stay_whatever_their_sign() {
        assert_eq!(kept(Threshold::Density(0.34)), [0.9, 0.0, 0.0, 0.0, 0.0, -0.8]);
        assert_eq!(kept(Threshold::Absolute(0.3)), [0.9, -0.3, 0.0, 0.0, 0.0, -0.8]);
        assert_eq!(kept(Threshold::Density(0.0)), [0.0; 6]);
        assert_eq!(kept(Threshold::Density(1.0)), [0.9, -0.3, 0.1, 0.1, 0.1, -0.8]);
    }

    #[test]
    fn a_spanning_tree_cuts_nobody_off() {
        assert_eq!(kept(Threshold::Connected(0.0)), [0.9, -0.3, 0.0, 0.0, 0.0, -0.8]);
        // Of equal edges the earlier: 0–3.
        assert_eq!(kept(Threshold::Connected(0.67)), [0.9, -0.3, 0.0, 0.1, 0.0, -0.8]);
    }
}
