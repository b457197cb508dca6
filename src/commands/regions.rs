//! `neurod regions`: a 4D image becomes a table, a row a volume, by the code that runs live.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::encode::design::progress;
use crate::acquisition::file::{Images, Reduction, Volumes};
use crate::cli::{RegionsArgs, Resampling};
use crate::fmri::{Correction, Interpolation, MotionModel, MotionRegressors, RealignConfig, SignalQuality};
use crate::frame::HeadMotion;

/// Does it.
///
/// # Errors
/// An image, atlas or list that is malformed; an atlas that lies elsewhere; a reference volume that is not there or shows
/// nothing; a file that cannot be written.
pub fn run(args: &RegionsArgs) -> anyhow::Result<()> {
    let images = Images {
        labels: args.atlas.as_deref(),
        label_names: args.labels.as_deref(),
        affine: args.affine.as_deref(),
        interpolation: args.interpolation.map(|how| match how {
            Resampling::Nearest => Interpolation::Nearest,
            Resampling::Linear => Interpolation::Linear,
        }),
        mask: args.mask.as_deref(),
        unit: None,
    };
    let volumes = Volumes::open(&args.image)?;
    let reduction = Reduction::load(images, Path::new(""))?.on(&volumes)?;
    let names: Vec<&str> = reduction.channels.iter().map(|c| c.name.as_str()).collect();
    let mut correction = correction(args, &volumes)?;
    let mut table = Table::create(&args.out, &names)?;
    let mut moved = args.realign.then(|| Moved::create(args, names.len())).transpose()?;

    let bar = progress(volumes.count as usize, "volumes");
    let mut stream = volumes.stream(0)?;
    let mut row = vec![0.0; names.len()];
    let mut left_out = 0;
    for _ in 0..volumes.count {
        stream.next_volume()?;
        let mut motion = None;
        left_out += match &mut correction {
            Some(correction) => {
                motion = correction.correct(|voxel| stream.value(voxel));
                reduction.atlas.gather().means(|voxel| correction.voxel(voxel), &mut row)
            }
            None => reduction.atlas.gather().means(|voxel| stream.value(voxel), &mut row),
        };
        table.add(row.iter().map(|v| number(*v)))?;
        if let (Some(moved), Some(motion)) = (&mut moved, &motion) {
            moved.add(motion, &row)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    table.finish()?;
    let mut out = io::stdout();
    writeln!(out, "{} volumes × {} regions in {}", volumes.count, names.len(), args.out.display())?;
    if left_out > 0 {
        writeln!(out, "{left_out} times a voxel was left out: not finite, or out of the field after realignment")?;
    }
    let lost = reduction.atlas.lost().count();
    if lost > 0 {
        writeln!(out, "{lost} regions have no voxel in this image: their columns are n/a")?;
    }
    match (moved, &correction) {
        (Some(moved), Some(correction)) => moved.finish(&mut out, correction),
        _ => Ok(()),
    }
}

/// What is done to volumes before their regions are averaged, if anything is.
fn correction(args: &RegionsArgs, volumes: &Volumes) -> anyhow::Result<Option<Correction>> {
    let realign = args.realign.then(|| RealignConfig { censor: args.censor, ..RealignConfig::default() });
    let mut correction = Correction::new(&volumes.grid, realign.as_ref(), args.smooth)?;
    if let (Some(correction), Some(_)) = (&mut correction, realign) {
        if args.reference >= volumes.count {
            bail!("--reference {}: {} has {} volumes", args.reference, args.image.display(), volumes.count);
        }
        let reference = volumes.volume(args.reference)?;
        correction.refer_to(&reference).with_context(|| args.image.display().to_string())?;
    }
    Ok(correction)
}

/// The table of motion, as it grows.
struct Moved {
    table: Table,
    regressors: MotionRegressors,
    row: Vec<f64>,
    quality: SignalQuality,
    censored: u64,
    furthest: f64,
}

impl Moved {
    fn create(args: &RegionsArgs, regions: usize) -> anyhow::Result<Self> {
        let model = args.regressors.parse().ok().and_then(MotionModel::of).unwrap_or(MotionModel::Six);
        let beside = || {
            let stem = args.out.file_stem().unwrap_or_default().to_string_lossy();
            args.out.with_file_name(format!("{stem}_motion.tsv"))
        };
        let mut names = model.names();
        names.extend(["framewise_displacement", "dvars", "motion_outlier", "fit"].map(String::from));
        Ok(Self {
            table: Table::create(&args.motion.clone().unwrap_or_else(beside), &names)?,
            regressors: MotionRegressors::new(model),
            row: vec![0.0; model.len()],
            quality: SignalQuality::new(regions),
            censored: 0,
            furthest: 0.0,
        })
    }

    fn add(&mut self, motion: &HeadMotion, regions: &[f64]) -> anyhow::Result<()> {
        self.regressors.observe(motion.parameters, &mut self.row);
        self.censored += u64::from(motion.outlier);
        self.furthest = self.furthest.max(motion.displacement);
        let dvars = self.quality.observe(regions).unwrap_or(f64::NAN);
        let outlier = u8::from(motion.outlier).to_string();
        let tail = [number(motion.displacement), number(dvars), outlier, motion.fit.as_str().into()];
        self.table.add(self.row.iter().map(|v| number(*v)).chain(tail))
    }

    fn finish(mut self, out: &mut impl io::Write, correction: &Correction) -> anyhow::Result<()> {
        let path = self.table.path.clone();
        self.table.finish()?;
        let counts = correction.counts();
        let unfit = counts.not_converged + counts.empty;
        writeln!(
            out,
            "motion in {}: at most {:.2} mm between volumes, {} marked, {unfit} could not be realigned",
            path.display(),
            self.furthest,
            self.censored
        )?;
        let median = self.quality.median_tsnr();
        if median.is_finite() {
            writeln!(out, "tSNR {median:.1} in the median region")?;
        }
        Ok(())
    }
}

/// A table that appears when it is whole.
struct Table {
    path: PathBuf,
    partial: PathBuf,
    file: io::BufWriter<std::fs::File>,
    line: String,
}

impl Table {
    fn create(path: &Path, names: &[impl AsRef<str>]) -> anyhow::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = std::fs::File::create(&partial).with_context(|| path.display().to_string())?;
        let mut table = Self { path: path.into(), partial, file: io::BufWriter::new(file), line: String::new() };
        table.add(names.iter().map(|n| n.as_ref().replace(['\t', '\n', '\r'], " ")))?;
        Ok(table)
    }

    fn add(&mut self, cells: impl Iterator<Item = String>) -> anyhow::Result<()> {
        self.line.clear();
        for (i, cell) in cells.enumerate() {
            let between = if i > 0 { "\t" } else { "" };
            write!(self.line, "{between}{cell}")?;
        }
        self.line.push('\n');
        self.file.write_all(self.line.as_bytes()).with_context(|| self.path.display().to_string())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let whole = self.file.flush().and_then(|()| std::fs::rename(&self.partial, &self.path));
        whole.with_context(|| self.path.display().to_string())
    }
}

impl Drop for Table {
    /// What is not whole does not stay; once it has been moved to its place there is nothing here.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "n/a".into() }
}
