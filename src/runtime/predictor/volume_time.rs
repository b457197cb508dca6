//! Where in its TR does the time stamp of a volume lie?

use serde::{Deserialize, Serialize};

/// Where in its TR the time stamp of a volume lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeTime {
    /// At the start of acquisition.
    #[default]
    Start,
    /// Half-way through.
    Middle,
    /// At the end: sources that stamp a volume when it is complete.
    End,
}

impl VolumeTime {
    pub(super) fn fraction(self) -> f64 {
        match self {
            VolumeTime::Start => 0.0,
            VolumeTime::Middle => 0.5,
            VolumeTime::End => 1.0,
        }
    }
}
