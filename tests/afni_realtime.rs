//! Volumes that are sent as to AFNI become the regions that nibabel finds in them, and whatever else is sent is survived.
//! The sender is our own, written from README.realtime: AFNI itself is not among the peers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

mod common;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use neurod::acquisition::afni::{AfniConfig, AfniSource};
use neurod::acquisition::volumes::Fault;
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, Clock, MonotonicClock, Quality};
use serde_json::{Value, json};

/// A recording of `volumes` volumes and its labels; the labels' axes are stored in another order and direction.
fn recording(python: &Path, folder: &Path, tilted: bool, volumes: usize) {
    let script = "import sys, numpy as np, nibabel as nib
rng = np.random.default_rng(3)
a = np.diag([-3.0, 3.0, 4.0, 1.0]); a[:3, 3] = [20, -14, -5]
if sys.argv[2] == 'True':
    c, s = np.cos(0.3), np.sin(0.3); a[1:3, 1:3] = [[3 * c, -4 * s], [3 * s, 4 * c]]
i = nib.Nifti1Image(rng.integers(0, 200, (8, 6, 5, int(sys.argv[3]))).astype('int16'), a)
i.header.set_zooms((3, 3, 4, 1.5)); i.header.set_xyzt_units('mm', 'sec'); i.to_filename(sys.argv[1] + '/bold.nii')
l = nib.Nifti1Image(rng.integers(0, 4, (8, 6, 5)).astype('int16'), a); l.to_filename(sys.argv[1] + '/labels.nii')
o = nib.as_closest_canonical(l); nib.Nifti1Image(np.asanyarray(o.dataobj), o.affine).to_filename(sys.argv[1] + '/turned.nii')";
    let truth = if tilted { "True" } else { "False" };
    let done =
        Command::new(python).args(["-c", script]).arg(folder).args([truth, &volumes.to_string()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

struct Rig {
    source: AfniSource,
    block: Block,
    stats: Arc<SourceStats>,
    rows: Vec<(Vec<f64>, bool, bool, f64)>,
}

impl Rig {
    fn open(folder: &Path, more: &str) -> Self {
        let labels = folder.join("turned.nii");
        let text = format!("listen = \"127.0.0.1:0\"\ndata_port = 0\ntr = 1.5\nlabels = {labels:?}\n{more}");
        let config: AfniConfig = toml::from_str(&text).unwrap();
        let stats = Arc::new(SourceStats::default());
        let source = config.open(Arc::clone(&stats), Arc::new(MonotonicClock)).unwrap();
        let block = Block::new(source.spec());
        Self { source, block, stats, rows: Vec::new() }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        self.source.arrivals().addresses().unwrap()
    }

    fn pull(&mut self) {
        if self.source.pull(&mut self.block, Duration::from_millis(50)).unwrap() == Pull::Data {
            let gap = self.block.quality.contains(Quality::GAP);
            let row = self.block.sample(0).to_vec();
            self.rows.push((row, gap, self.source.begins_run(), self.block.measured_at.seconds()));
        }
    }

    /// Pulls until `done` says so; panics after 20 s.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = MonotonicClock.now() + 20.0;
        while !done(self) {
            assert!(MonotonicClock.now() < end, "waiting for {what}; {} volumes came", self.rows.len());
            self.pull();
        }
    }

    fn of(&self, fault: Fault) -> u64 {
        self.stats.faults.of(fault)
    }
}

fn sender(python: &PathBuf, folder: &Path, [control, data]: [SocketAddr; 2], options: &Value) -> Child {
    let mut command = Command::new(python);
    command.arg("tests/python/afni_sender.py").arg(folder.join("bold.nii")).arg(folder.join("labels.nii"));
    command.args([control.port().to_string(), data.port().to_string(), options.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What nibabel found, once the sender has ended.
fn regions(sender: Child) -> Vec<Vec<f64>> {
    let done = sender.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn regions_are_nibabels_however_volumes_are_sent() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    for (tilted, options, channel) in [
        (false, json!({ "slices": "alt" }), 1),
        (false, json!({ "slices": "seq", "big": true, "datum": "float" }), 1),
        (false, json!({ "datum": "byte" }), 1),
        (true, json!({ "oblique": true, "big": true }), 1),
        (true, json!({ "oblique": true, "slices": "alt", "channels": 3 }), 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        recording(&python, folder.path(), tilted, 6);
        let mut rig = Rig::open(folder.path(), &format!("channel = {channel}"));
        let sending = sender(&python, folder.path(), rig.addresses(), &options);
        let channels = options["channels"].as_u64().unwrap_or(1);
        rig.until("six volumes", |rig| rig.rows.len() == 6 && rig.of(Fault::OtherSeries) == 6 * (channels - 1));
        let expected = regions(sending);
        let shift = 1000.0 * f64::from(channel - 1);
        for ((row, ..), expected) in rig.rows.iter().zip(&expected) {
            let near = |(a, b): (&f64, &f64)| (a - shift - b).abs() < 1e-9;
            assert!(row.len() == 3 && row.iter().zip(expected).all(near), "{options}: {row:?}, {expected:?}");
        }
        let times: Vec<f64> = rig.rows.windows(2).map(|pair| pair[1].3 - pair[0].3).collect();
        assert!(times.iter().all(|step| (step - 1.5).abs() < 1e-9), "{options}: {times:?}");
        assert_eq!([Fault::WrongGrid, Fault::Malformed, Fault::Truncated, Fault::Protocol].map(|f| rig.of(f)), [0; 4]);
    }
}

#[test]
fn a_data_set_is_a_series_and_what_is_cut_short_is_counted() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    recording(&python, folder.path(), false, 4);
    let mut rig = Rig::open(folder.path(), "");
    let options = json!({ "slices": "alt", "sets": 2, "cut": 30 });
    let first = sender(&python, folder.path(), rig.addresses(), &options);
    rig.until("the end", |rig| rig.of(Fault::Truncated) == 1);
    regions(first);
    let begun: Vec<usize> = (0..rig.rows.len()).filter(|row| rig.rows[*row].2).collect();
    assert_eq!((rig.rows.len(), begun), (7, vec![4]), "the last volume never came whole");
    // The next sender begins another, and so does one that comes while it is still there.
    let second = sender(&python, folder.path(), rig.addresses(), &json!({ "pace": 0.2 }));
    rig.until("another volume", |rig| rig.rows.len() == 8);
    let third = sender(&python, folder.path(), rig.addresses(), &json!({}));
    rig.until("the third sender's", |rig| rig.rows.iter().filter(|row| row.2).count() == 3 && rig.rows.len() >= 12);
    regions(third);
    // The one before was hung up on.
    let _ = second.wait_with_output().unwrap();
    assert!(rig.rows.iter().all(|(_, gap, begins, _)| gap == begins), "a series begins after a gap, and nothing else");
}

#[test]
fn whoever_speaks_otherwise_is_hung_up_on() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    recording(&python, folder.path(), false, 3);
    let mut rig = Rig::open(folder.path(), "");
    let [control, data] = rig.addresses();
    let say = |to: SocketAddr, text: &str| {
        let mut link = TcpStream::connect(to).unwrap();
        link.write_all(text.as_bytes()).unwrap();
        link
    };
    drop(say(control, "GET / HTTP/1.1\r\n\r\n"));
    rig.until("a browser", |rig| rig.of(Fault::Protocol) == 1);
    drop(say(control, "shm:grv:1M\0"));
    rig.until("shared memory", |rig| rig.of(Fault::Protocol) == 2);
    drop(say(control, &"tcp:".repeat(1000)));
    rig.until("an endless line", |rig| rig.of(Fault::Protocol) == 3);
    // Images that nobody announced are not taken.
    let uninvited = say(data, "XYMATRIX 8 6 5\n\0");
    let agreed = format!("tcp:localhost:{}\n/bin/false\0", data.port());
    drop(say(control, &agreed));
    let _link = say(data, "XYMATRIX 8 6 5\nXYFOV 24 18 20\nDATUM complex\n\0");
    rig.until("a data set that is not read", |rig| rig.of(Fault::Malformed) == 1);
    drop(uninvited);
    drop(say(control, &agreed));
    let _link = say(data, "XYMATRIX 60000 60000 60000\nXYFOV 9\nXYZAXES R-L A-P I-S\nZDELTA 3\n\0");
    rig.until("an absurd size", |rig| rig.of(Fault::Malformed) == 2);
    // And then somebody sends what was meant; another grid is told by the volume.
    drop(say(control, &agreed));
    let mut link = say(data, "XYMATRIX 4 4 2\nXYFOV 8 8 8\nXYZAXES R-L A-P I-S\nACQUISITION_TYPE 3D+t\n\0");
    link.write_all(&[0; 64]).unwrap();
    rig.until("another grid", |rig| rig.of(Fault::WrongGrid) == 1);
    let sending = sender(&python, folder.path(), [control, data], &json!({}));
    rig.until("three volumes", |rig| rig.rows.len() == 3);
    regions(sending);
}

#[test]
fn settings_that_cannot_be_are_named() {
    let wrong = |text: &str| {
        let config: Result<AfniConfig, _> = toml::from_str(&format!("tr = 2.0\nlabels = \"l.nii\"\n{text}"));
        config.unwrap().validate().unwrap_err().to_string()
    };
    assert!(wrong("listen = \"0.0.0.0:7954\"").contains("senders = ["));
    assert!(wrong("data_port = 7954").contains("data_port: 7954 is the control port"));
    assert!(wrong("clock = \"header\"").contains("no headers"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = common::python(&["nibabel"]) else { return };
    recording(&python, folder.path(), false, 1);
    let (address, labels) = (taken.local_addr().unwrap(), folder.path().join("labels.nii"));
    let text = format!("tr = 2.0\nlabels = {labels:?}\nlisten = \"{address}\"\ndata_port = 0");
    let config: AfniConfig = toml::from_str(&text).unwrap();
    let told = config.open(Arc::default(), Arc::new(MonotonicClock)).err().unwrap().to_string();
    assert!(told.contains(&address.to_string()) && told.contains("another program listens there"), "{told}");
}
