//! A folder of volumes survives what scanners do to it: every fault is counted, and no row is misaligned.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "figures are shown; one test measures real time, and writes while the source waits"
)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as RealInstant};

use neurod::acquisition::folder::{FolderConfig, FolderSource};
use neurod::acquisition::volumes::Fault;
use neurod::acquisition::{Pull, Source, SourceError, SourceStats};
use neurod::frame::{Block, Clock, Instant, MonotonicClock, Quality, VirtualClock};
use neurod::ridge::{FeatureTimeline, LagsConfig};
use neurod::scanner::{Export, ExportConfig, Flavour, ScanFault};

const TR: f64 = 2.0;
const DIMS: [usize; 3] = [5, 7, 3];

/// A NIfTI-1 file of 16-bit integers on a tilted grid; `value` of voxel and volume.
fn nifti(path: &Path, dims: [usize; 3], volumes: usize, value: impl Fn(usize, usize) -> i16) {
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
fn label(voxel: usize) -> i16 {
    if voxel.is_multiple_of(2) { 1 } else { 2 }
}
/// Of `export` in a folder, whose labels lie beside it.
fn watching(folder: &Path, more: &str) -> FolderConfig {
    let [path, labels] = [folder.join("export"), folder.join("labels.nii")];
    toml::from_str(&format!("path = {path:?}\nlabels = {labels:?}\n{more}")).unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    export: PathBuf,
}

impl Bench {
    /// A recording whose regions in volume `n` (from 1) are 3 n and 3 n + 1.
    fn new(volumes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        nifti(&folder.path().join("labels.nii"), DIMS, 1, |voxel, _| label(voxel));
        nifti(&folder.path().join("bold.nii"), DIMS, volumes, |voxel, volume| {
            3 * (volume as i16 + 1) + label(voxel) - 1
        });
        let export = folder.path().join("export");
        fs::create_dir(&export).unwrap();
        Self { folder, export }
    }

    fn export(&self, flavour: Flavour, faults: &str) -> Export {
        let config = ExportConfig { flavour, faults: faults.parse().unwrap(), seed: 7, tr: None };
        Export::open(&self.folder.path().join("bold.nii"), config).unwrap()
    }

    fn source(&self, clock: Arc<dyn Clock>, more: &str) -> (FolderSource, Arc<SourceStats>) {
        let config = watching(self.folder.path(), &format!("tr = 2.0\nseries = \"bold*\"\npoll = 0.02\n{more}"));
        let stats = Arc::new(SourceStats::default());
        (config.open(Arc::clone(&stats), clock).unwrap(), stats)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.export.join(name)).unwrap();
        file.write_all(bytes).unwrap();
    }
}

/// What came: the volume's number and whether a gap lies before it.
struct Row {
    number: u64,
    gap: bool,
    measured: f64,
}

fn rows(source: &mut FolderSource, block: &mut Block, rows: &mut Vec<Row>) {
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
fn memory() -> [usize; 2] {
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

/// Exports `volumes` in virtual time with faults of every kind, and holds what came against the truth.
fn survives(flavour: Flavour, volumes: usize, faults: &str) {
    let bench = Bench::new(volumes);
    let mut export = bench.export(flavour, faults);
    let clock = Arc::new(VirtualClock::default());
    let (mut source, stats) = bench.source(Arc::clone(&clock) as _, "");
    let mut block = Block::new(source.spec());
    let (mut came, mut truth) = (Vec::new(), BTreeMap::new());
    let mut next = export.next_writing().unwrap();
    let (mut now, mut early, mut written) = (0.0, None, Vec::new());
    rows(&mut source, &mut block, &mut came);
    loop {
        while let Some(writing) = next.take_if(|w| w.at <= now) {
            bench.write(&writing.name, &writing.bytes);
            written.push((now, writing.name));
            next = export.next_writing().unwrap();
        }
        truth.extend(export.take_truth());
        clock.advance_to(Instant::from_seconds(now));
        rows(&mut source, &mut block, &mut came);
        // Old files are taken away, as archives do: what is remembered of them must go as well.
        if (now as usize).is_multiple_of(200) {
            written.retain(|(at, name)| {
                let old = now - at >= 60.0;
                if old {
                    // A file that was written in two parts is listed twice.
                    let _ = fs::remove_file(bench.export.join(name));
                }
                !old
            });
        }
        if early.is_none() && now >= 1000.0 * TR {
            early = Some(memory());
        }
        if next.is_none() && now > volumes as f64 * TR + 40.0 {
            break;
        }
        now += 0.1;
    }
    let count = |fault| truth.values().filter(|f| **f == fault).count() as u64;
    use ScanFault as S;
    assert_eq!(truth.len(), volumes);
    let kinds = [S::Drop, S::Duplicate, S::Reorder, S::Delay, S::Truncate, S::Cut, S::SecondSeries, S::WrongDims];
    for kind in kinds {
        // One in twenty, where there are enough of them for chance to be fair.
        let least = if volumes > 5000 { volumes as u64 / 20 } else { 5 };
        assert!(count(kind) >= least, "{kind:?} only {} times", count(kind));
    }
    // Rows: in order, each in its place in time, a gap told before each that lacks its predecessor, none lost that came.
    let gone = |n: u64| matches!(truth[&n], S::Drop | S::Delay | S::Cut | S::WrongDims);
    let due: Vec<u64> = (1..=volumes as u64).filter(|n| !gone(*n)).collect();
    assert_eq!(came.iter().map(|r| r.number).collect::<Vec<_>>(), due);
    let first = &came[0];
    for row in &came {
        let aligned = first.measured + (row.number - first.number) as f64 * TR;
        assert!((row.measured - aligned).abs() < 1e-6, "volume {} at {}", row.number, row.measured);
        assert_eq!(row.gap, row.number > 1 && gone(row.number - 1), "volume {}", row.number);
    }
    designs_are_aligned(&came);
    // Faults: every one, by kind. A volume of slices is as many files.
    let files = if flavour == Flavour::Classic { DIMS[2] as u64 } else { 1 };
    let last = volumes as u64;
    let missing = (1..last).filter(|n| gone(*n) && *n < *due.last().unwrap()).count() as u64;
    let found: BTreeMap<&str, u64> =
        Fault::ALL.iter().map(|f| (f.as_str(), stats.faults.of(*f))).filter(|(_, n)| *n > 0).collect();
    let mut expected = BTreeMap::from([
        ("missing", missing),
        ("late", files * count(S::Delay)),
        ("duplicate", files * count(S::Duplicate)),
        ("other_series", files * count(S::SecondSeries)),
        ("wrong_grid", files * count(S::WrongDims)),
        ("truncated", count(S::Cut)),
        ("partial", count(S::Cut) + count(S::Truncate)),
        // The last volume has no successor that could be early.
        ("early", missing_runs(&truth, &due) + count(S::Reorder) - u64::from(truth[&last] == S::Reorder)),
    ]);
    if flavour == Flavour::Classic {
        expected.insert("slices", count(S::Cut));
    }
    assert_eq!(found, expected, "{flavour:?}");
    if let (Some(early), true) = (early, volumes > 5000) {
        let [grown, heap] = [0, 1].map(|i| memory()[i].saturating_sub(early[i]));
        println!("{flavour:?}: {volumes} volumes, {found:?}; {grown} bytes more than after 1000, {heap} on the heap");
        // What this test notes of ten thousand volumes takes up to 2 MB.
        assert!(grown < 16 << 20 && heap < 3 << 20, "{grown} bytes more than after 1000 volumes, {heap} on the heap");
    }
}

/// How many volumes came while their predecessor was missing.
fn missing_runs(truth: &BTreeMap<u64, ScanFault>, due: &[u64]) -> u64 {
    use ScanFault as S;
    let gone = |n: &u64| matches!(truth[n], S::Drop | S::Delay | S::Cut | S::WrongDims);
    due.iter().filter(|n| **n > 1 && gone(&(**n - 1))).count() as u64
}

/// Of the volumes that may have one, so that 5 % of all have each: 40 % are faulty.
const FAULTS: &str =
    "drop=0.08,duplicate=0.08,reorder=0.08,delay=0.08,truncate=0.08,cut=0.08,second-series=0.08,wrong-dims=0.08";

#[test]
fn ten_thousand_mosaics_with_every_fault() {
    survives(Flavour::Mosaic, 10_000, FAULTS);
}

#[test]
fn slices_enhanced_images_and_nifti_with_every_fault() {
    survives(Flavour::Classic, 800, FAULTS);
    survives(Flavour::Enhanced, 800, FAULTS);
}

#[test]
fn nifti_with_every_fault() {
    survives(Flavour::Nifti, 800, FAULTS);
}

#[test]
fn what_lies_there_and_what_is_no_volume_is_passed_over_and_counted() {
    let bench = Bench::new(3);
    let mut export = bench.export(Flavour::Mosaic, "");
    let mut files = Vec::new();
    while let Some(writing) = export.next_writing().unwrap() {
        files.push(writing);
    }
    bench.write("yesterday.dcm", &files[0].bytes);
    let clock = Arc::new(VirtualClock::default());
    let (mut source, stats) = bench.source(Arc::clone(&clock) as _, "patience = 1.0");
    let mut block = Block::new(source.spec());
    let mut came = Vec::new();
    rows(&mut source, &mut block, &mut came);
    assert_eq!((came.len(), stats.faults.of(Fault::Before)), (0, 1));
    bench.write("note.txt", b"hello, this is no image but it is longer than a preamble ........................................................................................................");
    bench.write("blank.dcm", &[0; 4096]);
    bench.write("Doe^Jane.dcm", &files[0].bytes);
    let big = fs::File::create(bench.export.join("big.dcm")).unwrap();
    big.set_len(1 << 40).unwrap();
    symlink("/etc/passwd", bench.export.join("link.dcm")).unwrap();
    fs::create_dir(bench.export.join("folder")).unwrap();
    for step in 1..30 {
        clock.advance_to(Instant::from_seconds(f64::from(step) * 0.1));
        rows(&mut source, &mut block, &mut came);
    }
    assert_eq!(came.len(), 1, "the volume among them");
    let of = |fault| stats.faults.of(fault);
    assert_eq!([of(Fault::Malformed), of(Fault::Truncated), of(Fault::TooLarge), of(Fault::Link)], [1, 1, 1, 2]);
    // One that was given up is read when it changes.
    fs::write(bench.export.join("blank.dcm"), &files[1].bytes).unwrap();
    clock.advance_to(Instant::from_seconds(4.0));
    rows(&mut source, &mut block, &mut came);
    assert_eq!(came.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_folder_that_vanishes_or_may_not_be_read_is_waited_for() {
    let bench = Bench::new(4);
    let mut export = bench.export(Flavour::Enhanced, "");
    let mut files = Vec::new();
    while let Some(writing) = export.next_writing().unwrap() {
        files.push(writing);
    }
    let clock = Arc::new(VirtualClock::default());
    let (mut source, stats) = bench.source(Arc::clone(&clock) as _, "");
    let mut block = Block::new(source.spec());
    let mut came = Vec::new();
    bench.write("1.dcm", &files[0].bytes);
    fs::remove_dir_all(&bench.export).unwrap();
    let told = source.pull(&mut block, Duration::ZERO).unwrap_err().to_string();
    assert!(told.contains("export") && told.contains("No such file"), "{told}");
    let mut step = 0;
    let mut wait = |source: &mut FolderSource, came: &mut Vec<Row>, seconds: f64| {
        for _ in 0..(seconds * 10.0) as usize {
            step += 1;
            clock.advance_to(Instant::from_seconds(f64::from(step) * 0.1));
            rows(source, &mut block, came);
        }
    };
    wait(&mut source, &mut came, 20.0);
    let failures = stats.faults.of(Fault::Folder);
    assert!((4..20).contains(&failures), "{failures} looks, each later than the last");
    fs::create_dir(&bench.export).unwrap();
    wait(&mut source, &mut came, 11.0);
    bench.write("2.dcm", &files[0].bytes);
    wait(&mut source, &mut came, 0.3);
    assert_eq!(came.len(), 1);
    // Another folder in its place is watched as the first was.
    fs::rename(&bench.export, bench.folder.path().join("old")).unwrap();
    fs::create_dir(&bench.export).unwrap();
    wait(&mut source, &mut came, 0.3);
    bench.write("3.dcm", &files[1].bytes);
    fs::set_permissions(bench.export.join("3.dcm"), fs::Permissions::from_mode(0o600)).unwrap();
    wait(&mut source, &mut came, 0.3);
    assert_eq!(came.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn the_next_series_begins_a_gap_and_never_before_the_last_has_ended() {
    let bench = Bench::new(6);
    let mut export = bench.export(Flavour::Mosaic, "second-series=1.0");
    let mut files = BTreeMap::new();
    while let Some(writing) = export.next_writing().unwrap() {
        files.insert(writing.name, writing.bytes);
    }
    let clock = Arc::new(VirtualClock::default());
    let config = watching(bench.folder.path(), "tr = 2.0\npoll = 0.02");
    let stats = Arc::new(SourceStats::default());
    let mut source = config.open(Arc::clone(&stats), Arc::clone(&clock) as _).unwrap();
    let mut block = Block::new(source.spec());
    let mut came = Vec::new();
    rows(&mut source, &mut block, &mut came);
    for (now, name) in [(2.0, "007_000001_0.dcm"), (4.0, "007_000002_0.dcm"), (4.5, "008_000001_0.dcm")] {
        clock.advance_to(Instant::from_seconds(now));
        bench.write(name, &files[name]);
        rows(&mut source, &mut block, &mut came);
    }
    assert_eq!((came.len(), stats.faults.of(Fault::OtherSeries)), (2, 1), "one series at a time");
    clock.advance_to(Instant::from_seconds(20.0));
    bench.write("008_000001_1.dcm", &files["008_000001_0.dcm"]);
    rows(&mut source, &mut block, &mut came);
    let last = came.last().unwrap();
    assert_eq!((came.len(), last.number, last.gap, last.measured), (3, 1, true, 18.0));
}

#[test]
fn the_newest_series_takes_over_at_once_and_begins_a_run() {
    let bench = Bench::new(6);
    let mut export = bench.export(Flavour::Mosaic, "second-series=1.0");
    let mut files = BTreeMap::new();
    while let Some(writing) = export.next_writing().unwrap() {
        files.insert(writing.name, writing.bytes);
    }
    let clock = Arc::new(VirtualClock::default());
    let config = watching(bench.folder.path(), "tr = 2.0\npoll = 0.02\nseries_rule = \"newest\"");
    let stats = Arc::new(SourceStats::default());
    let mut source = config.open(Arc::clone(&stats), Arc::clone(&clock) as _).unwrap();
    let mut block = Block::new(source.spec());
    let mut came = Vec::new();
    rows(&mut source, &mut block, &mut came);
    let mut begun = Vec::new();
    let arrivals = [
        (2.0, "007_000001_0.dcm"),
        (4.0, "007_000002_0.dcm"),
        (4.5, "008_000001_0.dcm"),
        (4.6, "007_000003_0.dcm"),
        (6.5, "008_000002_0.dcm"),
    ];
    for (now, name) in arrivals {
        clock.advance_to(Instant::from_seconds(now));
        bench.write(name, &files[name]);
        let before = came.len();
        rows(&mut source, &mut block, &mut came);
        if came.len() > before {
            begun.push(source.begins_run());
        }
    }
    assert_eq!(begun, [false, false, true, false]);
    let told: Vec<(u64, bool, f64)> = came.iter().map(|row| (row.number, row.gap, row.measured)).collect();
    // The series before was measured until 4; what it sends later is left out.
    assert_eq!(told, [(1, false, 0.0), (2, false, 2.0), (1, true, 4.0), (2, false, 6.0)]);
    assert_eq!(stats.faults.of(Fault::OtherSeries), 1);
}

#[test]
fn a_header_tells_when_a_volume_was_measured_however_late_its_file() {
    let bench = Bench::new(40);
    for flavour in [Flavour::Mosaic, Flavour::Classic, Flavour::Enhanced] {
        let _ = fs::remove_dir_all(&bench.export);
        fs::create_dir(&bench.export).unwrap();
        let mut export = bench.export(flavour, "drop=0.3");
        let clock = Arc::new(VirtualClock::default());
        let (mut source, stats) = bench.source(Arc::clone(&clock) as _, "clock = \"header\"");
        let mut block = Block::new(source.spec());
        let mut came = Vec::new();
        rows(&mut source, &mut block, &mut came);
        while let Some(writing) = export.next_writing().unwrap() {
            // Files are late by up to 0.8 s, the first by 2.5 s, and that of volume 9 not at all.
            let number = (writing.at / TR).round() as u64;
            let late = if number == 1 { 2.5 } else { 0.1 * (number * 5 % 9) as f64 };
            clock.advance_to(Instant::from_seconds(writing.at + late));
            bench.write(&writing.name, &writing.bytes);
            // The folder is looked into every 0.02 s.
            clock.advance_to(clock.now() + 0.03);
            rows(&mut source, &mut block, &mut came);
        }
        assert!(came.len() > 25 && came.len() < 40, "{flavour:?}: {} came", came.len());
        for Row { number, measured, .. } in &came {
            let off = measured - (number - 1) as f64 * TR;
            let most = if *number > 9 { 0.1 } else { 2.6 };
            assert!((-1e-3..most).contains(&off), "{flavour:?}: volume {number} is {off} s off");
        }
        let counted = [Fault::Untimed, Fault::Paused, Fault::OtherTr].map(|fault| stats.faults.of(fault));
        assert_eq!(counted, [0; 3], "{flavour:?}");
        assert!(stats.clock_offset() < -1e8, "{flavour:?}: the scanner counts from 1970, we from 0");
    }
}

#[test]
fn a_volume_is_a_block_within_thirty_milliseconds() {
    let folder = tempfile::tempdir().unwrap();
    let dims = [64, 64, 36];
    nifti(&folder.path().join("labels.nii"), dims, 1, |voxel, _| (voxel % 116) as i16 + 1);
    nifti(&folder.path().join("bold.nii"), dims, 20, |voxel, volume| (voxel % 1000 + volume) as i16);
    let config = ExportConfig { flavour: Flavour::Mosaic, faults: Default::default(), seed: 1, tr: Some(0.05) };
    let mut export = Export::open(&folder.path().join("bold.nii"), config).unwrap();
    fs::create_dir(folder.path().join("export")).unwrap();
    let config = watching(folder.path(), "tr = 0.05");
    let mut source = config.open(Arc::default(), Arc::new(MonotonicClock)).unwrap();
    let mut block = Block::new(source.spec());
    let _ = source.pull(&mut block, Duration::ZERO).unwrap();
    let mut took = Vec::new();
    while let Some(writing) = export.next_writing().unwrap() {
        // The file is written while the source waits, as the lane does.
        let path = folder.path().join("export").join(&writing.name);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            fs::write(path, &writing.bytes).unwrap();
            RealInstant::now()
        });
        let deadline = RealInstant::now() + Duration::from_secs(10);
        while !matches!(source.pull(&mut block, Duration::from_millis(100)), Ok(Pull::Data)) {
            assert!(RealInstant::now() < deadline, "the volume never came");
        }
        let now = RealInstant::now();
        took.push(now.saturating_duration_since(writer.join().unwrap()));
    }
    took.sort();
    println!("from file to block: median {:?}, longest {:?}", took[took.len() / 2], took.last().unwrap());
    // A machine that is busy with other tests delays some; a file that waits for a look into the folder takes longer.
    assert!(took[took.len() / 2] <= Duration::from_millis(30), "{took:?}");
}
