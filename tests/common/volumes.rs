//! Volumes on their way from the simulated scanner to a source, and what may be expected of them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use neurod::acquisition::volumes::{Fault, FaultCounts};
use neurod::acquisition::{Pull, Source, SourceError};
use neurod::frame::{Block, Instant, Quality, VirtualClock};
use neurod::ridge::{FeatureTimeline, LagsConfig};
use neurod::scanner::{Export, ExportConfig, Flavour, ScanFault, Writing};

pub const TR: f64 = 2.0;
pub const DIMS: [usize; 3] = [5, 7, 3];
/// Of the volumes that may have one, so that 5 % of all have each: 40 % are faulty.
pub const FAULTS: &str =
    "drop=0.08,duplicate=0.08,reorder=0.08,delay=0.08,truncate=0.08,cut=0.08,second-series=0.08,wrong-dims=0.08";

/// A NIfTI-1 file of 16-bit integers on a tilted grid; `value` of voxel and volume.
pub fn nifti(path: &Path, dims: [usize; 3], volumes: usize, value: impl Fn(usize, usize) -> i16) {
    let mut header = [0u8; 352];
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, &348i32.to_le_bytes());
    let [x, y, z] = dims.map(|n| n as i16);
    for (i, n) in [4, x, y, z, volumes as i16, 1, 1, 1].into_iter().enumerate() {
        set(40 + 2 * i, &n.to_le_bytes());
    }
    set(70, &4i16.to_le_bytes());
    set(72, &16i16.to_le_bytes());
    for (i, size) in [1.0, 3.0, 3.0, 4.0, TR as f32].into_iter().enumerate() {
        set(76 + 4 * i, &size.to_le_bytes());
    }
    set(108, &352f32.to_le_bytes());
    set(123, &[10]);
    set(254, &1i16.to_le_bytes());
    let (cos, sin) = (0.3f32.cos(), 0.3f32.sin());
    let affine = [[-3.0, 0.0, 0.0, 9.0], [0.0, 3.0 * cos, -4.0 * sin, -12.0], [0.0, 3.0 * sin, 4.0 * cos, 5.0]];
    for (i, v) in affine.iter().flatten().enumerate() {
        set(280 + 4 * i, &f32::to_le_bytes(*v));
    }
    set(344, b"n+1\0");
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    file.write_all(&header).unwrap();
    for volume in 0..volumes {
        for voxel in 0..dims.iter().product() {
            file.write_all(&value(voxel, volume).to_le_bytes()).unwrap();
        }
    }
}

/// Label 1 in one half of the voxels, 2 in the other.
pub fn label(voxel: usize) -> i16 {
    if voxel.is_multiple_of(2) { 1 } else { 2 }
}

/// In `folder`, a label image, and a recording whose regions in volume `n` (from 1) are 3 n and 3 n + 1.
pub fn record(folder: &Path, volumes: usize) {
    nifti(&folder.join("labels.nii"), DIMS, 1, |voxel, _| label(voxel));
    nifti(&folder.join("bold.nii"), DIMS, volumes, |voxel, volume| 3 * (volume as i16 + 1) + label(voxel) - 1);
}

/// The export of the recording in `folder`.
pub fn export(folder: &Path, flavour: Flavour, faults: &str) -> Export {
    let config = ExportConfig { flavour, faults: faults.parse().unwrap(), seed: 7, tr: None };
    Export::open(&folder.join("bold.nii"), config).unwrap()
}

/// What came: the volume's number and whether a gap lies before it.
pub struct Row {
    pub number: u64,
    pub gap: bool,
    pub measured: f64,
}

/// Everything that a source gives without waiting.
pub fn rows(source: &mut impl Source, block: &mut Block, rows: &mut Vec<Row>) {
    loop {
        match source.pull(block, Duration::ZERO) {
            Ok(Pull::Data) => {
                let [a, b] = block.sample(0) else { panic!("two regions") };
                assert_eq!((a % 3.0, b - a), (0.0, 1.0), "regions of one volume");
                rows.push(Row {
                    number: (a / 3.0) as u64,
                    gap: block.quality.contains(Quality::GAP),
                    measured: block.measured_at.seconds(),
                });
            }
            // Errors come only where a folder cannot be listed, and one test is about that.
            Ok(Pull::Idle | Pull::Lost { .. }) | Err(SourceError::Io { .. }) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// Bytes of the process, and bytes of its heap that are in use.
pub fn memory() -> [usize; 2] {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096;
    // SAFETY: mallinfo2 takes nothing and returns a plain struct.
    let heap = unsafe { libc::mallinfo2() };
    [resident, heap.uordblks + heap.hblkhd]
}

/// In volume `n` the value `n` is shown. Rows of the design, made where a source says that its volumes lie, have to be
/// those of the volumes that it gives.
fn designs_are_aligned(came: &[Row]) {
    let lags = LagsConfig::Fir(vec![0.0, TR, 3.0 * TR]).build().unwrap();
    let mut shown = FeatureTimeline::events(1);
    let mut known = 0;
    // All are as late as the first file was, for by arrival it is the first that tells.
    let late = (came[0].measured - (came[0].number - 1) as f64 * TR) / TR;
    assert!((0.0..0.5).contains(&late), "{late} TR");
    for row in came {
        while known < row.number + 1 {
            shown.push(known as f64 * TR, (known + 1) as f64 * TR, &[(known + 1) as f64]);
            known += 1;
        }
        let mut design = [0.0; 3];
        lags.row(&shown, row.measured, TR, &mut design);
        for (value, lag) in design.into_iter().zip([0.0, 1.0, 3.0]) {
            let due = row.number as f64 - lag;
            assert!(
                due <= 0.0 || (value - due - late).abs() < 1e-6,
                "volume {} met what was shown in {value}",
                row.number
            );
        }
        shown.forget(row.measured - 10.0 * TR);
    }
}

/// Which faults were met, and how often.
pub fn found(faults: &FaultCounts) -> BTreeMap<&'static str, u64> {
    Fault::ALL.iter().map(|f| (f.as_str(), faults.of(*f))).filter(|(_, n)| *n > 0).collect()
}

/// An export that was played to its end.
pub struct Played {
    came: Vec<Row>,
    truth: BTreeMap<u64, ScanFault>,
    /// Bytes that the process, and its heap, have grown by since volume 1000.
    pub grown: Option<[usize; 2]>,
}

/// Plays an export of `volumes` in virtual time; `deliver` is given what is due, every 0.1 s.
pub fn play(
    export: &mut Export,
    volumes: usize,
    clock: &VirtualClock,
    source: &mut impl Source,
    mut deliver: impl FnMut(f64, Vec<Writing>),
) -> Played {
    let mut block = Block::new(source.spec());
    let (mut came, mut truth) = (Vec::new(), BTreeMap::new());
    let mut next = export.next_writing().unwrap();
    let (mut now, mut early) = (0.0, None);
    rows(source, &mut block, &mut came);
    while next.is_some() || now <= volumes as f64 * TR + 40.0 {
        clock.advance_to(Instant::from_seconds(now));
        let mut due = Vec::new();
        while let Some(writing) = next.take_if(|w| w.at <= now) {
            due.push(writing);
            next = export.next_writing().unwrap();
        }
        deliver(now, due);
        truth.extend(export.take_truth());
        rows(source, &mut block, &mut came);
        if early.is_none() && now >= 1000.0 * TR {
            early = Some(memory());
        }
        now += 0.1;
    }
    assert_eq!(truth.len(), volumes);
    Played { came, truth, grown: early.map(|early| [0, 1].map(|i| memory()[i].saturating_sub(early[i]))) }
}

impl Played {
    pub fn count(&self, fault: ScanFault) -> u64 {
        self.truth.values().filter(|f| **f == fault).count() as u64
    }

    fn is_gone(&self, volume: u64) -> bool {
        use ScanFault as S;
        matches!(self.truth[&volume], S::Drop | S::Delay | S::Cut | S::WrongDims)
    }

    /// Holds rows against the truth: in order, each in its place in time, a gap told before each that lacks its
    /// predecessor, none lost that came. What faults are to be counted, as far as that is the same for every way in; a
    /// volume is as many `images`.
    pub fn check(&self, images: u64) -> BTreeMap<&'static str, u64> {
        use ScanFault as S;
        let kinds = [S::Drop, S::Duplicate, S::Reorder, S::Delay, S::Truncate, S::Cut, S::SecondSeries, S::WrongDims];
        let last = self.truth.len() as u64;
        for kind in kinds {
            // One in twenty, where there are enough of them for chance to be fair.
            let least = if last > 5000 { last / 20 } else { 5 };
            assert!(self.count(kind) >= least, "{kind:?} only {} times", self.count(kind));
        }
        let due: Vec<u64> = (1..=last).filter(|n| !self.is_gone(*n)).collect();
        assert_eq!(self.came.iter().map(|r| r.number).collect::<Vec<_>>(), due);
        let first = &self.came[0];
        for row in &self.came {
            let aligned = first.measured + (row.number - first.number) as f64 * TR;
            assert!((row.measured - aligned).abs() < 1e-6, "volume {} at {}", row.number, row.measured);
            assert_eq!(row.gap, row.number > 1 && self.is_gone(row.number - 1), "volume {}", row.number);
        }
        designs_are_aligned(&self.came);
        let missing = (1..last).filter(|n| self.is_gone(*n) && *n < *due.last().unwrap()).count() as u64;
        let after_missing = due.iter().filter(|n| **n > 1 && self.is_gone(**n - 1)).count() as u64;
        let mut expected = BTreeMap::from([
            ("missing", missing),
            ("late", images * self.count(S::Delay)),
            ("duplicate", images * self.count(S::Duplicate)),
            ("other_series", images * self.count(S::SecondSeries)),
            ("wrong_grid", images * self.count(S::WrongDims)),
            // The last volume has no successor that could be early.
            ("early", after_missing + self.count(S::Reorder) - u64::from(self.truth[&last] == S::Reorder)),
        ]);
        if images > 1 {
            expected.insert("slices", self.count(S::Cut));
        }
        expected
    }
}
