//! How do two DICOM programs talk? Associations over TCP, on which objects are stored and answers given.
//!
//! Only what storing takes: an association is asked for and accepted or rejected (`negotiate`, PS3.8 §9.3), its PDUs
//! come whole or not at all (`wire`), and messages are echoes and stores (`message`, PS3.7 §9). [`Requestor`] is the
//! side that sends; the side that takes is the [`receiver`](super::receiver).
//!
//! **Invariants.** No length is believed before its bytes have come, and none above what was agreed. Whoever is waited
//! for has a deadline, however slowly its bytes trickle. (PDUs are read and written by `dicom-ul`, one whole PDU at a
//! time; its associations are not used, because their timeouts are for single reads, so that a byte now and then holds
//! a connection for good.) What an object holds is never part of an error.

mod message;
mod negotiate;
mod requestor;
mod title;
mod wire;

use thiserror::Error;

pub(crate) use message::{COMMAND_CAP, Command, Request, Status};
pub(crate) use negotiate::{Acceptor, Agreed, Class, Context};
pub use requestor::{Node, Object, Requestor};
pub use title::AeTitle;
pub(crate) use wire::{PDataValue, PDataValueType, Pdu, Wire};

/// The most bytes of one PDU that may be agreed on.
pub(crate) const PDU_CAP: u32 = 1 << 20;
/// The fewest: an association's request has to fit.
pub(crate) const PDU_LEAST: u32 = 1 << 12;

/// Who wrote this, for the other side's log: a UID made from a random number (PS3.5 B.2), and a name.
const IMPLEMENTATION: (&str, &str) = ("2.25.248819360902812488172585239161140184326", "NEUROD");
/// The one application context there is (PS3.7 A.2.1).
const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Implicit VR Little Endian, which every program understands.
const IMPLICIT: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
/// Explicit VR Big Endian, retired and still met.
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// Why an association ended, or never began.
#[derive(Debug, Error)]
pub enum AssociationError {
    /// Nobody is there.
    #[error("{address}: {error} (is the receiver running, and is this its address?)")]
    Connect {
        /// Where it was tried.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("the other side was silent for too long")]
    Silent,
    /// The other side aborted.
    #[error("the other side aborted the association")]
    Aborted,
    /// This side is told to end.
    #[error("it is being stopped")]
    Stopping,
    /// The other side refused.
    #[error("refused: {0}")]
    Rejected(&'static str),
    /// What came makes no sense.
    #[error("no DICOM as it should be: {0}")]
    Protocol(&'static str),
}
