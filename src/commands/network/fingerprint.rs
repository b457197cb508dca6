//! How long must one be seen to be known? The live connectome of one session, looked for in another.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use ndarray::Array2;
use serde_json::json;

use crate::acquisition::file::ReplayConfig;
use crate::acquisition::{Pull, Source};
use crate::cli::FingerprintArgs;
use crate::commands::table;
use crate::frame::{Block, ChannelMask, Instant};
use crate::network::connectome::fisher_z;
use crate::network::{SlidingWindow, fingerprint};

/// One session of one person: regions' names, and volumes with what is missing of them.
struct Scan {
    regions: Vec<String>,
    volumes: Vec<(Vec<f64>, ChannelMask)>,
}

/// Looks for everybody, with each window.
///
/// # Errors
/// Tables that cannot be read, or differ in their regions; a window that a session is too short for; fewer than two people.
pub fn run(args: &FingerprintArgs) -> anyhow::Result<()> {
    let (first, second) = (session(args, &args.first)?, session(args, &args.second)?);
    let people: Vec<&String> = first.keys().filter(|person| second.contains_key(*person)).collect();
    let alone = first.len() + second.len() - 2 * people.len();
    if people.len() < 2 {
        bail!(
            "{}: {} people have a table named with \"{}\" and one with \"{}\" (two are the least; see --first and --second)",
            args.data.display(),
            people.len(),
            args.first,
            args.second
        );
    }
    let all = || people.iter().flat_map(|person| [(*person, &first[*person]), (*person, &second[*person])]);
    let regions = &first[people[0]].regions;
    if let Some((person, scan)) = all().find(|(_, scan)| scan.regions != *regions) {
        bail!("{person}: {} regions, or other ones than the {} of {}", scan.regions.len(), regions.len(), people[0]);
    }
    let mut results = Vec::new();
    for window in &args.windows {
        if *window < 3 {
            bail!("--windows {window}: three volumes are the least");
        }
        if let Some((person, scan)) = all().find(|(_, scan)| scan.volumes.len() < args.skip + window) {
            let has = scan.volumes.len();
            bail!(
                "{person}: {has} volumes, but --skip {} and --windows {window} take {}",
                args.skip,
                args.skip + window
            );
        }
        let profiles = |session: &BTreeMap<String, Scan>| -> Vec<Vec<f64>> {
            people.iter().map(|person| profile(&session[*person], args.skip, *window)).collect()
        };
        results.push((*window, fingerprint::identified(&profiles(&first), &profiles(&second))));
    }
    if alone > 0 {
        writeln!(io::stderr(), "{alone} people have one session only and are left out")?;
    }
    let share = |found: usize| found as f64 / people.len() as f64;
    if args.json {
        let windows =
            results.iter().map(|(w, found)| json!({ "volumes": w, "identified": found, "accuracy": share(*found) }));
        let said = json!({ "people": people.len(), "regions": regions.len(), "windows": windows.collect::<Vec<_>>() });
        writeln!(io::stdout(), "{said}")?;
        return Ok(());
    }
    let row = |(window, found): &(usize, usize)| {
        vec![window.to_string(), format!("{found} of {}", people.len()), format!("{:.1} %", 100.0 * share(*found))]
    };
    let rows: Vec<Vec<String>> = results.iter().map(row).collect();
    write!(io::stdout(), "{}", table::rows(&["volumes", "identified", "accuracy"], &rows))?;
    writeln!(io::stdout(), "chance: {:.1} %", 100.0 * share(1))?;
    Ok(())
}

/// The network of `window` volumes after the first `skip`, as the live window has it.
fn profile(scan: &Scan, skip: usize, window: usize) -> Vec<f64> {
    let n = scan.regions.len();
    let mut sliding = SlidingWindow::new(n, window);
    // From the beginning on, as it would be live: what is passed over has left the window again.
    scan.volumes.iter().take(skip + window).for_each(|(volume, bad)| sliding.push(volume, bad));
    let mut network = Array2::zeros((n, n));
    if let Some(out) = network.as_slice_mut() {
        sliding.correlation(out);
    }
    fisher_z(&mut network);
    fingerprint::profile(network.view())
}

/// The tables whose names contain `text`, by person.
fn session(args: &FingerprintArgs, text: &str) -> anyhow::Result<BTreeMap<String, Scan>> {
    let place = || args.data.display().to_string();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&args.data).with_context(place)? {
        files.push(entry.with_context(place)?.path());
    }
    files.sort_unstable();
    let mut scans = BTreeMap::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_table = [".tsv", ".csv", ".txt", ".npy"].iter().any(|ending| name.ends_with(ending));
        let is_other = ["_events.tsv", "participants.tsv"].iter().any(|ending| name.ends_with(ending));
        if !name.contains(text) || !is_table || is_other {
            continue;
        }
        let person = name.split('_').next().unwrap_or_default().to_owned();
        let scan = read(&file, &args.drop_columns)?;
        if scans.insert(person.clone(), scan).is_some() {
            bail!("{}: {person} has several tables named with \"{text}\" (name one session)", place());
        }
    }
    Ok(scans)
}

fn read(file: &Path, drop_columns: &[String]) -> anyhow::Result<Scan> {
    let config = ReplayConfig {
        files: vec![file.to_owned()],
        // Windows are counted in volumes here, so how long one takes does not matter.
        tr: Some(1.0),
        drop_columns: drop_columns.to_vec(),
        block: Some(1),
        ..ReplayConfig::default()
    };
    let mut samples = config.open(Path::new(""), Instant::default())?.samples;
    let regions = samples.spec().channels.iter().map(|channel| channel.name.clone()).collect();
    let (mut block, mut volumes) = (Block::new(samples.spec()), Vec::new());
    while samples.pull(&mut block, Duration::ZERO)? == Pull::Data {
        volumes.extend(block.samples().map(|volume| (volume.to_vec(), block.bad.clone())));
    }
    Ok(Scan { regions, volumes })
}
