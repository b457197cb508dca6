//! What happens on one association? It is agreed on; objects come, are read, and are answered; it ends.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::queue::Queue;
use crate::acquisition::SourceStats;
use crate::acquisition::association::{
    Acceptor, Agreed, AssociationError, COMMAND_CAP, Class, Command, Context, PDataValue, PDataValueType, Pdu, Request,
    Status, Wire,
};
use crate::acquisition::dicom::{self, DicomError};
use crate::acquisition::volumes::Fault;
use crate::frame::{Clock, Instant, MonotonicClock};

/// Real seconds that an object waits for room before it is refused.
const ROOM: f64 = 1.0;
/// Seconds that one who is refused for want of room has to say who it is.
const BUSY: f64 = 1.0;

/// What holds for every association of a node.
pub(super) struct Terms {
    pub(super) acceptor: Acceptor,
    /// The most bytes of an object.
    pub(super) max_object: usize,
    /// Seconds from a message's or a PDU's first byte to its last.
    pub(super) patience: f64,
    /// Seconds from message to message.
    pub(super) idle: f64,
    pub(super) queue: Queue,
    pub(super) stats: Arc<SourceStats>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One connection.
pub(super) struct Session {
    wire: Wire,
    terms: Arc<Terms>,
    /// The message that is coming.
    message: Option<Message>,
}

/// A message on its way.
struct Message {
    context: u8,
    /// When it has to be there.
    until: Instant,
    command: Vec<u8>,
    /// The question, once its command is whole: number, class and instance of an object.
    store: Option<(u16, String, String)>,
    object: Vec<u8>,
    /// Bytes that have come of the object, kept or not.
    length: usize,
}

impl Session {
    pub(super) fn new(stream: TcpStream, terms: Arc<Terms>, stop: Arc<AtomicBool>) -> std::io::Result<Self> {
        Ok(Self { wire: Wire::new(stream, terms.acceptor.most, stop)?, terms, message: None })
    }

    /// Serves the connection to its end; `busy` where it is one too many.
    pub(super) fn run(mut self, busy: bool) {
        let Err(error) = self.associate(busy) else { return };
        use AssociationError as E;
        let fault = match (&error, &self.message) {
            // It is we who end.
            (E::Stopping, _) => None,
            (_, Some(message)) if message.store.is_some() => Some(Fault::Truncated),
            (E::Silent, _) => Some(Fault::Idle),
            (E::Closed, None) if !self.wire.has_begun() => None,
            (E::Aborted, _) => None,
            _ => Some(Fault::Protocol),
        };
        if let Some(fault) = fault {
            self.terms.stats.faults.add(fault, 1);
            tracing::debug!(fault = fault.as_str(), %error, "an association ended before its time");
        }
        if !matches!(error, E::Closed | E::Aborted) {
            self.wire.abort();
        }
    }

    fn associate(&mut self, busy: bool) -> Result<(), AssociationError> {
        let patience = if busy { BUSY.min(self.terms.patience) } else { self.terms.patience };
        let request = match self.wire.receive(MonotonicClock.now() + patience, patience)? {
            Pdu::AssociationRQ(request) => request,
            Pdu::AbortRQ { .. } => return Err(AssociationError::Aborted),
            _ => return Err(AssociationError::Protocol("no request for an association")),
        };
        let refuse = |wire: &mut Wire, answer, problem: String| {
            self.terms.stats.faults.add(Fault::Association, 1);
            tracing::warn!(problem, "an association is refused");
            wire.send(&Pdu::AssociationRJ(answer))
        };
        if busy {
            let problem = "as many are open as `max_associations` allows".into();
            return refuse(&mut self.wire, Acceptor::busy(), problem);
        }
        let Agreed { answer, contexts, most, compressed } = match self.terms.acceptor.answer(request) {
            Ok(agreed) => agreed,
            Err(refusal) => return refuse(&mut self.wire, refusal.answer, refusal.problem),
        };
        if compressed {
            self.terms.stats.faults.add(Fault::Compressed, 1);
            tracing::warn!("images are offered compressed only, which is not read (send Explicit VR Little Endian)");
        }
        self.wire.send(&Pdu::AssociationAC(answer))?;
        loop {
            let until = self.message.as_ref().map(|message| message.until);
            let until = until.unwrap_or_else(|| MonotonicClock.now() + self.terms.idle);
            match self.wire.receive(until, self.terms.patience)? {
                Pdu::PData { data } => {
                    for value in data {
                        let context = contexts.get(&value.presentation_context_id);
                        let context = context.ok_or(AssociationError::Protocol("a context that was not agreed on"))?;
                        self.part(context, value, most)?;
                    }
                }
                Pdu::ReleaseRQ if self.message.is_none() => return self.wire.send(&Pdu::ReleaseRP),
                Pdu::AbortRQ { .. } => return Err(AssociationError::Aborted),
                _ => return Err(AssociationError::Protocol("a PDU out of place")),
            }
        }
    }

    /// Takes part of a message.
    fn part(&mut self, context: &Context, value: PDataValue, most: u32) -> Result<(), AssociationError> {
        let wrong = AssociationError::Protocol;
        let id = value.presentation_context_id;
        let message = self.message.get_or_insert_with(|| Message {
            context: id,
            until: MonotonicClock.now() + self.terms.patience,
            command: Vec::new(),
            store: None,
            object: Vec::new(),
            length: 0,
        });
        if message.context != id {
            return Err(wrong("two messages at once"));
        }
        match (value.value_type, &message.store) {
            (PDataValueType::Command, None) => {
                message.command.extend(value.data);
                if message.command.len() > COMMAND_CAP {
                    return Err(wrong("a command longer than any"));
                }
                if !value.is_last {
                    return Ok(());
                }
                let Command::Ask { id: number, class, request } = Command::read(&message.command)? else {
                    return Err(wrong("an answer without a question"));
                };
                match (request, context.class) {
                    (Request::Store { instance }, Class::Image | Class::Other) => {
                        message.store = Some((number, class, instance));
                        Ok(())
                    }
                    (Request::Echo, Class::Echo) => {
                        self.message = None;
                        self.answer(id, number, class, Request::Echo, Status::SUCCESS, most)
                    }
                    _ => Err(wrong("a message that was not agreed on")),
                }
            }
            (PDataValueType::Data, Some(_)) => {
                message.length = message.length.saturating_add(value.data.len());
                if context.class == Class::Image {
                    if message.length > self.terms.max_object {
                        // The rest is heard, so that it can be answered, and not kept.
                        message.object = Vec::new();
                    } else {
                        message.object.extend(value.data);
                    }
                }
                if !value.is_last {
                    return Ok(());
                }
                let came = self.terms.clock.now();
                let Some(Message { store: Some((number, class, instance)), object, length, .. }) = self.message.take()
                else {
                    return Err(wrong("an object without a command"));
                };
                let status = self.take(context, &class, &object, length, came);
                self.answer(id, number, class, Request::Store { instance }, status, most)
            }
            _ => Err(wrong("a command or an object out of place")),
        }
    }

    /// Reads an object, and hands it on.
    fn take(&self, context: &Context, class: &str, object: &[u8], length: usize, came: Instant) -> Status {
        let (fault, status) = if context.class == Class::Image && length > self.terms.max_object {
            (Fault::TooLarge, Status::OUT_OF_RESOURCES)
        } else if context.uid != class {
            (Fault::Malformed, Status::MISMATCH)
        } else if context.class == Class::Other {
            (Fault::OtherSeries, Status::SUCCESS)
        } else {
            match dicom::read_object(object, class, context.syntax) {
                Ok(scan) => match self.terms.queue.push(scan, came, ROOM) {
                    true => return Status::SUCCESS,
                    false => (Fault::Full, Status::OUT_OF_RESOURCES),
                },
                Err(DicomError::Class) => (Fault::Malformed, Status::MISMATCH),
                Err(error) => (Fault::from(&error), Status::NOT_UNDERSTOOD),
            }
        };
        self.terms.stats.faults.add(fault, 1);
        tracing::debug!(fault = fault.as_str(), "an object gives no volume");
        status
    }

    fn answer(
        &mut self,
        context: u8,
        id: u16,
        class: String,
        request: Request,
        status: Status,
        most: u32,
    ) -> Result<(), AssociationError> {
        let command = Command::Answer { id, class, request, status }.bytes();
        self.wire.send_part(context, PDataValueType::Command, &command, most, true)
    }
}
