//! Who sends, and over which connection? A control port that says where images will come, and a port where they do.
//!
//! Everything is read on the lane that pulls, as it comes: what is not read yet waits with the sender.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::stream::Stream;
use super::{AfniConfig, AfniError};
use crate::acquisition::SourceError;
use crate::acquisition::dicom::Scan;
use crate::acquisition::volumes::{Arrivals, Fault, FaultCounts};
use crate::frame::{Clock, Instant};

/// The most bytes on the control connection.
const CONTROL_CAP: usize = 1024;
/// Seconds that a sender may take over the control connection, and then until it sends images.
const PATIENCE: f64 = 10.0;
/// The most bytes that are read at once, and the most reads before others have their turn.
const READ: (usize, usize) = (1 << 16, 1024);
/// How long the lane rests when nobody is connected.
const REST: Duration = Duration::from_millis(20);
/// How long it waits for bytes before it looks for another sender.
const GLANCE: Duration = Duration::from_millis(100);

/// Two ports, and who is connected.
pub struct Link {
    control: TcpListener,
    data: TcpListener,
    data_port: u16,
    senders: Vec<IpAddr>,
    phase: Phase,
    asking: Option<Asking>,
    /// Data sets so far.
    datasets: u64,
    ready: VecDeque<(Scan, Instant)>,
    bytes: Box<[u8]>,
}

/// A sender that is about to say where its images come. Until it has, the one before goes on.
struct Asking {
    connection: TcpStream,
    said: Vec<u8>,
    since: Instant,
}

enum Phase {
    /// Nobody is there.
    Idle,
    /// It has said so, and has not connected there.
    Agreed { since: Instant },
    /// Images come.
    Images { connection: TcpStream, stream: Box<Stream> },
}

impl Link {
    pub(super) fn open(config: &AfniConfig) -> Result<Self, SourceError> {
        let (control, data) = (config.listen, SocketAddr::new(config.listen.ip(), config.data_port));
        let (control, data) = (listening(control, "listen")?, listening(data, "data_port")?);
        let data_port = data.local_addr().map_or(config.data_port, |address| address.port());
        let bytes = vec![0; READ.0].into();
        let senders = config.senders.clone();
        let ready = VecDeque::new();
        Ok(Self { control, data, data_port, senders, phase: Phase::Idle, asking: None, datasets: 0, ready, bytes })
    }

    /// Where it listens: the control port, and that for images.
    pub fn addresses(&self) -> Option<[SocketAddr; 2]> {
        Some([self.control.local_addr().ok()?, self.data.local_addr().ok()?])
    }

    /// The next connection of somebody who may send.
    fn accept(&self, listener: &TcpListener, faults: &FaultCounts) -> Option<TcpStream> {
        while let Ok((connection, from)) = listener.accept() {
            // Where both kinds of addresses are listened on, one of four numbers comes as one of the other kind.
            let from = from.ip().to_canonical();
            let known = if self.senders.is_empty() { from.is_loopback() } else { self.senders.contains(&from) };
            if known && connection.set_nonblocking(true).is_ok() {
                return Some(connection);
            }
            faults.add(Fault::Association, 1);
            tracing::warn!(%from, "may not send volumes (set `senders`)");
        }
        None
    }

    /// Ends what there is; images that have not come whole are counted.
    fn hang_up(&mut self, faults: &FaultCounts) {
        if let Phase::Images { stream, .. } = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.datasets = stream.number() + 1;
            faults.add(Fault::Truncated, u64::from(stream.is_cut()));
        }
    }

    /// Reads what has come on the control connection, and agrees once that is all.
    fn hear(&mut self, now: Instant, faults: &FaultCounts) {
        let Some(Asking { connection, said, since }) = &mut self.asking else { return };
        let room = CONTROL_CAP - said.len();
        let over = match connection.take(room as u64).read_to_end(said) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => said.contains(&0),
            Err(_) => true,
        };
        if over {
            let agreed = agreement(said, self.data_port);
            self.asking = None;
            match agreed {
                Ok(()) => {
                    // A sender that vanished without a word is followed by the next one.
                    self.hang_up(faults);
                    self.phase = Phase::Agreed { since: now };
                }
                Err(error) => {
                    faults.add(Fault::Protocol, 1);
                    tracing::warn!(%error, "a sender is turned away");
                }
            }
        } else if now - *since > PATIENCE {
            faults.add(Fault::Idle, 1);
            self.asking = None;
        }
    }

    /// Reads images until one completes a volume, or no more have come.
    fn read(&mut self, clock: &dyn Clock, faults: &FaultCounts) {
        for _ in 0..READ.1 {
            let (Phase::Images { connection, stream }, true) = (&mut self.phase, self.ready.is_empty()) else { return };
            let count = match connection.read(&mut self.bytes) {
                Ok(0) => return self.hang_up(faults),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.hang_up(faults),
            };
            let (came, ready) = (clock.now(), &mut self.ready);
            let bytes = self.bytes.get(..count).unwrap_or_default();
            let fed = stream.feed(bytes, |header, volume| {
                ready.push_back((Scan::Volumes(vec![(header, volume)]), came));
            });
            if let Err(error) = fed {
                faults.add(Fault::Malformed, 1);
                tracing::warn!(%error, "what a sender says of its images makes no data set; it is hung up on");
                self.datasets = stream.number() + 1;
                self.phase = Phase::Idle;
            }
        }
    }
}

impl Arrivals for Link {
    fn refresh(&mut self, clock: &dyn Clock, faults: &FaultCounts) -> Result<(), SourceError> {
        let now = clock.now();
        if let Some(connection) = self.accept(&self.control, faults) {
            self.asking = Some(Asking { connection, said: Vec::new(), since: now });
        }
        self.hear(now, faults);
        if let Phase::Idle | Phase::Agreed { .. } = self.phase {
            // Who has agreed on nothing is hung up on, and the last who came is the one who has.
            while let Some(connection) = self.accept(&self.data, faults) {
                if let Phase::Agreed { .. } | Phase::Images { .. } = self.phase {
                    let stream = Box::new(Stream::new(self.datasets));
                    self.phase = Phase::Images { connection, stream };
                }
            }
        }
        if let Phase::Agreed { since } = self.phase
            && now - since > PATIENCE
        {
            faults.add(Fault::Idle, 1);
            self.phase = Phase::Idle;
        }
        self.read(clock, faults);
        Ok(())
    }

    fn next(&mut self, _now: Instant, _faults: &FaultCounts) -> Option<(Scan, Instant)> {
        self.ready.pop_front()
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn wait(&mut self, timeout: Duration, _now: Instant) {
        let connection = match (&self.phase, &self.asking) {
            (Phase::Images { connection, .. }, _) | (_, Some(Asking { connection, .. })) => connection,
            (Phase::Idle | Phase::Agreed { .. }, None) => return std::thread::sleep(timeout.min(REST)),
        };
        // Looking at the next byte waits for it, and leaves it there.
        let timeout = timeout.min(GLANCE).max(Duration::from_millis(1));
        let ready = connection.set_nonblocking(false).and_then(|()| connection.set_read_timeout(Some(timeout)));
        let _ = ready.and_then(|()| connection.peek(&mut [0]));
        let _ = connection.set_nonblocking(true);
    }
}

fn listening(address: SocketAddr, key: &str) -> Result<TcpListener, SourceError> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| {
        let problem = match error.kind() {
            ErrorKind::AddrInUse => format!("another program listens there, AFNI perhaps (end it, or set `{key}`)"),
            ErrorKind::AddrNotAvailable => "this machine has no such address (set `listen` to one of its own)".into(),
            ErrorKind::PermissionDenied => {
                format!("the system does not permit it (set `{key}` to a port from 1024 on)")
            }
            _ => error.to_string(),
        };
        SourceError::Listen { address, problem }
    })
}

/// Whether what a control connection says, `tcp:HOST:PORT`, is what we listen on. A program that is named after it is
/// never run.
fn agreement(said: &[u8], port: u16) -> Result<(), AfniError> {
    let line = said.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let (asked, mend) = match line.split(':').collect::<Vec<_>>().as_slice() {
        ["tcp", _, named] if named.trim().parse() == Ok(port) => return Ok(()),
        ["tcp", ..] => ("another TCP port", "set `data_port`, or AFNI_TCP_PORT where it sends"),
        ["shm", ..] => ("shared memory", "give the sender a host: -host localhost"),
        _ => ("something else", "its control line is tcp:HOST:PORT"),
    };
    Err(AfniError::Control { asked, port, mend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_line_is_agreed_with_or_answered_with_a_mend() {
        for said in ["tcp:localhost:7953\0", "tcp:scanner:7953\n/bin/sh\0", "tcp::7953"] {
            assert_eq!(agreement(said.as_bytes(), 7953), Ok(()), "{said}");
        }
        for (said, mend) in [
            ("tcp:localhost:7999\0", "set `data_port`"),
            ("shm:grv:1M\0", "-host localhost"),
            ("GET / HTTP/1.1\r\n", "tcp:HOST:PORT"),
            ("", "tcp:HOST:PORT"),
        ] {
            let told = agreement(said.as_bytes(), 7953).map_err(|error| error.to_string());
            assert!(told.as_ref().is_err_and(|told| told.contains(mend)), "{said}: {told:?}");
        }
    }
}
