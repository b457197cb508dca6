//! What is written in a DICOM file? Its elements, read where they lie.
//!
//! No length is believed beyond the bytes that are there, nothing is copied, and nesting ends at [`DEPTH_CAP`]. The
//! readers of `dicom-object` reserve what a length promises before its bytes have come, and call themselves for every
//! level of nesting; a file that is still being written, or that wants to do harm, needs the opposite. (PS3.5 §7, PS3.10
//! §7.1.)

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::DicomError;

/// The deepest nesting that is followed; enhanced images use three levels.
const DEPTH_CAP: usize = 12;
/// The most elements of one file: 20 000 frames of a hundred each.
const ELEMENTS_CAP: usize = 1 << 21;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
/// A length that says: until a delimiter.
const UNDEFINED: u32 = u32::MAX;

/// Sequences that are looked into where their length is given; others are passed over.
const WANTED: [Tag; 10] = [
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE,
    tags::MR_ECHO_SEQUENCE,
    tags::MR_IMAGE_FRAME_TYPE_SEQUENCE,
];

/// How elements are encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

impl Encoding {
    /// The encoding of a transfer syntax.
    ///
    /// # Errors
    /// A compressed one, by name.
    fn of(uid: &str) -> Result<Self, DicomError> {
        let name = match uid {
            "1.2.840.10008.1.2" => return Ok(Self { explicit: false, big_endian: false }),
            "1.2.840.10008.1.2.1" => return Ok(Self { explicit: true, big_endian: false }),
            "1.2.840.10008.1.2.2" => return Ok(Self { explicit: true, big_endian: true }),
            "1.2.840.10008.1.2.1.99" => "Deflated",
            "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.51" => "JPEG",
            "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => "JPEG Lossless",
            "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => "JPEG-LS",
            "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => "JPEG 2000",
            "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
                "High-Throughput JPEG 2000"
            }
            "1.2.840.10008.1.2.5" => "RLE Lossless",
            _ => "unknown",
        };
        Err(DicomError::Compressed(name))
    }
}

/// The elements of a file or of an item, in order.
#[derive(Debug)]
pub(super) struct Set<'a> {
    elements: Vec<(Tag, Value<'a>)>,
    big_endian: bool,
}

#[derive(Debug)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Items(Vec<Set<'a>>),
}

impl<'a> Set<'a> {
    fn value(&self, tag: Tag) -> Option<&Value<'a>> {
        self.elements.iter().find(|(t, _)| *t == tag).map(|(_, value)| value)
    }

    /// An element's bytes; `None` where it is missing, or empty.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        match self.value(tag) {
            Some(Value::Bytes(bytes)) if !bytes.is_empty() => Some(bytes),
            _ => None,
        }
    }

    /// The items of a sequence.
    pub(super) fn items(&self, tag: Tag) -> &[Set<'a>] {
        match self.value(tag) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// A text without its padding. Only names that a person chose are not ASCII, and of those none is kept.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes(tag)?);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Numbers written as text (DS, IS).
    pub(super) fn decimals(&self, tag: Tag) -> Option<Vec<f64>> {
        let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        self.text(tag)?.split('\\').map(number).collect()
    }

    /// The first of [`decimals`](Self::decimals).
    pub(super) fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag)?.first().copied()
    }

    /// A whole number from 0 on, written as text.
    pub(super) fn count(&self, tag: Tag) -> Option<u32> {
        self.decimal(tag).filter(|v| v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(v)).map(|v| v as u32)
    }

    /// Exactly `N` numbers written as text.
    pub(super) fn vector<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        self.decimals(tag)?.try_into().ok()
    }

    /// A number of two bytes (US).
    pub(super) fn u16(&self, tag: Tag) -> Option<u16> {
        let bytes = *self.bytes(tag)?.first_chunk::<2>()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// A number of four bytes (UL).
    pub(super) fn u32(&self, tag: Tag) -> Option<u32> {
        let bytes = *self.bytes(tag)?.first_chunk::<4>()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A number of eight bytes (FD).
    pub(super) fn f64(&self, tag: Tag) -> Option<f64> {
        let bytes = *self.bytes(tag)?.first_chunk::<8>()?;
        let value = if self.big_endian { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
        value.is_finite().then_some(value)
    }
}

/// What a file says before its elements: what a C-STORE says beside them.
#[derive(Debug, PartialEq)]
pub(crate) struct FileMeta {
    /// The SOP class.
    pub(crate) class: Option<String>,
    /// The SOP instance.
    pub(crate) instance: Option<String>,
    /// The transfer syntax.
    pub(crate) syntax: String,
    /// Where the elements begin.
    pub(crate) data_at: usize,
}

impl FileMeta {
    /// Reads it from the start of a file.
    ///
    /// # Errors
    /// [`DicomError::Truncated`] where more bytes may still come; else what it is instead.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, DicomError> {
        const PREAMBLE: usize = 132;
        let Some(magic) = bytes.get(128..PREAMBLE) else { return Err(DicomError::truncated(bytes.len(), PREAMBLE)) };
        if magic != b"DICM" {
            // A share may reserve a file's length before its bytes come.
            let blank = bytes.iter().all(|b| *b == 0);
            return Err(if blank { DicomError::truncated(0, PREAMBLE) } else { DicomError::NotDicom });
        }
        let encoding = Encoding { explicit: true, big_endian: false };
        let mut reader = Reader { bytes, at: PREAMBLE, encoding, elements: 0 };
        let meta = reader.meta()?;
        let syntax = meta.text(tags::TRANSFER_SYNTAX_UID).ok_or(DicomError::Missing("transfer syntax"))?;
        let class = meta.text(tags::MEDIA_STORAGE_SOP_CLASS_UID);
        let instance = meta.text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID);
        Ok(Self { class, instance, syntax, data_at: reader.at })
    }
}

/// Reads elements in a transfer syntax, from byte `at` up to the end of the pixels; what lies behind them is not waited
/// for.
///
/// # Errors
/// [`DicomError::Truncated`] where more bytes may still come; else what is wrong.
pub(super) fn parse<'a>(bytes: &'a [u8], at: usize, syntax: &str) -> Result<(Set<'a>, Encoding), DicomError> {
    let mut reader = Reader { bytes, at, encoding: Encoding::of(syntax)?, elements: 0 };
    let set = reader.set(bytes.len(), true, 0)?;
    Ok((set, reader.encoding))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
    elements: usize,
}

struct Header {
    tag: Tag,
    vr: [u8; 2],
    length: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, end: usize) -> Result<&'a [u8], DicomError> {
        let to = self.at.checked_add(length).filter(|to| *to <= end);
        match to.and_then(|to| self.bytes.get(self.at..to)) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None if end == self.bytes.len() => Err(DicomError::truncated(self.at, length)),
            None => Err(self.wrong("an element reaches past the item it is in")),
        }
    }

    fn wrong(&self, problem: &'static str) -> DicomError {
        DicomError::Malformed { at: self.at as u64, problem }
    }

    fn u16(&mut self, end: usize) -> Result<u16, DicomError> {
        let bytes = self.take(2, end)?.try_into().unwrap_or_default();
        Ok(if self.encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, end: usize) -> Result<u32, DicomError> {
        let bytes = self.take(4, end)?.try_into().unwrap_or_default();
        Ok(if self.encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn header(&mut self, end: usize) -> Result<Header, DicomError> {
        let tag = Tag(self.u16(end)?, self.u16(end)?);
        self.elements += 1;
        if self.elements > ELEMENTS_CAP {
            return Err(self.wrong("more elements than an image has"));
        }
        // No file has group 0: these are zeros where an element is still to come.
        if tag == Tag(0, 0) {
            return Err(DicomError::truncated(self.at - 4, self.bytes.len() - self.at + 5));
        }
        // Delimiters have no representation in either encoding.
        if tag.group() == 0xFFFE || !self.encoding.explicit {
            return Ok(Header { tag, vr: *b"  ", length: self.u32(end)? });
        }
        let vr: [u8; 2] = self.take(2, end)?.try_into().unwrap_or_default();
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return Err(self.wrong("no value representation (a damaged file, or another byte order than it says)"));
        }
        let length = match &vr {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                self.take(2, end)?;
                self.u32(end)?
            }
            _ => u32::from(self.u16(end)?),
        };
        Ok(Header { tag, vr, length })
    }

    /// The file's own group.
    fn meta(&mut self) -> Result<Set<'a>, DicomError> {
        let mut elements = Vec::new();
        let end = self.bytes.len();
        loop {
            let before = self.at;
            if self.take(2, end)? != [2, 0] {
                self.at = before;
                return Ok(Set { elements, big_endian: false });
            }
            self.at = before;
            let header = self.header(end)?;
            elements.push((header.tag, Value::Bytes(self.take(header.length as usize, end)?)));
        }
    }

    /// Elements up to `end`, to a delimiter, or to the end of the pixels.
    fn set(&mut self, end: usize, whole_file: bool, depth: usize) -> Result<Set<'a>, DicomError> {
        let mut elements = Vec::new();
        while self.at < end {
            let header = self.header(end)?;
            let Header { tag, vr, length } = header;
            if tag == ITEM_END && depth > 0 {
                break;
            }
            if tag == tags::PIXEL_DATA && length == UNDEFINED {
                return Err(DicomError::Compressed("encapsulated"));
            }
            let value = if length == UNDEFINED {
                // What is unknown and of undefined length is implicit inside (PS3.5 §6.2.2).
                let outer = self.encoding;
                if vr == *b"UN" {
                    self.encoding = Encoding { explicit: false, big_endian: false };
                }
                let items = self.items(end, true, depth + 1);
                self.encoding = outer;
                Value::Items(items?)
            } else if WANTED.contains(&tag) && length > 0 {
                let to = self.at.saturating_add(length as usize);
                if to > end {
                    self.take(length as usize, end)?;
                }
                Value::Items(self.items(to, false, depth + 1)?)
            } else {
                Value::Bytes(self.take(length as usize, end)?)
            };
            elements.push((tag, value));
            if whole_file && tag == tags::PIXEL_DATA {
                return Ok(Set { elements, big_endian: self.encoding.big_endian });
            }
        }
        if whole_file {
            // It ends between two elements, before its pixels: they may be on their way.
            return Err(DicomError::truncated(self.at, 1));
        }
        Ok(Set { elements, big_endian: self.encoding.big_endian })
    }

    fn items(&mut self, end: usize, delimited: bool, depth: usize) -> Result<Vec<Set<'a>>, DicomError> {
        if depth > DEPTH_CAP {
            return Err(self.wrong("sequences within sequences, deeper than any image"));
        }
        let mut items = Vec::new();
        while delimited || self.at < end {
            let header = self.header(end)?;
            match header.tag {
                SEQUENCE_END => break,
                ITEM if header.length == UNDEFINED => items.push(self.set(end, false, depth)?),
                ITEM => {
                    let to = self.at.saturating_add(header.length as usize);
                    if to > end {
                        self.take(header.length as usize, end)?;
                    }
                    items.push(self.set(to, false, depth)?);
                }
                _ => return Err(self.wrong("no item where a sequence should have one")),
            }
        }
        Ok(items)
    }
}
