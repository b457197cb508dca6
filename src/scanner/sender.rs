//! How does what is exported reach a DICOM node? By C-STORE, over one association a series.

use super::flavour::{ENHANCED_MR_IMAGE, MR_IMAGE};
use super::{Part, ScannerError, Writing};
use crate::acquisition::association::{AssociationError, EXPLICIT, Node, Object, Requestor};

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was taken.
    Stored,
    /// It was answered with this status, which is not success.
    Refused(u16),
    /// Half of it was sent, and the association broken off, as was asked for.
    BrokenOff,
    /// Nobody took it: the association ended. The next object begins another.
    Lost,
}

/// Sends to a node what an [`Export`](super::Export) gives.
///
/// Half an object cannot be left lying as half a file can: where an export writes the beginning of a file, it is sent,
/// and the association broken off; where it writes the rest, the whole object is sent again.
pub struct Sender {
    node: Node,
    /// Of the series, and of the other one.
    associations: [Option<Requestor>; 2],
    /// What has begun, and may be completed.
    begun: Option<(String, Vec<u8>)>,
}

impl Sender {
    /// Associates with a node.
    ///
    /// # Errors
    /// Nobody is there, or they refuse.
    pub fn open(node: Node) -> Result<Self, ScannerError> {
        let first = associate(&node)?;
        Ok(Self { node, associations: [Some(first), None], begun: None })
    }

    /// Sends what an export writes, and waits for the answer.
    ///
    /// # Errors
    /// What the export wrote is no DICOM object.
    pub fn send(&mut self, writing: &Writing) -> Result<Sent, ScannerError> {
        let completed;
        let bytes = match writing.part {
            Part::Whole => &writing.bytes,
            Part::Beginning => {
                self.begun = Some((writing.name.clone(), writing.bytes.clone()));
                &writing.bytes
            }
            Part::Rest => {
                let begun = self.begun.take().filter(|(name, _)| *name == writing.name);
                completed = begun.map(|(_, begun)| [begun, writing.bytes.clone()].concat()).unwrap_or_default();
                &completed
            }
        };
        let object = Object::of(bytes).map_err(|error| ScannerError::Encoding(error.to_string()))?;
        let [first, second] = &mut self.associations;
        let slot = if writing.second { second } else { first };
        let sent = match slot.take().map_or_else(|| associate(&self.node), Ok) {
            Ok(association) if writing.part == Part::Beginning => {
                association.break_off(&object).map(|()| Sent::BrokenOff)
            }
            Ok(mut association) => association.store(&object).map(|status| {
                *slot = Some(association);
                if status == 0 { Sent::Stored } else { Sent::Refused(status) }
            }),
            Err(error) => Err(error),
        };
        Ok(sent.unwrap_or_else(|error| {
            tracing::warn!(%error, "an object was not taken");
            Sent::Lost
        }))
    }

    /// Ends its associations.
    pub fn close(self) {
        for association in self.associations.into_iter().flatten() {
            if let Err(error) = association.release() {
                tracing::debug!(%error, "an association did not end as it should");
            }
        }
    }
}

fn associate(node: &Node) -> Result<Requestor, AssociationError> {
    Requestor::open(node, &[MR_IMAGE, ENHANCED_MR_IMAGE], EXPLICIT)
}
