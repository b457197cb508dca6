//! How is a learner written down? Little-endian numbers in a fixed order; nothing in them is ever executed.
//!
//! The reader knows every shape beforehand, from the configuration. What a file says about its own size is compared
//! with that and never allocated.

use thiserror::Error;

/// A stored state does not fit.
#[derive(Debug, Error, PartialEq)]
pub enum StateError {
    /// It ends too early.
    #[error("the state ends after {have} bytes, {wanted} more were expected")]
    Short {
        /// Bytes left.
        have: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// A number in it is impossible.
    #[error("the state says {what} = {value}, which cannot be (allowed: {allowed})")]
    Impossible {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        value: u64,
        /// What would have been right.
        allowed: String,
    },
    /// There is more than there should be.
    #[error("{0} bytes are left over after the state's end")]
    LeftOver(usize),
}

/// Writes a state.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The bytes written so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn usize(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.u64(value.into());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub(super) fn f64s(&mut self, values: &[f64]) {
        self.0.reserve(values.len() * 8);
        values.iter().for_each(|v| self.f64(*v));
    }

    pub(super) fn f32s(&mut self, values: &[f32]) {
        self.0.reserve(values.len() * 4);
        values.iter().for_each(|v| self.0.extend_from_slice(&v.to_le_bytes()));
    }

    pub(super) fn text(&mut self, value: &str) {
        self.usize(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// 0 for nothing, or 1 and the value.
    pub(super) fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&T, &mut Self)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(value, self);
        }
    }
}

/// Reads a state back.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, wanted: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.0.split_at_checked(wanted).ok_or(StateError::Short { have: self.0.len(), wanted })?;
        self.0 = rest;
        Ok(taken)
    }

    /// Checks that at least `wanted` bytes are left.
    pub(super) fn expect(&self, wanted: usize) -> Result<(), StateError> {
        if self.0.len() >= wanted { Ok(()) } else { Err(StateError::Short { have: self.0.len(), wanted }) }
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn f64(&mut self) -> Result<f64, StateError> {
        self.u64().map(f64::from_bits)
    }

    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, StateError> {
        self.index(2, what).map(|v| v == 1)
    }

    /// A number below `limit`.
    pub(super) fn index(&mut self, limit: usize, what: &'static str) -> Result<usize, StateError> {
        let value = self.u64()?;
        usize::try_from(value).ok().filter(|v| *v < limit).ok_or_else(|| StateError::Impossible {
            what,
            value,
            allowed: format!("below {limit}"),
        })
    }

    /// A number that must be `expected`.
    pub(super) fn exactly(&mut self, expected: usize, what: &'static str) -> Result<(), StateError> {
        let value = self.u64()?;
        if value == expected as u64 {
            Ok(())
        } else {
            Err(StateError::Impossible { what, value, allowed: expected.to_string() })
        }
    }

    pub(super) fn f64s(&mut self, into: &mut [f64]) -> Result<(), StateError> {
        let bytes = self.take(into.len() * 8)?;
        for (value, bytes) in into.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *value = f64::from_le_bytes(*bytes);
        }
        Ok(())
    }

    pub(super) fn f32s(&mut self, into: &mut [f32]) -> Result<(), StateError> {
        let bytes = self.take(into.len() * 4)?;
        for (value, bytes) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    /// A text of at most `limit` bytes; what is not UTF-8 is replaced.
    pub(super) fn text(&mut self, limit: usize, what: &'static str) -> Result<String, StateError> {
        let len = self.index(limit + 1, what)?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    pub(super) fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, StateError>,
    ) -> Result<Option<T>, StateError> {
        if self.flag(what)? { read(self).map(Some) } else { Ok(None) }
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::LeftOver(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_hostile_sizes_are_refused_before_anything_is_allocated() {
        let mut to = Writer::default();
        to.f64s(&[1.5, f64::NEG_INFINITY]);
        to.text("λ");
        to.u64(u64::MAX);
        let bytes = to.into_bytes();
        let mut from = Reader::new(&bytes);
        let mut pair = [0.0; 2];
        from.f64s(&mut pair).unwrap();
        assert_eq!((pair, from.text(8, "name").unwrap().as_str()), ([1.5, f64::NEG_INFINITY], "λ"));
        let error = from.text(8, "name").unwrap_err();
        assert_eq!(error.to_string(), "the state says name = 18446744073709551615, which cannot be (allowed: below 9)");
        assert_eq!(Reader::new(&bytes[..3]).u64(), Err(StateError::Short { have: 3, wanted: 8 }));
        assert_eq!(Reader::new(&bytes[..3]).end(), Err(StateError::LeftOver(3)));
    }
}
