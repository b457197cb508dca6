//! How does a number lie in a file? In so many bytes, in either order.

/// A kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// How one is read.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    /// Its bytes.
    pub(super) size: usize,
    /// Its value; NaN for another number of bytes.
    pub(super) decode: fn(&[u8]) -> f64,
}

impl Kind {
    /// How it is read where the most significant byte comes first, or last.
    pub(super) fn stored(self, big: bool) -> Stored {
        macro_rules! read {
            ($t:ty) => {{
                fn little(bytes: &[u8]) -> f64 {
                    bytes.try_into().map_or(f64::NAN, |b| <$t>::from_le_bytes(b) as f64)
                }
                fn big_endian(bytes: &[u8]) -> f64 {
                    bytes.try_into().map_or(f64::NAN, |b| <$t>::from_be_bytes(b) as f64)
                }
                Stored { size: size_of::<$t>(), decode: if big { big_endian } else { little } }
            }};
        }
        match self {
            Self::I8 => read!(i8),
            Self::U8 => read!(u8),
            Self::I16 => read!(i16),
            Self::U16 => read!(u16),
            Self::I32 => read!(i32),
            Self::U32 => read!(u32),
            Self::I64 => read!(i64),
            Self::U64 => read!(u64),
            Self::F32 => read!(f32),
            Self::F64 => read!(f64),
        }
    }
}
