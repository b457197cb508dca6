//! Export a recording as a scanner would, live, with the faults that were asked for.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use super::signals;
use crate::acquisition::association::Node;
use crate::acquisition::file::Speed;
use crate::cli::{ScanFormat, ScannerArgs};
use crate::draws::Draws;
use crate::frame::{Clock, Event, Instant, MonotonicClock};
use crate::native;
use crate::publish::lsl::LslMarkerOutlet;
use crate::scanner::{Export, ExportConfig, FaultRates, Flavour, PaintConfig, ScanFault, Sender, Sent, Writing};

/// The longest sleep before the end is asked about again.
const NAP: Duration = Duration::from_millis(100);

/// Exports until the recording ends, or SIGTERM.
///
/// # Errors
/// Arguments that make no sense; a recording that cannot be read; a folder that cannot be written to, or a node that
/// does not associate.
pub fn run(args: &ScannerArgs) -> anyhow::Result<()> {
    let speed = match args.speed.as_str() {
        "max" => Speed::Max,
        text => match text.parse() {
            Ok(factor) if factor > 0.0 && f64::is_finite(factor) => Speed::Times(factor),
            _ => bail!("--speed {text}: is neither a positive number nor `max`"),
        },
    };
    let triggers = match (&args.triggers, speed) {
        (Some(_), Speed::Max) => bail!("--triggers with --speed max: triggers come in time (give a factor)"),
        (Some(name), Speed::Times(factor)) => Some((name, factor)),
        (None, _) => None,
    };
    let faults: FaultRates = args.faults.parse().map_err(|problem| anyhow::anyhow!("--faults: {problem}"))?;
    if let Some(tr) = args.tr.filter(|tr| !(*tr > 0.0 && tr.is_finite())) {
        bail!("--tr {tr}: is no positive number of seconds");
    }
    if !(args.jitter >= 0.0 && args.jitter.is_finite()) {
        bail!("--jitter {}: is not 0 or more seconds", args.jitter);
    }
    let flavour = match args.format {
        ScanFormat::Dicom => Flavour::Classic,
        ScanFormat::Mosaic => Flavour::Mosaic,
        ScanFormat::Enhanced => Flavour::Enhanced,
        ScanFormat::Nifti => Flavour::Nifti,
    };
    let config = ExportConfig { flavour, faults, seed: args.seed, tr: args.tr };
    let mut export = match &args.atlas {
        Some(atlas) => Export::paint(&args.recording, &painted(args, atlas)?, config)?,
        None if args.recording.extension().is_some_and(|ending| ending == "tsv" || ending == "csv") => {
            bail!("{}: a table of regions is painted into an atlas (give --atlas LABELS)", args.recording.display())
        }
        None => Export::open(&args.recording, config)?,
    };
    let mut way = Way::open(&args.to, flavour)?;
    let mut truth = args.truth.as_deref().map(|path| Truth::create(path, args.triggers.is_some())).transpose()?;
    let stop = signals::stop_asked()?;
    let mut triggers = triggers.map(|(name, factor)| Triggers::open(name, &export, factor)).transpose()?;
    if let Some(triggers) = &triggers {
        eprintln!("triggers \"{}\": waiting for someone to listen", triggers.name);
        while !triggers.outlet.wait_for_consumers(NAP.as_secs_f64()) && !stop.load(Ordering::Relaxed) {}
    }
    let mut counts: BTreeMap<ScanFault, u64> = BTreeMap::new();
    let (began, mut writings) = (MonotonicClock.now(), 0);
    loop {
        let writing = export.next_writing()?;
        for (volume, fault) in export.take_truth() {
            *counts.entry(fault).or_default() += 1;
            if let Some(truth) = &mut truth {
                truth.note(volume, fault, triggers.as_ref().map(|triggers| began + triggers.due(volume - 1)))?;
            }
        }
        let Some(writing) = writing else { break };
        if let Speed::Times(factor) = speed {
            let held = args.jitter * Draws::new(args.seed, writings).uniform();
            let due = writing.at / factor + held;
            if let Some(triggers) = &mut triggers {
                triggers.send_until(due, began, &stop)?;
            }
            wait_until(began + due, &stop);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        way.put(&writing)?;
        writings += 1;
    }
    if let Some(truth) = truth {
        truth.finish()?;
    }
    let volumes: u64 = counts.values().sum();
    let faults: Vec<String> = counts.iter().map(|(fault, n)| format!("{} {n}", fault.as_str())).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{volumes} volumes, {}: {}", way.close(), faults.join(", "))?;
    Ok(())
}

fn painted(args: &ScannerArgs, atlas: &Path) -> anyhow::Result<PaintConfig> {
    if let Some(size) = args.voxel_size.filter(|size| !(*size > 0.0 && size.is_finite())) {
        bail!("--voxel-size {size}: is no positive number of mm");
    }
    if !(args.noise >= 0.0 && args.noise.is_finite()) {
        bail!("--noise {}: is neither 0 nor a positive number", args.noise);
    }
    Ok(PaintConfig { atlas: atlas.into(), names: args.labels.clone(), voxel_size: args.voxel_size, noise: args.noise })
}

/// Where volumes go.
enum Way {
    Folder { path: PathBuf, writings: u64 },
    Node { sender: Box<Sender>, name: String, stored: u64, refused: BTreeMap<u16, u64>, broken: u64, lost: u64 },
}

impl Way {
    fn open(to: &Path, flavour: Flavour) -> anyhow::Result<Self> {
        let text = to.to_str().filter(|text| text.starts_with("dicom:"));
        let Some(text) = text else {
            fs::create_dir_all(to).with_context(|| to.display().to_string())?;
            if fs::read_dir(to).with_context(|| to.display().to_string())?.next().is_some() {
                bail!("--to {}: is not empty (give the export a folder of its own)", to.display());
            }
            return Ok(Self::Folder { path: to.into(), writings: 0 });
        };
        let node: Node = text.parse().map_err(|problem| anyhow::anyhow!("--to {problem}"))?;
        if flavour == Flavour::Nifti {
            bail!("--format nifti: is no DICOM, so it cannot be sent to a node (leave --format out, or give a folder)");
        }
        let name = node.to_string();
        let sender = Sender::open(node).with_context(|| format!("--to {name}"))?;
        Ok(Self::Node { sender: Box::new(sender), name, stored: 0, refused: BTreeMap::new(), broken: 0, lost: 0 })
    }

    fn put(&mut self, writing: &Writing) -> anyhow::Result<()> {
        match self {
            Self::Folder { path, writings } => {
                // A file that is completed later is appended to.
                let path = path.join(&writing.name);
                let file = OpenOptions::new().create(true).append(true).open(&path);
                let written = file.and_then(|mut file| file.write_all(&writing.bytes));
                written.with_context(|| path.display().to_string())?;
                *writings += 1;
            }
            Self::Node { sender, stored, refused, broken, lost, .. } => match sender.send(writing)? {
                Sent::Stored => *stored += 1,
                Sent::Refused(status) => *refused.entry(status).or_default() += 1,
                Sent::BrokenOff => *broken += 1,
                Sent::Lost => *lost += 1,
            },
        }
        Ok(())
    }

    /// Ends it; what came of it.
    fn close(self) -> String {
        match self {
            Self::Folder { path, writings } => format!("{writings} writings to {}", path.display()),
            Self::Node { sender, name, stored, refused, broken, lost } => {
                sender.close();
                let mut said = format!("{stored} objects stored at {name}");
                for (status, n) in refused {
                    said += &format!(", {n} refused with {status:04X}");
                }
                for (n, what) in [(broken, "broken off"), (lost, "lost")] {
                    if n > 0 {
                        said += &format!(", {n} {what}");
                    }
                }
                said
            }
        }
    }
}

/// Waits until `at`, or until the end is asked for.
fn wait_until(at: Instant, stop: &AtomicBool) {
    loop {
        let left = at - MonotonicClock.now();
        if left <= 0.0 || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::try_from_secs_f64(left).unwrap_or(NAP).min(NAP));
    }
}

/// The scanner's triggers: a marker when each volume begins.
struct Triggers {
    name: String,
    outlet: LslMarkerOutlet,
    sent: u64,
    volumes: u64,
    /// Real seconds from one to the next.
    every: f64,
}

impl Triggers {
    fn open(name: &str, export: &Export, speed: f64) -> anyhow::Result<Self> {
        native::load_lsl(None)?;
        let outlet = LslMarkerOutlet::open(name, &format!("scanner-{name}"))?;
        let (volumes, every) = (export.volumes(), export.tr() / speed);
        Ok(Self { name: name.to_owned(), outlet, sent: 0, volumes, every })
    }

    /// When trigger `number`, from 0, is sent: so many real seconds after the scan began.
    fn due(&self, number: u64) -> f64 {
        number as f64 * self.every
    }

    /// Sends those that are due by then, each when it is.
    fn send_until(&mut self, until: f64, began: Instant, stop: &AtomicBool) -> anyhow::Result<()> {
        while self.sent < self.volumes && self.due(self.sent) <= until && !stop.load(Ordering::Relaxed) {
            let at = began + self.due(self.sent);
            wait_until(at, stop);
            self.outlet.push(&Event { label: "volume".into(), ..Event::default() }, at.seconds())?;
            self.sent += 1;
        }
        Ok(())
    }
}

/// Which volume had which fault, and when its trigger was sent on LSL's clock: a table.
struct Truth(BufWriter<File>);

impl Truth {
    fn create(path: &Path, triggers: bool) -> anyhow::Result<Self> {
        let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        writeln!(file, "volume\tfault{}", if triggers { "\ttrigger" } else { "" })?;
        Ok(Self(file))
    }

    fn note(&mut self, volume: u64, fault: ScanFault, trigger: Option<Instant>) -> std::io::Result<()> {
        let trigger = trigger.map(|at| format!("\t{:.6}", at.seconds())).unwrap_or_default();
        writeln!(self.0, "{volume}\t{}{trigger}", fault.as_str())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
