//! Export a recording as a scanner would, live, with the faults that were asked for.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};

use super::signals;
use crate::acquisition::file::Speed;
use crate::cli::{ScanFormat, ScannerArgs};
use crate::frame::{Clock, MonotonicClock};
use crate::scanner::{Export, ExportConfig, FaultRates, Flavour, PaintConfig, ScanFault};

/// The longest sleep before the end is asked about again.
const NAP: Duration = Duration::from_millis(100);

/// Exports until the recording ends, or SIGTERM.
///
/// # Errors
/// Arguments that make no sense; a recording that cannot be read; a folder that cannot be written to.
pub fn run(args: &ScannerArgs) -> anyhow::Result<()> {
    let speed = match args.speed.as_str() {
        "max" => Speed::Max,
        text => match text.parse() {
            Ok(factor) if factor > 0.0 && f64::is_finite(factor) => Speed::Times(factor),
            _ => bail!("--speed {text}: is neither a positive number nor `max`"),
        },
    };
    let faults: FaultRates = args.faults.parse().map_err(|problem| anyhow::anyhow!("--faults: {problem}"))?;
    if let Some(tr) = args.tr.filter(|tr| !(*tr > 0.0 && tr.is_finite())) {
        bail!("--tr {tr}: is no positive number of seconds");
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
    fs::create_dir_all(&args.to).with_context(|| args.to.display().to_string())?;
    if fs::read_dir(&args.to).with_context(|| args.to.display().to_string())?.next().is_some() {
        bail!("--to {}: is not empty (give the export a folder of its own)", args.to.display());
    }
    let mut truth = args.truth.as_deref().map(Truth::create).transpose()?;
    let stop = signals::stop_asked()?;
    let mut counts: BTreeMap<ScanFault, u64> = BTreeMap::new();
    let (began, mut files) = (MonotonicClock.now(), 0u64);
    loop {
        let writing = export.next_writing()?;
        for (volume, fault) in export.take_truth() {
            *counts.entry(fault).or_default() += 1;
            if let Some(truth) = &mut truth {
                truth.note(volume, fault)?;
            }
        }
        let Some(writing) = writing else { break };
        if let Speed::Times(factor) = speed {
            loop {
                let left = writing.at / factor - (MonotonicClock.now() - began);
                if left <= 0.0 || stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::try_from_secs_f64(left).unwrap_or(NAP).min(NAP));
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // A file that is completed later is appended to.
        let path = args.to.join(&writing.name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(&writing.bytes)).with_context(|| path.display().to_string())?;
        files += 1;
    }
    if let Some(truth) = truth {
        truth.finish()?;
    }
    let volumes: u64 = counts.values().sum();
    let faults: Vec<String> = counts.iter().map(|(fault, n)| format!("{} {n}", fault.as_str())).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{volumes} volumes, {files} writings to {}: {}", args.to.display(), faults.join(", "))?;
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

/// Which volume had which fault: a table.
struct Truth(BufWriter<File>);

impl Truth {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        writeln!(file, "volume\tfault")?;
        Ok(Self(file))
    }

    fn note(&mut self, volume: u64, fault: ScanFault) -> std::io::Result<()> {
        writeln!(self.0, "{volume}\t{}", fault.as_str())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
