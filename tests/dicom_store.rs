//! Volumes that are sent by C-STORE are the volumes of a folder; who may not send is refused, and nobody disturbs
//! another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "figures are shown")]

mod common;
#[path = "common/volumes.rs"]
mod volumes;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use neurod::acquisition::association::{AssociationError, Node, Object, Requestor};
use neurod::acquisition::folder::FolderConfig;
use neurod::acquisition::receiver::{ReceiverConfig, ReceiverSource};
use neurod::acquisition::volumes::Fault;
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, Clock, MonotonicClock, VirtualClock};
use neurod::scanner::{Flavour, ScanFault, Sender, Sent};
use serde_json::{Value, json};
use volumes::{DIMS, FAULTS, export, found, memory, nifti, play, record};

const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// A receiver on a port of its own.
struct Bench {
    folder: tempfile::TempDir,
    source: ReceiverSource,
    stats: Arc<SourceStats>,
}

impl Bench {
    fn new(volumes: usize, more: &str) -> Self {
        Self::with_clock(volumes, more, Arc::new(MonotonicClock))
    }

    fn with_clock(volumes: usize, more: &str, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        record(folder.path(), volumes);
        let stats = Arc::new(SourceStats::default());
        let source = receiving(folder.path(), more).open(Arc::clone(&stats), clock).unwrap();
        Self { folder, source, stats }
    }

    fn address(&self) -> SocketAddr {
        self.source.arrivals().address()
    }

    fn port(&self) -> String {
        self.address().port().to_string()
    }

    fn node(&self) -> Node {
        format!("dicom://{}", self.address()).parse().unwrap()
    }

    /// The files of an export, in order.
    fn files(&self, flavour: Flavour, name: &str) -> Vec<PathBuf> {
        let to = self.folder.path().join(name);
        fs::create_dir(&to).unwrap();
        let mut export = export(self.folder.path(), flavour, "");
        let mut files = Vec::new();
        while let Some(writing) = export.next_writing().unwrap() {
            files.push(to.join(&writing.name));
            fs::write(files.last().unwrap(), &writing.bytes).unwrap();
        }
        files
    }

    fn of(&self, fault: Fault) -> u64 {
        self.stats.faults.of(fault)
    }

    /// Waits until a fault was counted so often: what is counted on another thread is counted soon.
    fn wait_for(&self, fault: Fault, count: u64) {
        soon(|| (self.of(fault) >= count).then_some(()));
        assert_eq!(self.of(fault), count, "{fault:?}");
    }

    /// All blocks that come, until none has come for half a second.
    fn blocks(&mut self) -> Vec<Vec<f64>> {
        blocks(&mut self.source, Duration::from_millis(500))
    }

    /// Whether an object is taken, over an association of its own.
    fn takes(&self, file: &Path) -> bool {
        let bytes = fs::read(file).unwrap();
        let mut association = Requestor::open(&self.node(), &[MR], EXPLICIT).unwrap();
        let status = association.store(&Object::of(&bytes).unwrap()).unwrap();
        association.release().unwrap();
        status == 0
    }
}

fn receiving(folder: &Path, more: &str) -> ReceiverConfig {
    let labels = folder.join("labels.nii");
    let listen = if more.contains("listen") { "" } else { "listen = \"127.0.0.1:0\"" };
    toml::from_str(&format!("{listen}\ntr = 2.0\nlabels = {labels:?}\n{more}")).unwrap()
}

fn blocks(source: &mut impl Source, patience: Duration) -> Vec<Vec<f64>> {
    let mut block = Block::new(source.spec());
    let mut out = Vec::new();
    loop {
        match source.pull(&mut block, patience).unwrap() {
            Pull::Data => out.push(block.data().to_vec()),
            _ => return out,
        }
    }
}

/// What `look` finds within ten seconds.
fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = MonotonicClock.now() + 10.0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(MonotonicClock.now() < end, "waited ten seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// A program of dcmtk that calls NEUROD; `None` without dcmtk.
fn dcmtk(name: &str, called: &str, calling: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").output().map(drop).map_err(|e| format!("{name}: {e} (dcmtk)"));
    common::peer(name, found)?;
    let mut command = Command::new(name);
    command.args(["-v", "-aec", called, "-aet", calling, "127.0.0.1"]);
    Some(command)
}

/// What pynetdicom says of `what` it sent; `None` without it.
fn pynetdicom(bench: &Bench, what: &str, rest: &[&Path]) -> Option<Value> {
    let python = common::python(&["pynetdicom", "numpy"])?;
    let mut command = Command::new(python);
    command.args(["-W", "ignore", "tests/python/store_peer.py", &bench.port(), what]).args(rest);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What the folder source makes of the same files.
fn of_folder(bench: &Bench, files: &[PathBuf]) -> Vec<Vec<f64>> {
    let [path, labels] = [files[0].parent().unwrap().to_path_buf(), bench.folder.path().join("labels.nii")];
    let config = format!("path = {path:?}\nlabels = {labels:?}\ntr = 2.0\nexisting = true");
    let config: FolderConfig = toml::from_str(&config).unwrap();
    let mut source = config.open(Arc::default(), Arc::new(MonotonicClock)).unwrap();
    blocks(&mut source, Duration::from_millis(500))
}

#[test]
fn storescu_and_pynetdicom_send_what_a_folder_gives() {
    for flavour in [Flavour::Classic, Flavour::Mosaic, Flavour::Enhanced] {
        let mut bench = Bench::new(4, "");
        let files = bench.files(flavour, "files");
        let expected = of_folder(&bench, &files);
        assert_eq!(expected, [[3.0, 4.0], [6.0, 7.0], [9.0, 10.0], [12.0, 13.0]]);
        for syntax in ["-xe", "-xi", "-xb"] {
            let Some(mut storescu) = dcmtk("storescu", "NEUROD", "SCANNER") else { return };
            let (good, said) = run(storescu.arg(bench.port()).arg(syntax).arg("-R").args(&files));
            assert!(good && said.matches("Success").count() == files.len(), "{flavour:?} {syntax}: {said}");
            assert_eq!(bench.blocks(), expected, "{flavour:?} by storescu {syntax}");
            // The same series again is over for one receiver; another knows nothing of it.
            bench = bench.anew();
        }
        for syntax in ["explicit", "implicit", "big"] {
            let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
            let Some(said) = pynetdicom(&bench, syntax, &paths) else { return };
            assert_eq!(said, json!({ "statuses": vec!["0000"; files.len()] }), "{flavour:?} {syntax}");
            assert_eq!(bench.blocks(), expected, "{flavour:?} by pynetdicom {syntax}");
            bench = bench.anew();
        }
        assert_eq!(found(&bench.stats.faults), Default::default());
    }
}

impl Bench {
    /// The same files, and a receiver that has received nothing.
    fn anew(self) -> Self {
        let stats = Arc::new(SourceStats::default());
        let config = receiving(self.folder.path(), "");
        let source = config.open(Arc::clone(&stats), Arc::new(MonotonicClock)).unwrap();
        Self { folder: self.folder, source, stats }
    }
}

/// Sends `volumes` in virtual time with faults of every kind, and holds what came against the truth.
fn survives(flavour: Flavour, volumes: usize) {
    let clock = Arc::new(VirtualClock::default());
    let mut bench = Bench::with_clock(volumes, "series = \"bold*\"", Arc::clone(&clock) as _);
    let mut export = export(bench.folder.path(), flavour, FAULTS);
    let mut sender = Sender::open(bench.node()).unwrap();
    let stats = Arc::clone(&bench.stats);
    let mut broken = 0;
    let played = play(&mut export, volumes, &clock, &mut bench.source, |_, writings| {
        for writing in writings {
            match sender.send(&writing).unwrap() {
                Sent::Stored => {}
                // That it is counted belongs to this moment.
                Sent::BrokenOff => {
                    broken += 1;
                    soon(|| (stats.faults.of(Fault::Truncated) >= broken).then_some(()));
                }
                sent => panic!("{}: {sent:?}", writing.name),
            }
        }
    });
    sender.close();
    let mut expected = played.check(if flavour == Flavour::Classic { DIMS[2] as u64 } else { 1 });
    // Half an object is never completed: it is sent again.
    expected.insert("truncated", played.count(ScanFault::Cut) + played.count(ScanFault::Truncate));
    assert_eq!(found(&bench.stats.faults), expected, "{flavour:?}");
    if let Some([grown, _]) = played.grown {
        println!("{flavour:?}: {volumes} volumes, {expected:?}; {grown} bytes more than after 1000");
        assert!(grown < 64 << 20, "{grown} bytes more than after 1000 volumes");
    }
}

#[test]
fn mosaics_with_every_fault() {
    survives(Flavour::Mosaic, 3000);
}

#[test]
fn slices_and_enhanced_images_with_every_fault() {
    survives(Flavour::Classic, 800);
    survives(Flavour::Enhanced, 800);
}

#[test]
fn a_volume_came_when_its_last_byte_did() {
    let clock = Arc::new(VirtualClock::default());
    let mut bench = Bench::with_clock(2, "delay = 0.5", Arc::clone(&clock) as _);
    let files = bench.files(Flavour::Mosaic, "files");
    clock.advance_to(neurod::frame::Instant::from_seconds(10.0));
    assert!(bench.takes(&files[0]));
    // The lane looks a second later.
    clock.advance_to(neurod::frame::Instant::from_seconds(11.0));
    let mut block = Block::new(bench.source.spec());
    assert_eq!(bench.source.pull(&mut block, Duration::ZERO).unwrap(), Pull::Data);
    assert_eq!((block.measured_at.seconds(), block.arrived_at.seconds()), (10.0 - 2.0 - 0.5, 11.0));
}

#[test]
fn only_who_is_called_and_listed_is_served() {
    let bench = Bench::new(1, "ae_title = \"RT\"\ncallers = [\"MR1\", \"MR2\"]");
    let files = bench.files(Flavour::Mosaic, "files");
    for (calling, called, problem) in
        [("MR1", "NEUROD", "Called AE Title Not Recognized"), ("SCANNER", "RT", "Calling AE Title Not Recognized")]
    {
        let Some(mut echoscu) = dcmtk("echoscu", called, calling) else { return };
        let (good, said) = run(echoscu.arg(bench.port()));
        assert!(!good && said.contains(problem), "{said}");
        let Some(mut storescu) = dcmtk("storescu", called, calling) else { return };
        let (good, said) = run(storescu.arg(bench.port()).args(&files));
        assert!(!good && said.contains(problem), "{said}");
    }
    assert_eq!(bench.of(Fault::Association), 4);
    for calling in ["MR1", "MR2"] {
        let Some(mut echoscu) = dcmtk("echoscu", "RT", calling) else { return };
        let (good, said) = run(echoscu.arg(bench.port()));
        assert!(good && said.contains("Received Echo Response (Success)"), "{said}");
    }
    let as_path = |text: &'static str| Path::new(text);
    let Some(said) = pynetdicom(&bench, "titles", &[as_path("MR1"), as_path("RT")]) else { return };
    assert_eq!(said, json!({ "status": 0 }));
    let said = pynetdicom(&bench, "titles", &[as_path("MR1"), as_path("RTX")]).unwrap();
    assert_eq!(said, json!({ "result": 1, "source": 1, "reason": 7 }));
    let said = pynetdicom(&bench, "titles", &[as_path("MR3"), as_path("RT")]).unwrap();
    assert_eq!(said, json!({ "result": 1, "source": 1, "reason": 3 }));
    // What our own sender says of it.
    let of = |titles: &str| {
        let node: Node = titles.replace("HOST", &bench.address().to_string()).parse().unwrap();
        Sender::open(node).err().unwrap().to_string()
    };
    assert!(of("dicom://MR3@HOST/RT").contains("add the calling title to its `callers`"));
    assert!(of("dicom://MR1@HOST/NEUROD").contains("it has another title than was called"));
}

#[test]
fn what_cannot_be_read_is_refused_when_it_is_offered() {
    let bench = Bench::new(1, "");
    let Some(said) = pynetdicom(&bench, "offers", &[]) else { return };
    let (explicit, big) = ("Explicit VR Little Endian", "Explicit VR Big Endian");
    assert_eq!(
        said["agreed"],
        json!({ "Enhanced MR Image Storage": explicit, "Secondary Capture Image Storage": big })
    );
    // 3: no such class here; 4: none of these transfer syntaxes.
    assert_eq!(said["refused"], json!({ "MR Image Storage": 4, "CT Image Storage": 3 }));
    assert_eq!((said["other"].as_str(), bench.of(Fault::OtherSeries)), (Some("0000"), 1));
    assert_eq!(bench.of(Fault::Compressed), 1);
}

#[test]
fn an_object_that_is_not_what_it_says_is_answered_so() {
    let mut bench = Bench::new(1, "");
    let files = bench.files(Flavour::Mosaic, "files");
    let Some(said) = pynetdicom(&bench, "odd", &[&files[0]]) else { return };
    let expected = json!({
        "another class": "A900", "another context": "A900", "another byte order": "C000", "another encoding": "C000",
        "an end": "C000", "noise": "C000", "huge": "C000", "what it says": "0000",
    });
    assert_eq!(said, expected);
    assert_eq!(bench.of(Fault::Malformed) + bench.of(Fault::Truncated), 7);
    assert_eq!(bench.blocks(), [[3.0, 4.0]], "the one after them all");
}

#[test]
fn an_object_that_is_too_large_is_refused_and_the_next_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    // A volume of 1.1 MiB in 16 bits.
    nifti(&folder.path().join("labels.nii"), [128, 128, 36], 1, |voxel, _| voxel as i16 % 2 + 1);
    nifti(&folder.path().join("bold.nii"), [128, 128, 36], 2, |voxel, volume| (voxel % 100 + volume) as i16);
    let stats = Arc::new(SourceStats::default());
    let open = |more: &str| receiving(folder.path(), more).open(Arc::clone(&stats), Arc::new(MonotonicClock)).unwrap();
    let bench = Bench { source: open("max_object = 1"), stats: Arc::clone(&stats), folder };
    let large = bench.files(Flavour::Mosaic, "large");
    let small = bench.files(Flavour::Classic, "small");
    let Some(mut storescu) = dcmtk("storescu", "NEUROD", "SCANNER") else { return };
    let (_, said) = run(storescu.arg(bench.port()).args(["-R", "-nh"]).arg(&large[0]).arg(&small[0]));
    assert!(said.contains("Refused: OutOfResources") && said.contains("(Success)"), "{said}");
    assert_eq!(found(&stats.faults), [("too_large", 1)].into());
}

#[test]
fn half_an_object_gives_nothing_and_is_counted() {
    let mut bench = Bench::new(1, "");
    let files = bench.files(Flavour::Mosaic, "files");
    let bytes = fs::read(&files[0]).unwrap();
    let begin = || Requestor::open(&bench.node(), &[MR], EXPLICIT).unwrap();
    begin().break_off(&Object::of(&bytes[..bytes.len() / 2]).unwrap()).unwrap();
    bench.wait_for(Fault::Truncated, 1);
    // Cut without a word.
    let Some(said) = pynetdicom(&bench, "half", &[&files[0]]) else { return };
    assert!(said["sent"].as_u64() > Some(1), "{said}");
    bench.wait_for(Fault::Truncated, 2);
    assert_eq!(bench.blocks(), Vec::<Vec<f64>>::new());
    assert!(bench.takes(&files[0]));
    assert_eq!(bench.blocks(), [[3.0, 4.0]]);
    assert_eq!(found(&bench.stats.faults), [("truncated", 2)].into());
}

/// An A-ASSOCIATE-RQ for MR images. (PS3.8 §9.3.2.)
fn request() -> Vec<u8> {
    let item = |kind: u8, body: &[u8]| [&[kind, 0][..], &(body.len() as u16).to_be_bytes(), body].concat();
    let title = |text: &str| format!("{text:16}").into_bytes();
    let syntaxes = [item(0x30, MR.as_bytes()), item(0x40, EXPLICIT.as_bytes())].concat();
    let context = item(0x20, &[&[1, 0, 0, 0][..], &syntaxes].concat());
    let user = item(0x50, &item(0x51, &16_384u32.to_be_bytes()));
    let items = [item(0x10, b"1.2.840.10008.3.1.1.1"), context, user].concat();
    let body = [&[0, 1, 0, 0][..], &title("NEUROD"), &title("SCANNER"), &[0; 32], &items].concat();
    [&[1, 0][..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

/// Sends bytes, and reads until the other side closes; what it said.
fn throw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may close before all is written.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it is not closed"),
        _ => said,
    }
}

#[test]
fn noise_costs_neither_a_panic_nor_memory() {
    let bench = Bench::new(1, "patience = 2.0");
    let files = bench.files(Flavour::Mosaic, "files");
    let address = bench.address();
    assert_eq!(throw(address, &request()).first(), Some(&2), "a sound request is accepted");
    let mut state = 7u64;
    let mut next = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let before = memory()[0];
    for round in 0..600 {
        let bytes = match round % 4 {
            0 => (0..next(2000)).map(|_| next(256) as u8).collect(),
            // A length of 4 GiB, with nothing behind it.
            1 => [&[1 + next(7) as u8, 0, 255, 255, 255, 255][..], &[0; 100]].concat(),
            2 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            _ => {
                // A request, and fragments of messages behind it, with some bytes changed.
                let fragment = [0x04, 0, 0, 0, 0, 12, 0, 0, 0, 8, 1, 3, 0, 0, 0, 1, 2, 0];
                let mut bytes = [request(), fragment.to_vec()].concat();
                for _ in 0..1 + next(4) {
                    let at = next(bytes.len());
                    bytes[at] = next(256) as u8;
                }
                bytes
            }
        };
        throw(address, &bytes);
    }
    let grown = memory()[0].saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    assert!(bench.of(Fault::Protocol) >= 300, "{:?}", found(&bench.stats.faults));
    assert!(bench.takes(&files[0]), "and it serves on");
}

#[test]
fn who_dawdles_loses_the_connection_and_nobody_else_notices() {
    let mut bench = Bench::new(1, "patience = 3.0\nidle = 3.0\nmax_associations = 3");
    let files = bench.files(Flavour::Mosaic, "files");
    let address = bench.address();
    // One says nothing, one a byte now and then, one associates and falls silent.
    let dawdle = |bytes: Vec<u8>, every: Duration| {
        let began = MonotonicClock.now();
        let mut stream = TcpStream::connect(address).unwrap();
        std::thread::Builder::new().name("dawdler".into()).spawn(move || {
            stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let mut bytes = bytes.into_iter();
            let mut said = [0; 4096];
            loop {
                if let Some(byte) = bytes.next() {
                    // It is closed when this fails, as when it has ended.
                    if stream.write_all(&[byte]).is_err() {
                        return MonotonicClock.now() - began;
                    }
                }
                std::thread::sleep(every);
                match stream.read(&mut said) {
                    Ok(0) => return MonotonicClock.now() - began,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return MonotonicClock.now() - began,
                }
            }
        })
    };
    let threads = [
        dawdle(Vec::new(), Duration::from_millis(20)),
        dawdle(request(), Duration::from_millis(50)),
        dawdle(request(), Duration::from_micros(10)),
    ]
    .map(Result::unwrap);
    // There is no room for one more; who asks is told that it is for now.
    let full = soon(|| match Requestor::open(&bench.node(), &[MR], EXPLICIT) {
        Ok(association) => {
            association.release().unwrap();
            None
        }
        Err(refused) => Some(refused),
    });
    assert!(matches!(full, AssociationError::Rejected(why) if why.contains("try again")), "{full}");
    let lasted = threads.map(|thread| thread.join().unwrap());
    assert!(lasted.iter().all(|seconds| (2.9..15.0).contains(seconds)), "{lasted:?}");
    bench.wait_for(Fault::Idle, 3);
    // One that dawdles, and another that is served meanwhile.
    let slow = dawdle(request(), Duration::from_millis(50)).unwrap();
    assert!(bench.takes(&files[0]) && !slow.is_finished());
    assert_eq!(bench.blocks(), [[3.0, 4.0]]);
    assert!(slow.join().unwrap() < 15.0);
}

#[test]
fn many_short_associations_leave_nothing_behind() {
    let mut bench = Bench::new(300, "");
    let mut export = export(bench.folder.path(), Flavour::Mosaic, "");
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut came = Vec::new();
    while let Some(writing) = export.next_writing().unwrap() {
        let mut association = Requestor::open(&bench.node(), &[MR], EXPLICIT).unwrap();
        assert_eq!(association.store(&Object::of(&writing.bytes).unwrap()).unwrap(), 0);
        association.release().unwrap();
        came.extend(blocks(&mut bench.source, Duration::ZERO));
    }
    came.extend(bench.blocks());
    assert_eq!(came, (1..=300).map(|n| vec![3.0 * f64::from(n), 3.0 * f64::from(n) + 1.0]).collect::<Vec<_>>());
    assert_eq!(found(&bench.stats.faults), Default::default());
    // Other tests of this process come and go.
    assert!(open() < before + 60, "{before} {}", open());
    // It ends at once, with an association open, and the port is free.
    let (address, association) = (bench.address(), Requestor::open(&bench.node(), &[MR], EXPLICIT).unwrap());
    let began = MonotonicClock.now();
    drop(bench);
    assert!(MonotonicClock.now() - began < 2.0);
    drop(association);
    drop(TcpListener::bind(address).unwrap());
}

#[test]
fn what_waits_for_a_lane_that_does_not_pull_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    nifti(&folder.path().join("labels.nii"), [64, 64, 36], 1, |voxel, _| voxel as i16 % 2 + 1);
    nifti(&folder.path().join("bold.nii"), [64, 64, 36], 12, |voxel, volume| (voxel % 100 + volume) as i16);
    let stats = Arc::new(SourceStats::default());
    let source = receiving(folder.path(), "max_object = 1").open(Arc::clone(&stats), Arc::new(MonotonicClock)).unwrap();
    let mut bench = Bench { source, stats, folder };
    let files = bench.files(Flavour::Mosaic, "files");
    // Each is 1.2 MB of voxels, and 4 MiB may wait.
    let mut association = Requestor::open(&bench.node(), &[MR], EXPLICIT).unwrap();
    let mut answers = files.iter().take(5).map(|file| {
        let bytes = fs::read(file).unwrap();
        association.store(&Object::of(&bytes).unwrap()).unwrap()
    });
    assert_eq!(answers.by_ref().collect::<Vec<_>>(), [0, 0, 0, 0xA700, 0xA700]);
    assert_eq!(bench.of(Fault::Full), 2);
    assert_eq!(bench.blocks().len(), 3);
}

#[test]
fn settings_and_addresses_that_cannot_work_are_named() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 1);
    let refusal = |more: &str| {
        let opened = receiving(folder.path(), more).open(Arc::default(), Arc::new(MonotonicClock));
        opened.err().expect("refused").to_string()
    };
    for (more, problem) in [
        (
            "listen = \"0.0.0.0:11112\"",
            "dicom: listen: 0.0.0.0:11112 is open to others, so say who may send: callers = [\"SCANNER\"], by their AE titles",
        ),
        ("listen = \"scanner\"", "dicom: listen: \"scanner\" is no address with a port, as in 127.0.0.1:11112"),
        ("max_object = 0", "dicom: max_object: 0 MiB is not from 1 to 512"),
        ("max_pdu = 100", "dicom: max_pdu: 100 bytes is not from 4096 to 1048576"),
        ("max_associations = 0", "dicom: max_associations: 0 is not from 1 to 64"),
        ("idle = 0.0", "dicom: idle: 0 is no positive number of seconds"),
        ("patience = -1.0", "dicom: patience: -1 is no positive number of seconds"),
    ] {
        assert_eq!(refusal(more), problem);
    }
    let long = toml::from_str::<ReceiverConfig>("tr = 2.0\nae_title = \"SEVENTEEN_LETTERS\"").unwrap_err().to_string();
    assert!(long.contains("an AE title is 1 to 16"), "{long}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let problem = "another program listens there (end it, or set `listen` to another port)";
    assert_eq!(refusal(&format!("listen = \"{address}\"")), format!("{address}: {problem}"));
    assert_eq!(
        refusal("listen = \"192.0.2.1:11112\"\ncallers = [\"MR\"]"),
        "192.0.2.1:11112: this machine has no such address (set `listen` to one of its own)"
    );
    // Nobody there: the sender says so.
    drop(taken);
    let gone = Sender::open(format!("dicom://{address}").parse().unwrap()).err().unwrap().to_string();
    assert!(gone.contains("Connection refused") && gone.contains("is the receiver running"), "{gone}");
}
