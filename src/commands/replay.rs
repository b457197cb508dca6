//! Play a recording: through a configuration's predictors as fast as possible, or out as live LSL streams.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::acquisition::file::{Recorded, ReplayConfig};
use crate::acquisition::{EventSource, Pull, Source};
use crate::app::offline::Offline;
use crate::app::wiring;
use crate::cli::ReplayArgs;
use crate::frame::{Block, Clock, Event, Instant, MonotonicClock};
use crate::native;
use crate::publish::lsl::{LslMarkerOutlet, LslReplayOutlet};
use crate::publish::wire;
use crate::ridge::Learner;
use crate::runtime::replay::Step;

/// Plays what was asked for.
///
/// # Errors
/// What cannot be read, or written.
pub fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    match (&args.file, &args.lsl) {
        (Some(file), Some(name)) => as_streams(args, file, name),
        (None, Some(name)) => bail!(
            "--lsl {name}: no FILE to play (`neurod replay FILE --lsl NAME`; a configuration that sends LSL is for `neurod run`)"
        ),
        _ => through_predictors(args),
    }
}

/// Frames as JSON lines, on virtual time: the same bytes every time.
fn through_predictors(args: &ReplayArgs) -> anyhow::Result<()> {
    if args.speed.as_deref().is_some_and(|speed| speed != "max") {
        bail!("--speed with --config: a configuration is replayed as fast as possible (at its own pace: `neurod run`)");
    }
    let (settings, base) = wiring::load(&args.config)?;
    let mut offline = settings.offline(&base, settings.session.state_dir.as_deref())?;
    let to_file = args.out.as_os_str() != "-";
    let (mut out, place): (Box<dyn Write>, String) = match to_file {
        true => {
            let place = format!("--out {}", args.out.display());
            (Box::new(BufWriter::new(File::create(&args.out).with_context(|| place.clone())?)), place)
        }
        false => (Box::new(BufWriter::new(io::stdout().lock())), "standard output".into()),
    };
    let bar = bar(offline.samples, to_file);
    let began = MonotonicClock.now();
    let frames = write_frames(&mut offline, &mut out, &place, &bar)?;
    bar.finish_and_clear();
    let elapsed = MonotonicClock.now() - began;
    let skill: BTreeMap<&str, Skill> =
        offline.replay.predictors.iter().map(|p| (&**p.name(), Skill::of(p.learner()))).collect();
    let session = offline.replay.session.id();
    // Standard output may be full of frames.
    let mut said = io::stderr();
    if args.json {
        let summary = json!({ "session": &**session, "frames": frames, "elapsed_s": elapsed, "skill": skill });
        writeln!(said, "{summary}")?;
        return Ok(());
    }
    writeln!(said, "{frames} frames in {elapsed:.1} s, session {session}")?;
    for (name, Skill { r_mean, r_max, mae, .. }) in skill {
        writeln!(said, "  {name}: mean R {r_mean:.4}, max {r_max:.3}, MAE {mae:.3}")?;
    }
    Ok(())
}

/// Plays to the end, or until what is written to (`place`) takes no more; how many frames were written.
fn write_frames(offline: &mut Offline, out: &mut dyn Write, place: &str, bar: &ProgressBar) -> anyhow::Result<u64> {
    for regions in &offline.regions {
        write_line(out, &**regions).with_context(|| place.to_owned())?;
    }
    let mut frames = 0;
    loop {
        let mut written = Ok(());
        let step = offline.replay.step(&mut |frame| {
            if written.is_ok() {
                written = write_line(out, &frame);
                frames += 1;
            }
        })?;
        written.with_context(|| place.to_owned())?;
        for ranking in offline.replay.take_identified() {
            write_line(out, &ranking).with_context(|| place.to_owned())?;
        }
        for message in offline.replay.take_said() {
            writeln!(out, "{}", wire::line(&message)?).with_context(|| place.to_owned())?;
            frames += 1;
        }
        match step {
            Step::Block { samples, .. } => bar.inc(samples as u64),
            Step::Events => {}
            Step::End => break,
        }
    }
    out.flush().with_context(|| place.to_owned())?;
    Ok(frames)
}

fn write_line(out: &mut dyn Write, message: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, message)?;
    out.write_all(b"\n")
}

/// How well one predictor did, each volume predicted before it was learned from.
#[derive(Serialize)]
struct Skill {
    r_mean: f64,
    r_max: f64,
    mae: f64,
    updates: u64,
}

impl Skill {
    fn of(learner: &Learner) -> Self {
        let skill = learner.skill();
        Self { r_mean: skill.r_mean(), r_max: skill.r_max(), mae: skill.mae(), updates: learner.updates() }
    }
}

fn bar(length: u64, shown: bool) -> ProgressBar {
    let bar = if shown { ProgressBar::new(length) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{wide_bar:.cyan} {pos}/{len} samples  {elapsed} (left {eta})");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How long a client is given to fetch what was sent last, in seconds.
const LINGER: f64 = 2.0;

/// LSL streams in the recording's own time, stamped with this machine's clock: NAME and NAME-events.
fn as_streams(args: &ReplayArgs, file: &Path, name: &str) -> anyhow::Result<()> {
    let speed = match args.speed.as_deref().unwrap_or("1") {
        "max" => bail!("--speed max: an LSL stream has a rate; give a factor"),
        text => match text.parse::<f64>() {
            Ok(speed) if speed > 0.0 && speed.is_finite() => speed,
            _ => bail!("--speed {text}: give a positive number; 1 is real time"),
        },
    };
    native::load_lsl(None)?;
    let config = ReplayConfig {
        files: vec![file.to_owned()],
        events: args.events.iter().cloned().collect(),
        tr: args.tr,
        rate: args.rate,
        labels: args.labels.clone(),
        block: Some(1),
        ..ReplayConfig::default()
    };
    let mut recording = config.open(Path::new(""), Instant::default())?;
    let mut spec = recording.samples.spec().clone();
    // At N times the speed a stream has N times the rate: its stamps are real time.
    spec.rate *= speed;
    let stem = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let kind = spec.channels.first().map_or("EEG", |c| c.kind.as_str()).to_owned();
    let stream_type = if kind == "REGION" { "fMRI" } else { "EEG" };
    let mut outlet = LslReplayOutlet::open(name, stream_type, &spec, &format!("replay-{name}-{stem}"))?;
    let events_name = format!("{name}-events");
    let mut markers = match recording.events {
        Some(_) => Some(LslMarkerOutlet::open(&events_name, &format!("replay-{events_name}-{stem}"))?),
        None => None,
    };
    eprintln!(
        "stream \"{name}\": {} channels at {:.4} Hz, {speed}×; waiting for someone to listen",
        spec.channels.len(),
        spec.rate
    );
    while !outlet.wait_for_consumers(1.0) {}
    let bar = bar(recording.timetable.samples(), true);
    let mut block = Block::new(recording.samples.spec());
    let began = MonotonicClock.now() + 0.2;
    let real = |recorded: Instant| began + recorded.seconds() / speed;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let next_event = recording.events.as_ref().and_then(Recorded::peek);
        let next_sample = recording.samples.peek();
        let at = match (next_event, next_sample) {
            (None, None) => break,
            (Some(e), Some(s)) => {
                if e <= s {
                    e
                } else {
                    s
                }
            }
            (e, s) => e.or(s).unwrap_or_default(),
        };
        let wait = real(at) - MonotonicClock.now();
        if wait > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait));
        }
        match (&mut recording.events, next_event) {
            (Some(source), Some(event)) if event == at => {
                events.clear();
                source.pull(&mut events, Duration::ZERO)?;
                for event in &mut events {
                    event.duration /= speed;
                    if let Some(markers) = &mut markers {
                        markers.push(event, real(event.onset).seconds())?;
                    }
                }
            }
            _ => {
                if recording.samples.pull(&mut block, Duration::ZERO)? == Pull::Data {
                    outlet.push(&block, real(block.measured_at).seconds())?;
                    bar.inc(block.len() as u64);
                }
            }
        }
    }
    bar.finish();
    // The last samples are on their way; a stream that vanishes takes them along.
    let until = MonotonicClock.now() + LINGER;
    while outlet.has_consumers() && MonotonicClock.now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
