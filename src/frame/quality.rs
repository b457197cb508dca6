//! What is wrong with it? Flags that travel with the data, from the device to the client.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use serde::{Serialize, Serializer, ser::SerializeSeq};

/// A set of flags. A frame carries the union of the flags of everything that went into it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Quality(u16);

impl Quality {
    /// Nothing is wrong.
    pub const GOOD: Quality = Quality(0);
    /// Samples are missing before or within this data.
    pub const GAP: Quality = Quality(1);
    /// A channel stands at its rail, or jumps further than the configured peak-to-peak limit.
    pub const CLIPPED: Quality = Quality(1 << 1);
    /// A channel does not vary.
    pub const FLAT: Quality = Quality(1 << 2);
    /// NaN, infinity or an absurd magnitude was masked.
    pub const NON_FINITE: Quality = Quality(1 << 3);
    /// It came later than its deadline.
    pub const LATE: Quality = Quality(1 << 4);
    /// Timestamps went backward or jumped.
    pub const CLOCK_JUMP: Quality = Quality(1 << 5);
    /// A model's last answer is older than it should be.
    pub const STALE_MODEL: Quality = Quality(1 << 6);
    /// A queue was full and something before this was dropped.
    pub const DROPPED_BEFORE: Quality = Quality(1 << 7);
    /// The head moved.
    pub const MOTION: Quality = Quality(1 << 8);
    /// A filter, window, detrend or model has not seen enough yet.
    pub const WARMING_UP: Quality = Quality(1 << 9);

    const NAMES: [&'static str; 10] = [
        "GAP",
        "CLIPPED",
        "FLAT",
        "NON_FINITE",
        "LATE",
        "CLOCK_JUMP",
        "STALE_MODEL",
        "DROPPED_BEFORE",
        "MOTION",
        "WARMING_UP",
    ];

    /// Whether every flag of `other` is set here.
    pub const fn contains(self, other: Quality) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set here.
    pub const fn intersects(self, other: Quality) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags without those of `other`.
    pub const fn without(self, other: Quality) -> Quality {
        Quality(self.0 & !other.0)
    }

    /// Flag number `i` stands for bit `i`: what the LSL quality outlet and binary frames carry.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The flags of these bits; `None` where a bit stands for no flag.
    pub const fn from_bits(bits: u16) -> Option<Quality> {
        if bits >> Self::NAMES.len() == 0 { Some(Quality(bits)) } else { None }
    }

    /// The names of the flags that are set, in bit order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(i, _)| self.0 >> i & 1 == 1).map(|(_, n)| n)
    }

    /// The flag of this name.
    pub fn from_name(name: &str) -> Option<Quality> {
        Self::NAMES.iter().position(|n| *n == name).map(|i| Quality(1 << i))
    }
}

impl BitOr for Quality {
    type Output = Quality;
    fn bitor(self, other: Quality) -> Quality {
        Quality(self.0 | other.0)
    }
}

impl BitOrAssign for Quality {
    fn bitor_assign(&mut self, other: Quality) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// As a list of names: `["GAP","LATE"]`.
impl Serialize for Quality {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in self.names() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_unite_and_every_name_leads_back_to_its_bit() {
        let both = Quality::GAP | Quality::WARMING_UP;
        assert_eq!(both.names().collect::<Vec<_>>(), ["GAP", "WARMING_UP"]);
        assert!(both.contains(Quality::GAP) && !both.contains(Quality::GAP | Quality::LATE));
        assert_eq!(both.without(Quality::GAP), Quality::WARMING_UP);
        for (i, name) in Quality::NAMES.into_iter().enumerate() {
            assert_eq!(Quality::from_name(name).map(Quality::bits), Some(1 << i));
        }
    }
}
