//! Which frame of an enhanced image lies where, and when? Its functional groups say. (PS3.3 A.36, C.7.6.16.)

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::elements::Set;
use super::pixels::{Pixels, Rescale};
use super::scan::{Component, Header, component, date_time, step};
use super::stack::{Plane, Slice, stack};
use super::{DicomError, Volume};

/// The volumes of an enhanced image, in order of time: the frames of one temporal position, echo time and component.
///
/// # Errors
/// Fewer groups than frames, a frame without a place, frames that make no volume.
pub(super) fn volumes(set: &Set, pixels: &Pixels, header: &Header) -> Result<Vec<(Header, Volume)>, DicomError> {
    let frames = set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if frames.len() != pixels.frames {
        return Err(DicomError::Unsupported(format!(
            "{} functional groups for {} frames",
            frames.len(),
            pixels.frames
        )));
    }
    let shared = set.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    let mut echoes: Vec<f64> = Vec::new();
    let mut stacks: BTreeMap<(u32, usize, u8), (Header, Vec<Slice>)> = BTreeMap::new();
    for (index, own) in frames.iter().enumerate() {
        let groups = Groups { own, shared };
        let orientation =
            groups.of(tags::PLANE_ORIENTATION_SEQUENCE).and_then(|g| g.vector(tags::IMAGE_ORIENTATION_PATIENT));
        let position = groups.of(tags::PLANE_POSITION_SEQUENCE).and_then(|g| g.vector(tags::IMAGE_POSITION_PATIENT));
        let measures = groups.of(tags::PIXEL_MEASURES_SEQUENCE).ok_or(DicomError::Missing("pixel measures"))?;
        let spacing = measures.vector(tags::PIXEL_SPACING).ok_or(DicomError::Missing("pixel spacing"))?;
        let plane = Plane::new(
            orientation.ok_or(DicomError::Missing("image orientation"))?,
            spacing,
            position.ok_or(DicomError::Missing("image position"))?,
        );
        let plane = plane.ok_or(DicomError::Missing("image orientation or spacing"))?;
        let rescale = groups.of(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE).and_then(Rescale::of);
        let slice = Slice {
            plane,
            size: [pixels.columns, pixels.rows],
            step: step(measures),
            values: pixels.frame(index, rescale.or_else(|| Rescale::of(set)).unwrap_or_default()).collect(),
        };
        let content = groups.of(tags::FRAME_CONTENT_SEQUENCE);
        let temporal = content.and_then(|g| g.u32(tags::TEMPORAL_POSITION_INDEX));
        let kind = groups.of(tags::MR_IMAGE_FRAME_TYPE_SEQUENCE);
        let part = kind.map_or(header.component, |g| {
            component(&g.text(tags::FRAME_TYPE).unwrap_or_default(), g.text(tags::COMPLEX_IMAGE_COMPONENT))
        });
        let echo = groups.of(tags::MR_ECHO_SEQUENCE).and_then(|g| g.f64(tags::EFFECTIVE_ECHO_TIME));
        let echo = echo.map(|time| match echoes.iter().position(|t| (t - time).abs() < 1e-3) {
            Some(known) => known + 1,
            None => {
                echoes.push(time);
                echoes.len()
            }
        });
        let timing = groups.of(tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE);
        let tr = timing.and_then(|g| g.decimal(tags::REPETITION_TIME).or_else(|| g.f64(tags::REPETITION_TIME)));
        let key = (temporal.unwrap_or(0), echo.unwrap_or(0), order(part));
        let (_, slices) = stacks.entry(key).or_insert_with(|| {
            let header = Header {
                temporal: temporal.or(header.temporal),
                component: part,
                echo: header.echo.or(echo.map(|e| e as u32)),
                acquisition: content
                    .and_then(|g| g.u16(tags::FRAME_ACQUISITION_NUMBER))
                    .map(u32::from)
                    .or(header.acquisition),
                tr: tr.filter(|ms| *ms > 0.0).map(|ms| ms / 1000.0).or(header.tr),
                acquired: content
                    .and_then(|g| date_time(&g.text(tags::FRAME_ACQUISITION_DATE_TIME)?))
                    .or(header.acquired),
                ..header.clone()
            };
            (header, Vec::new())
        });
        slices.push(slice);
    }
    stacks.into_values().map(|(header, slices)| Ok((header, stack(slices)?))).collect()
}

fn order(component: Component) -> u8 {
    match component {
        Component::Magnitude => 0,
        Component::Phase => 1,
        Component::Other => 2,
    }
}

/// What one frame says, and what all of them say together.
#[derive(Clone, Copy)]
struct Groups<'s, 'a> {
    own: &'s Set<'a>,
    shared: Option<&'s Set<'a>>,
}

impl<'s, 'a> Groups<'s, 'a> {
    fn of(self, tag: Tag) -> Option<&'s Set<'a>> {
        self.own.items(tag).first().or_else(|| self.shared?.items(tag).first())
    }
}
