//! Learn from ten people's brains, then watch an eleventh live.
//!
//! The first ten are played as fast as the machine allows, the others as a live scanner with the service up (or, with
//! `--speed max`, like the first ten). What was learned crosses from the one to the other as it would over a restart of
//! the daemon: in a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::score::Scorer;
use super::table;
use crate::acquisition::file::Speed;
use crate::app::live::{Shared, wait_until_ready};
use crate::app::{InputConfig, Settings};
use crate::cli::DemoArgs;
use crate::frame::{Clock, MonotonicClock};
use crate::publish::{FramePort, Outgoing};
use crate::runtime::metrics::Metrics;
use crate::runtime::replay::Step;
use crate::service::{FrameBus, Place, Service};

/// How many people there are.
const PEOPLE: usize = 33;
/// How many teach before anyone is scored.
const TEACHERS: usize = 10;
/// Each person's runs: the suffix of the recording, the name of the run, when it began in the session (s).
const RUNS: [(&str, &str, f64); 3] =
    [("_ts.txt", "01", 0.0), ("_ts_run_03.tsv", "03", 836.0), ("_ts_run_07.tsv", "07", 2472.0)];

/// What `--summary` writes.
#[derive(Debug, Serialize)]
struct Summary {
    /// How many people were played.
    people: usize,
    /// Which of them were scored, first and last.
    scored: (usize, usize),
    /// Volumes scored.
    volumes: u64,
    /// Frames published meanwhile.
    frames: u64,
    /// Pooled Pearson R, mean of the regions.
    r_mean: f64,
    /// The same of the best region.
    r_max: f64,
    /// The best regions with their R.
    best_regions: Vec<(String, f64)>,
    /// Mean absolute error, in z.
    mae: f64,
    /// The same as `r_mean`, of the baseline that knows the design but no words.
    r_mean_onehot: f64,
    /// From a volume's arrival to its frames: real time.
    latency_us: Latency,
    /// Volumes learned from, the teachers' included.
    updates: u64,
    /// Real seconds for everything.
    elapsed_s: f64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// Runs the demo.
///
/// # Errors
/// Missing data or model, with the command that fetches them; and whatever a daemon can fail with.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let people =
        match args.people.as_str() {
            "all" => PEOPLE,
            text => text.parse().ok().filter(|n| (TEACHERS + 1..=PEOPLE).contains(n)).with_context(|| {
                format!("--people {text}: give a number from {} to {PEOPLE}, or `all`", TEACHERS + 1)
            })?,
        };
    let speed = match args.speed.as_str() {
        "max" => Speed::Max,
        text => match text.parse() {
            Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Speed::Times(speed),
            _ => bail!("--speed {text}: give a positive number (1 is real time), or `max`"),
        },
    };
    let began = MonotonicClock.now();
    let state = tempfile_folder(&args.cache)?;
    let mut settings = settings(&args.cache, 1..=TEACHERS)?;
    settings.session.state_dir = Some(state.clone());
    println!("neurod demo: 33 people feel heat and rate it; fMRI of 122 brain regions, one volume every 2 s.");
    println!(
        "A text model reads each stimulus; ridge regression learns, volume by volume, what every region does next.\n"
    );
    let (_, _) = play(&settings, &format!("learning from people 1–{TEACHERS}"), None, Some(&state))?;

    let scored = TEACHERS + 1..=people;
    let mut settings = self::settings(&args.cache, scored.clone())?;
    settings.session.state_dir = Some(state.clone());
    let (scorer, latencies) = match speed {
        Speed::Max => {
            let title = format!("predicting, then learning from, people {}–{people}", TEACHERS + 1);
            play(&settings, &title, Some(&state), Some(&state))?
        }
        Speed::Times(speed) => live(&mut settings, speed, &args.listen)?,
    };
    let summary = summarise(&settings, &scorer, latencies, people, &state, MonotonicClock.now() - began)?;
    // Everything in it has been read; what stays behind of a failed removal is a folder in the cache.
    let _ = std::fs::remove_dir_all(&state);
    print!("{}", table::summary(&summary_lines(&summary)));
    if let Some(path) = &args.summary {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(path, text + "\n").with_context(|| format!("--summary {}", path.display()))?;
    }
    Ok(())
}

/// `config/demo.toml`, for these people.
fn settings(cache: &Path, people: std::ops::RangeInclusive<usize>) -> anyhow::Result<Settings> {
    let mut settings: Settings = toml::from_str(include_str!("../../config/demo.toml"))?;
    let data = cache.join("data/heatpain");
    let model = cache.join("models/minilm");
    for (path, what) in [(&data, "the recordings"), (&model, "the text model")] {
        if !path.is_dir() {
            bail!(
                "{} is missing: {what}. Fetch them with `make assets` (once; about 150 MB), or set --cache",
                path.display()
            );
        }
    }
    let absolute = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let (mut files, mut events, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for person in people {
        for (suffix, run, offset) in RUNS {
            let file = data.join(format!("sub-{person:02}{suffix}"));
            if !file.exists() {
                continue;
            }
            let event = format!("sub-{person:02}_task-heatpainwithregulationandratings_run-{run}_events.tsv");
            files.push(absolute(file));
            events.push(absolute(data.join(event)));
            offsets.push(offset);
        }
    }
    if let Some(source) = settings.sources.get_mut("scanner")
        && let InputConfig::Replay(replay) = &mut source.input
    {
        (replay.files, replay.events, replay.event_offset) = (files, events, offsets);
    }
    if let Some(crate::encoders::EncoderConfig::Text(text)) = settings.encoders.get_mut("sentence") {
        text.model = absolute(model);
    }
    Ok(settings)
}

fn tempfile_folder(cache: &Path) -> anyhow::Result<PathBuf> {
    let folder = cache.join(format!("demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made (set --cache)", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// Plays recordings as fast as possible: what was scored, and how long each volume took (µs).
fn play(
    settings: &Settings,
    title: &str,
    resume: Option<&Path>,
    save: Option<&Path>,
) -> anyhow::Result<(Scorer, Vec<f64>)> {
    let mut offline = settings.offline(Path::new(""), resume)?;
    let bar = ProgressBar::new(offline.samples).with_style(
        ProgressStyle::with_template("{prefix}\n{wide_bar:.cyan} {pos}/{len} volumes  {elapsed} (left {eta})  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(title.to_owned());
    let (mut scorer, mut latencies) = (Scorer::default(), Vec::new());
    let mut before = MonotonicClock.now();
    offline.replay.run(&mut |frame| scorer.frame(&Arc::new(frame)), |replay, step| {
        let now = MonotonicClock.now();
        if let Step::Block { samples, .. } = step {
            latencies.push((now - before) * 1e6);
            bar.inc(samples as u64);
            if latencies.len() % 50 == 0 {
                let skill =
                    replay.predictors.iter().map(|p| format!("{} R {:.3}", p.name(), p.learner().skill().r_mean()));
                bar.set_message(skill.collect::<Vec<_>>().join(", "));
            }
        }
        before = now;
    })?;
    bar.finish();
    if let Some(folder) = save {
        for predictor in &offline.replay.predictors {
            predictor.save(folder)?;
        }
    }
    Ok((scorer, latencies))
}

/// Scores what passes, and hands it on to the service.
struct Tap {
    scorer: Mutex<(Scorer, Vec<f64>)>,
    names: Mutex<Vec<String>>,
    speed: f64,
    next: Arc<dyn FramePort>,
}

impl FramePort for Tap {
    fn send(&self, message: Outgoing) {
        if let Outgoing::Regions(regions) = &message {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&regions.names);
        }
        if let Outgoing::Frame(frame) = &message {
            let mut tap = self.scorer.lock().unwrap_or_else(PoisonError::into_inner);
            tap.0.frame(frame);
            if frame.kind == crate::frame::FrameKind::Residual {
                tap.1.push((frame.t_published - frame.t_arrived) / self.speed * 1e6);
            }
        }
        self.next.send(message);
    }
}

/// Plays one person as a live scanner, with the service up.
fn live(settings: &mut Settings, speed: f64, listen: &str) -> anyhow::Result<(Scorer, Vec<f64>)> {
    for source in settings.sources.values_mut() {
        if let InputConfig::Replay(replay) = &mut source.input {
            replay.speed = Speed::Times(speed);
        }
    }
    settings.session.realtime_priority = 0;
    settings.service.listen = listen.to_owned();
    let volumes: u64 = 591;
    let session = settings.live_session()?;
    let metrics = Metrics::new(session.id())?;
    let bus = FrameBus::new(&metrics);
    let tap = Arc::new(Tap {
        scorer: Mutex::default(),
        names: Mutex::default(),
        speed,
        next: Arc::clone(&bus) as Arc<dyn FramePort>,
    });
    let shared = Shared { session, port: Arc::clone(&tap) as Arc<dyn FramePort>, metrics: Arc::clone(&metrics) };
    let place = Place::take(&settings.service)?;
    let live = settings.start(Path::new(""), shared)?;
    let service = Service::start(place, live.parts(settings, &metrics, bus))?;
    let missing = wait_until_ready(&live.status, Duration::from_secs(30));
    if let Some((part, why)) = missing.first() {
        bail!("{part}: {why}");
    }
    service.mark_ready();
    println!("person {} now, live at {speed}×. Watch: http://{}/", TEACHERS + 1, service.local_addr());
    let board = table::Board::new("regions");
    while !live.lanes.finished() && live.status.failure().is_none() {
        std::thread::sleep(Duration::from_millis(250));
        let names = tap.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tap = tap.scorer.lock().unwrap_or_else(PoisonError::into_inner);
        board.draw(&tap.0, &names, volumes);
    }
    board.end();
    let failure = live.status.failure();
    live.lanes.stop(Duration::from_secs(5));
    service.stop(Duration::from_secs(2));
    if let Some(failure) = failure {
        bail!(failure.problem);
    }
    let mut tap = tap.scorer.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *tap))
}

fn summarise(
    settings: &Settings,
    scorer: &Scorer,
    mut latencies: Vec<f64>,
    people: usize,
    state: &Path,
    elapsed_s: f64,
) -> anyhow::Result<Summary> {
    let offline = settings.offline(Path::new(""), Some(state))?;
    let names = &offline.regions.first().context("no regions")?.names;
    let r = scorer.r("regions");
    let mut best: Vec<(String, f64)> = names.iter().cloned().zip(r.iter().copied()).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best.truncate(5);
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| latencies.get(((latencies.len().saturating_sub(1)) as f64 * q) as usize).copied();
    let updates = offline.replay.predictors.iter().find(|p| &**p.name() == "regions").map(|p| p.learner().updates());
    Ok(Summary {
        people,
        scored: (TEACHERS + 1, people),
        volumes: scorer.volumes,
        frames: scorer.frames,
        r_mean: scorer.r_mean("regions"),
        r_max: best.first().map_or(f64::NAN, |(_, r)| *r),
        best_regions: best,
        mae: scorer.mae("regions"),
        r_mean_onehot: scorer.r_mean("onehot"),
        latency_us: Latency { p50: quantile(0.5).unwrap_or(f64::NAN), p99: quantile(0.99).unwrap_or(f64::NAN) },
        updates: updates.unwrap_or(0),
        elapsed_s,
    })
}

fn summary_lines(summary: &Summary) -> Vec<(String, String)> {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let best = summary.best_regions.iter().map(|(name, r)| format!("{name} {r:.3}")).collect::<Vec<_>>();
    vec![
        line("scored", format!("people {}–{}, {} volumes", summary.scored.0, summary.scored.1, summary.volumes)),
        line("mean R, sentences", format!("{:.4} (each volume predicted before it was learned from)", summary.r_mean)),
        line("mean R, one-hot design", format!("{:.4} (the baseline: no words)", summary.r_mean_onehot)),
        line("best regions", best.join(", ")),
        line("mean absolute error", format!("{:.3} z", summary.mae)),
        line("volume to frames", format!("p50 {:.0} µs, p99 {:.0} µs", summary.latency_us.p50, summary.latency_us.p99)),
        line("learned from", format!("{} volumes", summary.updates)),
        line("took", format!("{:.1} s", summary.elapsed_s)),
    ]
}
