//! Learn from ten people's brains, then watch an eleventh live.
//!
//! The first ten are played as fast as the machine allows, the others as a live scanner with the service up (or, with
//! `--speed max`, like the first ten). What was learned crosses from the one to the other as it would over a restart of
//! the daemon: in a checkpoint.

mod live;
mod summary;

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::score::Scorer;
use super::{signals, table};
use crate::acquisition::file::Speed;
use crate::app::{AppError, InputConfig, Settings};
use crate::cli::DemoArgs;
use crate::encoders::EncoderConfig;
use crate::frame::{Clock, MonotonicClock};
use crate::runtime::replay::Step;
use crate::service::Place;
use summary::Summary;

/// How many people there are.
const PEOPLE: usize = 33;
/// How many teach before anyone is scored.
const TEACHERS: usize = 10;
/// Each person's runs: the suffix of the recording, the name of the run, when it began in the session (s).
const RUNS: [(&str, &str, f64); 3] =
    [("_ts.txt", "01", 0.0), ("_ts_run_03.tsv", "03", 836.0), ("_ts_run_07.tsv", "07", 2472.0)];

/// What came of playing.
#[derive(Default)]
struct Played {
    scorer: Scorer,
    /// The names of the regions.
    names: Vec<String>,
    /// From each volume's arrival to its frames, in µs.
    latencies: Vec<f64>,
}

/// Runs the demo.
///
/// # Errors
/// Missing data or model, with the command that fetches them; and whatever a daemon can fail with.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let scored = TEACHERS + 1..=people(&args.people)?;
    let speed = speed(&args.speed)?;
    let began = MonotonicClock.now();
    let mut teaching = settings(&args.cache, 1..=TEACHERS)?;
    let mut showing = settings(&args.cache, scored.clone())?;
    let stop = signals::stop_asked().context("signal handlers")?;
    let scratch = Scratch::new(&args.cache)?;
    for settings in [&mut teaching, &mut showing] {
        settings.session.state_dir = Some(scratch.0.clone());
    }
    let mut out = io::stdout();
    writeln!(out, "neurod demo: 33 people feel heat and rate it; fMRI of 122 brain regions, one volume every 2 s.")?;
    writeln!(
        out,
        "A text model reads each stimulus; ridge regression learns, volume by volume, what every region does next.\n"
    )?;
    showing.service.listen.clone_from(&args.listen);
    // Taken before the teachers are played, not after.
    let place = match speed {
        Speed::Max => None,
        Speed::Times(speed) => {
            let place = Place::take(&showing.service).map_err(AppError::from);
            Some((speed, place.with_context(|| format!("--listen {}", args.listen))?))
        }
    };
    writeln!(out, "learning from {}", named(&(1..=TEACHERS)))?;
    play(&teaching, &scratch.0, &stop)?;
    let played = match place {
        None => {
            writeln!(out, "predicting, then learning from, {}", named(&scored))?;
            play(&showing, &scratch.0, &stop)?
        }
        Some((speed, place)) => live::play(&mut showing, &named(&scored), speed, place, &stop)?,
    };
    let summary = Summary::new(played, &scored, MonotonicClock.now() - began);
    write!(out, "{}", table::summary(&summary.lines()))?;
    if let Some(path) = &args.summary {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(path, text + "\n").with_context(|| format!("--summary {}", path.display()))?;
    }
    Ok(())
}

/// How many people `--people` asks for.
fn people(text: &str) -> anyhow::Result<usize> {
    match text {
        "all" => Ok(PEOPLE),
        _ => text
            .parse()
            .ok()
            .filter(|n| (TEACHERS + 1..=PEOPLE).contains(n))
            .with_context(|| format!("--people {text}: give a number from {} to {PEOPLE}, or `all`", TEACHERS + 1)),
    }
}

fn speed(text: &str) -> anyhow::Result<Speed> {
    match text {
        "max" => Ok(Speed::Max),
        _ => match text.parse() {
            Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(Speed::Times(speed)),
            _ => bail!("--speed {text}: give a positive number (1 is real time), or `max`"),
        },
    }
}

/// `person 11`, or `people 11–13`.
fn named(people: &RangeInclusive<usize>) -> String {
    match people.start() == people.end() {
        true => format!("person {}", people.start()),
        false => format!("people {}–{}", people.start(), people.end()),
    }
}

/// Where what was learned is kept from the teachers to the others; gone with the demo, however that ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(cache: &Path) -> anyhow::Result<Self> {
        let folder = cache.join(format!("demo-{}", std::process::id()));
        let made = std::fs::create_dir_all(&folder).and_then(|()| folder.canonicalize());
        made.map(Self).with_context(|| format!("{}: cannot be made (set --cache)", folder.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind of a failed removal is a folder in the cache; there is nobody left to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `config/demo.toml`, for these people.
fn settings(cache: &Path, people: RangeInclusive<usize>) -> anyhow::Result<Settings> {
    let mut settings: Settings = toml::from_str(include_str!("../../../config/demo.toml"))?;
    let data = there(cache.join("data/heatpain"), "the recordings")?;
    let model = there(cache.join("models/minilm"), "the text model")?;
    let (mut files, mut events, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for person in people {
        // Not everyone has every run, but everyone has one.
        let before = files.len();
        for (suffix, run, offset) in RUNS {
            let file = data.join(format!("sub-{person:02}{suffix}"));
            if file.exists() {
                let event = format!("sub-{person:02}_task-heatpainwithregulationandratings_run-{run}_events.tsv");
                files.push(file);
                events.push(data.join(event));
                offsets.push(offset);
            }
        }
        if files.len() == before {
            return Err(missing(&data.join(format!("sub-{person:02}_ts.txt")), "a recording"));
        }
    }
    if let Some(source) = settings.sources.get_mut("scanner")
        && let InputConfig::Replay(replay) = &mut source.input
    {
        (replay.files, replay.events, replay.event_offset) = (files, events, offsets);
    }
    if let Some(EncoderConfig::Text(text)) = settings.encoders.get_mut("sentence") {
        text.model = model;
    }
    Ok(settings)
}

/// The folder's absolute path, if it is there.
fn there(folder: PathBuf, what: &str) -> anyhow::Result<PathBuf> {
    if folder.is_dir() { Ok(folder.canonicalize()?) } else { Err(missing(&folder, what)) }
}

fn missing(path: &Path, what: &str) -> anyhow::Error {
    let problem = format!(
        "{} is missing: {what}. Fetch them with `make assets` (once; about 150 MB), or set --cache",
        path.display()
    );
    io::Error::new(io::ErrorKind::NotFound, problem).into()
}

/// What a demo ends with that was asked to stop.
fn stopped() -> anyhow::Error {
    io::Error::new(io::ErrorKind::Interrupted, "stopped before the end").into()
}

/// Plays recordings as fast as possible, going on from what `state` holds and leaving there what was learned.
fn play(settings: &Settings, state: &Path, stop: &AtomicBool) -> anyhow::Result<Played> {
    let mut offline = settings.offline(Path::new(""), Some(state))?;
    let names = offline.regions.first().map(|regions| regions.names.clone()).unwrap_or_default();
    let mut played = Played { names, ..Played::default() };
    let bar = ProgressBar::new(offline.samples).with_style(
        ProgressStyle::with_template("{wide_bar:.cyan} {pos}/{len} volumes  {elapsed} (left {eta})  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut before = MonotonicClock.now();
    loop {
        let step = offline.replay.step(&mut |frame| played.scorer.frame(&Arc::new(frame)))?;
        let now = MonotonicClock.now();
        match step {
            Step::End => break,
            Step::Events => {}
            Step::Block { samples, .. } => {
                played.latencies.push((now - before) * 1e6);
                bar.inc(samples as u64);
                if played.latencies.len().is_multiple_of(50) {
                    let skill =
                        |p: &crate::runtime::Predictor| format!("{} R {:.3}", p.name(), p.learner().skill().r_mean());
                    bar.set_message(offline.replay.predictors.iter().map(skill).collect::<Vec<_>>().join(", "));
                }
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        before = now;
    }
    bar.finish_and_clear();
    for predictor in &offline.replay.predictors {
        predictor.save(state)?;
    }
    Ok(played)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_as_they_are_played() {
        assert_eq!((named(&(11..=11)), named(&(11..=13))), ("person 11".into(), "people 11–13".into()));
        assert_eq!((people("all").ok(), people("12").ok(), people("10").ok()), (Some(33), Some(12), None));
    }

    #[test]
    fn the_scratch_folder_goes_with_whoever_made_it() {
        let cache = tempfile::tempdir().unwrap();
        let failing = || -> anyhow::Result<()> {
            let scratch = Scratch::new(cache.path())?;
            std::fs::write(scratch.0.join("regions.ridge"), "learned")?;
            bail!("the network is down")
        };
        assert!(failing().is_err());
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
