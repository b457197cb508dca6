//! How are results shown? Pages that open anywhere, and figures that are the same on every machine.
//!
//! A page is self-contained: style and figures are inside, nothing is loaded, nothing runs, and no date is in it.

pub(crate) mod figure;
pub(crate) mod page;
pub(crate) mod palette;
mod raster;
pub(crate) mod scale;

pub use figure::Figure;
