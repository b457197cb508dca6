//! Which regions do streamlines join? Their two ends, from MRtrix's .tck and TrackVis' .trk, counted on a label image.
//!
//! As BrainGB counts: streamlines of too few points are left out; of every other, one is added between the two regions that its end
//! points lie in, and one on the diagonal of each region that an end lies in.
//!
//! Sources: MRtrix3, *Tracks file format (.tck)*; TrackVis, *TrackVis file format* (version 2). Coordinates are those of nibabel.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::Array2;

use super::DatasetError;
use crate::acquisition::file::Volumes;
use crate::fmri::{Grid, affine};

/// The most points of one streamline.
const MOST_POINTS: usize = 1 << 20;
/// The most bytes of a .tck header.
const MOST_HEADER: u64 = 1 << 20;

/// A label image: every voxel is of a region, or of none.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    grid: Grid,
    /// mm to voxels.
    inverse: [[f64; 4]; 3],
    /// Of each voxel its region, counted from 1; 0 is none.
    of: Vec<u32>,
    /// Of each region its label, ascending.
    pub labels: Vec<u32>,
}

/// Streamlines between regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// N × N, symmetric.
    pub matrix: Array2<f64>,
    /// How many streamlines there were.
    pub streamlines: usize,
    /// How many had too few points.
    pub short: usize,
    /// How many had an end outside every region.
    pub outside: usize,
}

impl Labels {
    /// Reads a NIfTI image of labels.
    ///
    /// # Errors
    /// It cannot be read; a value that is no label; an affine that has no inverse; no region.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let image = Volumes::open(path)?;
        let mut stream = image.stream(0)?;
        stream.next_volume()?;
        let mut values = Vec::with_capacity(image.grid.voxels());
        for voxel in 0..image.grid.voxels() {
            let value = stream.value(voxel);
            match value.round() {
                label if (value - label).abs() <= 1e-3 && (0.0..=f64::from(u32::MAX)).contains(&label) => {
                    values.push(label as u32);
                }
                _ => return Err(wrong(path, format!("voxel {voxel} is {value}, which is no label"))),
            }
        }
        let mut labels: Vec<u32> = values.iter().copied().filter(|label| *label > 0).collect();
        labels.sort_unstable();
        labels.dedup();
        let inverse = image
            .grid
            .inverse()
            .ok_or_else(|| wrong(path, "its affine has no inverse, so that no point lies in a voxel".into()))?;
        if labels.len() < 2 {
            return Err(wrong(path, format!("{} regions (a network has at least two)", labels.len())));
        }
        let of = values.iter().map(|label| labels.binary_search(label).map_or(0, |at| at as u32 + 1)).collect();
        Ok(Self { grid: image.grid, inverse, of, labels })
    }

    /// The region of a point in mm, of the voxel whose centre is nearest.
    fn region(&self, point: [f64; 3]) -> Option<usize> {
        let [nx, ny, nz] = self.grid.dims;
        let [x, y, z] = affine::apply(&self.inverse, point).map(f64::round);
        let inside = |at: f64, size: usize| (at >= 0.0 && at < size as f64).then_some(at as usize);
        let at = inside(x, nx)? + nx * (inside(y, ny)? + ny * inside(z, nz)?);
        self.of.get(at).and_then(|region| (*region as usize).checked_sub(1))
    }
}

/// Counts the streamlines of `path` (.tck or .trk) that join regions, without those of fewer than `least` points.
///
/// # Errors
/// Neither of the two formats; a header that is not understood; a file that is cut off.
pub fn count(path: &Path, labels: &Labels, least: usize) -> Result<Counts, DatasetError> {
    let n = labels.labels.len();
    let mut counts = Counts { matrix: Array2::zeros((n, n)), streamlines: 0, short: 0, outside: 0 };
    let mut add = |points: usize, from: [f64; 3], to: [f64; 3]| {
        counts.streamlines += 1;
        if points < least.max(1) {
            counts.short += 1;
            return;
        }
        let ends = (labels.region(from), labels.region(to));
        if let (Some(i), Some(j)) = ends
            && i != j
        {
            counts.matrix[[i, j]] += 1.0;
            counts.matrix[[j, i]] += 1.0;
        }
        for region in ends.0.into_iter().chain(ends.1.filter(|to| Some(*to) != ends.0)) {
            counts.matrix[[region, region]] += 1.0;
        }
        counts.outside += usize::from(ends.0.is_none() || ends.1.is_none());
    };
    let file = File::open(path).map_err(|error| wrong(path, error.to_string()))?;
    let mut input = BufReader::with_capacity(1 << 16, file);
    let start = input.fill_buf().map_err(|error| wrong(path, error.to_string()))?;
    let read = match start {
        start if start.starts_with(b"mrtrix tracks") => tck(&mut input, &mut add),
        start if start.starts_with(b"TRACK") => trk(&mut input, &mut add),
        _ => Err("neither MRtrix's .tck nor TrackVis' .trk".into()),
    };
    read.map_err(|problem| wrong(path, problem))?;
    Ok(counts)
}

/// Is told of every streamline its number of points, and its first and last one in mm.
type Add<'a> = dyn FnMut(usize, [f64; 3], [f64; 3]) + 'a;

fn tck(input: &mut BufReader<File>, add: &mut Add<'_>) -> Result<(), String> {
    let (mut kind, mut offset, mut ended) = (String::new(), None, false);
    for line in Read::by_ref(input).take(MOST_HEADER).lines() {
        let line = line.map_err(|error| format!("its header is not text: {error}"))?;
        if line.trim() == "END" {
            ended = true;
            break;
        }
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("datatype", value)) => kind = value.to_lowercase(),
            Some(("file", value)) => offset = value.strip_prefix('.').and_then(|at| at.trim().parse::<u64>().ok()),
            _ => {}
        }
    }
    let offset = offset
        .filter(|_| ended)
        .ok_or("its header has no end, or does not say where streamlines begin (file: . BYTES)")?;
    let (width, big) = match kind.as_str() {
        "float32le" => (4, false),
        "float32be" => (4, true),
        "float64le" => (8, false),
        "float64be" => (8, true),
        other => return Err(format!("datatype \"{other}\" (float32le, float32be, float64le and float64be are read)")),
    };
    input.seek(SeekFrom::Start(offset)).map_err(|error| error.to_string())?;
    let mut bytes = vec![0; 3 * width];
    let (mut points, mut first, mut last) = (0, [0.0; 3], [0.0; 3]);
    loop {
        input.read_exact(&mut bytes).map_err(|_| "the file ends before its streamlines do (copy it again)")?;
        let mut numbers = bytes.chunks_exact(width).map(|bytes| float(bytes, big));
        let point: [f64; 3] = std::array::from_fn(|_| numbers.next().unwrap_or(f64::NAN));
        if point.iter().all(|value| value.is_infinite()) {
            // A last streamline without its delimiter is one all the same.
            if points > 0 {
                add(points, first, last);
            }
            return Ok(());
        }
        if point.iter().all(|value| value.is_nan()) {
            if points > 0 {
                add(points, first, last);
            }
            points = 0;
            continue;
        }
        if point.iter().any(|value| !value.is_finite()) || points >= MOST_POINTS {
            return Err(format!("{point:?} is no point of a streamline (is its datatype {kind}?)"));
        }
        first = if points == 0 { point } else { first };
        last = point;
        points += 1;
    }
}

fn trk(input: &mut BufReader<File>, add: &mut Add<'_>) -> Result<(), String> {
    let mut header = [0u8; 1000];
    input.read_exact(&mut header).map_err(|_| "the file ends in its header (copy it again)")?;
    let four = |at: usize| header.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).unwrap_or_default();
    let big = match (i32::from_le_bytes(four(996)), i32::from_be_bytes(four(996))) {
        (1000, _) => false,
        (_, 1000) => true,
        (other, _) => return Err(format!("a header of {other} bytes (1000 are expected, in either byte order)")),
    };
    let long = |at: usize| if big { i32::from_be_bytes(four(at)) } else { i32::from_le_bytes(four(at)) };
    let single = |at: usize| f64::from(if big { f32::from_be_bytes(four(at)) } else { f32::from_le_bytes(four(at)) });
    let two = |at: usize| header.get(at..at + 2).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).unwrap_or_default();
    let short = |at: usize| if big { i16::from_be_bytes(two(at)) } else { i16::from_le_bytes(two(at)) };
    let (scalars, properties) = (short(36), short(238));
    if !(0..=10).contains(&scalars) || !(0..=10).contains(&properties) {
        return Err(format!("{scalars} scalars and {properties} properties (0 to 10 each)"));
    }
    let to_mm = trk_affine(&header, &single, &short)?;
    // 0: not known.
    let (expected, mut found) = (long(988).max(0), 0i32);
    let (scalars, properties) = (scalars as usize, properties as usize);
    loop {
        let mut size = [0u8; 4];
        match input.read(&mut size) {
            Ok(0) if expected == 0 || found == expected => return Ok(()),
            Ok(0) => return Err(format!("{found} streamlines where its header says {expected} (copy it again)")),
            Ok(some) => input
                .read_exact(size.get_mut(some..).unwrap_or_default())
                .map_err(|_| "the file ends within a streamline")?,
            Err(error) => return Err(error.to_string()),
        }
        let points = if big { i32::from_be_bytes(size) } else { i32::from_le_bytes(size) };
        let points = usize::try_from(points).ok().filter(|count| *count <= MOST_POINTS);
        let points =
            points.ok_or_else(|| format!("streamline {} of {} points", found + 1, i32::from_le_bytes(size)))?;
        let (mut first, mut last) = ([0.0; 3], [0.0; 3]);
        let mut bytes = vec![0; 4 * (3 + scalars)];
        for at in 0..points {
            input.read_exact(&mut bytes).map_err(|_| "the file ends within a streamline (copy it again)")?;
            let mut numbers = bytes.chunks_exact(4).map(|bytes| float(bytes, big));
            last = std::array::from_fn(|_| numbers.next().unwrap_or(f64::NAN));
            first = if at == 0 { last } else { first };
        }
        let mut rest = vec![0; 4 * properties];
        input.read_exact(&mut rest).map_err(|_| "the file ends within a streamline (copy it again)")?;
        found += 1;
        if points > 0 {
            add(points, affine::apply(&to_mm, first), affine::apply(&to_mm, last));
        }
    }
}

/// From the points of a .trk file, which are mm from the corner of its first voxel in its own order of voxels, to mm RAS.
fn trk_affine(
    header: &[u8; 1000],
    single: &dyn Fn(usize) -> f64,
    short: &dyn Fn(usize) -> i16,
) -> Result<[[f64; 4]; 3], String> {
    let size: [f64; 3] = std::array::from_fn(|axis| single(12 + 4 * axis));
    let ras: [[f64; 4]; 3] =
        std::array::from_fn(|row| std::array::from_fn(|column| single(440 + 16 * row + 4 * column)));
    if single(500) == 0.0 || affine::inverse(&ras).is_none() || size.iter().any(|mm| !mm.is_finite() || *mm <= 0.0) {
        return Err(
            "its header does not say where voxels lie (vox_to_ras, voxel_size): save it with nibabel, or as .tck"
                .into(),
        );
    }
    let order = header.get(948..951).unwrap_or_default();
    // TrackVis: without an order, LPS.
    let order: Vec<u8> = if order.first() == Some(&0) { b"LPS".to_vec() } else { order.to_ascii_uppercase() };
    let axis_of = |code: u8| match code {
        b'R' | b'L' => Some((0, code == b'R')),
        b'A' | b'P' => Some((1, code == b'A')),
        b'S' | b'I' => Some((2, code == b'S')),
        _ => None,
    };
    let stored: Option<Vec<(usize, bool)>> = order.iter().map(|code| axis_of(*code)).collect();
    let stored = stored.filter(|axes| axes.len() == 3).ok_or("its voxel order is none of three letters such as LPS")?;
    let mut out = [[0.0; 4]; 3];
    for (row, out) in out.iter_mut().enumerate() {
        let from = ras.get(row).copied().unwrap_or_default();
        out[3] = from[3];
    }
    for (voxel, along) in (0..3).map(|column| (column, direction(&ras, column))) {
        let at = stored.iter().position(|(axis, _)| *axis == along.0).ok_or("its voxel order names an axis twice")?;
        let same = stored.get(at).is_some_and(|(_, positive)| *positive == along.1);
        // Voxel index = ±(p / size − ½), counted from the other end where the order is reversed.
        let mm = size.get(at).copied().unwrap_or(1.0);
        let (scale, shift) = match same {
            true => (1.0 / mm, -0.5),
            false => (-1.0 / mm, f64::from(short(6 + 2 * at)) - 1.0 + 0.5),
        };
        for (out, from) in out.iter_mut().zip(&ras) {
            out[at] += from[voxel] * scale;
            out[3] += from[voxel] * shift;
        }
    }
    Ok(out)
}

/// The axis of space that a column of an affine runs along most, and whether forwards.
fn direction(affine: &[[f64; 4]; 3], column: usize) -> (usize, bool) {
    let along = |row: usize| affine.get(row).map_or(0.0, |row| row[column]);
    let most = (0..3).max_by(|a, b| along(*a).abs().total_cmp(&along(*b).abs())).unwrap_or(column);
    (most, along(most) > 0.0)
}

fn float(bytes: &[u8], big: bool) -> f64 {
    match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
        (Ok(four), _) => f64::from(if big { f32::from_be_bytes(four) } else { f32::from_le_bytes(four) }),
        (_, Ok(eight)) => {
            if big {
                f64::from_be_bytes(eight)
            } else {
                f64::from_le_bytes(eight)
            }
        }
        _ => f64::NAN,
    }
}

fn wrong(path: &Path, problem: String) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem }
}
