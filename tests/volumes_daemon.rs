//! A daemon whose volumes come in a folder and by C-STORE: it waits for its port, and says nothing of a person.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/volumes.rs"]
mod volumes;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use daemon::{Daemon, until};
use neurod::acquisition::association::{Node, Object, Requestor};
use neurod::scanner::Flavour;
use volumes::{export, record};

/// What no log may show, in any case and in any place.
const PERSON: &str = "Zaphod";

fn config(listen: &str) -> String {
    format!(
        r#"
        session.state_dir = "state"
        [sources.files.input.folder]
        path = "export"
        existing = true
        poll = 0.05
        patience = 1.0
        tr = 2.0
        labels = "labels.nii"
        [sources.sent.input.dicom]
        listen = "{listen}"
        tr = 2.0
        labels = "labels.nii"
        "#
    )
}

fn samples(daemon: &Daemon, source: &str) -> f64 {
    daemon.metric(&format!("neurod_source_samples_total{{source=\"{source}\"}}")).unwrap_or(0.0)
}

fn faults(daemon: &Daemon, source: &str, fault: &str) -> f64 {
    daemon.metric(&format!("neurod_source_faults_total{{fault=\"{fault}\",source=\"{source}\"}}")).unwrap_or(0.0)
}

/// Where the daemon listens for objects, as it says itself.
fn node(daemon: &Daemon) -> Node {
    let address = until("the receiver", 30.0, || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("receives DICOM objects"))?.to_owned();
        Some(line.split_once("listen=")?.1.split_whitespace().next()?.to_owned())
    });
    format!("dicom://{address}").parse().unwrap()
}

#[test]
fn a_port_that_is_taken_is_waited_for_and_then_the_scanner_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 30);
    fs::create_dir(folder.path().join("export")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut daemon = Daemon::start(folder.path(), &config(&address.to_string()));
    until("the problem", 20.0, || daemon.log().contains("another program listens there").then_some(()));
    assert!(daemon.log().contains("set `listen` to another port"), "{}", daemon.log());
    drop(taken);
    let node = node(&daemon);
    assert_eq!(node.to_string(), format!("dicom://SCANNER@{address}/NEUROD"));
    let mut scanner = Command::new(env!("CARGO_BIN_EXE_neurod"));
    scanner.arg("scanner").arg(folder.path().join("bold.nii")).args(["--to", &node.to_string(), "--speed", "max"]);
    let sent = scanner.args(["--format", "dicom", "--faults", "second-series=0.1", "--seed", "3"]).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr));
    assert!(sent.status.success() && said.contains(&format!("objects stored at {node}: none ")), "{said}{wrong}");
    until("the volumes", 20.0, || (samples(&daemon, "sent") >= 30.0).then_some(()));
    assert!(faults(&daemon, "sent", "other_series") >= 3.0, "slices of another series");
    daemon.signal("TERM");
    let status = daemon.end(10.0);
    assert!(status.success(), "{status}: {}", daemon.log());
    drop(TcpListener::bind(address).unwrap());
    // What a user would try next.
    for (more, problem) in [
        (
            &["--to", "dicom://127.0.0.1:1"][..],
            "--to dicom://SCANNER@127.0.0.1:1/NEUROD: 127.0.0.1:1: Connection refused",
        ),
        (&["--to", "dicom:127.0.0.1"], "--to dicom:127.0.0.1: write dicom://CALLING@HOST:PORT/CALLED"),
        (&["--to", "dicom://localhost", "--format", "nifti"], "--format nifti: is no DICOM"),
    ] {
        let mut scanner = Command::new(env!("CARGO_BIN_EXE_neurod"));
        let done = scanner.arg("scanner").arg(folder.path().join("bold.nii")).args(more).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(problem), "{said}");
    }
}

/// Writes a person into the elements of a file where one may stand, and where none should.
const MARK: &str = r#"
import sys, pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
for path in sys.argv[2:]:
    ds = pydicom.dcmread(path)
    who = sys.argv[1]
    ds.PatientName, ds.PatientID, ds.OtherPatientIDs, ds.PatientComments = who + '^B', who, who, who
    ds.SeriesDescription, ds.ProtocolName, ds.StudyDescription, ds.ImageComments = who, who, who, who
    ds.OperatorsName, ds.StationName, ds.InstitutionName, ds.RequestedProcedureDescription = who, who, who, who
    ds.SeriesInstanceUID, ds.SOPInstanceUID = '../../' + who, '/tmp/' + who
    ds.file_meta.MediaStorageSOPInstanceUID = '/tmp/' + who
    ds.AcquisitionDateTime = who
    item = Dataset()
    item.PatientName = who
    ds.ReferencedPatientSequence = Sequence([item])
    block = ds.private_block(0x0051, who, create=True)
    block.add_new(1, 'LO', who)
    ds.save_as(path, enforce_file_format=True)
"#;

#[test]
fn what_an_image_says_of_a_person_is_never_logged_and_never_a_path() {
    let Some(python) = common::python(&["pydicom"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 6);
    let path_of = |name: &str| folder.path().join(name);
    ["export", "images"].iter().for_each(|name| fs::create_dir(path_of(name)).unwrap());
    let mut images = Vec::new();
    let mut export = export(folder.path(), Flavour::Mosaic, "");
    while let Some(writing) = export.next_writing().unwrap() {
        images.push(path_of("images").join(&writing.name));
        fs::write(images.last().unwrap(), &writing.bytes).unwrap();
    }
    let marked = Command::new(python).args(["-W", "ignore", "-c", MARK, PERSON]).args(&images).output().unwrap();
    assert!(marked.status.success(), "{}", String::from_utf8_lossy(&marked.stderr));
    let bytes: Vec<Vec<u8>> = images.iter().map(|image| fs::read(image).unwrap()).collect();
    assert!(bytes.iter().all(|bytes| bytes.windows(6).filter(|w| *w == PERSON.as_bytes()).count() > 15));
    let mut daemon = Daemon::start_with(folder.path(), &config("127.0.0.1:0"), |command| {
        command.args(["--log", "trace"]).current_dir(folder.path());
    });
    let node = node(&daemon);
    // Sound ones, cut ones, damaged ones, and ones whose header itself is a person, by both ways.
    let put = |name: &str, bytes: &[u8]| fs::write(path_of("export").join(format!("{PERSON}_{name}")), bytes).unwrap();
    let send = |bytes: &[u8]| {
        let classes = ["1.2.840.10008.5.1.4.1.1.4"];
        let mut association = Requestor::open(&node, &classes, "1.2.840.10008.1.2.1").unwrap();
        association.store(&Object::of(bytes).unwrap()).unwrap()
    };
    put("1.dcm", &bytes[0]);
    assert_eq!(send(&bytes[0]), 0);
    put("cut.dcm", &bytes[1][..bytes[1].len() / 2]);
    assert_eq!(send(&bytes[1][..bytes[1].len() / 2]), 0xC000);
    let mut damaged = bytes[2].clone();
    for at in (400..damaged.len() / 2).step_by(31) {
        damaged[at] = 0xFF;
    }
    put("damaged.dcm", &damaged);
    assert_eq!(send(&damaged), 0xC000);
    let mut foreign = bytes[3].clone();
    let syntax = b"1.2.840.10008.1.2.1\0";
    let at = foreign.windows(syntax.len()).position(|w| w == syntax).unwrap();
    foreign[at..at + 6].copy_from_slice(PERSON.as_bytes());
    put("foreign.dcm", &foreign);
    put("noise.nii.gz", PERSON.repeat(100).as_bytes());
    std::os::unix::fs::symlink(path_of(PERSON), path_of("export").join(format!("{PERSON}.dcm"))).unwrap();
    let half = Object::of(&bytes[4][..bytes[4].len() / 2]).unwrap();
    Requestor::open(&node, &["1.2.840.10008.5.1.4.1.1.4"], "1.2.840.10008.1.2.1").unwrap().break_off(&half).unwrap();
    for (source, fault) in [
        ("files", "truncated"),
        ("files", "malformed"),
        ("files", "compressed"),
        ("files", "link"),
        ("sent", "truncated"),
    ] {
        until(fault, 20.0, || (faults(&daemon, source, fault) >= 1.0).then_some(()));
    }
    for source in ["files", "sent"] {
        until(source, 20.0, || (samples(&daemon, source) >= 1.0).then_some(()));
    }
    let shown = ["/metrics", "/readyz", "/api/v1/status", "/api/v1/regions"].map(|page| daemon.get(page).1).concat();
    daemon.signal("TERM");
    assert!(daemon.end(10.0).success());
    let log = daemon.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log shows everything there is");
    for text in [&log, &shown] {
        let line = text.lines().find(|line| line.to_lowercase().contains(&PERSON.to_lowercase()));
        assert_eq!(line, None);
    }
    // Nothing of that name lies anywhere that we did not put it.
    assert!(!Path::new("/tmp").join(PERSON).exists() && !folder.path().parent().unwrap().join(PERSON).exists());
    let mut left = vec![folder.path().to_path_buf()];
    while let Some(path) = left.pop() {
        assert!(!path.to_string_lossy().contains(PERSON), "{}", path.display());
        if path.is_dir() && !path.ends_with("export") && !path.ends_with("images") {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}
