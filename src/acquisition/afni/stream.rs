//! How does a stream of bytes become volumes? Commands up to a zero byte, then images, until a marker stands in for one.
//!
//! Nothing is kept but what has come of the present image and volume, and no size is believed before its bytes are there.

use super::AfniError;
use super::commands::{self, Dataset, Datum, Images};
use crate::acquisition::dicom::{Header, Series, Volume};

/// The most bytes of commands.
const COMMANDS_CAP: usize = 32 << 10;
/// What stands in for an image after the last one; other commands follow.
const END: &[u8] = b"Et Earello Endorenna utulien!!";

/// What one data connection brings.
pub(super) struct Stream {
    /// Data sets before this connection's.
    number: u64,
    bytes: Vec<u8>,
    open: Option<Open>,
}

/// The data set whose images are coming.
struct Open {
    dataset: Dataset,
    /// Images so far.
    images: u64,
    /// Of each channel the slices of its present volume, in the order in which they came.
    slices: Vec<Vec<Vec<f64>>>,
}

impl Stream {
    /// A connection that begins with data set `number`: what tells its series from others.
    pub(super) fn new(number: u64) -> Self {
        Self { number, bytes: Vec::new(), open: None }
    }

    /// The number of its next data set.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it ends within an image, a volume or a command.
    pub(super) fn is_cut(&self) -> bool {
        let within = |open: &Open| open.slices.iter().any(|slices| !slices.is_empty());
        !self.bytes.is_empty() || self.open.as_ref().is_some_and(within)
    }

    /// Takes in the next bytes; `emit` is given every volume that they complete.
    ///
    /// # Errors
    /// Commands that make no sense; the connection is of no use any more.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut emit: impl FnMut(Header, Volume)) -> Result<(), AfniError> {
        while !bytes.is_empty() {
            let Some(open) = &mut self.open else {
                bytes = self.commands(bytes)?;
                continue;
            };
            let wanted = open.dataset.image_bytes();
            let (now, later) = bytes.split_at((wanted - self.bytes.len()).min(bytes.len()));
            self.bytes.extend_from_slice(now);
            bytes = later;
            if self.bytes.len() < wanted {
                return Ok(());
            }
            if self.bytes.starts_with(END) {
                self.open = None;
                self.number += 1;
            } else if let Some((header, volume)) = open.image(&self.bytes, self.number) {
                emit(header, volume);
            }
            self.bytes.clear();
        }
        Ok(())
    }

    /// Takes in commands; what is left of `bytes` after them.
    fn commands<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], AfniError> {
        let end = bytes.iter().position(|byte| *byte == 0);
        let (now, later) = match end {
            Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default()),
            None => (bytes, &[][..]),
        };
        if self.bytes.len() + now.len() > COMMANDS_CAP {
            return Err(AfniError::Unsupported("more than 32 KiB of commands"));
        }
        self.bytes.extend_from_slice(now);
        // What pads a marker to the size of an image is no command.
        if end.is_some() && !self.bytes.is_empty() {
            let dataset = commands::parse(&String::from_utf8_lossy(&self.bytes))?;
            let slices = vec![Vec::new(); dataset.channels];
            self.bytes.clear();
            self.open = Some(Open { dataset, images: 0, slices });
        }
        Ok(later)
    }
}

impl Open {
    /// The volume that an image completes.
    fn image(&mut self, bytes: &[u8], number: u64) -> Option<(Header, Volume)> {
        let Dataset { grid, images, datum, big_endian, channels, tr, name } = &self.dataset;
        let channel = (self.images % *channels as u64) as usize;
        let slices = if *images == Images::Volumes { 1 } else { grid.dims[2] };
        let volume = self.images / (channels * slices) as u64 + 1;
        self.images += 1;
        let came = self.slices.get_mut(channel)?;
        came.push(values(bytes, *datum, *big_endian));
        if came.len() < slices {
            return None;
        }
        let came = std::mem::take(came);
        let values = match images {
            Images::Volumes | Images::Sequential => came.concat(),
            Images::Alternating => {
                // The first half of what came are the even slices.
                let half = slices.div_ceil(2);
                let place = |slice: usize| slice / 2 + if slice.is_multiple_of(2) { 0 } else { half };
                (0..slices).filter_map(|slice| came.get(place(slice))).flatten().copied().collect()
            }
        };
        let header = Header {
            series: Series { uid: number.to_string(), number: None, description: name.clone() },
            echo: Some(channel as u32 + 1),
            acquisition: u32::try_from(volume).ok(),
            tr: *tr,
            ..Header::default()
        };
        Some((header, Volume { grid: grid.clone(), values }))
    }
}

fn values(bytes: &[u8], datum: Datum, big_endian: bool) -> Vec<f64> {
    match datum {
        Datum::Byte => bytes.iter().map(|byte| f64::from(*byte)).collect(),
        Datum::Short => {
            let of = if big_endian { i16::from_be_bytes } else { i16::from_le_bytes };
            bytes.as_chunks().0.iter().map(|chunk| f64::from(of(*chunk))).collect()
        }
        Datum::Float => {
            let of = if big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
            bytes.as_chunks().0.iter().map(|chunk| f64::from(of(*chunk))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLICES: &str = "XYMATRIX 4 4 5\nXYFOV 8 8 10\nXYZAXES R-L A-P I-S\nNAME bold\nTR 2\n";

    /// Data sets of two volumes of 5 slices of 16 voxels: voxel v of volume t holds 100 t + v.
    fn sent(channels: i16, sets: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..sets {
            bytes.extend(format!("{SLICES}NUM_CHAN {channels}\nBYTEORDER MSB_FIRST\0").as_bytes());
            for volume in 1..=2 {
                for slice in [0, 2, 4, 1, 3] {
                    for channel in 0..channels {
                        let value = |v: i16| 1000 * channel + 100 * volume + 16 * slice + v;
                        (0..16).for_each(|v| bytes.extend(value(v).to_be_bytes()));
                    }
                }
            }
            let mut end = END.to_vec();
            end.resize(32, 0);
            bytes.extend(end);
        }
        bytes
    }

    fn volumes(stream: &mut Stream, bytes: &[u8]) -> Vec<(String, u32, u32, Vec<f64>)> {
        let mut came = Vec::new();
        let emit = |header: Header, volume: Volume| {
            let number = header.acquisition.unwrap_or_default();
            came.push((header.series.uid, header.echo.unwrap_or_default(), number, volume.values));
        };
        stream.feed(bytes, emit).expect("a data set");
        came
    }

    #[test]
    fn slices_of_channels_are_put_in_their_places_and_a_marker_begins_another_series() {
        let mut stream = Stream::new(7);
        let came = volumes(&mut stream, &sent(2, 2));
        let expected = |channel: u32, volume: u32| -> Vec<f64> {
            (0..80).map(|v| f64::from(1000 * (channel - 1) + 100 * volume + v)).collect()
        };
        let order: Vec<(String, u32, u32)> = came.iter().map(|(uid, c, n, _)| (uid.clone(), *c, *n)).collect();
        let set = |uid: &str| [(1, 1), (2, 1), (1, 2), (2, 2)].map(|(c, n)| (uid.to_owned(), c, n));
        assert_eq!(order, [set("7"), set("8")].concat());
        assert!(came.iter().all(|(_, channel, volume, values)| *values == expected(*channel, *volume)));
        assert!(!stream.is_cut() && stream.number() == 9);
        assert!(volumes(&mut stream, &sent(1, 1)[..300]).len() == 1 && stream.is_cut());
    }

    proptest! {
        /// However the stream is cut, the same volumes come.
        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(1usize..200, 1..40)) {
            let bytes = sent(2, 2);
            let whole = volumes(&mut Stream::new(0), &bytes);
            let (mut stream, mut came, mut rest) = (Stream::new(0), Vec::new(), bytes.as_slice());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                came.extend(volumes(&mut stream, now));
                rest = later;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(came, whole);
        }

        /// Whatever comes, it is volumes or an error, and no more is held than came.
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), begins in any::<bool>()) {
            let mut stream = Stream::new(0);
            if begins {
                let _ = stream.feed(format!("{SLICES}\0").as_bytes(), |_, _| {});
            }
            let _ = stream.feed(&bytes, |_, volume| assert_eq!(volume.values.len(), 80));
            prop_assert!(stream.bytes.capacity() <= 4096 + SLICES.len());
        }
    }

    #[test]
    fn commands_without_an_end_are_refused() {
        let endless = vec![b'A'; COMMANDS_CAP + 1];
        assert!(Stream::new(0).feed(&endless, |_, _| {}).is_err());
    }
}
