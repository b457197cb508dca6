//! What does a scanner send? Images by C-STORE, object after object, to a DICOM node that we are.
//!
//! A thread listens (`listener`), and one more for each association takes objects and answers them (`session`). What
//! has been read waits, within a bound of bytes, for the lane that pulls (`queue`); what becomes of it there is the
//! same for every way in ([`volumes`](super::volumes)). A sender hears of success when its object was read and found
//! room, or is of a kind that is passed over; which series, number and grid it has is the lane's to judge, and counted
//! there, so that no scanner waits for a lane.
//!
//! **Invariants.** No object, PDU or number of associations is larger than configured, and nothing is believed before
//! its bytes have come. An object that does not arrive whole is counted and gives nothing. Whoever stalls loses the
//! connection; nobody else notices. Nothing of what an object says is logged, or used as a path.

mod listener;
mod queue;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::association::{AeTitle, PDU_CAP, PDU_LEAST};
use super::dicom::{self, Scan};
use super::volumes::{Arrivals, FaultCounts, VolumeSource, volume_config};
use super::{SourceError, SourceStats};
use crate::frame::{BlockSpec, Clock, Instant};
use listener::Listener;

/// The most associations that may be configured.
const ASSOCIATIONS_CAP: usize = 64;

volume_config! {
    /// A DICOM node that images are sent to by C-STORE.
    pub struct ReceiverConfig {
        /// The address and port to listen on; `127.0.0.1:11112` by default. Port 0 takes any that is free. An address
        /// that others reach needs `callers`.
        #[serde(default = "listen")]
        pub listen: String,
        /// What the node is called; `NEUROD` by default. Who calls another is refused.
        #[serde(default = "title")]
        pub ae_title: AeTitle,
        /// Who may send, by their AE titles; by default anybody on this machine. A title names a sender and proves
        /// nothing: leave proof to the network.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub callers: Vec<AeTitle>,
        /// The largest object that is taken, in MiB; 64 by default, 512 at most.
        #[serde(default = "max_object")]
        pub max_object: u64,
        /// The longest PDU that is taken, in bytes; 131072 by default, from 4096 to 1048576.
        #[serde(default = "max_pdu")]
        pub max_pdu: u32,
        /// How many associations may be open at once; 8 by default, 64 at most.
        #[serde(default = "max_associations")]
        pub max_associations: usize,
        /// After how many seconds without a message an association is ended; 60 by default.
        #[serde(default = "idle")]
        pub idle: f64,
    }
}

fn listen() -> String {
    "127.0.0.1:11112".into()
}
fn title() -> AeTitle {
    AeTitle::neurod()
}
fn max_object() -> u64 {
    64
}
fn max_pdu() -> u32 {
    1 << 17
}
fn max_associations() -> usize {
    8
}
fn idle() -> f64 {
    60.0
}

/// Reads volumes that are sent.
pub type ReceiverSource = VolumeSource<Receiver>;

impl ReceiverConfig {
    /// Checks the settings, as far as that is possible without the network.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn validate(&self) -> Result<(), SourceError> {
        let wrong = |problem: String| Err(SourceError::Config(format!("dicom: {problem}")));
        self.volumes().validate("dicom")?;
        let address = self.address()?;
        if !address.ip().is_loopback() && self.callers.is_empty() {
            return wrong(format!(
                "listen: {address} is open to others, so say who may send: callers = [\"SCANNER\"], by their AE titles"
            ));
        }
        if !(self.idle > 0.0 && self.idle.is_finite()) {
            return wrong(format!("idle: {} is no positive number of seconds", self.idle));
        }
        let most = dicom::FILE_CAP >> 20;
        if !(1..=most).contains(&self.max_object) {
            return wrong(format!("max_object: {} MiB is not from 1 to {most}", self.max_object));
        }
        if !(PDU_LEAST..=PDU_CAP).contains(&self.max_pdu) {
            return wrong(format!("max_pdu: {} bytes is not from {PDU_LEAST} to {PDU_CAP}", self.max_pdu));
        }
        if !(1..=ASSOCIATIONS_CAP).contains(&self.max_associations) {
            return wrong(format!("max_associations: {} is not from 1 to {ASSOCIATIONS_CAP}", self.max_associations));
        }
        Ok(())
    }

    fn address(&self) -> Result<SocketAddr, SourceError> {
        let numeric = match self.listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => self.listen.clone(),
        };
        numeric.parse().map_err(|_| {
            let problem =
                format!("dicom: listen: \"{}\" is no address with a port, as in 127.0.0.1:11112", self.listen);
            SourceError::Config(problem)
        })
    }

    /// Reads the label image or mask, and listens.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read; an address that cannot be listened on.
    pub fn open(&self, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<ReceiverSource, SourceError> {
        self.validate()?;
        let open = || Receiver::open(self, Arc::clone(&stats), Arc::clone(&clock));
        VolumeSource::new(&self.volumes(), Arc::clone(&stats), Arc::clone(&clock), open)
    }

    /// What its blocks look like, from the label image or mask alone.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read.
    pub fn shape(&self) -> Result<BlockSpec, SourceError> {
        self.validate()?;
        self.volumes().shape()
    }
}

/// A node that listens. It ends, with all its associations, when it is dropped.
pub struct Receiver {
    listener: Listener,
}

impl Receiver {
    fn open(config: &ReceiverConfig, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let listener = Listener::open(config, config.address()?, stats, clock)?;
        let address = listener.address();
        tracing::info!(listen = %address, ae_title = %config.ae_title, "receives DICOM objects");
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}

impl Arrivals for Receiver {
    fn refresh(&mut self, _clock: &dyn Clock, _faults: &FaultCounts) -> Result<(), SourceError> {
        Ok(())
    }

    fn next(&mut self, _now: Instant, _faults: &FaultCounts) -> Option<(Scan, Instant)> {
        self.listener.queue().pop()
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn wait(&mut self, timeout: Duration, _now: Instant) {
        self.listener.queue().wait(timeout);
    }
}
