//! Who takes what is shown? The encoders of its event source, each of which has to find in it all that it takes.
//!
//! **Invariant.** What an encoder of texts with pictures, or with regions of pictures, would lack is said to whoever shows
//! it, and nothing is shown: no encoder has to make do with a part.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};

use serde_json::{Value, json};

use super::Controls;
use crate::acquisition::SourceStats;
use crate::encoders::{self, BOXES, REGIONS, RegionsSource, STIM_FILE};
use crate::frame::{Event, Instant, Picture, PictureRegions};
use crate::runtime::lane_events::{EventDoor, Listener, Takes};
use crate::service::Stimulus;

/// How many bytes of pictures and of their regions may be on their way at once.
const MOST_ON_THE_WAY: usize = 256 << 20;
/// How far from now a stimulus may begin, in seconds: what lies further back than lags reach, or is not to come soon, is a
/// mistake of clocks.
const FURTHEST: f64 = 600.0;

/// Pictures, and regions of pictures, that wait for their encoders.
#[derive(Default)]
pub(super) struct OnTheWay {
    pictures: Vec<Weak<[u8]>>,
    regions: Vec<Weak<[f32]>>,
}

/// How many bytes of these are still wanted; the others are forgotten.
fn waiting<T>(some: &mut Vec<Weak<[T]>>) -> usize {
    some.retain(|one| one.strong_count() > 0);
    some.iter().filter_map(Weak::upgrade).map(|one| size_of_val(&*one)).sum()
}

impl OnTheWay {
    /// Takes in what an event brings along, unless too much waits for its encoders already.
    fn admit(&mut self, picture: Option<&Picture>, regions: Option<&PictureRegions>) -> Result<(), String> {
        let before = waiting(&mut self.pictures) + waiting(&mut self.regions);
        let features = regions.map(|found| found.features.values());
        let more = picture.map_or(0, |picture| picture.0.len()) + features.map_or(0, |values| size_of_val(&**values));
        if before + more > MOST_ON_THE_WAY {
            return Err(format!(
                "{before} bytes of pictures and regions wait for their encoders already; send it later"
            ));
        }
        self.pictures.extend(picture.map(|picture| Arc::downgrade(&picture.0)));
        self.regions.extend(features.map(Arc::downgrade));
        Ok(())
    }
}

impl Controls {
    /// Sends what is shown to the encoders that take it.
    pub(super) fn stimulus(&self, stimulus: Stimulus) -> Result<Value, String> {
        let (name, door) = self.door(stimulus.events.as_deref())?;
        let now = self.session.clock().now();
        let onset = stimulus.onset.map_or(now, Instant::from_seconds);
        if (onset - now).abs() > FURTHEST {
            return Err(format!(
                "the session's clock says {:.3} s, an onset may lie 600 s from it at most",
                now.seconds()
            ));
        }
        let mut shown = Shown::new(stimulus)?;
        let took = shown.takers(name, door)?;
        took.iter().try_for_each(|listener| shown.suits(listener))?;
        self.on_the_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(shown.picture.as_ref(), shown.regions.as_ref())?;
        if let Some(image) = shown.image.take() {
            shown.columns.insert(STIM_FILE.into(), image);
        }
        let Shown { duration, label, text, picture, regions, columns, .. } = shown;
        let label = label.or_else(|| text.clone()).unwrap_or_default();
        let mut event = Event { onset, duration, label, text, picture, regions, columns, ..Event::default() };
        SourceStats::count(&door.stats.samples);
        match door.pass(&mut event, now, &self.session) {
            0 => {
                let encoders: Vec<&str> = took.iter().map(|listener| listener.name.as_str()).collect();
                Ok(json!({ "events": name, "onset": event.onset, "run": event.run, "encoders": encoders }))
            }
            _ => Err("an encoder fell behind; its oldest event is lost".into()),
        }
    }
}

/// What is shown, whenever and wherever.
struct Shown {
    duration: f64,
    label: Option<String>,
    text: Option<String>,
    image: Option<String>,
    picture: Option<Picture>,
    regions: Option<PictureRegions>,
    columns: BTreeMap<String, String>,
}

impl Shown {
    fn new(stimulus: Stimulus) -> Result<Self, String> {
        let Stimulus { duration, label, text, image, picture, regions, mut columns, .. } = stimulus;
        if regions.is_some() && [REGIONS, BOXES].iter().any(|column| columns.contains_key(*column)) {
            return Err("regions come both as numbers and as files named in columns (send one of them)".into());
        }
        if let Some(label) = &label {
            columns.entry("trial_type".into()).or_insert_with(|| label.clone());
        }
        Ok(Self { duration, label, text, image, picture, regions, columns })
    }

    fn shows(&self) -> bool {
        self.image.is_some() || self.picture.is_some()
    }

    /// Its regions, here or in files.
    fn found(&self) -> Option<RegionsSource<'_>> {
        let here = self.regions.as_ref().map(RegionsSource::Given);
        here.or_else(|| encoders::Stimulus::named(None, &self.columns).regions)
    }

    /// The encoders that take a part of it; what nobody takes is refused.
    fn takers<'a>(&self, name: &str, door: &'a EventDoor) -> Result<Vec<&'a Listener>, String> {
        let takes = |listener: &&Listener| match &listener.takes {
            Takes::Words => self.text.is_some(),
            Takes::Images(_) => self.shows(),
            Takes::Stimuli { .. } => self.text.is_some() || self.shows() || self.found().is_some(),
            Takes::Columns => !self.columns.is_empty(),
        };
        let took: Vec<&Listener> = door.encoders.iter().filter(takes).collect();
        let nobody = |wanted: fn(&Takes) -> bool| !took.iter().any(|listener| wanted(&listener.takes));
        let missing = match () {
            () if self.text.is_some() && nobody(|takes| matches!(takes, Takes::Words | Takes::Stimuli { .. })) => {
                "a text"
            }
            () if self.shows()
                && nobody(|takes| matches!(takes, Takes::Images(_) | Takes::Stimuli { regions: None, .. })) =>
            {
                "a picture"
            }
            () if self.regions.is_some()
                && nobody(|takes| matches!(takes, Takes::Stimuli { regions: Some(_), .. })) =>
            {
                "regions of a picture"
            }
            () if took.is_empty() => "a label or columns",
            () => return Ok(took),
        };
        let known = door.encoders.iter().map(|l| format!("{} ({})", l.name, l.takes)).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".into() } else { known };
        Err(format!("no encoder of event source \"{name}\" takes {missing}; its encoders are: {known}"))
    }

    /// Whether an encoder that takes a part of it finds all that it takes.
    fn suits(&self, listener: &Listener) -> Result<(), String> {
        let name = &listener.name;
        if let Takes::Stimuli { regions, .. } = &listener.takes {
            let lacks = match regions {
                _ if self.text.is_none() => Some("a text"),
                Some(_) if self.found().is_none() => {
                    Some("them (send regions and boxes, or name their files in columns)")
                }
                None if !self.shows() => Some("a picture"),
                _ => None,
            };
            if let Some(lacks) = lacks {
                return Err(format!("encoder \"{name}\" takes {}, and this comes without {lacks}", listener.takes));
            }
        }
        if let Takes::Stimuli { folder, regions: Some(input) } = &listener.takes
            && let Some(source) = self.found()
        {
            let checked = source.read(folder).and_then(|regions| input.check(&regions));
            checked.map_err(|error| format!("encoder \"{name}\": regions: {error}"))?;
        }
        match (&listener.takes, &self.image) {
            (Takes::Images(folder) | Takes::Stimuli { folder, regions: None }, Some(image))
                if !folder.join(image).is_file() =>
            {
                Err(format!("encoder \"{name}\": there is no {image} in its stimuli folder"))
            }
            _ => Ok(()),
        }
    }
}
