//! What does a sender say of its images? Lines of commands, as AFNI's README.realtime lists them, made into a grid.
//!
//! AFNI's own axes are DICOM's: right, anterior and inferior are negative. Unknown commands are left out, as are those
//! that drive AFNI's windows.

use super::AfniError;
use crate::fmri::Grid;

/// The most voxels of one volume: 256³.
const VOXELS_CAP: usize = 1 << 24;
/// The most channels that AFNI takes.
const CHANNELS_CAP: usize = 32;
/// The longest name that is kept.
const NAME_CAP: usize = 64;

/// How a voxel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    /// 8 bits without sign.
    Byte,
    /// 16 bits with sign.
    Short,
    /// 32-bit floats.
    Float,
}

impl Datum {
    pub(super) fn bytes(self) -> usize {
        match self {
            Datum::Byte => 1,
            Datum::Short => 2,
            Datum::Float => 4,
        }
    }
}

/// How images follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Images {
    /// Whole volumes.
    Volumes,
    /// Slices, from the first to the last.
    Sequential,
    /// Slices: the first, third, fifth …, then the second, fourth …
    Alternating,
}

/// What is known of the images that follow.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dataset {
    /// Where voxels lie, in mm RAS.
    pub(super) grid: Grid,
    pub(super) images: Images,
    pub(super) datum: Datum,
    pub(super) big_endian: bool,
    /// Images of so many channels take turns.
    pub(super) channels: usize,
    /// Seconds from volume to volume.
    pub(super) tr: Option<f64>,
    pub(super) name: String,
}

impl Dataset {
    /// Bytes of one image.
    pub(super) fn image_bytes(&self) -> usize {
        let [x, y, z] = self.grid.dims;
        x * y * if self.images == Images::Volumes { z } else { 1 } * self.datum.bytes()
    }
}

/// An axis of the volume: which of DICOM's it lies along, and whether it goes the same way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    along: usize,
    forward: bool,
}

/// The axis of a side of the body, and whether that side is its negative end.
fn side(letter: char) -> Option<(usize, bool)> {
    let at = "RLAPIS".find(letter)?;
    Some((at / 2, at.is_multiple_of(2)))
}

/// How far from the centre the first voxel lies, and towards which side.
type First = (f64, Option<char>);

#[derive(Default)]
struct Said {
    sizes: [Option<usize>; 3],
    extents: [Option<f64>; 3],
    thickness: Option<f64>,
    gap: f64,
    axes: Option<[Axis; 3]>,
    first: [Option<First>; 3],
    offsets: [f64; 3],
    oblique: Option<[[f64; 4]; 3]>,
}

/// Reads the commands of one data set.
///
/// # Errors
/// A command whose arguments make no sense, one that is not read, or one that is missing.
pub(super) fn parse(text: &str) -> Result<Dataset, AfniError> {
    let mut said = Said::default();
    let (mut slices, mut alternating) = (true, true);
    let (mut datum, mut big_endian, mut channels, mut tr, mut name) = (Datum::Short, false, 1, None, String::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(command) = words.next() else { continue };
        let words: Vec<&str> = words.collect();
        let wrong = || AfniError::Command { command: command.chars().take(NAME_CAP).collect() };
        let first = words.first().copied();
        let number = |at: usize| words.get(at).and_then(|w| w.parse::<f64>().ok()).filter(|v| v.is_finite());
        let length = |at: usize| number(at).filter(|v| *v > 0.0);
        let count = |at: usize| words.get(at).and_then(|w| w.parse::<usize>().ok()).filter(|n| *n > 0);
        match command {
            "ACQUISITION_TYPE" => match first {
                Some("2D+z" | "2D+zt") => slices = true,
                Some("3D" | "3D+t" | "3D+timing") => slices = false,
                _ => return Err(wrong()),
            },
            "ZORDER" => match first {
                Some("alt") => alternating = true,
                Some("seq") => alternating = false,
                Some("explicit") => return Err(AfniError::Unsupported("ZORDER explicit (send whole volumes: 3D+t)")),
                _ => return Err(wrong()),
            },
            "DATUM" => match first {
                Some("byte") => datum = Datum::Byte,
                Some("short") => datum = Datum::Short,
                Some("float") => datum = Datum::Float,
                _ => return Err(AfniError::Unsupported("a DATUM other than byte, short and float")),
            },
            "BYTEORDER" => match first {
                Some("LSB_FIRST") => big_endian = false,
                Some("MSB_FIRST") => big_endian = true,
                _ => return Err(wrong()),
            },
            "NUM_CHAN" => channels = count(0).filter(|n| *n <= CHANNELS_CAP).ok_or_else(wrong)?,
            "TR" => tr = Some(length(0).ok_or_else(wrong)?),
            "NAME" | "PREFIX" => name = first.unwrap_or_default().chars().take(NAME_CAP).collect(),
            "XYMATRIX" => {
                let x = count(0).ok_or_else(wrong)?;
                said.sizes = [Some(x), Some(count(1).filter(|y| *y > 1).unwrap_or(x)), count(2).or(said.sizes[2])];
            }
            "ZNUM" => said.sizes[2] = Some(count(0).ok_or_else(wrong)?),
            "XYFOV" => {
                let x = length(0).ok_or_else(wrong)?;
                said.extents = [Some(x), Some(length(1).unwrap_or(x)), length(2)];
            }
            "ZDELTA" => said.thickness = Some(length(0).ok_or_else(wrong)?),
            "ZGAP" => said.gap = number(0).filter(|gap| *gap >= 0.0).ok_or_else(wrong)?,
            "XYZAXES" => said.axes = Some(axes(&words).ok_or_else(wrong)?),
            "XYZFIRST" => {
                for (axis, place) in said.first.iter_mut().enumerate() {
                    *place = Some(words.get(axis).and_then(|word| first_of(word)).ok_or_else(wrong)?);
                }
            }
            "ZFIRST" => said.first[2] = Some(first.and_then(first_of).ok_or_else(wrong)?),
            "XYZOFF" => {
                for (axis, offset) in said.offsets.iter_mut().enumerate() {
                    *offset = number(axis).ok_or_else(wrong)?;
                }
            }
            "OBLIQUE_XFORM" => {
                let mut rows = [[0.0; 4]; 3];
                for (at, value) in rows.iter_mut().flatten().enumerate() {
                    *value = number(at).ok_or_else(wrong)?;
                }
                said.oblique = Some(rows);
            }
            _ => {}
        }
    }
    let grid = grid(&said)?;
    let images = match (slices, alternating) {
        (false, _) => Images::Volumes,
        (true, true) => Images::Alternating,
        (true, false) => Images::Sequential,
    };
    Ok(Dataset { grid, images, datum, big_endian, channels, tr, name })
}

/// `R-L`, `RL` and the like, once for each direction of space.
fn axes(words: &[&str]) -> Option<[Axis; 3]> {
    let axis = |at: usize| {
        let letters: Vec<char> = words.get(at)?.chars().filter(|c| *c != '-').collect();
        let (&[from, to], true) = (letters.as_slice().first_chunk::<2>()?, letters.len() == 2) else { return None };
        let ((along, forward), (other, negative)) = (side(from)?, side(to)?);
        (along == other && forward != negative).then_some(Axis { along, forward })
    };
    let axes = [axis(0)?, axis(1)?, axis(2)?];
    let all = (0..3).all(|along| axes.iter().any(|axis| axis.along == along));
    all.then_some(axes)
}

/// `12.5`, or `12.5R` with the side that it counts towards.
fn first_of(word: &str) -> Option<First> {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let code = word.get(number.len()..)?;
    let mut letters = code.chars();
    let letter = letters.next();
    let value = number.parse::<f64>().ok().filter(|v| v.is_finite())?;
    (letters.next().is_none() && letter.is_none_or(|c| side(c).is_some())).then_some((value, letter))
}

fn grid(said: &Said) -> Result<Grid, AfniError> {
    let [Some(x), Some(y), Some(z)] = said.sizes else { return Err(AfniError::Missing("XYMATRIX, or ZNUM")) };
    let dims = [x, y, z];
    let voxels = dims.iter().try_fold(1usize, |all, n| all.checked_mul(*n)).filter(|n| *n <= VOXELS_CAP);
    voxels.ok_or(AfniError::Unsupported("a volume of more than 256³ voxels"))?;
    let lps = match said.oblique {
        Some(rows) => rows,
        None => upright(said, dims)?,
    };
    let [a, b, c] = lps;
    let grid = Grid { dims, affine: [a.map(|v| -v), b.map(|v| -v), c] };
    grid.inverse().ok_or(AfniError::Missing("voxel sizes and axes that span space"))?;
    Ok(grid)
}

/// The affine map, in mm LPS, of a volume whose axes lie along the body's.
fn upright(said: &Said, dims: [usize; 3]) -> Result<[[f64; 4]; 3], AfniError> {
    let axes = said.axes.ok_or(AfniError::Missing("XYZAXES"))?;
    let [Some(width), Some(height), depth] = said.extents else { return Err(AfniError::Missing("XYFOV")) };
    let [x, y, z] = dims.map(|n| n as f64);
    let thickness = depth.map(|depth| depth / z + said.gap).or(said.thickness);
    let sizes = [width / x, height / y, thickness.ok_or(AfniError::Missing("XYFOV with three sizes, or ZDELTA"))?];
    let mut rows = [[0.0; 4]; 3];
    let each = axes.into_iter().zip(sizes).zip(dims).zip(said.first).zip(said.offsets);
    for (at, ((((axis, size), count), first), offset)) in each.enumerate() {
        let centred = || 0.5 * (count - 1) as f64 * size + offset;
        let (distance, negative) = match first {
            // Without a side it counts against the axis: where the axis comes from.
            None => (centred(), axis.forward),
            Some((distance, None)) => (distance, axis.forward),
            Some((distance, Some(letter))) => match side(letter) {
                Some((along, negative)) if along == axis.along => (distance, negative),
                _ => return Err(AfniError::Command { command: "XYZFIRST".into() }),
            },
        };
        let row = &mut rows[axis.along];
        row[at] = if axis.forward { size } else { -size };
        row[3] = if negative { -distance } else { distance };
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "ACQUISITION_TYPE 3D+t\nTR 1.5\nXYMATRIX 4 6 3\nXYFOV 12 18 12\nXYZAXES R-L A-P I-S\n";

    #[test]
    fn a_volume_is_about_the_centre_unless_its_first_voxel_has_a_place() {
        let set = parse(PLAIN).expect("a data set");
        assert_eq!((set.images, set.tr, set.image_bytes()), (Images::Volumes, Some(1.5), 144));
        // The first voxel lies right, anterior and inferior: in RAS to the right is positive.
        let expected = [[-3.0, 0.0, 0.0, 4.5], [0.0, -3.0, 0.0, 7.5], [0.0, 0.0, 4.0, -4.0]];
        assert_eq!(set.grid.affine, expected);
        let placed = |first: &str| parse(&format!("{PLAIN}XYZFIRST {first}\n")).map(|set| set.grid.millimetres([0; 3]));
        assert_eq!(placed("10R 20A 30I"), Ok([10.0, 20.0, -30.0]));
        assert_eq!(placed("10 20 30"), Ok([10.0, 20.0, -30.0]), "against the axes");
        assert_eq!(placed("10L 20P 30S"), Ok([-10.0, -20.0, 30.0]));
        assert_eq!(placed("10A 20P 30S"), Err(AfniError::Command { command: "XYZFIRST".into() }));
    }

    #[test]
    fn axes_may_be_exchanged_and_turned_and_a_matrix_says_it_all() {
        let text = "XYMATRIX 4 6\nZNUM 3\nXYFOV 12\nZDELTA 5\nXYZAXES S-I AP L-R\nZFIRST 7R\nZORDER seq\nDATUM float\n";
        let set = parse(text).expect("a data set");
        assert_eq!((set.images, set.datum, set.image_bytes()), (Images::Sequential, Datum::Float, 96));
        let expected = [[0.0, 0.0, 5.0, 7.0], [0.0, -2.0, 0.0, 5.0], [-3.0, 0.0, 0.0, 4.5]];
        assert_eq!(set.grid.affine, expected);
        let oblique = format!("{PLAIN}OBLIQUE_XFORM 0 0 2 10 3 0.1 0 20 0 4 0 30 0 0 0 1\n");
        let expected = [[0.0, 0.0, -2.0, -10.0], [-3.0, -0.1, 0.0, -20.0], [0.0, 4.0, 0.0, 30.0]];
        assert_eq!(parse(&oblique).map(|set| set.grid.affine), Ok(expected));
    }

    #[test]
    fn what_is_wrong_or_missing_is_named() {
        let wrong = |more: &str| parse(&format!("{PLAIN}{more}\n")).map_err(|error| error.to_string()).err();
        let named =
            |more: &str, name: &str| assert!(wrong(more).is_some_and(|e| e.contains(name)), "{:?}", wrong(more));
        named("XYZAXES R-L A-P P-A", "XYZAXES");
        named("XYZAXES R-L A-P I-L", "XYZAXES");
        named("TR -1", "TR");
        named("XYMATRIX 0 4 4", "XYMATRIX");
        named("NUM_CHAN 33", "NUM_CHAN");
        named("DATUM complex", "DATUM");
        named("ZORDER explicit 1 2 3", "3D+t");
        named("XYMATRIX 5000 5000 5000", "256³");
        named("XYMATRIX 18446744073709551615 2 2", "256³");
        named("OBLIQUE_XFORM 1 2 3", "OBLIQUE_XFORM");
        named("OBLIQUE_XFORM 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1", "span");
        assert_eq!(wrong("NOTE é\u{1}\nDRIVE_AFNI OPEN_WINDOW\nNUMVOL 3\nTPATTERN alt+z\nGRAPH_XRANGE x"), None);
        let without = |name: &str| {
            let rest: Vec<&str> = PLAIN.lines().filter(|line| !line.starts_with(name)).collect();
            parse(&rest.join("\n")).map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        for name in ["XYMATRIX", "XYFOV", "XYZAXES"] {
            assert!(without(name).contains(name), "{}", without(name));
        }
    }
}
