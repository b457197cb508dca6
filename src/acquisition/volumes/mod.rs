//! How do volumes become a source, whichever way they come in? One series by rule, in order, each reduced to regions.
//!
//! A way in ([`Arrivals`]) gives images as they come: files of a [`folder`](super::folder), objects that are
//! [received](super::receiver). Slices are stacked to volumes (`stacks`), one series is taken by rule (`select`), its
//! volumes go on in order (`order`), and each becomes regions. Every fault is counted by kind ([`Fault`]).
//!
//! **Invariants.** A volume that is due is never delayed. A gap, once declared, stays one: rows stay aligned with the
//! stimuli. What an image says of a person is neither kept nor logged.

mod faults;
mod order;
mod select;
mod settings;
mod source;
mod stacks;

pub use faults::{Fault, FaultCounts};
pub use select::{EchoComponent, NumberRule, SeriesRule};
pub use settings::VolumeConfig;
pub(super) use settings::{any, first, is_any, patience, volume_config};
pub use source::Arrivals;
pub use source::VolumeSource;
