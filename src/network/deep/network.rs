//! What is a network of layers, to whatever learns, predicts and exports? One function of connectivity, over any algebra.

use ndarray::{Array2, ArrayView2};

use super::{Algebra, Failure};

/// A network of layers with its settings. Its parameters are made where [`logits`](Self::logits) first asks for them.
pub trait Network: Clone + Send + Sync + 'static {
    /// Its name in tables.
    fn name(&self) -> String;

    /// Node features of `connectivity` (batch × N × N): batch × N × F. Nothing is learned here, so that while learning they are
    /// computed once. The connection profile, which is the connectivity itself, where a network does not say otherwise.
    ///
    /// # Errors
    /// Settings that do not fit the number of regions.
    fn features<A: Algebra>(&self, _algebra: &A, connectivity: &A::Tensor) -> Result<A::Tensor, Failure> {
        Ok(connectivity.clone())
    }

    /// Node features that no operation of a graph gives; where there are some, they take the place of
    /// [`features`](Self::features), and an exported model has a second input for them.
    fn native(&self) -> Option<&dyn NativeFeatures> {
        None
    }

    /// Whether node features move smoothly with the edges, so that a gradient passes through them. Where they do not (counts, bins,
    /// eigenvectors), whoever follows a gradient holds them still.
    fn smooth_features(&self) -> bool {
        self.native().is_none()
    }

    /// Whether regions listen to each other by attention, which [`Algebra::attended`] is told of.
    fn attends(&self) -> bool {
        false
    }

    /// `outputs` numbers a sample, batch × outputs: of classes the logits, of a number the number.
    ///
    /// # Errors
    /// Settings that do not fit the number of regions.
    fn logits<A: Algebra>(
        &self,
        algebra: &A,
        connectivity: &A::Tensor,
        features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure>;
}

/// Node features that are computed outside of the graph.
pub trait NativeFeatures: Send + Sync {
    /// How a manifest names them.
    fn kind(&self) -> String;

    /// Of one network (N × N), N × F.
    ///
    /// # Errors
    /// What the network lacks.
    fn compute(&self, connectivity: ArrayView2<'_, f64>) -> Result<Array2<f64>, Failure>;
}
