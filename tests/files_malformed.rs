//! A broken recording is refused with its name and the line or byte, and costs neither a panic nor memory.
#![allow(clippy::expect_used, reason = "helpers of tests, outside a #[test] function")]

#[path = "common/recordings.rs"]
mod recordings;

use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use recordings::{golden, open, refusal};

/// What `text` as a table is refused with.
fn table(text: &[u8], more: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x.tsv"), text).expect("written");
    refusal(folder.path(), &format!("files = [\"x.tsv\"]\n{more}"))
}

#[test]
fn tables_are_refused_by_line_or_byte() {
    let tr = "tr = 2.0";
    for (text, more, message) in [
        ("a\tb\n1\t2\n3\tx y\n", tr, "x.tsv:line 3: \"x y\" in column 2 is not a number"),
        ("a\tb\n1\t2\n3\t1,5\n", tr, "x.tsv:line 3: \"1,5\" in column 2 is not a number; decimals need a point"),
        ("a\tb\n1\t2\n\n3\n", tr, "x.tsv:line 4: 1 cells where the first line has 2 (write n/a for what is missing)"),
        ("a\tb\n1\t2\t3\n", tr, "x.tsv:line 2: 3 cells where the first line has 2 (write n/a for what is missing)"),
        ("", tr, "x.tsv:line 1: the file is empty"),
        ("a\tb\n", tr, "x.tsv:line 2: no rows follow the header"),
        (
            "\ta\n0\t1\n",
            tr,
            "x.tsv:line 1: column 1 has no name (name it, or if it is an index: drop_columns = [\"\"])",
        ),
        (
            "a\tb\n1\t2\n",
            "tr = 2.0\ndrop_columns = [\"GlobSig\"]",
            "x.tsv:line 1: drop_columns: no column \"GlobSig\" (there are: a, b, …)",
        ),
        (
            "a\tb\n1\t2\n",
            "",
            "x.tsv: how long is one row? (set `tr` for fMRI, `rate` for EEG, or give the file a column \"time\")",
        ),
        ("time\tb\n1\t2\n1\t2\n", "", "x.tsv: its times do not tell a rate (set `rate`)"),
        ("time\tb\n1\t2\nx\t2\n", "", "x.tsv:line 3: \"x\" is not a time"),
        (
            "time\tb\n0\t2\n1\t2\n2\t2\n7\t2\n8\t2\n",
            "rate = 1.0",
            "x.tsv:line 5: the time goes from 2 to 7 s where 1 s were due (cut the file there: each piece is a run)",
        ),
        (
            "time\tb\n0\t2\n1\t2\n0.5\t2\n",
            "rate = 1.0",
            "x.tsv:line 4: the time goes from 1 to 0.5 s where 1 s were due (cut the file there: each piece is a run)",
        ),
    ] {
        assert_eq!(table(text.as_bytes(), more), message);
    }
    assert_eq!(table(b"a\tb\n1\t\xff\n", tr), "x.tsv:byte 0x6: not UTF-8 (save the file as UTF-8)");
    assert_eq!(
        table(&[0; 4096], tr),
        "x.tsv:byte 0x0: a NUL byte: this is not a text file (set `format`, or mend the file)"
    );
    assert!(refusal(Path::new("/nowhere"), "files = [\"x.tsv\"]\ntr = 1.0").starts_with("x.tsv: No such file"));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (config, message) in [
        ("", "replay: files: name at least one recording"),
        ("files = [\"a.tsv\"]\ntr = -1.0", "replay: tr: -1 is not above 0"),
        ("files = [\"a.tsv\"]\ntr = 1.0\nrate = 2.0", "replay: set `tr` (fMRI) or `rate` (EEG), not both"),
        (
            "files = [\"a.tsv\"]\nevents = [\"a\", \"b\"]",
            "replay: events: 2 files for 1 recordings (one for each, in order)",
        ),
        (
            "files = [\"a.tsv\"]\nevent_offset = [1.0]",
            "replay: event_offset: 1 numbers for 0 `events` (one finite number for each)",
        ),
        ("files = [\"a.tsv\"]\nblock = 0", "replay: block: a block holds at least 1 sample"),
        ("files = [\"a.tsv\"]\ngap_between_runs = nan", "replay: gap_between_runs: NaN is not 0 or more"),
        (
            "files = [\"a.tsv\"]\nsentences = [{ text = \"x\" }]",
            "replay: sentences: there are no `events` to apply them to",
        ),
        (
            "files = [\"a.tsv\"]\ntr = 1.0\nlabels = \"x.nii\"",
            "replay: labels: means nothing for a.tsv (only for NIfTI)",
        ),
        ("files = [\"eeg.edf\"]\nrate = 100.0", "replay: rate: means nothing for eeg.edf (only for tables)"),
        (
            "files = [\"bold.nii\"]\ndrop_columns = [\"x\"]",
            "replay: drop_columns: means nothing for bold.nii (only for tables and EDF)",
        ),
        (
            "files = [\"a.dat\"]",
            "replay: a.dat: its name does not tell what it is (set `format` to \"table\", \"nifti\", \"edf\" or \"bdf\")",
        ),
        (
            "files = [\"bold.nii\"]",
            "a NIfTI recording needs `labels` (a label image, or maps) or `mask` (to keep every voxel in it)",
        ),
    ] {
        assert_eq!(refusal(&golden(), config), message);
    }
    for speed in ["0", "-2.0", "inf", "\"fast\""] {
        let error = open(&golden(), &format!("files = []\nspeed = {speed}")).err().expect("a refusal");
        assert!(error.contains("\"max\" or a positive number (1 is real time)"), "{error}");
    }
}

#[test]
fn runs_of_other_columns_or_rates_name_both_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("a.tsv", "x\ty\n1\t2\n");
    write("b.tsv", "x\n1\n");
    write("c.tsv", "x\tz\n1\t2\n");
    let of = |other: &str| {
        refusal(folder.path(), &format!("files = [\"a.tsv\", \"{other}\"]\ntr = 2.0"))
            .replace(" (all files of one source need the same columns and rate)", "")
    };
    assert_eq!(of("b.tsv"), "b.tsv:header: 1 columns where a.tsv has 2");
    assert_eq!(of("c.tsv"), "c.tsv:header: column 2 is \"z\" [a.u.] where a.tsv has \"y\" [a.u.]");
}

/// What a golden file with some bytes replaced is refused with.
fn patched(name: &str, config: &str, at: usize, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["labels.nii.gz", "mask.nii.gz", name] {
        std::fs::copy(golden().join(file), folder.path().join(file)).expect("copied");
    }
    let mut content = std::fs::read(golden().join(name)).expect("read");
    content[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(folder.path().join(name), content).expect("written");
    refusal(folder.path(), config)
}

#[test]
fn edf_headers_are_refused_by_byte() {
    let config = "files = [\"eeg.edf\"]\ndrop_columns = [\"Battery\"]";
    // Five signals: the fields of the second header part begin at 256 + (where in one signal) × 5.
    for (at, bytes, message) in [
        (0, &b"1       "[..], "eeg.edf:byte 0x0: neither an EDF nor a BDF header (set `format`, or mend the file)"),
        (252, b"-1  ", "eeg.edf:byte 0xfc: -1 signals (1 to 4096 are read)"),
        (252, b"9999", "eeg.edf:byte 0xfc: 9999 signals (1 to 4096 are read)"),
        (252, b"\0\0\0\0", "eeg.edf:byte 0xfc: number of signals: \"\" is not a number"),
        (252, b"6   ", "eeg.edf:byte 0xb8: 1536 header bytes, where 6 signals need 1792"),
        (236, b"-5      ", "eeg.edf:byte 0xec: -5 data records"),
        (236, b"0       ", "eeg.edf:byte 0xec: no data records"),
        (244, b"0       ", "eeg.edf:byte 0xf4: data records of 0 s hold no regular samples"),
        (244, b"nan     ", "eeg.edf:byte 0xf4: duration of a data record: \"nan\" is not a number"),
        (256 + 216 * 5, b"0       ", "eeg.edf:byte 0x538: 0 samples in a record"),
        (256 + 216 * 5, b"99999999", "eeg.edf:byte 0x538: 99999999 samples in a record"),
        (
            256 + 120 * 5,
            b"32767   ",
            "eeg.edf:byte 0x358: \"EEG Fpz-Cz\": digital minimum 32767 is not below maximum 32767",
        ),
        (256 + 104 * 5, b"200     ", "eeg.edf:byte 0x358: \"EEG Fpz-Cz\": physical minimum and maximum are both 200"),
    ] {
        assert_eq!(patched("eeg.edf", config, at, bytes), message);
    }
    let many = patched("eeg.edf", config, 236, b"99999999");
    assert!(
        many.starts_with("eeg.edf:byte 0x968: the file ends here, its header promises 99999999 data records"),
        "{many}"
    );
    assert_eq!(
        refusal(&golden(), "files = [\"eeg.edf\"]"),
        "eeg.edf:byte 0x550: \"EEG Fpz-Cz\" has 32 samples a second and \"Battery\" has 2 (one source has one rate: name \
         the others in drop_columns)"
    );
    let unknown = refusal(&golden(), "files = [\"eeg.edf\"]\ndrop_columns = [\"X\"]");
    assert!(unknown.starts_with("eeg.edf:byte 0x100: drop_columns: no signal \"X\" (there are: Fpz-Cz, "), "{unknown}");
}

#[test]
fn an_edf_with_a_hole_or_a_broken_annotation_is_refused_by_byte() {
    let config = "files = [\"eeg.edf\"]\ndrop_columns = [\"Battery\"]";
    let content = std::fs::read(golden().join("eeg.edf")).expect("read");
    let find = |needle: &[u8]| content.windows(needle.len()).position(|w| w == needle).expect("in the golden file");
    let second = find(b"+1\x14\x14");
    let hole = patched("eeg.edf", config, second, b"+7");
    assert_eq!(
        hole,
        format!(
            "eeg.edf:byte {second:#x}: record 1 begins at 7 s where 1 s was due (a discontinuous recording: export each \
             stretch as a file)"
        )
    );
    let broken = patched("eeg.edf", config, find(b"+0.5\x15"), b"soon");
    assert!(broken.contains("eeg.edf:byte 0x") && broken.ends_with("is not an EDF+ annotation"), "{broken}");
}

#[test]
fn an_edf_whose_recorder_died_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = std::fs::read(golden().join("eeg.edf")).expect("read");
    content[236..244].copy_from_slice(b"-1      ");
    content.truncate(content.len() - 10);
    std::fs::write(folder.path().join("eeg.edf"), content).expect("written");
    let recording = open(folder.path(), "files = [\"eeg.edf\"]\ndrop_columns = [\"Battery\"]").expect("a recording");
    assert_eq!(recording.timetable.samples(), 3 * 32);
}

#[test]
fn nifti_headers_are_refused_by_byte() {
    let config = "files = [\"bold.nii\"]\nlabels = \"labels.nii.gz\"";
    // The golden file is big-endian.
    for (at, bytes, message) in [
        (0, &[0, 0, 0, 0][..], "bold.nii:byte 0x0: not a NIfTI header (set `format`, or mend the file)"),
        (0, &[0, 0, 2, 28], "bold.nii:byte 0x0: a NIfTI-2 header (save it as NIfTI-1: nibabel.Nifti1Image.from_image)"),
        (344, b"ni1\0", "bold.nii:byte 0x158: header and volumes lie in two files (save it as one .nii)"),
        (42, &[0xff, 0xfb], "bold.nii:byte 0x2a: axis 1 has size -5"),
        (44, &[0, 0], "bold.nii:byte 0x2c: axis 2 has size 0"),
        (40, &[0, 2], "bold.nii:byte 0x28: 2 axes (replay wants x, y, z and time)"),
        (
            42,
            &[0x7f, 0xff, 0x7f, 0xff],
            "bold.nii:byte 0x2a: [32767, 32767, 3] voxels in a volume (at most 16777216 are read)",
        ),
        (70, &[0, 32], "bold.nii:byte 0x46: voxel type 32 (real numbers of up to 64 bits are read)"),
        (108, &[0x7f, 0xc0, 0, 0], "bold.nii:byte 0x6c: voxels at byte NaN"),
        (108, &[0xc4, 0, 0, 0], "bold.nii:byte 0x6c: voxels at byte -512"),
        (92, &[0, 0, 0, 0], "bold.nii:byte 0x5c: the header has no TR (set `tr`)"),
        (
            48,
            &[0x7f, 0xff],
            "bold.nii:byte 0x700: the file ends here, its header promises 7864432 bytes (copy it again)",
        ),
    ] {
        assert_eq!(patched("bold.nii", config, at, bytes), message);
    }
    let moved = patched("bold.nii", config, 292, &[0x41, 0, 0, 0]);
    assert!(moved.contains("labels.nii.gz: no region of the atlas lies within the volume: their first"), "{moved}");
    let mask = "files = [\"bold.nii\"]\nmask = \"mask.nii.gz\"";
    let smaller = patched("bold.nii", mask, 46, &[0, 1]);
    assert!(
        smaller.contains("another grid than mask.nii.gz: [5, 4, 1] voxels against [5, 4, 3] (resample"),
        "{smaller}"
    );
    // The first volume alone, as a 3D image.
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = std::fs::read(golden().join("bold.nii")).expect("read");
    content[40..42].copy_from_slice(&[0, 3]);
    std::fs::write(folder.path().join("still.nii"), &content).expect("written");
    std::fs::copy(golden().join("bold.nii"), folder.path().join("bold.nii")).expect("copied");
    let no_labels = refusal(folder.path(), "files = [\"bold.nii\"]\nlabels = \"still.nii\"");
    assert!(
        no_labels.contains("still.nii:voxels: voxel 0 is ") && no_labels.contains("which is no label"),
        "{no_labels}"
    );
    // One voxel of what is taken for maps is below 0.
    content[40..42].copy_from_slice(&[0, 4]);
    content[352..356].copy_from_slice(&(-1.5f32).to_be_bytes());
    std::fs::write(folder.path().join("maps.nii"), content).expect("written");
    let no_maps = refusal(folder.path(), "files = [\"bold.nii\"]\nlabels = \"maps.nii\"");
    assert!(no_maps.contains("maps.nii:voxels: voxel 0 of map 1 is -1.5, which is no weight"), "{no_maps}");
    let mask = "files = [\"bold.nii\"]\nmask = \"still.nii\"\nlabels_interpolation = \"linear\"";
    assert!(refusal(folder.path(), mask).contains("are for `labels`: a `mask` is not resampled"));
}

/// A big-endian NIfTI-1 of `dims` and `code`, its voxels made of `content`, packed.
fn packed(path: &Path, dims: [i16; 5], code: i16, content: impl Iterator<Item = Vec<u8>>) {
    let mut header = std::fs::read(golden().join("bold.nii")).expect("read")[..352].to_vec();
    for (i, dim) in dims.iter().enumerate() {
        header[40 + 2 * i..42 + 2 * i].copy_from_slice(&dim.to_be_bytes());
    }
    header[70..72].copy_from_slice(&code.to_be_bytes());
    let mut out = GzEncoder::new(std::fs::File::create(path).expect("created"), Compression::best());
    out.write_all(&header).expect("written");
    for piece in content {
        out.write_all(&piece).expect("written");
    }
    out.finish().expect("written");
}

#[test]
fn a_cut_or_damaged_gzip_stream_is_refused_by_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "files = [\"bold.nii.gz\"]\nlabels = \"labels.nii.gz\"";
    let whole = std::fs::read(golden().join("bold.nii.gz")).expect("read");
    std::fs::copy(golden().join("labels.nii.gz"), folder.path().join("labels.nii.gz")).expect("copied");
    let with = |content: &[u8]| {
        std::fs::write(folder.path().join("bold.nii.gz"), content).expect("written");
        refusal(folder.path(), config)
    };
    for content in [&whole[..1], &whole[..20], &whole[..300], &whole[..whole.len() - 60]] {
        let error = with(content);
        assert!(
            error.starts_with("bold.nii.gz:byte 0x") && error.contains(" (copy it again")
                || error.contains("damaged")
                || error.contains("not a NIfTI"),
            "{error}"
        );
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2..].fill(0);
    let error = with(&flipped);
    assert!(error.starts_with("bold.nii.gz:byte 0x") && error.contains("of the unpacked file: "), "{error}");
    assert_eq!(with(&[0; 4096]), "bold.nii.gz:byte 0x0: not a NIfTI header (set `format`, or mend the file)");
    // Whole as a gzip stream, but with one volume less than its header says.
    packed(&folder.path().join("bold.nii.gz"), [4, 5, 4, 3, 6], 16, std::iter::repeat_n(vec![0; 240], 5));
    assert_eq!(
        refusal(folder.path(), config),
        "bold.nii.gz:byte 0x610: the unpacked file ends here, its header promises more (copy it again)"
    );
}

#[test]
fn a_gzip_bomb_is_not_unpacked_past_what_its_header_claims() {
    let folder = tempfile::tempdir().expect("a folder");
    // 64 MiB of zeros behind a header that speaks of 60 voxels of one byte; nothing past those is looked at.
    let path = folder.path().join("labels.nii.gz");
    packed(&path, [3, 5, 4, 3, 1], 2, std::iter::once(vec![1; 60]).chain(std::iter::repeat_n(vec![0; 1 << 20], 64)));
    assert!(std::fs::metadata(&path).expect("there").len() < 1 << 18);
    std::fs::copy(golden().join("bold.nii.gz"), folder.path().join("bold.nii.gz")).expect("copied");
    let config = "files = [\"bold.nii.gz\"]\nlabels = \"labels.nii.gz\"";
    assert_eq!(open(folder.path(), config).map(|r| r.timetable.samples()), Ok(6));
    // A header that claims more than is read is refused before a voxel is unpacked.
    packed(&path, [3, 1024, 1024, 1024, 1], 2, std::iter::repeat_n(vec![0; 1 << 20], 64));
    assert_eq!(
        refusal(folder.path(), config),
        "labels.nii.gz:byte 0x2a: [1024, 1024, 1024] voxels in a volume (at most 16777216 are read)"
    );
}

#[test]
fn label_names_are_refused_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["bold.nii.gz", "labels.nii.gz"] {
        std::fs::copy(golden().join(file), folder.path().join(file)).expect("copied");
    }
    for (text, message) in [
        ("index\tname\n1.5\tx\n", "n.tsv:line 2: the index is not a whole number from 0 on"),
        ("index\tname\n2\tx\n2\ty\n", "n.tsv:line 3: index 2 has a name already"),
        ("index\tname\n2\tn/a\n", "n.tsv:line 2: no name"),
        ("index\tlabel\n2\tx\n", "n.tsv:line 1: no column \"name\" (there are: index, label)"),
    ] {
        std::fs::write(folder.path().join("n.tsv"), text).expect("written");
        let config = "files = [\"bold.nii.gz\"]\nlabels = \"labels.nii.gz\"\nlabel_names = \"n.tsv\"";
        assert_eq!(refusal(folder.path(), config), message);
    }
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

        /// Whatever bytes are changed in a good file, it is read or refused; it never panics.
        #[test]
        fn a_changed_file_is_read_or_refused(
            which in 0usize..4,
            changes in prop::collection::vec((0usize..2408, any::<u8>()), 1..6),
            cut in prop::option::of(0usize..2408),
        ) {
            let (name, more) = [
                ("eeg.edf", "drop_columns = [\"Battery\"]"),
                ("eeg.bdf", ""),
                ("bold.nii", "labels = \"labels.nii.gz\""),
                ("bold.nii.gz", "mask = \"labels.nii.gz\""),
            ][which];
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::copy(golden().join("labels.nii.gz"), folder.path().join("labels.nii.gz")).expect("copied");
            let mut content = std::fs::read(golden().join(name)).expect("read");
            for (at, byte) in changes {
                let at = at % content.len();
                content[at] = byte;
            }
            if let Some(cut) = cut {
                content.truncate(cut);
            }
            std::fs::write(folder.path().join(name), content).expect("written");
            if let Ok(mut recording) = open(folder.path(), &format!("files = [\"{name}\"]\n{more}")) {
                let promised = recording.timetable.samples();
                let mut block = neurod::frame::Block::new(neurod::acquisition::Source::spec(&recording.samples));
                let mut seen = 0;
                while let Ok(neurod::acquisition::Pull::Data) =
                    neurod::acquisition::Source::pull(&mut recording.samples, &mut block, std::time::Duration::ZERO)
                {
                    seen += block.len() as u64;
                }
                prop_assert!(seen <= promised);
            }
        }

        /// Whatever a table or an events.tsv holds, it is read or refused.
        #[test]
        fn any_text_is_read_or_refused(
            text in prop_oneof![
                "[ab01.,;\\t\"#\\n \u{e9}-]{0,80}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..80),
            ],
            tr in prop::bool::ANY,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("x.tsv"), &text).expect("written");
            std::fs::write(folder.path().join("good.tsv"), "1\n2\n").expect("written");
            let kind = if tr { "tr = 1.0" } else { "rate = 9.0" };
            if let Ok(mut recording) = open(folder.path(), &format!("files = [\"x.tsv\"]\n{kind}")) {
                let mut block = neurod::frame::Block::new(neurod::acquisition::Source::spec(&recording.samples));
                let pull = neurod::acquisition::Source::pull(&mut recording.samples, &mut block, std::time::Duration::ZERO);
                prop_assert!(pull.is_err() || !block.is_empty());
            }
            for list in [text, [b"onset\tduration\n".to_vec(), b"1\t2\n".to_vec()].concat()] {
                std::fs::write(folder.path().join("e.tsv"), list).expect("written");
                let rules = "sentences = [{ when = { duration = \"2\" }, text = \"{onset:1}\" }]";
                let config = format!("files = [\"good.tsv\"]\n{kind}\nevents = [\"e.tsv\"]\n{rules}");
                let _ = open(folder.path(), &config);
            }
        }
    }
}
