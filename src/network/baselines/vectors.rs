//! How does a network become a vector? By its edges, in their order.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use serde::Deserialize;

use crate::network::{NetworkError, Networks, Rows};

/// What the vector of a network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its edges: the lower triangle row by row, without the diagonal; all off the diagonal where directions differ.
    #[default]
    Connectivity,
}

/// How networks become vectors, as it was learned from the training samples alone.
#[derive(Clone, Debug)]
pub enum Vectors {
    /// By their edges.
    Edges(Edges),
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
        }
    }

    /// The vectors of samples: samples × columns.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn of(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        match self {
            Self::Edges(edges) => edges.vectors(rows),
        }
    }
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

    /// Samples × edges.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn vectors(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        same_regions(self.nodes, rows)?;
        let all = view(rows.networks, self.view.as_deref());
        let n = self.nodes;
        let columns = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        let columns: Vec<(usize, usize)> =
            columns.filter(|(i, j)| if self.directed { i != j } else { i > j }).collect();
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
