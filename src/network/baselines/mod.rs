//! What do models reach that are not deep networks? Often as much: linear ones on the vectorised network, and the paper's shallow ones.

mod constant;
mod kernel_ridge;
pub mod linear;
mod logistic;
mod m2e;
mod mk_svm;
mod mpca;
mod ridge;
mod svm;
mod vectors;

pub use constant::Constant;
pub use kernel_ridge::{KernelRidge, KernelRidgeConfig};
pub use linear::Linear;
pub use logistic::{Logistic, LogisticConfig};
pub use m2e::{M2e, M2eConfig};
pub use mk_svm::{MkSvm, MkSvmConfig};
pub use mpca::{Mpca, MpcaConfig};
pub use ridge::{Ridge, RidgeConfig};
pub use svm::{Loss, Svm, SvmConfig};
pub use vectors::{Edges, Kind, Vectors};

use super::NetworkError;

fn above_zero(model: &str, what: &str, value: f64) -> Result<(), NetworkError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(NetworkError::Model { model: model.into(), problem: format!("{what} = {value} (give a number above 0)") })
}
