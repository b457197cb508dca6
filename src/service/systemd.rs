//! What does systemd hear? That we are ready, reloading, stopping, and that the real-time lanes are alive.
//!
//! Everything here does nothing where systemd has not asked to be told (no `NOTIFY_SOCKET` in the environment).
//!
//! ```
//! neurod::service::systemd::status("learning from 2 sources");
//! ```

use sd_notify::NotifyState;

use crate::frame::{Clock, Instant, MonotonicClock};

/// Everything has been started. Also said when a reload is over.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration")]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Draining has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(&one_line(line))]);
}

fn one_line(text: &str) -> String {
    // The protocol separates its variables by line feeds.
    text.replace(['\n', '\r', '\0'], " ")
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Feeds systemd's watchdog, but only while the lanes' heartbeat moves: a daemon whose lanes hang is restarted.
pub struct Watchdog {
    /// How often it is fed; `None` where nobody watches.
    interval: Option<f64>,
    fed: Option<(u64, Instant)>,
}

impl Watchdog {
    /// The watchdog that the environment asks for, if it does. It is fed about three times within its time.
    pub fn from_env() -> Self {
        Self { interval: sd_notify::watchdog_enabled().map(|limit| limit.as_secs_f64() / 3.0), fed: None }
    }

    /// Feeds it, if it is time and the lanes have moved since the last time. Call it more often than it is fed.
    pub fn feed(&mut self, beats: u64) {
        if self.is_hungry(beats, MonotonicClock.now()) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    fn is_hungry(&mut self, beats: u64, now: Instant) -> bool {
        let hungry = match (self.interval, self.fed) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(interval), Some((before, at))) => beats != before && now - at >= interval,
        };
        if hungry {
            self.fed = Some((beats, now));
        }
        hungry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_only_while_the_lanes_move() {
        let at = Instant::from_seconds;
        let mut watchdog = Watchdog { interval: Some(3.0), fed: None };
        assert!(watchdog.is_hungry(1, at(0.0)));
        assert!(!watchdog.is_hungry(1, at(3.0)), "the lanes stand still");
        assert!(!watchdog.is_hungry(1, at(30.0)));
        assert!(watchdog.is_hungry(2, at(33.0)));
        assert!(!watchdog.is_hungry(3, at(33.1)), "fed a moment ago");
        assert!(watchdog.is_hungry(3, at(36.0)));
        assert!(!Watchdog { interval: None, fed: None }.is_hungry(1, at(0.0)), "nobody watches");
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(one_line("a\nREADY=1\0"), "a READY=1 ");
    }
}
