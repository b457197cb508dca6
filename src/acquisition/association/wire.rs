//! How do PDUs come over a connection? Whole, within a bound of length and of time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, read_pdu, write_pdu};
pub(crate) use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};

use super::AssociationError;
use crate::frame::{Clock, Instant, MonotonicClock};

/// Type, a reserved byte, and a length.
const HEADER: usize = 6;
/// What a fragment of a message needs beside its bytes.
const FRAGMENT_HEADER: u32 = 6;
/// The longest wait before it is asked again whether there is time left.
const SLICE: Duration = Duration::from_millis(100);
/// How long the other side may take to take what is sent.
const SEND: Duration = Duration::from_secs(10);

/// One side of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// The longest PDU that is taken.
    most: u32,
    /// The PDU that is coming, and how much of it is there.
    frame: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    stop: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, most: u32, stop: Arc<AtomicBool>) -> std::io::Result<Self> {
        // A listener's mode may be inherited.
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SEND))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, most, frame: Vec::new(), filled: 0, out: Vec::new(), stop })
    }

    /// Whether part of a PDU has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.filled > 0
    }

    /// Waits for the next PDU: for its first byte until `until`, and for the rest of it no more than `patience`
    /// seconds.
    ///
    /// # Errors
    /// Whatever ended the connection instead; a PDU of no known type, too long, or damaged.
    pub(crate) fn receive(&mut self, until: Instant, patience: f64) -> Result<Pdu, AssociationError> {
        let mut until = until;
        self.frame.resize(HEADER, 0);
        self.filled = 0;
        loop {
            if self.filled == HEADER && self.frame.len() == HEADER {
                let length = self.length()?;
                self.frame.resize(HEADER + length as usize, 0);
            }
            if self.filled == self.frame.len() {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(AssociationError::Stopping);
            }
            let now = MonotonicClock.now();
            if now >= until {
                return Err(AssociationError::Silent);
            }
            let room = self.frame.get_mut(self.filled..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => return Err(AssociationError::Closed),
                Ok(n) => {
                    if self.filled == 0 && until > now + patience {
                        until = now + patience;
                    }
                    self.filled += n;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => return Err(AssociationError::Closed),
                    _ => return Err(error.into()),
                },
            }
        }
        self.filled = 0;
        match read_pdu(self.frame.as_slice(), self.most, true) {
            Ok(Some(pdu)) => Ok(pdu),
            Ok(None) | Err(_) => Err(AssociationError::Protocol("a damaged PDU")),
        }
    }

    /// The length that the header in `frame` promises, if it is a header.
    fn length(&self) -> Result<u32, AssociationError> {
        let [kind, _, length @ ..] = *self.frame.first_chunk::<HEADER>().unwrap_or(&[0; HEADER]);
        if !(1..=7).contains(&kind) {
            return Err(AssociationError::Protocol("a PDU of no known type"));
        }
        let length = u32::from_be_bytes(length);
        if length > self.most {
            return Err(AssociationError::Protocol("a PDU longer than agreed"));
        }
        Ok(length)
    }

    /// Sends a PDU.
    ///
    /// # Errors
    /// It cannot be written, or is not taken in time.
    pub(crate) fn send(&mut self, pdu: &Pdu) -> Result<(), AssociationError> {
        self.out.clear();
        write_pdu(&mut self.out, pdu).map_err(|_| AssociationError::Protocol("a PDU that cannot be written"))?;
        self.stream.write_all(&self.out).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
                AssociationError::Closed
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => AssociationError::Silent,
            _ => error.into(),
        })
    }

    /// Sends part of a message in PDUs of at most `most` bytes; `whole` where nothing of the part follows.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_part(
        &mut self,
        context: u8,
        kind: PDataValueType,
        bytes: &[u8],
        most: u32,
        whole: bool,
    ) -> Result<(), AssociationError> {
        // Fragments are even (PS3.8 Annex E).
        let step = (most.saturating_sub(FRAGMENT_HEADER) & !1).max(2) as usize;
        let mut chunks = bytes.chunks(step).peekable();
        while let Some(chunk) = chunks.next() {
            let is_last = whole && chunks.peek().is_none();
            let value = PDataValue {
                presentation_context_id: context,
                value_type: kind.clone(),
                is_last,
                data: chunk.to_vec(),
            };
            self.send(&Pdu::PData { data: vec![value] })?;
        }
        Ok(())
    }

    /// Ends the association without a word of goodbye.
    pub(crate) fn abort(&mut self) {
        let reason = AbortRQServiceProviderReason::ReasonNotSpecified;
        // Who is gone need not hear it.
        let _ = self.send(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) });
    }
}
