//! How does a scanner store a volume? As slices, as a mosaic, as an enhanced image, or as NIfTI.

use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::meta::FileMetaTableBuilder;

use super::ScannerError;
use crate::acquisition::association::EXPLICIT;
use crate::draws::Draws;
use crate::fmri::Grid;

pub(super) const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
pub(super) const ENHANCED_MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4.1";

/// How volumes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// DICOM, one slice a file.
    Classic,
    /// DICOM, one Siemens mosaic a file.
    Mosaic,
    /// DICOM, one enhanced multi-frame image a file.
    Enhanced,
    /// NIfTI-1, one volume a file.
    Nifti,
}

/// One volume that is to be stored.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) grid: &'a Grid,
    pub(super) values: &'a [f64],
    pub(super) scale: (f64, f64),
    /// Its number in the series, from 1.
    pub(super) number: u32,
    pub(super) tr: f64,
    /// Whether it is of the other series.
    pub(super) second: bool,
    pub(super) seed: u64,
}

type Set = InMemDicomObject;
type Files = Vec<(String, Vec<u8>)>;

/// Whether DICOM can say where the voxels of this grid lie.
pub(super) fn check(grid: &Grid, flavour: Flavour) -> Result<(), ScannerError> {
    let Geometry { sizes: [x, y, z], directions: [a, b, c], .. } = Geometry::of(grid);
    let unsuited = |problem: &str| Err(ScannerError::Unsuited(problem.into()));
    if grid.dims.iter().any(|n| *n < 2) || grid.dims.iter().any(|n| *n > 4096) {
        return unsuited("a volume has 2 to 4096 voxels along every axis");
    }
    if flavour == Flavour::Nifti {
        return Ok(());
    }
    let upright =
        dot(a, b).abs() < 1e-4 && (flavour != Flavour::Mosaic || (dot(a, c).abs() < 1e-4 && dot(b, c).abs() < 1e-4));
    if !(upright && [x, y, z].iter().all(|size| *size > 0.0 && size.is_finite())) {
        return unsuited(
            "its axes do not stand at right angles, which DICOM cannot express (resample it, or use nifti)",
        );
    }
    Ok(())
}

impl Flavour {
    /// The files of a volume; `copy` gives them other names.
    pub(super) fn files(self, image: &Image, copy: u32) -> Result<Files, ScannerError> {
        let Image { number, second, .. } = *image;
        let series = if second { 8 } else { 7 };
        let name = |slice: &str| format!("{series:03}_{number:06}{slice}_{copy}.dcm");
        match self {
            Flavour::Nifti => {
                let stem = if second { "other" } else { "bold" };
                // A copy has the same number, written longer.
                let digits = 6 + copy as usize;
                Ok(vec![(format!("{stem}_{number:0digits$}.nii"), nifti(image))])
            }
            Flavour::Mosaic => Ok(vec![(name(""), encoded(mosaic(image))?)]),
            Flavour::Enhanced => Ok(vec![(name(""), encoded(enhanced(image))?)]),
            Flavour::Classic => {
                let slices = 0..image.grid.dims[2];
                slices.map(|k| Ok((name(&format!("_{k:03}")), encoded(slice(image, k))?))).collect()
            }
        }
    }
}

/// A grid in DICOM's terms: LPS.
struct Geometry {
    sizes: [f64; 3],
    directions: [[f64; 3]; 3],
    origin: [f64; 3],
}

impl Geometry {
    fn of(grid: &Grid) -> Self {
        let sign = [-1.0, -1.0, 1.0];
        let column = |axis: usize| -> [f64; 3] { std::array::from_fn(|i| sign[i] * grid.affine[i][axis]) };
        let axes = [column(0), column(1), column(2)];
        let sizes = axes.map(|axis| dot(axis, axis).sqrt());
        let directions = std::array::from_fn(|i| axes[i].map(|v| v / sizes[i]));
        Self { sizes, directions, origin: column(3) }
    }

    /// The place of voxel (x, y, z).
    fn at(&self, voxel: [f64; 3]) -> [f64; 3] {
        let step = |i: usize, axis: usize| self.directions[axis][i] * self.sizes[axis] * voxel[axis];
        std::array::from_fn(|i| self.origin[i] + step(i, 0) + step(i, 1) + step(i, 2))
    }

    fn orientation(&self) -> PrimitiveValue {
        decimals(&[self.directions[0], self.directions[1]].concat())
    }

    fn spacing(&self) -> PrimitiveValue {
        decimals(&[self.sizes[1], self.sizes[0]])
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Numbers as text of at most 16 characters each (PS3.5 §6.2, DS).
fn decimals(values: &[f64]) -> PrimitiveValue {
    let text = |value: &f64| {
        let plain = format!("{value:.10}");
        let plain = plain.trim_end_matches('0').trim_end_matches('.');
        let small = *value != 0.0 && value.abs() < 1e-3;
        if small || plain.len() > 16 { format!("{value:.9e}") } else { plain.to_owned() }
    };
    PrimitiveValue::Strs(values.iter().map(text).collect())
}

fn put(set: &mut Set, tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) {
    set.put(DataElement::new(tag, vr, value.into()));
}

fn sequence(set: &mut Set, tag: Tag, items: Vec<Set>) {
    set.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

/// What every image of the series says.
fn base(image: &Image, class: &str, instance: u32, size: [usize; 2]) -> Set {
    let Image { number, second, seed, tr, .. } = *image;
    let mut draws = Draws::new(seed, 0);
    // UIDs from a number, as UUIDs are (PS3.5 B.2).
    let root = draws.below(1 << 52);
    let series = if second { 8u32 } else { 7 };
    let mut set = Set::new_empty();
    let acquired = f64::from(number - 1) * tr;
    let (hours, minutes) = ((acquired / 3600.0).floor() % 24.0, (acquired / 60.0).floor() % 60.0);
    let time = format!("{hours:02}{minutes:02}{:09.6}", acquired % 60.0);
    for (tag, vr, text) in [
        (tags::SOP_CLASS_UID, VR::UI, class.to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, format!("2.25.{root}.{series}.{instance}")),
        (tags::STUDY_INSTANCE_UID, VR::UI, format!("2.25.{root}")),
        (tags::SERIES_INSTANCE_UID, VR::UI, format!("2.25.{root}.{series}")),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, format!("2.25.{root}.0")),
        (tags::MODALITY, VR::CS, "MR".into()),
        (tags::MANUFACTURER, VR::LO, "SIEMENS".into()),
        (tags::PATIENT_NAME, VR::PN, "Phantom".into()),
        (tags::PATIENT_ID, VR::LO, "phantom".into()),
        (tags::STUDY_DATE, VR::DA, "20260101".into()),
        (tags::STUDY_TIME, VR::TM, "000000".into()),
        (tags::ACQUISITION_DATE, VR::DA, "20260101".into()),
        (tags::ACQUISITION_TIME, VR::TM, time),
        (tags::SERIES_DESCRIPTION, VR::LO, if second { "other" } else { "bold" }.into()),
        (tags::PROTOCOL_NAME, VR::LO, if second { "other" } else { "bold" }.into()),
        (tags::SERIES_NUMBER, VR::IS, series.to_string()),
        (tags::ACQUISITION_NUMBER, VR::IS, number.to_string()),
        (tags::INSTANCE_NUMBER, VR::IS, instance.to_string()),
        (tags::REPETITION_TIME, VR::DS, format!("{}", (tr * 1e6).round() / 1e3)),
        (tags::ECHO_TIME, VR::DS, "30".into()),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2".into()),
    ] {
        put(&mut set, tag, vr, text);
    }
    let [columns, rows] = size.map(|n| n as u16);
    for (tag, value) in [
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 0),
        (tags::SAMPLES_PER_PIXEL, 1),
    ] {
        put(&mut set, tag, VR::US, value);
    }
    if class == MR_IMAGE {
        put(&mut set, tags::ECHO_NUMBERS, VR::IS, "1");
        rescale(&mut set, image);
    }
    set
}

fn rescale(set: &mut Set, image: &Image) {
    let (slope, intercept) = image.scale;
    put(set, tags::RESCALE_SLOPE, VR::DS, decimals(&[slope]));
    put(set, tags::RESCALE_INTERCEPT, VR::DS, decimals(&[intercept]));
}

fn stored(image: &Image, values: &[f64]) -> impl Iterator<Item = u16> {
    let (slope, intercept) = image.scale;
    values.iter().map(move |value| ((value - intercept) / slope).round().clamp(0.0, 65_535.0) as u16)
}

fn pixels(set: &mut Set, stored: Vec<u16>) {
    put(set, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(stored.into()));
}

fn kind(words: &[&str]) -> PrimitiveValue {
    PrimitiveValue::Strs(words.iter().map(|word| (*word).to_owned()).collect())
}

fn slice(image: &Image, k: usize) -> Set {
    let [nx, ny, nz] = image.grid.dims;
    let geometry = Geometry::of(image.grid);
    let instance = (image.number - 1) * nz as u32 + k as u32 + 1;
    let mut set = base(image, MR_IMAGE, instance, [nx, ny]);
    put(&mut set, tags::IMAGE_TYPE, VR::CS, kind(&["ORIGINAL", "PRIMARY", "M", "ND"]));
    place(&mut set, &geometry, geometry.at([0.0, 0.0, k as f64]));
    let values = image.values.get(k * nx * ny..(k + 1) * nx * ny).unwrap_or_default();
    pixels(&mut set, stored(image, values).collect());
    set
}

/// Where a plane lies.
fn place(set: &mut Set, geometry: &Geometry, position: [f64; 3]) {
    put(set, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, geometry.orientation());
    put(set, tags::IMAGE_POSITION_PATIENT, VR::DS, decimals(&position));
    put(set, tags::PIXEL_SPACING, VR::DS, geometry.spacing());
    put(set, tags::SLICE_THICKNESS, VR::DS, decimals(&[geometry.sizes[2]]));
    put(set, tags::SPACING_BETWEEN_SLICES, VR::DS, decimals(&[geometry.sizes[2]]));
}

fn mosaic(image: &Image) -> Set {
    let [nx, ny, nz] = image.grid.dims;
    let geometry = Geometry::of(image.grid);
    let side = (1..).find(|side| side * side >= nz).unwrap_or(1);
    let mut set = base(image, MR_IMAGE, image.number, [nx * side, ny * side]);
    put(&mut set, tags::IMAGE_TYPE, VR::CS, kind(&["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]));
    // The corner of a plane as large as the mosaic, about the centre of the first slice.
    let shift = |n: usize| -((n * (side - 1)) as f64) / 2.0;
    place(&mut set, &geometry, geometry.at([shift(nx), shift(ny), 0.0]));
    let normal = geometry.directions[2].map(|v| format!("{v:.8}"));
    put(&mut set, Tag(0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER");
    let csa = csa(&[
        ("NumberOfImagesInMosaic", *b"US\0\0", &[nz.to_string()]),
        ("SliceNormalVector", *b"FD\0\0", &normal),
        ("AcquisitionMatrixText", *b"SH\0\0", &[format!("{nx}*{ny}")]),
    ]);
    put(&mut set, Tag(0x0029, 0x1010), VR::OB, PrimitiveValue::U8(csa.into()));
    let mut slab = vec![0; nx * ny * side * side];
    for (voxel, value) in stored(image, image.values).enumerate() {
        let [x, y, z] = image.grid.index(voxel);
        let (row, column) = (z / side * ny + y, z % side * nx + x);
        slab[row * nx * side + column] = value;
    }
    pixels(&mut set, slab);
    set
}

/// A CSA header, version 2.
fn csa(entries: &[(&str, [u8; 4], &[String])]) -> Vec<u8> {
    let mut out = b"SV10\x04\x03\x02\x01".to_vec();
    let word = |out: &mut Vec<u8>, value: usize| out.extend((value as u32).to_le_bytes());
    word(&mut out, entries.len());
    word(&mut out, 77);
    for (name, representation, values) in entries {
        let mut field = name.as_bytes().to_vec();
        field.resize(64, 0);
        out.extend(field);
        word(&mut out, values.len());
        out.extend(representation);
        [4, values.len(), 77].into_iter().for_each(|n| word(&mut out, n));
        for value in *values {
            let length = value.len() + 1;
            [length, length, 77, length].into_iter().for_each(|n| word(&mut out, n));
            let mut text = value.as_bytes().to_vec();
            text.resize(length.next_multiple_of(4), 0);
            out.extend(text);
        }
    }
    out
}

fn enhanced(image: &Image) -> Set {
    let [nx, ny, nz] = image.grid.dims;
    let geometry = Geometry::of(image.grid);
    let mut set = base(image, ENHANCED_MR_IMAGE, image.number, [nx, ny]);
    put(&mut set, tags::IMAGE_TYPE, VR::CS, kind(&["ORIGINAL", "PRIMARY", "FMRI", "NONE"]));
    put(&mut set, tags::NUMBER_OF_FRAMES, VR::IS, nz.to_string());
    let with = |tag, vr, value| Set::from_element_iter([DataElement::new(tag, vr, value)]);
    let mut measures = with(tags::PIXEL_SPACING, VR::DS, geometry.spacing());
    put(&mut measures, tags::SLICE_THICKNESS, VR::DS, decimals(&[geometry.sizes[2]]));
    put(&mut measures, tags::SPACING_BETWEEN_SLICES, VR::DS, decimals(&[geometry.sizes[2]]));
    let mut value = Set::new_empty();
    rescale(&mut value, image);
    put(&mut value, tags::RESCALE_TYPE, VR::LO, "US");
    let mut shared = Set::new_empty();
    let orientation = with(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, geometry.orientation());
    sequence(&mut shared, tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
    sequence(&mut shared, tags::PIXEL_MEASURES_SEQUENCE, vec![measures]);
    sequence(&mut shared, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![value]);
    sequence(&mut set, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let frame = |k: usize| {
        let mut content = with(tags::STACK_ID, VR::SH, "1".into());
        put(&mut content, tags::IN_STACK_POSITION_NUMBER, VR::UL, k as u32 + 1);
        put(&mut content, tags::TEMPORAL_POSITION_INDEX, VR::UL, 1u32);
        put(&mut content, tags::DIMENSION_INDEX_VALUES, VR::UL, PrimitiveValue::U32(vec![1, k as u32 + 1].into()));
        let position = with(tags::IMAGE_POSITION_PATIENT, VR::DS, decimals(&geometry.at([0.0, 0.0, k as f64])));
        let mut frame = Set::new_empty();
        sequence(&mut frame, tags::FRAME_CONTENT_SEQUENCE, vec![content]);
        sequence(&mut frame, tags::PLANE_POSITION_SEQUENCE, vec![position]);
        frame
    };
    sequence(&mut set, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, (0..nz).map(frame).collect());
    pixels(&mut set, stored(image, image.values).collect());
    set
}

fn encoded(set: Set) -> Result<Vec<u8>, ScannerError> {
    let wrong = |error: &dyn std::fmt::Display| ScannerError::Encoding(error.to_string());
    let meta = FileMetaTableBuilder::new().transfer_syntax(EXPLICIT);
    let file = set.with_meta(meta).map_err(|e| wrong(&e))?;
    let mut bytes = Vec::new();
    file.write_all(&mut bytes).map_err(|e| wrong(&e))?;
    Ok(bytes)
}

/// NIfTI-1 of 64-bit floats, so that no value changes.
fn nifti(image: &Image) -> Vec<u8> {
    let mut header = [0u8; 352];
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, &348i32.to_le_bytes());
    let [nx, ny, nz] = image.grid.dims.map(|n| n as i16);
    for (i, n) in [4, nx, ny, nz, 1, 1, 1, 1].into_iter().enumerate() {
        set(40 + 2 * i, &n.to_le_bytes());
    }
    set(70, &64i16.to_le_bytes());
    set(72, &64i16.to_le_bytes());
    let [x, y, z] = Geometry::of(image.grid).sizes;
    for (i, size) in [1.0, x, y, z, image.tr].into_iter().enumerate() {
        set(76 + 4 * i, &(size as f32).to_le_bytes());
    }
    set(108, &352f32.to_le_bytes());
    set(123, &[2 | 8]); // mm and s
    set(254, &1i16.to_le_bytes());
    for (i, value) in image.grid.affine.iter().flatten().enumerate() {
        set(280 + 4 * i, &(*value as f32).to_le_bytes());
    }
    set(344, b"n+1\0");
    let mut out = header.to_vec();
    image.values.iter().for_each(|value| out.extend(value.to_le_bytes()));
    out
}
