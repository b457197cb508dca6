//! What does Siemens write about a mosaic? Tags of its private CSA header (0029,1010), versions 1 and 2.
//!
//! The layout is that of nibabel's `nicom.csareader` and its notes on the format.

/// The most tags, and values of one, that are believed; nibabel's bound is 1000 of each.
const CAP: u32 = 1000;

/// A little-endian reader that stops at the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
}

/// The values of tag `wanted`, as text; `None` where the header lacks it or is damaged.
pub(super) fn values(header: &[u8], wanted: &str) -> Option<Vec<String>> {
    let second = header.starts_with(b"SV10");
    let mut bytes = Bytes(header);
    if second {
        bytes.take(8)?;
    }
    let tags = bytes.u32().filter(|n| (1..=CAP).contains(n))?;
    bytes.take(4)?;
    // In the first version lengths are counted from the number of values of the first tag.
    let mut base = None;
    for _ in 0..tags {
        let name = text(bytes.take(64)?);
        let _multiplicity = bytes.u32()?;
        bytes.take(8)?;
        let count = bytes.u32().filter(|n| *n <= CAP)?;
        bytes.take(4)?;
        let base = *base.get_or_insert(count);
        let mut found = Vec::new();
        for _ in 0..count {
            let (first, other) = (bytes.u32()?, bytes.u32()?);
            bytes.take(8)?;
            let length = if second { Some(other) } else { first.checked_sub(base) };
            let Some(length) = length.map(|l| l as usize).filter(|l| *l <= bytes.0.len()) else { break };
            let value = text(bytes.take(length)?);
            // Every value begins at a multiple of four.
            bytes.take((4 - length % 4) % 4);
            if !value.is_empty() {
                found.push(value.to_owned());
            }
        }
        if name == wanted {
            return Some(found);
        }
    }
    None
}

/// Text up to its first NUL, trimmed; empty where it is none.
fn text(bytes: &[u8]) -> &str {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    std::str::from_utf8(text).unwrap_or_default().trim()
}

/// The same, as numbers.
pub(super) fn numbers(header: &[u8], wanted: &str) -> Option<Vec<f64>> {
    values(header, wanted)?.iter().map(|v| v.parse().ok().filter(|v: &f64| v.is_finite())).collect()
}
