//! `neurod regions`: a 4D image becomes a table, a row a volume, by the code that runs live.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::encode::design::progress;
use crate::acquisition::file::{Images, Reduction, Volumes};
use crate::cli::{RegionsArgs, Resampling};
use crate::fmri::{
    Censor, Displacement, Fit, Interpolation, Motion, MotionModel, MotionRegressors, RealignConfig, Realigner,
    SignalQuality, Smoother,
};

/// Volumes after one that moved that are marked with it: its signal settles over about so many.
const AFTER: u32 = 1;

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
    let mut cleaned = Cleaned::new(args, &volumes)?;
    let mut table = Table::create(&args.out, &names)?;
    let mut moved = args.realign.then(|| Moved::create(args, names.len())).transpose()?;

    let bar = progress(volumes.count as usize, "volumes");
    let mut stream = volumes.stream(0)?;
    let mut row = vec![0.0; names.len()];
    let mut left_out = 0;
    for _ in 0..volumes.count {
        stream.next_volume()?;
        let motion = cleaned.take(|voxel| stream.value(voxel));
        left_out += match &cleaned.volume {
            Some(volume) => {
                let at = |voxel: usize| volume.get(voxel).map_or(f64::NAN, |v| f64::from(*v));
                reduction.atlas.gather().means(at, &mut row)
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
    match (moved, &cleaned.realigner) {
        (Some(moved), Some(realigner)) => moved.finish(&mut out, realigner),
        _ => Ok(()),
    }
}

/// What is done to a volume before its regions are averaged.
struct Cleaned {
    realigner: Option<Realigner>,
    smoother: Option<Smoother>,
    raw: Vec<f32>,
    /// The volume as it is averaged; `None` where it is averaged as it was read.
    volume: Option<Vec<f32>>,
}

impl Cleaned {
    fn new(args: &RegionsArgs, volumes: &Volumes) -> anyhow::Result<Self> {
        let voxels = volumes.grid.voxels();
        let mut raw = vec![0.0; voxels];
        let smoother = args.smooth.map(|fwhm| Smoother::new(&volumes.grid, fwhm)).transpose()?;
        let mut realigner = None;
        if args.realign {
            if args.reference >= volumes.count {
                bail!("--reference {}: {} has {} volumes", args.reference, args.image.display(), volumes.count);
            }
            let mut stream = volumes.stream(args.reference)?;
            stream.next_volume()?;
            raw.iter_mut().enumerate().for_each(|(i, v)| *v = stream.value(i) as f32);
            let made = Realigner::new(&volumes.grid, &raw, &RealignConfig::default());
            realigner = Some(made.with_context(|| args.image.display().to_string())?);
        }
        let volume = (args.realign || args.smooth.is_some()).then(|| vec![0.0; voxels]);
        Ok(Self { realigner, smoother, raw, volume })
    }

    fn take(&mut self, value: impl Fn(usize) -> f64) -> Option<Motion> {
        let volume = self.volume.as_mut()?;
        self.raw.iter_mut().enumerate().for_each(|(i, v)| *v = value(i) as f32);
        let mut motion = None;
        match &mut self.realigner {
            Some(realigner) => {
                motion = Some(realigner.realign(&self.raw));
                realigner.reslice(volume, f32::NAN);
            }
            None => volume.copy_from_slice(&self.raw),
        }
        if let Some(smoother) = &mut self.smoother {
            // As nilearn does: one missing voxel must not reach as far as the kernel.
            volume.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 0.0);
            smoother.smooth(volume);
        }
        motion
    }
}

/// The table of motion, as it grows.
struct Moved {
    table: Table,
    displacement: Displacement,
    censor: Censor,
    regressors: MotionRegressors,
    row: Vec<f64>,
    quality: SignalQuality,
    regions: usize,
    censored: u64,
    furthest: f64,
}

impl Moved {
    fn create(args: &RegionsArgs, regions: usize) -> anyhow::Result<Self> {
        let model = match args.regressors.as_str() {
            "24" => MotionModel::TwentyFour,
            "12" => MotionModel::Twelve,
            _ => MotionModel::Six,
        };
        let beside = || {
            let stem = args.out.file_stem().unwrap_or_default().to_string_lossy();
            args.out.with_file_name(format!("{stem}_motion.tsv"))
        };
        let mut names = model.names();
        names.extend(["framewise_displacement", "dvars", "motion_outlier", "fit"].map(String::from));
        Ok(Self {
            table: Table::create(&args.motion.clone().unwrap_or_else(beside), &names)?,
            displacement: Displacement::default(),
            censor: Censor::new(args.censor, AFTER),
            regressors: MotionRegressors::new(model),
            row: vec![0.0; model.len()],
            quality: SignalQuality::new(regions),
            regions,
            censored: 0,
            furthest: 0.0,
        })
    }

    fn add(&mut self, motion: &Motion, regions: &[f64]) -> anyhow::Result<()> {
        let parameters = motion.rigid.parameters();
        self.regressors.observe(parameters, &mut self.row);
        let displacement = self.displacement.observe(parameters);
        // Where a volume lay that did not fit is not known.
        let known = if motion.fit == Fit::Converged { displacement } else { Some(f64::NAN) };
        let censored = self.censor.observe(known);
        self.censored += u64::from(censored);
        self.furthest = self.furthest.max(displacement.unwrap_or(0.0));
        let dvars = self.quality.observe(regions);
        let fit = match motion.fit {
            Fit::Converged => "converged",
            Fit::NotConverged => "not_converged",
            Fit::Empty => "empty",
        };
        let optional = |v: Option<f64>| v.map_or_else(|| "n/a".into(), number);
        let tail = [optional(known), optional(dvars), u8::from(censored).to_string(), fit.into()];
        self.table.add(self.row.iter().map(|v| number(*v)).chain(tail))
    }

    fn finish(self, out: &mut impl io::Write, realigner: &Realigner) -> anyhow::Result<()> {
        let path = self.table.path.clone();
        self.table.finish()?;
        let counts = realigner.counts();
        let unfit = counts.not_converged + counts.empty;
        writeln!(
            out,
            "motion in {}: at most {:.2} mm between volumes, {} marked, {unfit} could not be realigned",
            path.display(),
            self.furthest,
            self.censored
        )?;
        let mut tsnr: Vec<f64> = (0..self.regions).map(|r| self.quality.tsnr(r)).filter(|t| t.is_finite()).collect();
        tsnr.sort_by(f64::total_cmp);
        if let Some(median) = tsnr.get(tsnr.len() / 2) {
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
