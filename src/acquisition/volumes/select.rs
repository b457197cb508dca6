//! Which of the series that come is the one, and which number counts its volumes?

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::order::Refused;
use super::settings::VolumeConfig;
use super::stacks::Origin;
use crate::acquisition::dicom::{Component, Header};
use crate::frame::Instant;

/// Series that are over and remembered, so that their last files do not begin them anew.
const PAST_CAP: usize = 256;
/// After how many TRs without a volume another series may take over.
const SILENCE: f64 = 2.0;

/// Magnitude or phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EchoComponent {
    /// How strong the signal is.
    #[default]
    Magnitude,
    /// Its angle.
    Phase,
}

/// Which of several series that match is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SeriesRule {
    /// The one that came first, until it falls silent.
    #[default]
    First,
    /// The one that began last. One of a lower number than the present series began before it, however late it comes.
    Newest,
}

/// Which number counts volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberRule {
    /// Of slices the temporal position, else instance numbers that run through volume after volume. Of whole volumes the
    /// acquisition number, until two that differ in their instance number share it; then the instance number. Of several
    /// volumes in one file the temporal position. Of NIfTI the number in the file's name.
    #[default]
    Auto,
    /// The acquisition number.
    Acquisition,
    /// The instance number.
    Instance,
    /// The temporal position.
    Temporal,
}

/// The series that is read.
pub(super) struct Selection {
    series: String,
    number: Option<u32>,
    newest: bool,
    echo: u32,
    component: Component,
    silence: f64,
    rule: NumberRule,
    current: Option<Current>,
    past: Vec<String>,
}

struct Current {
    uid: String,
    number: Option<u32>,
    /// When its newest volume came.
    heard: Instant,
    /// The acquisition and instance number of a volume, and whether the former stands still.
    sample: Option<(u32, u32)>,
    by_instance: bool,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The volume's number.
    pub(super) number: u32,
    /// Whether a series begins with it.
    pub(super) begins: bool,
}

impl Selection {
    pub(super) fn new(config: &VolumeConfig) -> Self {
        let component = match config.component {
            EchoComponent::Magnitude => Component::Magnitude,
            EchoComponent::Phase => Component::Phase,
        };
        Self {
            series: config.series.clone(),
            number: config.series_number,
            newest: config.series_rule == SeriesRule::Newest,
            echo: config.echo,
            component,
            silence: SILENCE * config.tr,
            rule: config.number,
            current: None,
            past: Vec::new(),
        }
    }

    /// Whether an image is of the series that is read, and which volume it is or belongs to.
    ///
    /// # Errors
    /// [`Fault::OtherSeries`], or [`Fault::Misnumbered`] where the number is missing.
    pub(super) fn take(&mut self, header: &Header, origin: Origin, now: Instant) -> Result<Taken, Refused> {
        let other = Err(Refused(Fault::OtherSeries));
        if header.echo.unwrap_or(1) != self.echo || header.component != self.component {
            return other;
        }
        let uid = &header.series.uid;
        let known = self.current.as_ref().is_some_and(|c| c.uid == *uid);
        if !known {
            let matches = self.number.is_none_or(|n| header.series.number == Some(n))
                && is_like(&self.series, &header.series.description);
            let newer = |c: &Current| self.newest && header.series.number >= c.number;
            let busy = self.current.as_ref().is_some_and(|c| now - c.heard < self.silence && !newer(c));
            if !matches || busy || self.past.contains(uid) {
                return other;
            }
        }
        let number = header.series.number;
        let mut fresh = Current { uid: uid.clone(), number, heard: now, sample: None, by_instance: false };
        let current = match &mut self.current {
            Some(current) if known => current,
            _ => &mut fresh,
        };
        current.heard = now;
        // A series begins with its first image that has a number.
        let number = current.volume(self.rule, header, origin).ok_or(Refused(Fault::Misnumbered))?;
        if !known && let Some(before) = self.current.replace(fresh) {
            self.past.push(before.uid);
            if self.past.len() > PAST_CAP {
                self.past.remove(0);
            }
        }
        Ok(Taken { number, begins: !known })
    }
}

impl Current {
    fn volume(&mut self, rule: NumberRule, header: &Header, origin: Origin) -> Option<u32> {
        let Header { acquisition, instance, temporal, .. } = *header;
        match (rule, origin) {
            (NumberRule::Acquisition, _) => acquisition,
            (NumberRule::Instance, Origin::Slice { of }) => Some(instance?.checked_sub(1)? / of.max(1) + 1),
            (NumberRule::Instance, _) => instance,
            (NumberRule::Temporal, _) => temporal,
            (NumberRule::Auto, Origin::Slice { of }) => {
                temporal.or_else(|| Some(instance?.checked_sub(1)? / of.max(1) + 1))
            }
            (NumberRule::Auto, Origin::Several) => temporal,
            (NumberRule::Auto, Origin::Whole) => match (acquisition, instance) {
                (Some(acquisition), Some(instance)) => {
                    let (a, i) = *self.sample.get_or_insert((acquisition, instance));
                    self.by_instance |= a == acquisition && i != instance;
                    Some(if self.by_instance { instance } else { acquisition })
                }
                (acquisition, instance) => acquisition.or(instance),
            },
        }
    }
}

/// Whether `text` is like `pattern`, in which `*` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquisition::dicom::Series;

    fn header(uid: &str, description: &str, acquisition: u32, instance: u32) -> Header {
        let series = Series { uid: uid.into(), number: Some(7), description: description.into() };
        Header { series, acquisition: Some(acquisition), instance: Some(instance), ..Header::default() }
    }

    fn selection(text: &str) -> Selection {
        Selection::new(&toml::from_str(&format!("tr = 2.0\n{text}")).expect("a configuration"))
    }

    fn at(seconds: f64) -> Instant {
        Instant::from_seconds(seconds)
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, like) in [
            ("*", "", true),
            ("bold*", "bold_run-1", true),
            ("*bold*", "x_bold_y", true),
            ("bold", "bold_run", false),
            ("a*b*a", "aba", true),
            ("a*a", "a", false),
            ("*é*", "é", true),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn one_series_is_read_until_it_is_silent_and_never_again() {
        let mut selection = selection("series = \"bold*\"");
        let other = Err(Refused(Fault::OtherSeries));
        let mut take = |uid, name, now| selection.take(&header(uid, name, 1, 1), Origin::Whole, at(now));
        assert_eq!(take("m", "MoCoSeries", 0.0), other);
        assert_eq!(take("a", "bold_1", 0.0), Ok(Taken { number: 1, begins: true }));
        assert_eq!(take("b", "bold_2", 3.9), other);
        assert_eq!(take("b", "bold_2", 4.0), Ok(Taken { number: 1, begins: true }));
        assert_eq!(take("b", "bold_2", 5.0), Ok(Taken { number: 1, begins: false }));
        assert_eq!(take("a", "bold_1", 50.0), other);
    }

    #[test]
    fn the_newest_series_takes_over_at_once_and_what_is_late_of_another_does_not() {
        let mut selection = selection("series = \"bold*\"\nseries_rule = \"newest\"");
        let other = Err(Refused(Fault::OtherSeries));
        let mut take = |uid, series, now| {
            let mut header = header(uid, "bold", 1, 1);
            header.series.number = Some(series);
            selection.take(&header, Origin::Whole, at(now))
        };
        let (begins, goes_on) = (Ok(Taken { number: 1, begins: true }), Ok(Taken { number: 1, begins: false }));
        assert_eq!([take("a", 7, 0.0), take("a", 7, 1.0), take("b", 8, 1.1)], [begins, goes_on, begins]);
        assert_eq!([take("a", 7, 1.2), take("b", 8, 1.3)], [other, goes_on]);
        assert_eq!(take("c", 3, 1.4), other, "one that began before");
        assert_eq!(take("c", 3, 5.4), begins, "unless all is silent: another examination");
        assert_eq!([take("b", 8, 5.5), take("a", 7, 5.6)], [other, other]);
    }

    #[test]
    fn echo_component_and_number_are_rules() {
        let mut second = selection("echo = 2\nseries_number = 7");
        let mut image = header("a", "x", 1, 1);
        assert_eq!(second.take(&image, Origin::Whole, at(0.0)), Err(Refused(Fault::OtherSeries)));
        image.echo = Some(2);
        assert!(second.take(&image, Origin::Whole, at(0.0)).is_ok());
        image.component = Component::Phase;
        assert_eq!(second.take(&image, Origin::Whole, at(0.0)), Err(Refused(Fault::OtherSeries)));
        assert!(selection("component = \"phase\"\necho = 2").take(&image, Origin::Whole, at(0.0)).is_ok());
        image.series.number = Some(8);
        assert!(
            selection("component = \"phase\"\necho = 2\nseries_number = 7")
                .take(&image, Origin::Whole, at(0.0))
                .is_err()
        );
    }

    #[test]
    fn an_acquisition_number_that_stands_still_gives_way_to_the_instance_number() {
        let mut moves = selection("");
        let mut stands = selection("");
        let number = |s: &mut Selection, a, i| s.take(&header("a", "", a, i), Origin::Whole, at(0.0)).map(|t| t.number);
        assert_eq!([1, 2, 3].map(|n| number(&mut moves, n, 2 * n)), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!([1, 2, 2, 3].map(|n| number(&mut stands, 1, n)), [Ok(1), Ok(2), Ok(2), Ok(3)]);
        let mut slices = selection("");
        let of =
            |s: &mut Selection, i| s.take(&header("a", "", 1, i), Origin::Slice { of: 3 }, at(0.0)).map(|t| t.number);
        assert_eq!([1, 3, 4, 7].map(|i| of(&mut slices, i)), [Ok(1), Ok(1), Ok(2), Ok(3)]);
        assert_eq!(of(&mut slices, 0), Err(Refused(Fault::Misnumbered)));
    }
}
