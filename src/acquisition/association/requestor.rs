//! How is an object sent? Over an association that is asked for, one message at a time, each answered.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::{
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResultReason,
};

use super::message::COMMAND_CAP;
use super::negotiate::{about_us, most_of};
use super::wire::{PDataValueType, Pdu, Wire};
use super::{APPLICATION_CONTEXT, AeTitle, AssociationError, Command, Request, Status};
use crate::acquisition::dicom::{DicomError, FileMeta};
use crate::frame::{Clock, MonotonicClock};

/// The longest PDU that is sent or taken.
const MOST: u32 = 1 << 17;
/// Seconds that an answer is waited for.
const ANSWER: f64 = 30.0;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Where DICOM nodes listen that are no system services.
const PORT: u16 = 11_112;

/// Whom to send to, and as whom: `dicom://CALLING@HOST:PORT/CALLED`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What we call ourselves; `SCANNER` where nothing is said.
    pub calling: AeTitle,
    /// A host's name or address.
    pub host: String,
    /// Its port; 11112 where nothing is said.
    pub port: u16,
    /// Whom we ask for; `NEUROD` where nothing is said.
    pub called: AeTitle,
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("{text}: write dicom://CALLING@HOST:PORT/CALLED, as in dicom://SCANNER@127.0.0.1:11112/NEUROD");
        let rest = text.strip_prefix("dicom://").ok_or_else(form)?;
        let (place, called) = rest.split_once('/').unwrap_or((rest, ""));
        let (calling, place) = place.split_once('@').unwrap_or(("", place));
        let title = |text: &str, default: &str| if text.is_empty() { default.parse() } else { text.parse() };
        let (host, port) = match place.rsplit_once(':') {
            // An address of IPv6 stands in brackets, so that its colons are none of these.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| form())?),
            _ => (place, PORT),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(form());
        }
        Ok(Self { calling: title(calling, "SCANNER")?, host: host.into(), port, called: title(called, "NEUROD")? })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calling, host, port, called } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "dicom://{calling}@{host}:{port}/{called}")
    }
}

/// An object that can be sent: the bytes of a file, and what they say of themselves.
pub struct Object<'a> {
    meta: FileMeta,
    bytes: &'a [u8],
}

impl<'a> Object<'a> {
    /// From the bytes of a file, or of its first part.
    ///
    /// # Errors
    /// No DICOM file, or one without class or instance.
    pub fn of(bytes: &'a [u8]) -> Result<Self, DicomError> {
        let meta = FileMeta::of(bytes)?;
        if meta.class.is_none() || meta.instance.is_none() {
            return Err(DicomError::Missing("SOP class or instance in the file's header"));
        }
        let bytes = bytes.get(meta.data_at..).unwrap_or_default();
        Ok(Self { meta, bytes })
    }

    fn command(&self, id: u16) -> Command {
        let class = self.meta.class.clone().unwrap_or_default();
        let request = Request::Store { instance: self.meta.instance.clone().unwrap_or_default() };
        Command::Ask { id, class, request }
    }
}

/// The side of an association that asked for it.
pub struct Requestor {
    wire: Wire,
    /// The agreed contexts: number, class, transfer syntax.
    contexts: Vec<(u8, String, String)>,
    /// The longest PDU that the other side takes.
    most: u32,
    messages: u16,
}

impl Requestor {
    /// Associates with a node, for objects of these classes in one transfer syntax.
    ///
    /// # Errors
    /// Nobody is there; they refuse, and why.
    pub fn open(node: &Node, classes: &[&str], syntax: &str) -> Result<Self, AssociationError> {
        let address = format!("{}:{}", node.host, node.port);
        let failed = |error| AssociationError::Connect { address: address.clone(), error };
        let mut error = std::io::Error::from(std::io::ErrorKind::NotFound);
        let mut stream = None;
        for place in (node.host.as_str(), node.port).to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&place, CONNECT) {
                Ok(found) => {
                    stream = Some(found);
                    break;
                }
                Err(e) => error = e,
            }
        }
        let stream = stream.ok_or_else(|| failed(error))?;
        let mut wire = Wire::new(stream, MOST, Arc::default())?;
        let proposed = classes.iter().zip((1u8..).step_by(2)).map(|(class, id)| PresentationContextProposed {
            id,
            abstract_syntax: (*class).into(),
            transfer_syntaxes: vec![syntax.into()],
        });
        wire.send(&Pdu::AssociationRQ(AssociationRQ {
            protocol_version: 1,
            calling_ae_title: node.calling.to_string(),
            called_ae_title: node.called.to_string(),
            application_context_name: APPLICATION_CONTEXT.into(),
            presentation_contexts: proposed.collect(),
            user_variables: about_us(MOST),
        }))?;
        let accepted = match wire.receive(MonotonicClock.now() + ANSWER, ANSWER)? {
            Pdu::AssociationAC(accepted) => accepted,
            Pdu::AssociationRJ(refused) => return Err(AssociationError::Rejected(why(&refused.source))),
            Pdu::AbortRQ { .. } => return Err(AssociationError::Aborted),
            _ => return Err(AssociationError::Protocol("no answer to a request")),
        };
        let mut contexts = Vec::new();
        for result in accepted.presentation_contexts {
            let class = classes.get(usize::from(result.id / 2));
            if let (PresentationContextResultReason::Acceptance, Some(class)) = (result.reason, class) {
                contexts.push((result.id, (*class).to_owned(), result.transfer_syntax));
            }
        }
        Ok(Self { wire, contexts, most: most_of(&accepted.user_variables).min(MOST), messages: 0 })
    }

    /// Sends an object; the status that it was answered with (PS3.4 B.2.3), 0 for success.
    ///
    /// # Errors
    /// Its class was not agreed on; the association ended.
    pub fn store(&mut self, object: &Object) -> Result<u16, AssociationError> {
        let context = self.begin(object)?;
        self.wire.send_part(context, PDataValueType::Data, object.bytes, self.most, true)?;
        self.answer().map(|status| status.0)
    }

    /// Sends what there is of an object, and breaks off.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn break_off(mut self, object: &Object) -> Result<(), AssociationError> {
        let context = self.begin(object)?;
        self.wire.send_part(context, PDataValueType::Data, object.bytes, self.most, false)?;
        self.wire.abort();
        Ok(())
    }

    fn begin(&mut self, object: &Object) -> Result<u8, AssociationError> {
        let FileMeta { class, syntax, .. } = &object.meta;
        let agreed = self.contexts.iter().find(|(_, c, s)| Some(c) == class.as_ref() && s == syntax);
        let (context, ..) = agreed.ok_or(AssociationError::Rejected("it does not take objects of this class"))?;
        let context = *context;
        self.messages = self.messages.wrapping_add(1);
        let command = object.command(self.messages).bytes();
        self.wire.send_part(context, PDataValueType::Command, &command, self.most, true)?;
        Ok(context)
    }

    fn answer(&mut self) -> Result<Status, AssociationError> {
        let until = MonotonicClock.now() + ANSWER;
        let mut command = Vec::new();
        loop {
            let values = match self.wire.receive(until, ANSWER)? {
                Pdu::PData { data } => data,
                Pdu::AbortRQ { .. } => return Err(AssociationError::Aborted),
                _ => return Err(AssociationError::Protocol("no answer to a store")),
            };
            for value in values {
                command.extend(value.data);
                if value.value_type != PDataValueType::Command || command.len() > COMMAND_CAP {
                    return Err(AssociationError::Protocol("no answer to a store"));
                }
                if value.is_last {
                    return match Command::read(&command)? {
                        Command::Answer { id, status, .. } if id == self.messages => Ok(status),
                        _ => Err(AssociationError::Protocol("the answer to another question")),
                    };
                }
            }
        }
    }

    /// Ends the association as it should.
    ///
    /// # Errors
    /// The other side does not agree that it has ended; it has all the same.
    pub fn release(mut self) -> Result<(), AssociationError> {
        self.wire.send(&Pdu::ReleaseRQ)?;
        match self.wire.receive(MonotonicClock.now() + ANSWER, ANSWER)? {
            Pdu::ReleaseRP => Ok(()),
            _ => Err(AssociationError::Protocol("no answer to a release")),
        }
    }
}

/// What a rejection means, and what to do.
fn why(source: &AssociationRJSource) -> &'static str {
    use AssociationRJServiceProviderPresentationReason as Presentation;
    match source {
        AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CallingAETitleNotRecognized) => {
            "it does not know who is calling (add the calling title to its `callers`)"
        }
        AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CalledAETitleNotRecognized) => {
            "it has another title than was called (its `ae_title`)"
        }
        AssociationRJSource::ServiceProviderPresentation(
            Presentation::LocalLimitExceeded | Presentation::TemporaryCongestion,
        ) => "it has as many associations as it takes (try again)",
        _ => "it gives no reason that we know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_an_address_with_titles() {
        let of = |text: &str| text.parse::<Node>().map(|node| node.to_string());
        assert_eq!(of("dicom://MR1@10.0.0.7:104/RT"), Ok("dicom://MR1@10.0.0.7:104/RT".into()));
        assert_eq!(of("dicom://localhost"), Ok("dicom://SCANNER@localhost:11112/NEUROD".into()));
        assert_eq!(of("dicom://[::1]/RT"), Ok("dicom://SCANNER@[::1]:11112/RT".into()));
        assert_eq!(of("dicom://A@[::1]:104"), Ok("dicom://A@[::1]:104/NEUROD".into()));
        for (text, problem) in [
            ("dicom:/localhost", "write dicom://CALLING@HOST:PORT/CALLED"),
            ("dicom://", "write dicom://"),
            ("dicom://host:port", "write dicom://"),
            ("dicom://SEVENTEEN_LETTERS@host", "an AE title is 1 to 16"),
        ] {
            assert!(of(text).is_err_and(|e| e.contains(problem)), "{text}");
        }
    }
}
