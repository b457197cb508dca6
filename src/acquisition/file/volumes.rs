//! What does a NIfTI-1 file hold? A header that is checked, and volumes that are read one after another.
//!
//! `.nii` and `.nii.gz`, told apart by their first bytes. A file is never held whole, and never unpacked further than
//! its header says it goes, so a gzip bomb costs no more than the volume it claims to be.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use nifti::{Endianness, NiftiHeader};

use super::input::{at_byte, io, short};
use crate::acquisition::SourceError;
use crate::fmri::Grid;

/// The most voxels a volume may have: 256³.
const VOXELS_CAP: u64 = 1 << 24;
/// The most bytes of header extensions that are skipped.
const EXTENSION_CAP: f32 = (16 << 20) as f32;

/// What a NIfTI-1 header says, checked.
#[derive(Clone)]
pub(crate) struct Volumes {
    pub(crate) path: PathBuf,
    pub(crate) grid: Grid,
    pub(crate) count: u64,
    kind: VoxelType,
    big_endian: bool,
    slope: f64,
    intercept: f64,
    data_at: u64,
    pub(crate) tr: Option<f64>,
}

/// How a voxel is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum VoxelType {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl VoxelType {
    fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            2 => Self::U8,
            4 => Self::I16,
            8 => Self::I32,
            16 => Self::F32,
            64 => Self::F64,
            256 => Self::I8,
            512 => Self::U16,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// A stored value; NaN past the end, which a checked volume does not have.
    fn decode(self, bytes: &[u8], voxel: usize, big_endian: bool) -> f64 {
        macro_rules! read {
            ($t:ty) => {{
                const N: usize = size_of::<$t>();
                let at = voxel * N;
                match bytes.get(at..at + N).and_then(|b| <[u8; N]>::try_from(b).ok()) {
                    Some(b) if big_endian => <$t>::from_be_bytes(b) as f64,
                    Some(b) => <$t>::from_le_bytes(b) as f64,
                    None => f64::NAN,
                }
            }};
        }
        match self {
            Self::U8 => read!(u8),
            Self::I8 => read!(i8),
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

impl Volumes {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// By byte: no NIfTI-1 header, NIfTI-2, sizes that are zero, negative or absurd, a voxel type that is no number, a
    /// file shorter than its header says (for `.nii.gz` that shows when the volume is read).
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let wrong = |byte: u64, problem: String| at_byte(path, byte, problem);
        let mut bytes = Vec::new();
        unpacked(path)?.take(348).read_to_end(&mut bytes).map_err(|e| damaged(path, 0, &e))?;
        let size = bytes.first_chunk::<4>().map(|b| (i32::from_le_bytes(*b), i32::from_be_bytes(*b)));
        match size {
            Some((348, _) | (_, 348)) if bytes.len() == 348 => {}
            Some((540, _) | (_, 540)) => {
                return Err(wrong(0, "a NIfTI-2 header (save it as NIfTI-1: nibabel.Nifti1Image.from_image)".into()));
            }
            Some((348, _) | (_, 348)) => {
                return Err(short(path, bytes.len() as u64, "the file ends within its header (copy it again)"));
            }
            None => return Err(short(path, bytes.len() as u64, "the file ends within its header (copy it again)")),
            _ => return Err(wrong(0, "not a NIfTI header (set `format`, or mend the file)".into())),
        }
        let header =
            NiftiHeader::from_reader(bytes.as_slice()).map_err(|e| wrong(0, format!("not a NIfTI-1 header: {e}")))?;
        if header.magic != *b"n+1\0" {
            return Err(wrong(344, "header and volumes lie in two files (save it as one .nii)".into()));
        }
        let rank = header.dim[0];
        let size = |axis: usize| header.dim.get(axis).copied().unwrap_or(1) as i16;
        for axis in 1..=usize::from(rank.min(7)) {
            if size(axis) <= 0 {
                return Err(wrong(40 + 2 * axis as u64, format!("axis {axis} has size {}", size(axis))));
            }
        }
        if !(3..=7).contains(&rank) || (5..=usize::from(rank)).any(|axis| size(axis) != 1) {
            return Err(wrong(40, format!("{rank} axes (replay wants x, y, z and time)")));
        }
        let dims = [size(1) as usize, size(2) as usize, size(3) as usize];
        let voxels: u64 = dims.iter().map(|d| *d as u64).product();
        if voxels > VOXELS_CAP {
            return Err(wrong(42, format!("{dims:?} voxels in a volume (at most {VOXELS_CAP} are read)")));
        }
        let count = if rank >= 4 { size(4) as u64 } else { 1 };
        let kind = VoxelType::from_code(header.datatype).ok_or_else(|| {
            wrong(70, format!("voxel type {} (real numbers of up to 64 bits are read)", header.datatype))
        })?;
        let offset = header.vox_offset;
        if !(348.0..=EXTENSION_CAP).contains(&offset) {
            return Err(wrong(108, format!("voxels at byte {offset}")));
        }
        // A slope of 0 says: not scaled.
        let scaled = header.scl_slope != 0.0 && header.scl_slope.is_finite() && header.scl_inter.is_finite();
        let (slope, intercept) =
            if scaled { (f64::from(header.scl_slope), f64::from(header.scl_inter)) } else { (1.0, 0.0) };
        let volumes = Self {
            path: path.into(),
            grid: Grid { dims, affine: affine(&header) },
            count,
            kind,
            big_endian: header.endianness == Endianness::Big,
            slope,
            intercept,
            data_at: offset as u64,
            tr: repetition_time(&header),
        };
        if !is_gzip(path)? {
            let length = std::fs::metadata(path).map_err(|e| io(path, e))?.len();
            let needed = volumes.data_at + count * volumes.volume_bytes() as u64;
            if length < needed {
                return Err(short(
                    path,
                    length,
                    format!("the file ends here, its header promises {needed} bytes (copy it again)"),
                ));
            }
        }
        Ok(volumes)
    }

    pub(super) fn volume_bytes(&self) -> usize {
        self.grid.voxels() * self.kind.bytes()
    }

    /// The voxels of volume `number`, in the order of memory.
    ///
    /// # Errors
    /// The file ends before it, or cannot be read.
    pub(crate) fn volume(&self, number: u64) -> Result<Vec<f32>, SourceError> {
        let mut stream = self.stream(number)?;
        stream.next_volume()?;
        Ok((0..self.grid.voxels()).map(|voxel| stream.value(voxel) as f32).collect())
    }

    /// Opens the file before volume `from`.
    pub(crate) fn stream(&self, from: u64) -> Result<VolumeStream, SourceError> {
        let mut stream = VolumeStream { volumes: self.clone(), input: unpacked(&self.path)?, at: 0, bytes: Vec::new() };
        let mut skip = self.data_at + from * self.volume_bytes() as u64;
        while skip > 0 {
            let step = skip.min(1 << 16);
            stream.advance(step as usize)?;
            skip -= step;
        }
        Ok(stream)
    }
}

/// A file on its way from volume to volume.
pub(crate) struct VolumeStream {
    volumes: Volumes,
    input: Box<dyn Read + Send>,
    /// Bytes of the unpacked file that have been read.
    at: u64,
    /// What was read last.
    bytes: Vec<u8>,
}

impl VolumeStream {
    /// Reads the next `len` bytes into `self.bytes`, which grows only as they come.
    fn advance(&mut self, len: usize) -> Result<(), SourceError> {
        self.bytes.clear();
        let path = &self.volumes.path;
        let read = (&mut self.input).take(len as u64).read_to_end(&mut self.bytes);
        read.map_err(|e| damaged(path, self.at + self.bytes.len() as u64, &e))?;
        self.at += self.bytes.len() as u64;
        if self.bytes.len() < len {
            return Err(short(path, self.at, "the unpacked file ends here, its header promises more (copy it again)"));
        }
        Ok(())
    }

    pub(crate) fn next_volume(&mut self) -> Result<(), SourceError> {
        self.advance(self.volumes.volume_bytes())
    }

    /// A voxel of the volume that was read last, scaled.
    pub(crate) fn value(&self, voxel: usize) -> f64 {
        let Volumes { kind, big_endian, slope, intercept, .. } = self.volumes;
        kind.decode(&self.bytes, voxel, big_endian) * slope + intercept
    }
}

/// A damaged or cut gzip stream, or a disk that fails.
fn damaged(path: &Path, at: u64, error: &std::io::Error) -> SourceError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => {
            short(path, at, format!("of the unpacked file: {error} (the gzip stream is damaged: copy it again)"))
        }
        InvalidData | InvalidInput => {
            at_byte(path, at, format!("of the unpacked file: {error} (the gzip stream is damaged: copy it again)"))
        }
        kind => io(path, std::io::Error::new(kind, error.to_string())),
    }
}

fn is_gzip(path: &Path) -> Result<bool, SourceError> {
    let mut magic = Vec::new();
    File::open(path).and_then(|f| f.take(2).read_to_end(&mut magic)).map_err(|e| io(path, e))?;
    Ok(magic == [0x1f, 0x8b])
}

fn unpacked(path: &Path) -> Result<Box<dyn Read + Send>, SourceError> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(|e| io(path, e))?);
    let packed = file.fill_buf().map_err(|e| io(path, e))?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Voxel indices → mm RAS, as nibabel chooses it: sform, else qform, else the voxel sizes about the middle.
fn affine(header: &NiftiHeader) -> [[f64; 4]; 3] {
    if header.sform_code > 0 {
        return [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from));
    }
    let size = [1, 2, 3].map(|axis: usize| f64::from(header.pixdim.get(axis).copied().unwrap_or(1.0)));
    if header.qform_code > 0 {
        let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ];
        let handed = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
        let shift = [header.quatern_x, header.quatern_y, header.quatern_z];
        let row = |[x, y, z]: [f64; 3], shift: f32| [x * size[0], y * size[1], z * size[2] * handed, f64::from(shift)];
        return [row(rotation[0], shift[0]), row(rotation[1], shift[1]), row(rotation[2], shift[2])];
    }
    let middle = |axis: usize| -(f64::from(header.dim.get(axis).copied().unwrap_or(1)) - 1.0) / 2.0;
    // Without a form the x axis is taken to run from right to left.
    [
        [-size[0], 0.0, 0.0, -middle(1) * size[0]],
        [0.0, size[1], 0.0, middle(2) * size[1]],
        [0.0, 0.0, size[2], middle(3) * size[2]],
    ]
}

/// The TR in seconds, where the header has one.
fn repetition_time(header: &NiftiHeader) -> Option<f64> {
    // Through the shortest decimal, so that a TR of 0.72 s is 0.72 and not the nearest f32.
    let step: f64 = header.pixdim[4].to_string().parse().ok()?;
    let unit = match header.xyzt_units & 0o70 {
        16 => 1e-3,
        24 => 1e-6,
        _ => 1.0,
    };
    Some(step * unit).filter(|tr| *tr > 0.0 && tr.is_finite())
}
