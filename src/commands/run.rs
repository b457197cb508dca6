//! The daemon's whole life on one screen: read, build, serve, wait, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

use super::signals;
use crate::app::live::Shared;
use crate::app::{AppError, reload, wiring};
use crate::cli::ConfigArgs;
use crate::publish::FramePort;
use crate::runtime::metrics::Metrics;
use crate::service::{FrameBus, Place, Service, systemd};

/// How often it looks whether anything has changed.
const TURN: Duration = Duration::from_millis(20);

/// Runs the daemon until SIGTERM, SIGINT, the end of all recordings, or an error that only a person can mend.
///
/// # Errors
/// What could not be started, or ended it.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let signals = Signals::install().context("signal handlers")?;
    let (mut settings, base) = wiring::load(&args.config)?;
    let session = settings.live_session()?;
    let metrics = Metrics::new(session.id())?;
    let bus = FrameBus::new(&metrics);
    let port = Arc::clone(&bus) as Arc<dyn FramePort>;
    // Before any device: where another daemon serves already, that one has them.
    let place = settings.service.enabled.then(|| Place::take(&settings.service)).transpose().map_err(AppError::from)?;
    let live = settings.start(&base, Shared { session, port, metrics: Arc::clone(&metrics) })?;
    let serve = |place| Service::start(place, live.parts(&settings, &metrics, bus)).map_err(AppError::from);
    let service = place.map(serve).transpose()?;
    if let Some(service) = &service {
        tracing::info!(address = %service.local_addr(), session = %live.lanes.context().session.id(), "serving");
    }

    // For systemd the service is up now; an amplifier that is still off is for /readyz to tell.
    systemd::ready();
    let mut watchdog = systemd::Watchdog::from_env();
    let mut ready = false;
    while !signals.stop.load(Ordering::Relaxed) && live.status.failure().is_none() && !live.lanes.finished() {
        if !ready && live.status.not_ready().is_empty() {
            ready = true;
            service.iter().for_each(Service::mark_ready);
            tracing::info!("ready");
        }
        watchdog.feed(live.status.beats());
        if signals.reload.swap(false, Ordering::Relaxed) {
            systemd::reloading();
            reload::reload(&mut settings, &args.config, &live);
            systemd::ready();
        }
        std::thread::sleep(TURN);
    }

    systemd::stopping();
    tracing::info!("stopping: sources first, then what they fed");
    let failure = live.status.failure();
    let grace = Duration::from_secs_f64(settings.session.grace.clamp(0.1, 60.0));
    live.lanes.stop(grace);
    if let Some(service) = service {
        service.stop(grace);
    }
    match failure {
        Some(failure) => Err(AppError::Failed(failure).into()),
        None => Ok(()),
    }
}

/// What the kernel asked of us.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        let (stop, reload) = (signals::stop_asked()?, Arc::new(AtomicBool::new(false)));
        signal_hook::flag::register(libc::SIGHUP, Arc::clone(&reload))?;
        Ok(Self { stop, reload })
    }
}
