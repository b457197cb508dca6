//! How does a network become a vector? By its edges, in their order, or by where its covariance lies from the training mean.

use std::f64::consts::FRAC_1_SQRT_2;

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis};
use serde::Deserialize;

use crate::network::connectome::{TangentSpace, vector_length, vectorise};
use crate::network::{NetworkError, Networks, Rows};

/// What the vector of a network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its edges: the lower triangle row by row, without the diagonal; all off the diagonal where directions differ.
    #[default]
    Connectivity,
    /// Its covariance in the tangent space at the geometric mean of the training covariances, with the diagonal over √2.
    Tangent,
}

/// Where a column of a vector lies in a matrix, row and column, and what the entry there is multiplied by.
pub type Place = (usize, usize, f64);

/// How networks become vectors, as it was learned from the training samples alone.
#[derive(Clone, Debug)]
pub enum Vectors {
    /// By their edges.
    Edges(Edges),
    /// By their place in a tangent space.
    Tangent(Box<TangentSpace>),
}

impl Vectors {
    /// Learns it, and gives the training vectors as well: samples × columns.
    ///
    /// # Errors
    /// Networks without what the vectors are made from.
    pub fn fit(kind: Kind, train: Rows<'_>) -> Result<(Self, Array2<f64>), NetworkError> {
        match kind {
            Kind::Connectivity => {
                let edges = Edges::of(None, train);
                let x = edges.vectors(train)?;
                Ok((Self::Edges(edges), x))
            }
            Kind::Tangent => {
                let space = TangentSpace::fit(covariances(train)?.view(), train.rows)?;
                let vectors = Self::Tangent(Box::new(space));
                let x = vectors.of(train)?;
                Ok((vectors, x))
            }
        }
    }

    /// The regions, and of each column where it lies in a matrix of them (the connectivity, or what is in the tangent space) and
    /// what that is multiplied by. None of a view that is not the connectivity.
    pub fn places(&self) -> Option<(usize, Vec<Place>)> {
        match self {
            Self::Edges(edges) if edges.view.is_some() => None,
            Self::Edges(edges) => Some((edges.nodes, edges.places().into_iter().map(|(i, j)| (i, j, 1.0)).collect())),
            Self::Tangent(space) => {
                let nodes = space.reference().nrows();
                let places = (0..nodes).flat_map(|i| (0..=i).map(move |j| (i, j)));
                let share = |(i, j)| (i, j, if i == j { FRAC_1_SQRT_2 } else { 1.0 });
                Some((nodes, places.map(share).collect()))
            }
        }
    }

    /// The vectors of samples: samples × columns.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn of(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        match self {
            Self::Edges(edges) => edges.vectors(rows),
            Self::Tangent(space) => {
                let (all, nodes) = (covariances(rows)?, space.reference().nrows());
                same_regions(nodes, rows)?;
                let mut x = Array2::zeros((rows.rows.len(), vector_length(nodes, true)));
                for (mut into, row) in x.rows_mut().into_iter().zip(rows.rows) {
                    let vector = vectorise(space.transform(all.index_axis(Axis(0), *row))?.view(), true);
                    into.assign(&ArrayView1::from(&vector));
                }
                Ok(x)
            }
        }
    }
}

fn covariances<'a>(rows: Rows<'a>) -> Result<&'a Array3<f64>, NetworkError> {
    rows.networks.covariance.as_ref().ok_or_else(|| {
        let problem =
            "holds no covariances, which a tangent space is made of (build the networks from time series)".into();
        NetworkError::Sample { sample: "every sample".into(), problem }
    })
}

/// The edges of one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    view: Option<String>,
    nodes: usize,
    directed: bool,
}

impl Edges {
    /// Of the connectivity, or of another view by its name.
    pub fn of(name: Option<&str>, train: Rows<'_>) -> Self {
        let all = view(train.networks, name);
        let directed = train.rows.iter().any(|row| !symmetric(all.index_axis(Axis(0), *row)));
        Self { view: name.map(str::to_owned), nodes: train.networks.nodes(), directed }
    }

    /// Regions.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether these are edges of the connectivity, and of no other view.
    pub fn of_connectivity(&self) -> bool {
        self.view.is_none()
    }

    /// Whether an edge and its way back are two.
    pub fn directed(&self) -> bool {
        self.directed
    }

    /// Where each column lies in a network, row and column.
    pub fn places(&self) -> Vec<(usize, usize)> {
        let all = (0..self.nodes).flat_map(|i| (0..self.nodes).map(move |j| (i, j)));
        all.filter(|(i, j)| if self.directed { i != j } else { i > j }).collect()
    }

    /// Samples × edges.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn vectors(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        same_regions(self.nodes, rows)?;
        let all = view(rows.networks, self.view.as_deref());
        let columns = self.places();
        Ok(Array2::from_shape_fn((rows.rows.len(), columns.len()), |(sample, column)| {
            let (i, j) = columns[column];
            all[(rows.rows[sample], i, j)]
        }))
    }
}

/// The connectivity, and the names of the other views.
pub(super) fn views(networks: &Networks) -> impl Iterator<Item = Option<&str>> {
    std::iter::once(None).chain(networks.views.keys().map(|name| Some(name.as_str())))
}

/// A view by its name; the connectivity where there is none of that name.
pub(super) fn view<'a>(networks: &'a Networks, name: Option<&str>) -> &'a Array3<f64> {
    name.and_then(|name| networks.views.get(name)).unwrap_or(&networks.connectivity)
}

/// # Errors
/// Networks of another number of regions than were learned from.
pub(super) fn same_regions(nodes: usize, rows: Rows<'_>) -> Result<(), NetworkError> {
    let found = rows.networks.nodes();
    if found == nodes {
        return Ok(());
    }
    let sample = rows.rows.first().and_then(|row| rows.networks.samples.get(*row)).cloned().unwrap_or_default();
    let problem = format!("has {found} regions, and the model learned from {nodes} (build it with the same atlas)");
    Err(NetworkError::Sample { sample, problem })
}

fn symmetric(network: ArrayView2<'_, f64>) -> bool {
    network.indexed_iter().all(|((i, j), value)| (value - network[(j, i)]).abs() <= 1e-9 * value.abs().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::network::Targets;

    #[test]
    fn a_tangent_space_is_made_of_training_samples_alone() {
        let mut chance = Draws::new(4, 0);
        let mut covariance = Array3::zeros((6, 3, 3));
        for mut one in covariance.axis_iter_mut(Axis(0)) {
            let series = Array2::from_shape_fn((20, 3), |_| chance.normal());
            one.assign(&(series.t().dot(&series) / 20.0));
        }
        let mut networks =
            Networks { connectivity: covariance.clone(), covariance: Some(covariance), ..Networks::default() };
        let targets = Targets::Values(vec![0.0; 6]);
        let fit = |networks: &Networks| {
            Vectors::fit(Kind::Tangent, Rows { networks, targets: &targets, rows: &[0, 1, 2, 3] }).unwrap().1
        };
        let before = fit(&networks);
        assert_eq!(before.dim(), (4, 6));
        // At the geometric mean the displacements add up to nothing.
        assert!(before.sum_axis(Axis(0)).iter().all(|sum| sum.abs() < 1e-5), "{before}");
        networks.covariance.iter_mut().for_each(|all| all.index_axis_mut(Axis(0), 5).mapv_inplace(|v| 3.0 * v));
        assert_eq!(fit(&networks), before);
        networks.covariance = None;
        let refused = Vectors::fit(Kind::Tangent, Rows { networks: &networks, targets: &targets, rows: &[0, 1] });
        assert!(refused.unwrap_err().to_string().contains("holds no covariances"));
    }

    #[test]
    fn directed_edges_count_both_ways_and_other_regions_are_refused() {
        let mut connectivity = Array3::from_shape_fn((2, 3, 3), |(s, i, j)| (s + i * j) as f64);
        let targets = Targets::Values(vec![0.0; 2]);
        let edges = |connectivity: &Array3<f64>| {
            let networks = Networks { connectivity: connectivity.clone(), ..Networks::default() };
            let rows = Rows { networks: &networks, targets: &targets, rows: &[1] };
            let edges = Edges::of(None, rows);
            (edges.vectors(rows).unwrap().into_raw_vec_and_offset().0, edges)
        };
        assert_eq!(edges(&connectivity).0, [1.0, 1.0, 3.0]);
        connectivity[(1, 0, 2)] = 9.0;
        let (vector, edges) = edges(&connectivity);
        assert_eq!(vector, [1.0, 9.0, 1.0, 3.0, 1.0, 3.0]);
        let networks = Networks { connectivity: Array3::zeros((1, 4, 4)), ..Networks::default() };
        let refused = edges.vectors(Rows { networks: &networks, targets: &targets, rows: &[0] });
        assert!(refused.unwrap_err().to_string().contains("has 4 regions, and the model learned from 3"));
    }
}
