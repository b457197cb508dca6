//! Every flavour of DICOM gives the volume that nibabel and dcm2niix see, and what is no image is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use neurod::acquisition::dicom::{Component, DicomError, Header, Scan, Volume, read, stack};
use neurod::fmri::{Grid, places};
use serde_json::Value;

/// The folder of files, made once; `None` without the peer.
fn made() -> Option<(PathBuf, Value)> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let python = common::python(&["pydicom", "nibabel", "dcm2niix"])?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dicom-files");
        let _ = fs::remove_dir_all(&folder);
        let done =
            Command::new(python).args(["-W", "ignore", "tests/python/dicom_files.py"]).arg(&folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(folder)
    };
    let folder = MADE.get_or_init(make).clone()?;
    let cases = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    Some((folder, cases))
}

/// The volumes of a case's files.
fn volumes(folder: &Path, files: &Value) -> Vec<(Header, Volume)> {
    let (mut headers, mut slices, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for file in files.as_array().unwrap() {
        let bytes = fs::read(folder.join(file.as_str().unwrap())).unwrap();
        match read(&bytes).unwrap_or_else(|e| panic!("{file}: {e}")) {
            Scan::Slice(header, slice) => {
                headers.push(*header);
                slices.push(slice);
            }
            Scan::Volumes(volumes) => whole.extend(volumes),
        }
    }
    if !slices.is_empty() {
        whole.push((headers[0].clone(), stack(slices).unwrap()));
    }
    whole
}

struct Oracle {
    by: String,
    grid: Grid,
    values: Vec<f64>,
}

fn oracle(folder: &Path, value: &Value) -> Oracle {
    let number = |v: &Value| v.as_f64().unwrap();
    let dims: Vec<usize> = value["dims"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let row = |i: usize| std::array::from_fn(|j| number(&value["affine"][i][j]));
    let bytes = fs::read(folder.join(value["values"].as_str().unwrap())).unwrap();
    Oracle {
        by: value["by"].as_str().unwrap().into(),
        grid: Grid { dims: dims.try_into().unwrap(), affine: [row(0), row(1), row(2)] },
        values: bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
    }
}

#[test]
fn every_flavour_gives_the_values_and_places_of_nibabel_and_dcm2niix() {
    let Some((folder, cases)) = made() else { return };
    let mut compared = std::collections::BTreeMap::new();
    for (name, case) in cases["cases"].as_object().unwrap() {
        let ours = volumes(&folder, &case["files"]);
        let oracles: Vec<Oracle> = case["oracles"].as_array().unwrap().iter().map(|o| oracle(&folder, o)).collect();
        let mut seen = std::collections::BTreeMap::new();
        for oracle in &oracles {
            let time = seen.entry(oracle.by.clone()).or_insert(0);
            let (_, volume) = &ours[*time];
            *time += 1;
            *compared.entry(oracle.by.clone()).or_insert(0) += 1;
            let places =
                places(&volume.grid, &oracle.grid).unwrap_or_else(|e| panic!("{name} against {}: {e}", oracle.by));
            for (voxel, place) in places.iter().enumerate() {
                assert_eq!(volume.values[voxel], oracle.values[*place as usize], "{name} by {} at {voxel}", oracle.by);
            }
            // The places of the far corners, so that every entry of the affine counts.
            let far = volume.grid.dims.map(|d| d - 1);
            for corner in [[0, 0, 0], [far[0], 0, 0], [0, far[1], 0], [0, 0, far[2]], far] {
                let [nx, ny, _] = volume.grid.dims;
                let there = places[corner[0] + nx * (corner[1] + ny * corner[2])] as usize;
                let (a, b) = (volume.grid.millimetres(corner), oracle.grid.millimetres(oracle.grid.index(there)));
                assert!(
                    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * far[0].max(1) as f64),
                    "{name} {}: {a:?} {b:?}",
                    oracle.by
                );
            }
        }
        assert!(seen.get("truth").is_none_or(|n| *n == ours.len()), "{name}: {seen:?}");
    }
    assert!(compared["truth"] >= 11 && compared["nibabel"] >= 8 && compared["dcm2niix"] >= 8, "{compared:?}");
}

#[test]
fn headers_say_series_echo_numbers_and_times() {
    let Some((folder, cases)) = made() else { return };
    let (header, _) = volumes(&folder, &cases["cases"]["signed16"]["files"]).remove(0);
    assert_eq!((header.series.number, header.series.description.as_str()), (Some(7), "bold_task"));
    assert_eq!((header.echo, header.acquisition, header.component), (Some(1), Some(3), Component::Magnitude));
    assert_eq!((header.tr, header.acquired), (Some(1.5), Some(1_772_273_702.5)));
    let times = volumes(&folder, &cases["cases"]["enhanced"]["files"]);
    let temporal: Vec<_> = times.iter().map(|(h, _)| (h.temporal, h.tr)).collect();
    assert_eq!(temporal, [(Some(1), Some(1.5)), (Some(2), Some(1.5))]);
}

#[test]
fn a_file_is_complete_at_its_promised_length_and_not_a_byte_before() {
    let Some((folder, cases)) = made() else { return };
    for case in ["big12", "implicit16", "mosaic2", "enhanced", "enhanced-delimited"] {
        let file = cases["cases"][case]["files"][0].as_str().unwrap();
        let bytes = fs::read(folder.join(file)).unwrap();
        read(&bytes).unwrap();
        for length in 0..bytes.len() {
            let cut = read(&bytes[..length]);
            assert!(matches!(cut, Err(DicomError::Truncated { .. })), "{case} cut to {length}: {cut:?}");
            // Reserved at full length, filled up to here. Blank pixels are pixels, so only before them.
            let mut blank = bytes[..length].to_vec();
            blank.resize(bytes.len(), 0);
            if length < 400 {
                let early = read(&blank);
                assert!(early.is_err(), "{case} blank from {length}");
            }
        }
    }
}

#[test]
fn compressed_and_foreign_files_are_refused_by_name() {
    let Some((folder, cases)) = made() else { return };
    let refused = |name: &str| {
        let file = folder.join(cases["refused"][name].as_str().unwrap());
        read(&fs::read(file).unwrap()).unwrap_err().to_string()
    };
    let fix = "which are not read (export uncompressed: Explicit VR Little Endian)";
    assert_eq!(refused("MR_small_RLE"), format!("RLE Lossless pixels, {fix}"));
    assert_eq!(refused("MR_small_jp2klossless"), format!("JPEG 2000 pixels, {fix}"));
    assert_eq!(refused("MR_small_jpeg_ls_lossless"), format!("JPEG-LS pixels, {fix}"));
    assert!(refused("MR_truncated").contains("the file ends here"), "{}", refused("MR_truncated"));
    let foreign = read(&[7; 4096]).unwrap_err().to_string();
    assert_eq!(foreign, "no DICOM file: byte 0x80 does not say DICM");
}

/// Explicit VR Little Endian, from (tag, representation, bytes).
fn file(elements: &[(u32, &[u8; 2], Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0; 128];
    out.extend(b"DICM");
    for (tag, vr, value) in elements {
        out.extend(((tag >> 16) as u16).to_le_bytes());
        out.extend((*tag as u16).to_le_bytes());
        out.extend(*vr);
        if matches!(*vr, b"OW" | b"OB" | b"SQ" | b"UN") {
            out.extend([0, 0]);
            out.extend((value.len() as u32).to_le_bytes());
        } else {
            out.extend((value.len() as u16).to_le_bytes());
        }
        out.extend(value);
    }
    out
}

fn image(rows: u16, columns: u16, frames: &str, pixels: usize) -> Vec<u8> {
    file(&[
        (0x0002_0010, b"UI", b"1.2.840.10008.1.2.1\0".to_vec()),
        (0x0010_0010, b"PN", b"Doe^Jane".to_vec()),
        (0x0020_0032, b"DS", b"0\\0\\0 ".to_vec()),
        (0x0020_0037, b"DS", b"1\\0\\0\\0\\1\\0 ".to_vec()),
        (0x0028_0008, b"IS", frames.as_bytes().to_vec()),
        (0x0028_0010, b"US", rows.to_le_bytes().to_vec()),
        (0x0028_0011, b"US", columns.to_le_bytes().to_vec()),
        (0x0028_0030, b"DS", b"3\\3 ".to_vec()),
        (0x0028_0100, b"US", vec![16, 0]),
        (0x7FE0_0010, b"OW", vec![1; pixels]),
    ])
}

#[test]
fn sizes_that_lie_are_refused_before_anything_is_reserved() {
    assert!(matches!(read(&image(2, 2, "1 ", 8)), Ok(Scan::Slice(..))));
    let problem = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(problem(&image(3, 2, "1 ", 8)), "2 × 3 × 1 pixels: more than the bytes of its pixels");
    assert_eq!(problem(&image(u16::MAX, u16::MAX, "1 ", 8)), "65535 × 65535 × 1 pixels: more than a volume has");
    assert_eq!(problem(&image(2, 2, "4294967295", 8)), "2 × 2 × 4294967295 pixels: more than the bytes of its pixels");
    assert_eq!(problem(&image(0, 2, "1 ", 8)), "no rows, or none that makes sense (an image of a volume has one)");
    assert_eq!(
        problem(&image(2, 2, "-3", 8)),
        "no number of frames, or none that makes sense (an image of a volume has one)"
    );
    // A length of 4 GB in a file of a kilobyte, and a nesting that would overflow a stack.
    let mut promise = image(2, 2, "1 ", 8);
    let at = promise.len() - 12;
    promise[at..at + 4].copy_from_slice(&0xFFFF_FFFEu32.to_le_bytes());
    assert!(problem(&promise).contains("4294967286 bytes early") || problem(&promise).contains("the file ends here"));
    let mut deep = file(&[(0x0002_0010, b"UI", b"1.2.840.10008.1.2.1\0".to_vec())]);
    for _ in 0..100_000 {
        deep.extend([
            0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 255, 255, 255, 255, 0xFE, 0xFF, 0, 0xE0, 255, 255, 255, 255,
        ]);
    }
    assert!(problem(&deep).contains("deeper than any image"), "{}", problem(&deep));
    // Written in the other byte order than its transfer syntax says.
    let swapped = file(&[(0x0002_0010, b"UI", b"1.2.840.10008.1.2.2\0".to_vec()), (0x0028_0010, b"US", vec![2, 0])]);
    let mut swapped = swapped;
    swapped.extend([0; 64]);
    assert!(read(&swapped).is_err());
    // No message repeats what the file says of a person.
    for length in 0..image(2, 2, "1 ", 8).len() {
        let message = read(&image(2, 2, "1 ", 8)[..length]).unwrap_err().to_string();
        assert!(!message.contains("Doe") && !message.contains("Jane"), "{message}");
    }
}

#[test]
fn mutated_files_never_panic() {
    let Some((folder, cases)) = made() else { return };
    let mut state = 7u64;
    let mut next = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut still_read = 0;
    for case in ["signed16", "big12", "implicit16", "mosaic1", "mosaic2", "enhanced", "enhanced-delimited"] {
        let bytes = fs::read(folder.join(cases["cases"][case]["files"][0].as_str().unwrap())).unwrap();
        for _ in 0..3000 {
            let mut bad = bytes.clone();
            for _ in 0..1 + next(4) {
                let at = next(bad.len());
                bad[at] = next(256) as u8;
            }
            still_read += usize::from(read(&bad).is_ok());
        }
    }
    assert!(still_read > 0, "mutations reach the pixels of a sound header too");
}
