//! How is each input opened? On the lane that reads it, and again after a failure.

use std::sync::{Arc, Mutex, PoisonError};

use super::settings::InputConfig;
use crate::acquisition::file::{FileSource, Paced};
use crate::acquisition::lsl::{LslConfig, LslSource};
use crate::acquisition::timing::Triggers;
use crate::acquisition::volumes::{Arrivals, VolumeSource};
use crate::acquisition::{Source, SourceError, SourceStats};
use crate::frame::Clock;
use crate::runtime::lane_source::OpenSource;

/// What opens source `name`. Its volumes are timed by `triggers`, if by any; its recording, if it is one, is played once.
pub(super) fn opener(
    name: &str,
    input: &InputConfig,
    clock: Arc<dyn Clock>,
    triggers: Option<Arc<Triggers>>,
    recording: Option<FileSource>,
) -> OpenSource {
    match input {
        InputConfig::Lsl(config) => {
            // The lane tries again, and has to show that it is alive meanwhile.
            let config = LslConfig { wait: config.wait.min(1.0), ..config.clone() };
            Box::new(move |stats| Ok(Box::new(LslSource::open(&config, stats)?) as Box<dyn Source>))
        }
        InputConfig::Folder(config) => {
            let config = config.clone();
            timed(triggers, move |stats| config.open(stats, Arc::clone(&clock)))
        }
        InputConfig::Dicom(config) => {
            let config = config.clone();
            timed(triggers, move |stats| config.open(stats, Arc::clone(&clock)))
        }
        InputConfig::Afni(config) => {
            let config = config.clone();
            timed(triggers, move |stats| config.open(stats, Arc::clone(&clock)))
        }
        InputConfig::Replay(_) => {
            let (recording, name) = (Mutex::new(recording), name.to_owned());
            Box::new(move |_| {
                let source = recording.lock().unwrap_or_else(PoisonError::into_inner).take();
                let source = source.ok_or_else(|| opened_twice(&name))?;
                Ok(Box::new(Paced::new(source, Arc::clone(&clock))) as Box<dyn Source>)
            })
        }
        InputConfig::Synthetic(config) => {
            let config = config.clone();
            Box::new(move |_| {
                let source = config.build(clock.now())?;
                Ok(Box::new(Paced::new(source, Arc::clone(&clock))) as Box<dyn Source>)
            })
        }
    }
}

fn timed<A: Arrivals + Send + 'static>(
    triggers: Option<Arc<Triggers>>,
    open: impl Fn(Arc<SourceStats>) -> Result<VolumeSource<A>, SourceError> + Send + 'static,
) -> OpenSource {
    Box::new(move |stats| Ok(Box::new(open(stats)?.timed_by(triggers.clone())) as Box<dyn Source>))
}

pub(super) fn opened_twice(name: &str) -> SourceError {
    SourceError::Config(format!("recording \"{name}\" has been played already"))
}
