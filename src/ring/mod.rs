//! How does it cross threads? Recycled boxes through lock-free queues, and new weights through a slot of one.
//!
//! Lanes never share state and never wait for each other's locks. A [`link()`] carries values in boxes that go round and
//! round, so that the sending lane allocates nothing; a [`swap()`] hands a lane a new box (weights, say) between two
//! blocks and takes the old one back, to be freed or refilled elsewhere.
//!
//! **Invariant.** Sending never blocks: a full link drops its oldest, and both ends are told, the receiver at the very
//! place.
//!
//! ```
//! use neurod::ring::{Wake, link};
//!
//! let wake = Wake::new();
//! let (mut sender, mut receiver) = link(4, || vec![0.0; 8], wake);
//! sender.send(|samples| samples[0] = 1.0);
//! assert_eq!(receiver.receive().map(|samples| samples[0]), Some(1.0));
//! assert!(receiver.receive().is_none());
//! ```

mod link;
mod swap;
mod wake;

pub use link::{LinkReceiver, LinkSender, Slot, link};
pub use swap::{SwapGiver, SwapTaker, swap};
pub use wake::Wake;
