//! How does a data set come in? Read by its format, and written as a folder of arrays.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use ndarray_npy::WritableElement;

use super::design::progress;
use crate::cli::{BidsArgs, Bold5000Args, ImportCommand, ImportTo, NpzArgs, PereiraArgs};
use crate::datasets::bids::Bids;
use crate::datasets::bold5000::Bold5000;
use crate::datasets::npz::Npz;
use crate::datasets::pereira::Pereira;
use crate::datasets::{Plain, grid_of, vacant};
use crate::linalg::Real;

/// Imports.
///
/// # Errors
/// A source that cannot be read, a folder that is not free, what the disk says.
pub fn run(format: &ImportCommand) -> anyhow::Result<()> {
    match format {
        ImportCommand::Bold5000(args) => bold5000(args),
        ImportCommand::Pereira(args) => pereira(args),
        ImportCommand::Bids(args) => bids(args),
        ImportCommand::Npz(args) => npz(args),
    }
}

fn bold5000(args: &Bold5000Args) -> anyhow::Result<()> {
    vacant(&args.to.out, args.to.force)?;
    let number = args.subject.to_uppercase();
    let number = number.strip_prefix("CSI").unwrap_or(&number).trim_start_matches('0').parse();
    let Ok(subject @ 1..=4) = number else {
        bail!("--subject {}: there are CSI1, CSI2, CSI3 and CSI4", args.subject);
    };
    let twice = args.tr.iter().collect::<BTreeSet<_>>().len() < args.tr.len();
    if twice || args.tr.iter().any(|tr| tr.trim().is_empty()) {
        bail!("--tr {}: name each volume once, e.g. --tr 3,4", args.tr.join(","));
    }
    let bar = progress(0, "files");
    let source = Bold5000 {
        source: args.source.clone(),
        subject,
        volumes: args.tr.clone(),
        trials_a_run: args.trials_a_run,
        pictures: args.pictures.clone(),
    };
    let plain = source.read(&shown(&bar))?;
    bar.finish_and_clear();
    write(&plain, &args.to)
}

fn pereira(args: &PereiraArgs) -> anyhow::Result<()> {
    vacant(&args.to.out, args.to.force)?;
    let source = Pereira {
        source: args.source.clone(),
        networks: args.networks.clone(),
        by_roi: args.by_roi,
        repeat: args.repeat,
        subject: args.subject.clone(),
        grid: args.grid.as_deref().map(grid_of).transpose()?,
    };
    let bar = reading(&args.source);
    let plain = source.read()?;
    bar.finish_and_clear();
    write(&plain, &args.to)
}

fn bids(args: &BidsArgs) -> anyhow::Result<()> {
    vacant(&args.to.out, args.to.force)?;
    let bar = progress(0, "volumes");
    let source = Bids {
        images: args.images.clone(),
        events: args.events.clone(),
        samples: args.samples.clone(),
        mask: args.mask.clone(),
        labels: args.dseg.clone(),
        names: args.labels.clone(),
        mean: args.mean,
        tr: args.tr,
        detrend: args.detrend,
        standardize: args.standardize,
        text: args.text.clone(),
        rest: args.rest.clone(),
    };
    let plain = source.read(&shown(&bar))?;
    bar.finish_and_clear();
    write(&plain, &args.to)
}

fn npz(args: &NpzArgs) -> anyhow::Result<()> {
    vacant(&args.to.out, args.to.force)?;
    let mut source = Npz::open(&args.source, args.responses.as_deref(), &args.features)?;
    match source.is_double()? {
        true => npz_of::<f64>(source, args),
        false => npz_of::<f32>(source, args),
    }
}

fn npz_of<T: Real + WritableElement>(source: Npz, args: &NpzArgs) -> anyhow::Result<()> {
    let bar = reading(&args.source);
    let plain = source.read::<T>()?;
    bar.finish_and_clear();
    write(&plain, &args.to)
}

/// A sign of life where nothing tells how much there is to read, on a terminal.
fn reading(path: &Path) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(format!("reading {}", path.display()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Moves `bar` to where the reading is.
fn shown(bar: &ProgressBar) -> impl Fn(u64, u64) + '_ {
    move |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    }
}

fn write<T: WritableElement>(plain: &Plain<T>, to: &ImportTo) -> anyhow::Result<()> {
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    plain.write(&to.out, to.force, &command)?;
    let kinds = |cells: Option<&[String]>| {
        cells.map(|cells| cells.iter().filter(|c| !c.is_empty()).collect::<BTreeSet<_>>().len())
    };
    let (n, v) = plain.responses.dim();
    let regions = plain.voxels.iter().map(|voxel| &voxel.region).collect::<BTreeSet<_>>().len();
    let counts = [("run", kinds(plain.column("run"))), ("stimulus", kinds(plain.column("stimulus")))];
    let counts =
        counts.iter().filter_map(|(name, count)| Some(format!(", {} of `{name}`", (*count)?))).collect::<String>();
    let mut out = io::stdout();
    writeln!(out, "{}: {n} samples of {v} voxels in {regions} regions{counts}", to.out.display())?;
    plain.notes.iter().try_for_each(|note| writeln!(out, "  {note}"))?;
    Ok(())
}
