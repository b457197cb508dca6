//! What travels? Blocks of samples, events, and region frames, each with its time and its quality.
//!
//! Everything else in the crate depends on this folder and this folder depends on nothing. A [`Block`] is the one
//! unit of data on every lane: 32 EEG samples, one fMRI volume, one row of band powers. A volume is a block of one
//! sample whose channels are voxels or regions, so EEG and fMRI share every [`Stage`].
//!
//! **Invariants.** A block says when it was measured and when it arrived, which run it belongs to, and what is wrong
//! with it. A channel that is wrong is in the block's [`ChannelMask`]; its values may still be non-finite, and whoever
//! reads the block must not let them into a state that outlives the sample.
//!
//! ```
//! use neurod::frame::{Block, BlockSpec, Channel, Instant, Unit};
//!
//! let spec = BlockSpec::new(Channel::numbered("EEG", 4, Unit::Microvolt), 250.0, 32);
//! let mut block = Block::new(&spec);
//! block.push(&[1.0, 2.0, 3.0, 4.0]);
//! block.measured_at = Instant::from_seconds(12.5);
//! assert_eq!(block.sample(0), &[1.0, 2.0, 3.0, 4.0]);
//! ```

mod block;
mod channel;
mod event;
mod identification;
mod instant;
mod motion;
mod network;
mod quality;
mod region;
mod stage;
mod volume;

pub use block::{Block, BlockSpec, ChannelMask};
pub use channel::{Channel, Unit, unique_names};
pub use event::{Event, Picture, PictureRegions, Rows};
pub use identification::{Identification, RankedCandidate};
pub use instant::{Clock, Instant, MonotonicClock, ScaledClock, VirtualClock};
pub use motion::{Fit, HeadMotion, VolumeSignal};
pub use network::{NetworkFrame, OutcomeFrame, TANGENT, WindowStamp};
pub use quality::Quality;
pub use region::{ClockStamp, FrameKind, ModelStamp, RegionFrame, Regions};
pub use stage::{PrepareError, Stage};
pub use volume::QualityFrame;
