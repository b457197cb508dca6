//! Which events tell when volumes were measured? A source of volumes may be timed by the events of another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::settings::{InputConfig, Settings, SourceConfig};
use crate::acquisition::timing::{ClockRule, TriggerConfig, Triggers};

impl SourceConfig {
    /// The events that its volumes are timed by.
    pub fn triggers(&self) -> Option<&TriggerConfig> {
        let clock = match &self.input {
            InputConfig::Folder(folder) => &folder.clock,
            InputConfig::Dicom(receiver) => &receiver.clock,
            InputConfig::Afni(afni) => &afni.clock,
            InputConfig::Lsl(_) | InputConfig::Replay(_) | InputConfig::Synthetic(_) => return None,
        };
        match clock {
            ClockRule::Trigger(triggers) => Some(triggers),
            ClockRule::Arrival | ClockRule::Header => None,
        }
    }
}

/// The sources that are timed by events: of each the event source, and the way from there.
#[derive(Default)]
pub(super) struct TimedSources(BTreeMap<String, (String, Arc<Triggers>)>);

impl TimedSources {
    pub(super) fn of(settings: &Settings) -> Self {
        let timed = settings.sources.iter().filter_map(|(name, source)| Some((name, source.triggers()?)));
        Self(
            timed
                .map(|(name, config)| (name.clone(), (config.events.clone(), Arc::new(Triggers::new(config)))))
                .collect(),
        )
    }

    /// Where the triggers of a source come out.
    pub(super) fn of_source(&self, name: &str) -> Option<Arc<Triggers>> {
        self.0.get(name).map(|(_, triggers)| Arc::clone(triggers))
    }

    /// Where the triggers among the events of `events` go in.
    pub(super) fn of_events(&self, events: &str) -> Vec<Arc<Triggers>> {
        self.0.values().filter(|(from, _)| from == events).map(|(_, triggers)| Arc::clone(triggers)).collect()
    }
}
