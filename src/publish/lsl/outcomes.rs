//! How do LSL clients hear what a model says of networks? One channel a class, its probability, whenever there is an answer.
//!
//! Beside it goes the stream of quality that every outlet of values has: flags, and the age of the window's newest sample.

use lsl::ChannelFormat;

use super::{Description, LslOutletConfig, LslOutlets, OutletError, host, open, open_quality};
use crate::publish::Outcomes;

impl LslOutlets {
    /// Opens `PREFIX.NETWORK.outcome`, whose channels are the model's classes, or one `value` of a model of a number, and its
    /// `.quality`. It has no skill: nothing scores it here.
    ///
    /// # Errors
    /// As [`LslOutlets::open`].
    pub fn open_outcomes(
        config: &LslOutletConfig,
        outcomes: &Outcomes<'_>,
        session: &str,
    ) -> Result<Self, OutletError> {
        let Outcomes { network, classes, model, window_s } = *outcomes;
        let window = window_s.to_string();
        let mut channels: Vec<_> = classes.iter().map(|class| (class.as_str(), "CLASS", "probability")).collect();
        if channels.is_empty() {
            channels.push(("value", "VALUE", "a.u."));
        }
        let values = Description {
            name: format!("{}.{network}.outcome", config.prefix),
            r#type: "Outcome",
            rate: 0.0,
            format: ChannelFormat::Float32,
            source_id: format!("{}:{}:{network}:outcome:values", config.prefix, host()),
            channels,
            facts: vec![
                ("network", network),
                ("kind", "outcome"),
                ("session", session),
                ("model", &model.id),
                ("sha256", &model.sha256),
                ("window", &window),
            ],
        };
        let quality = config.quality.then(|| open_quality(&values, "OutcomeQuality")).transpose()?;
        Ok(Self { values: open(&values)?, skill: None, quality })
    }
}
