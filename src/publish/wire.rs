//! How does a frame look on the wire? As JSON, or as little-endian bytes; `docs/frames.md` describes both for clients.
//!
//! JSON is what [`RegionFrame`] serialises to. The binary form holds the same fields and exists for frames of many
//! values: a fixed head of 100 bytes, five strings, and the values as f32. A value that is not finite is null in JSON
//! and NaN in binary; either way the frame is flagged `NON_FINITE`.
//!
//! ```
//! use neurod::publish::wire;
//! assert!(wire::decode(b"NRF1").unwrap_err().to_string().contains("ends after 4 bytes"));
//! ```

use std::sync::Arc;

use thiserror::Error;

use super::Outgoing;
use crate::frame::{ClockStamp, FrameKind, Instant, ModelStamp, Quality, RegionFrame, Unit};

/// The first four bytes of a binary frame; the digit is the version.
pub const MAGIC: [u8; 4] = *b"NRF1";

/// How long the head is before its strings.
const HEAD: usize = 100;

const KINDS: [FrameKind; 5] =
    [FrameKind::Measured, FrameKind::Encoded, FrameKind::Decoded, FrameKind::Residual, FrameKind::Contrast];
const UNITS: [Unit; 6] =
    [Unit::Arbitrary, Unit::Microvolt, Unit::MicrovoltSquared, Unit::ZScore, Unit::PercentSignalChange, Unit::TValue];
const CLOCKS: [&str; 3] = ["monotonic", "scaled", "virtual"];

/// Why bytes are not a binary frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Something else, or a later version.
    #[error("not a binary region frame: it begins with {0:02x?} (expected \"NRF1\"; ask for format=binary)")]
    Magic([u8; 4]),
    /// Cut off.
    #[error("the binary frame ends after {len} bytes, within its {part} (a message holds exactly one frame)")]
    Short {
        /// How many bytes there are.
        len: usize,
        /// What they end in.
        part: &'static str,
    },
    /// A number that this version does not know.
    #[error("the binary frame's {field} is {value}, which version 1 does not know (update the client)")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u16,
    },
    /// A string that is not UTF-8.
    #[error("a string in the binary frame's head is not UTF-8 (is the message whole?)")]
    Utf8,
}

/// One message as JSON text, without a line feed.
///
/// # Errors
/// None that a frame can cause: every map key is a string.
pub fn json(message: &Outgoing) -> Result<String, serde_json::Error> {
    match message {
        Outgoing::Regions(regions) => serde_json::to_string(regions.as_ref()),
        Outgoing::Frame(frame) => serde_json::to_string(frame.as_ref()),
        Outgoing::Identification(ranking) => serde_json::to_string(ranking.as_ref()),
        Outgoing::Network(frame) => serde_json::to_string(frame.as_ref()),
        Outgoing::Outcome(frame) => serde_json::to_string(frame.as_ref()),
        Outgoing::Quality(frame) => serde_json::to_string(frame.as_ref()),
    }
}

/// The same with every edge of a network, where somebody had asked for them when it was made.
///
/// # Errors
/// As [`json`].
pub fn json_with_edges(message: &Outgoing) -> Result<String, serde_json::Error> {
    match message {
        Outgoing::Network(frame) => frame.with_edges().map_or_else(|| json(message), |all| serde_json::to_string(&all)),
        _ => json(message),
    }
}

/// One message as a line of a file: a network with its edges where the configuration says so.
///
/// # Errors
/// As [`json`].
pub fn line(message: &Outgoing) -> Result<String, serde_json::Error> {
    match message {
        Outgoing::Network(frame) if frame.lines_hold_edges => json_with_edges(message),
        _ => json(message),
    }
}

/// One frame as bytes, in the layout of `docs/frames.md`.
pub fn encode(frame: &RegionFrame) -> Vec<u8> {
    let strings =
        [&frame.session, &frame.predictor, &frame.regions_id, &frame.model.id, &frame.model.sha256].map(|s| short(s));
    let text: usize = strings.iter().map(|s| s.len()).sum();
    let head = (HEAD + text).next_multiple_of(8);
    let skill = frame.skill.as_deref().filter(|skill| skill.len() == frame.values.len());
    let rows = 1 + usize::from(skill.is_some());
    let mut out = Vec::with_capacity(head + rows * 4 * frame.values.len());
    let place = |found: Option<usize>| found.and_then(|i| u8::try_from(i).ok()).unwrap_or(0);

    out.extend(MAGIC);
    out.extend((head as u32).to_le_bytes());
    out.push(place(KINDS.iter().position(|k| *k == frame.kind)));
    out.push(place(UNITS.iter().position(|u| *u == frame.unit)));
    out.extend(frame.quality.bits().to_le_bytes());
    out.push(place(CLOCKS.iter().position(|c| *c == frame.clock.name)));
    out.push(u8::from(skill.is_some()));
    out.extend([0; 2]);
    out.extend(frame.run.to_le_bytes());
    out.extend((frame.values.len() as u32).to_le_bytes());
    out.extend(frame.seq.to_le_bytes());
    for time in [frame.t_target, frame.t_measured, frame.t_arrived, frame.t_published] {
        out.extend(time.seconds().to_le_bytes());
    }
    out.extend(frame.clock.unix_offset.to_le_bytes());
    out.extend(frame.age_s.to_le_bytes());
    out.extend(frame.model.updates.to_le_bytes());
    for string in strings {
        out.extend((string.len() as u16).to_le_bytes());
    }
    out.extend([0; 2]);
    debug_assert_eq!(out.len(), HEAD);
    for string in strings {
        out.extend(string.as_bytes());
    }
    out.resize(head, 0);
    for value in frame.values.iter().chain(skill.into_iter().flatten()) {
        let value = if value.is_finite() { *value } else { f32::NAN };
        out.extend(value.to_le_bytes());
    }
    out
}

/// The frame that these bytes hold.
///
/// # Errors
/// [`WireError`] says in which way they hold none. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<RegionFrame, WireError> {
    let mut reader = Reader { bytes, at: 0 };
    let magic = reader.take::<4>("magic")?;
    if magic != MAGIC {
        return Err(WireError::Magic(magic));
    }
    let head = reader.u32()? as usize;
    let kind = known("kind", &KINDS, reader.u8()?)?;
    let unit = known("unit", &UNITS, reader.u8()?)?;
    let bits = reader.u16()?;
    let quality = Quality::from_bits(bits).ok_or(WireError::Unknown { field: "quality", value: bits })?;
    let clock = known("clock", &CLOCKS, reader.u8()?)?;
    let flags = reader.u8()?;
    reader.u16()?;
    let run = reader.u32()?;
    let count = reader.u32()? as usize;
    let seq = reader.u64()?;
    let mut time = || reader.f64().map(Instant::from_seconds);
    let (t_target, t_measured, t_arrived, t_published) = (time()?, time()?, time()?, time()?);
    let (unix_offset, age_s) = (reader.f64()?, reader.f64()?);
    let updates = reader.u64()?;
    let mut lengths = [0u16; 5];
    for length in &mut lengths {
        *length = reader.u16()?;
    }
    reader.u16()?;
    let mut string = |length: u16| -> Result<Arc<str>, WireError> {
        let bytes = reader.slice(usize::from(length), "strings")?;
        Ok(std::str::from_utf8(bytes).map_err(|_| WireError::Utf8)?.into())
    };
    let [session, predictor, regions_id, id, sha256] = lengths;
    let (session, predictor, regions_id) = (string(session)?, string(predictor)?, string(regions_id)?);
    let (id, sha256) = (string(id)?, string(sha256)?);
    reader.at = reader.at.max(head);
    let values = reader.floats(count, "values")?;
    let skill = if flags & 1 == 1 { Some(reader.floats(count, "skill")?) } else { None };
    Ok(RegionFrame {
        schema: RegionFrame::SCHEMA,
        session,
        run,
        seq,
        predictor,
        kind,
        t_target,
        t_measured,
        t_arrived,
        t_published,
        clock: ClockStamp { name: clock, unix_offset },
        age_s,
        unit,
        regions_id,
        values,
        skill,
        quality,
        model: ModelStamp { id, sha256, updates },
    })
}

fn known<T: Copy>(field: &'static str, all: &[T], value: u8) -> Result<T, WireError> {
    all.get(usize::from(value)).copied().ok_or(WireError::Unknown { field, value: value.into() })
}

/// As much of a string as its 16-bit length can say.
fn short(string: &str) -> &str {
    let end = (0..=string.len().min(u16::MAX.into())).rev().find(|end| string.is_char_boundary(*end));
    &string[..end.unwrap_or(0)]
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize, part: &'static str) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(len);
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        self.at = end.unwrap_or(usize::MAX);
        found.ok_or(WireError::Short { len: self.bytes.len(), part })
    }

    fn take<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], WireError> {
        let slice = self.slice(N, part)?;
        slice.try_into().map_err(|_| WireError::Short { len: self.bytes.len(), part })
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.take("head").map(u8::from_le_bytes)
    }
    fn u16(&mut self) -> Result<u16, WireError> {
        self.take("head").map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Result<u32, WireError> {
        self.take("head").map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, WireError> {
        self.take("head").map(u64::from_le_bytes)
    }
    fn f64(&mut self) -> Result<f64, WireError> {
        self.take("head").map(f64::from_le_bytes)
    }

    fn floats(&mut self, count: usize, part: &'static str) -> Result<Vec<f32>, WireError> {
        let bytes = self.slice(count.saturating_mul(4), part)?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(values: Vec<f32>, skill: Option<Vec<f32>>) -> RegionFrame {
        RegionFrame {
            schema: RegionFrame::SCHEMA,
            session: "s-01".into(),
            run: 3,
            seq: u64::MAX - 1,
            predictor: "régions".into(),
            kind: FrameKind::Decoded,
            t_target: Instant::from_seconds(10.25),
            t_measured: Instant::from_seconds(10.5),
            t_arrived: Instant::from_seconds(10.75),
            t_published: Instant::from_seconds(11.0),
            clock: ClockStamp { name: "scaled", unix_offset: 1.7e9 },
            age_s: 0.5,
            unit: Unit::ZScore,
            regions_id: "0123456789abcdef".into(),
            values,
            skill,
            quality: Quality::GAP | Quality::NON_FINITE,
            model: ModelStamp { id: "regions/sentence".into(), sha256: "ab".repeat(32).into(), updates: 7 },
        }
    }

    #[test]
    fn bytes_lead_back_to_the_same_frame_and_values_stand_aligned() {
        for skill in [None, Some(vec![0.5, -0.25, 0.0])] {
            let sent = frame(vec![1.0, -2.5, 3.25], skill);
            let bytes = encode(&sent);
            let got = decode(&bytes).unwrap();
            assert_eq!(serde_json::to_string(&got).unwrap(), serde_json::to_string(&sent).unwrap());
            let rows = 1 + usize::from(sent.skill.is_some());
            assert_eq!((bytes.len() - rows * 12) % 8, 0);
        }
    }

    #[test]
    fn what_is_not_finite_is_null_in_json_and_nan_in_bytes() {
        let sent = frame(vec![f32::INFINITY, 1.0, f32::NAN], None);
        let text = json(&Outgoing::Frame(Arc::new(sent.clone()))).unwrap();
        assert!(text.contains(r#""values":[null,1.0,null]"#), "{text}");
        let got = decode(&encode(&sent)).unwrap();
        assert!(got.values[0].is_nan() && got.values[1] == 1.0 && got.values[2].is_nan());
    }

    #[test]
    fn every_cut_is_noticed_and_so_is_what_version_1_does_not_know() {
        let bytes = encode(&frame(vec![1.0, 2.0], Some(vec![0.1, 0.2])));
        for end in 0..bytes.len() {
            let error = decode(&bytes[..end]).unwrap_err();
            assert!(matches!(error, WireError::Short { len, .. } if len == end), "{end}: {error}");
        }
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            decode(&bytes).unwrap_err().to_string()
        };
        assert!(with(3, b'2').contains("expected \"NRF1\""));
        assert_eq!(with(8, 9), "the binary frame's kind is 9, which version 1 does not know (update the client)");
        assert!(with(11, 0x80).contains("quality"));
        assert!(with(100, 0xff).contains("not UTF-8"));
    }

    #[test]
    fn a_string_too_long_for_its_length_is_cut_between_characters() {
        let long = "é".repeat(40_000);
        assert_eq!(short(&long).len(), 65_534);
        let mut sent = frame(vec![1.0], None);
        sent.predictor = long.into();
        assert_eq!(decode(&encode(&sent)).unwrap().predictor.len(), 65_534);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), lead in any::<bool>()) {
            if lead && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            let _ = decode(&bytes);
        }
    }
}
