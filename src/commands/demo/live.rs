//! The people after the tenth, as a live scanner with the service up.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::table::Board;
use super::{Played, stopped};
use crate::acquisition::file::Speed;
use crate::app::live::{Live, Shared, wait_until_ready};
use crate::app::{AppError, InputConfig, Settings};
use crate::frame::{FrameKind, Instant};
use crate::publish::{FramePort, Outgoing};
use crate::runtime::lanes::{Failure, Fault};
use crate::runtime::metrics::Metrics;
use crate::service::{FrameBus, Place, Service};

/// How often the board is drawn.
const TURN: Duration = Duration::from_millis(250);
/// How long the lanes, and then the clients, may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Scores what passes, and hands it on to the service.
struct Tap {
    played: Mutex<Played>,
    speed: f64,
    next: Arc<dyn FramePort>,
}

impl FramePort for Tap {
    fn send(&self, message: Outgoing) {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        match &message {
            Outgoing::Identification(_) | Outgoing::Network(_) | Outgoing::Outcome(_) | Outgoing::Quality(_) => {}
            Outgoing::Regions(regions) => played.names.clone_from(&regions.names),
            Outgoing::Frame(frame) => {
                played.scorer.frame(frame);
                if frame.kind == FrameKind::Residual {
                    // Times are the recording's; the latency that matters is real.
                    played.latencies.push((frame.t_published - frame.t_arrived) / self.speed * 1e6);
                }
            }
        }
        drop(played);
        self.next.send(message);
    }
}

/// Plays these people at this speed, with the service at `place`.
pub fn play(
    settings: &mut Settings,
    people: &str,
    speed: f64,
    place: Place,
    stop: &AtomicBool,
) -> anyhow::Result<Played> {
    let mut volumes = 0;
    for source in settings.sources.values_mut() {
        if let InputConfig::Replay(replay) = &mut source.input {
            replay.speed = Speed::Times(speed);
            volumes += replay.open(Path::new(""), Instant::default())?.timetable.samples();
        }
    }
    settings.session.realtime_priority = 0;
    let session = settings.live_session()?;
    let metrics = Metrics::new(session.id())?;
    let bus = FrameBus::new(&metrics);
    let next = Arc::clone(&bus) as Arc<dyn FramePort>;
    let tap = Arc::new(Tap { played: Mutex::default(), speed, next });
    let shared = Shared { session, port: Arc::clone(&tap) as Arc<dyn FramePort>, metrics: Arc::clone(&metrics) };
    let live = settings.start(Path::new(""), shared)?;
    let service = match Service::start(place, live.parts(settings, &metrics, bus)) {
        Ok(service) => service,
        Err(error) => {
            live.lanes.stop(GRACE);
            return Err(AppError::from(error).into());
        }
    };
    let watched = ready(&live, &service).and_then(|()| {
        writeln!(io::stdout(), "{people} now, live at {speed}×. Watch: http://{}/", service.local_addr())?;
        watch(&live, &tap.played, volumes, stop)
    });
    live.lanes.stop(GRACE);
    service.stop(GRACE);
    watched?;
    Ok(std::mem::take(&mut *tap.played.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn ready(live: &Live, service: &Service) -> anyhow::Result<()> {
    if let Some((part, why)) = wait_until_ready(&live.status, Duration::from_secs(30)).first() {
        let failure = Failure { fault: Fault::Config, problem: format!("{part}: {why}") };
        return Err(AppError::Failed(failure).into());
    }
    service.mark_ready();
    Ok(())
}

/// Draws the board until the recording ends.
fn watch(live: &Live, played: &Mutex<Played>, volumes: u64, stop: &AtomicBool) -> anyhow::Result<()> {
    let board = Board::new("regions");
    while !live.lanes.finished() && live.status.failure().is_none() {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        std::thread::sleep(TURN);
        let played = played.lock().unwrap_or_else(PoisonError::into_inner);
        board.draw(&played.scorer, &played.names, volumes)?;
    }
    board.end();
    live.status.failure().map_or(Ok(()), |failure| Err(AppError::Failed(failure).into()))
}
