//! What does a sender of AFNI's real-time protocol bring? Volumes over TCP, as `Dimon` and `rtfeedme` send them to AFNI.
//!
//! A sender says on a control port where its images will come, then connects there (`link`), describes a data set
//! (`commands`), and sends image after image (`stream`). A data set is a series; what becomes of its volumes is the same
//! for every way in ([`volumes`](super::volumes)). Source: AFNI's README.realtime.
//!
//! **Invariants.** One connection at a time, the newest. No program that a sender names is ever run. No size is believed
//! before its bytes are there, and no name or note of a sender is logged.

mod commands;
mod link;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;

use super::timing::ClockRule;
use super::volumes::{EchoComponent, NumberRule, SeriesRule, VolumeConfig, VolumeSource, volume_config};
use super::{SourceError, SourceStats};
use crate::frame::{BlockSpec, Clock};

pub use link::Link;

/// Reads volumes that are sent as to AFNI.
pub type AfniSource = VolumeSource<Link>;

/// What is wrong with what was sent.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum AfniError {
    /// The control connection names another way than TCP to our data port.
    #[error("the sender asks for images over {asked}, but port {port} is listened on ({mend})")]
    Control {
        /// What it asks for.
        asked: &'static str,
        /// Our data port.
        port: u16,
        /// What to do.
        mend: &'static str,
    },
    /// A command whose arguments make no sense.
    #[error("{command}: its arguments make no sense (README.realtime has its form)")]
    Command {
        /// Its name.
        command: String,
    },
    /// A command that a data set cannot do without.
    #[error("no {0} (a grid needs it)")]
    Missing(&'static str),
    /// Something that is not read.
    #[error("{0} is not read")]
    Unsupported(&'static str),
}

volume_config! {
    @images
    /// Where volumes are sent to, and what they are reduced to.
    pub struct AfniConfig {
        /// The address and control port to listen on; `127.0.0.1:7954` by default, AFNI's own. An address that others reach
        /// needs `senders`.
        #[serde(default = "listen")]
        pub listen: SocketAddr,
        /// The port that images come to; 7953 by default, AFNI's own.
        #[serde(default = "data_port")]
        pub data_port: u16,
        /// The addresses that may send; by default this machine alone. The protocol knows no other proof.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub senders: Vec<IpAddr>,
    } {
        /// Which channel is read, where there are several (echoes, say); 1 by default.
        #[serde(default = "channel")]
        pub channel: u32,
        /// What says when a volume was measured: `"arrival"` (the default), or `{ trigger = { events = NAME } }`.
        #[serde(default)]
        pub clock: ClockRule,
        /// Seconds from the end of a volume's acquisition to its arrival; 0 by default, and as for a folder.
        #[serde(default)]
        pub delay: f64,
    }
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7954))
}
fn data_port() -> u16 {
    7953
}
fn channel() -> u32 {
    1
}

impl AfniConfig {
    /// Checks the settings, as far as that is possible without the network.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn validate(&self) -> Result<(), SourceError> {
        let wrong = |problem: String| Err(SourceError::Config(format!("afni: {problem}")));
        self.volumes().validate("afni")?;
        if self.clock == ClockRule::Header {
            return wrong("clock: these volumes have no headers to go by (set \"arrival\", or triggers)".into());
        }
        if !self.listen.ip().is_loopback() && self.senders.is_empty() {
            let problem = "is open to others, so say who may send: senders = [\"192.168.0.7\"]";
            return wrong(format!("listen: {} {problem}", self.listen));
        }
        if self.data_port == self.listen.port() && self.data_port != 0 {
            return wrong(format!("data_port: {} is the control port (7953 and 7954 are AFNI's)", self.data_port));
        }
        Ok(())
    }

    /// Reads the label image or mask, and listens.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read; a port that cannot be listened on.
    pub fn open(&self, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<AfniSource, SourceError> {
        self.validate()?;
        VolumeSource::new(&self.volumes(), stats, clock, || Link::open(self))
    }

    /// What its blocks look like, from the label image or mask alone.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for ports.
    pub fn shape(&self) -> Result<BlockSpec, SourceError> {
        self.validate()?;
        self.volumes().shape()
    }

    /// Every data set is a series of its own, numbered as it comes; a channel is an echo.
    fn volumes(&self) -> VolumeConfig {
        VolumeConfig {
            tr: self.tr,
            labels: self.labels.clone(),
            label_names: self.label_names.clone(),
            reference: self.reference.clone(),
            labels_affine: self.labels_affine.clone(),
            labels_interpolation: self.labels_interpolation,
            mask: self.mask.clone(),
            unit: self.unit,
            realign: self.realign.clone(),
            smooth: self.smooth,
            series: super::volumes::any(),
            series_number: None,
            series_rule: SeriesRule::Newest,
            echo: self.channel,
            component: EchoComponent::Magnitude,
            number: NumberRule::Acquisition,
            patience: super::volumes::patience(),
            clock: self.clock.clone(),
            delay: self.delay,
        }
    }
}
