//! Are volumes placed where they were measured? Late files, lost triggers and clocks that step, in time that is made up.

use std::sync::atomic::Ordering;

use super::*;
use crate::frame::Event;

const TR: f64 = 2.0;

struct Bench {
    times: VolumeTimes,
    stats: Arc<SourceStats>,
    triggers: Arc<Triggers>,
}

impl Bench {
    fn new(rule: ClockRule, delay: f64) -> Self {
        let stats = Arc::new(SourceStats::default());
        let mut times = VolumeTimes::new(&rule, TR, delay, Arc::clone(&stats));
        let triggers = match &rule {
            ClockRule::Trigger(config) => Arc::new(Triggers::new(config)),
            _ => Arc::default(),
        };
        times.listen_to(Arc::clone(&triggers));
        times.begin_series();
        Self { times, stats, triggers }
    }

    fn triggered(skip: u32) -> Self {
        let config = TriggerConfig { events: "ttl".into(), label: Some("volume".into()), skip };
        Self::new(ClockRule::Trigger(config), 0.0)
    }

    fn trigger(&self, at: f64) {
        let event = |label: &str| Event { onset: Instant::from_seconds(at), label: label.into(), ..Event::default() };
        self.triggers.note(&event("another event"));
        self.triggers.note(&event("volume"));
    }

    /// A volume that ended at `ended`, and came `late` after that.
    fn came(&mut self, number: u32, ended: f64, late: f64) -> f64 {
        self.times.began(number, Instant::from_seconds(ended + late)).at.seconds()
    }

    fn faults(&self, faults: &[Fault]) -> Vec<u64> {
        faults.iter().map(|fault| self.stats.faults.of(*fault)).collect()
    }

    fn jumps(&self) -> u64 {
        self.stats.clock_jumps.load(Ordering::Relaxed)
    }
}

/// From 0.3 to 0.9 s, and seldom the least.
fn lateness(number: u32) -> f64 {
    0.3 + 0.6 * ((f64::from(number) * 0.618_034).fract())
}

#[test]
fn by_arrival_every_volume_lies_a_whole_number_of_trs_from_the_first() {
    let mut bench = Bench::new(ClockRule::Arrival, 0.5);
    assert_eq!(bench.came(1, 102.0, 0.5), 100.0);
    assert_eq!([bench.came(2, 104.0, 9.0), bench.came(5, 110.0, 0.5)], [102.0, 108.0]);
    bench.times.begin_series();
    assert_eq!(bench.came(1, 111.0, 0.5), 110.0, "no series begins before the last one is over");
    assert_eq!(bench.faults(&[Fault::Untimed, Fault::Paused, Fault::OtherTr]), [0, 0, 0]);
}

#[test]
fn a_header_is_right_but_for_the_smallest_delay_so_far_even_when_the_first_file_is_late() {
    let mut bench = Bench::new(ClockRule::Header, 0.3);
    let began = |n: u32| 1000.0 + TR * f64::from(n - 1);
    let (mut last, mut delays) = (f64::NEG_INFINITY, Vec::new());
    for n in 1..=300 {
        let late = if n == 1 { 3.1 } else { lateness(n) };
        bench.times.note(n, Some(began(n) + 55_000.0));
        let at = bench.came(n, began(n) + TR, late);
        delays.push(late - 0.3);
        let least = delays.iter().rev().take(128).copied().fold(f64::INFINITY, f64::min);
        assert!(at >= last + 0.5 * TR, "volume {n} at {at}, its predecessor at {last}");
        // A correction of 2.8 s is taken over within three volumes.
        if n > 4 {
            assert!((at - began(n) - least).abs() < 1e-6, "volume {n} is {} s off", at - began(n) - least);
        }
        last = at;
    }
    assert!((bench.stats.clock_offset() + 55_000.0).abs() < 0.01, "the clocks' difference is told");
    assert_eq!(bench.faults(&[Fault::Untimed, Fault::Paused, Fault::OtherTr]), [0, 0, 0]);
}

#[test]
fn a_header_tells_of_pauses_of_another_tr_and_of_midnight() {
    let mut bench = Bench::new(ClockRule::Header, 0.0);
    let midnight = 86_400.0;
    let mut at = |n: u32, began: f64| {
        bench.times.note(n, Some(began % midnight));
        bench.came(n, began + TR, 0.0)
    };
    let first = at(1, midnight - 3.0);
    assert_eq!([at(2, midnight - 1.0) - first, at(3, midnight + 1.0) - first], [2.0, 4.0]);
    assert_eq!(at(4, midnight + 8.5) - first, 11.5, "the scanner paused");
    assert_eq!(at(6, midnight + 12.5) - first, 15.5, "one is missing");
    let slower = [7, 8, 9].map(|n| at(n, midnight + 12.5 + 2.25 * f64::from(n - 6)) - first);
    assert_eq!(slower, [17.75, 20.0, 22.25]);
    assert_eq!(bench.faults(&[Fault::Paused, Fault::OtherTr, Fault::Untimed]), [1, 3, 0]);
    assert_eq!(bench.jumps(), 0);
}

#[test]
fn a_scanner_whose_clock_is_set_back_is_followed_and_one_that_says_nothing_is_counted() {
    let mut bench = Bench::new(ClockRule::Header, 0.0);
    let mut last = f64::NEG_INFINITY;
    for n in 1..=60 {
        let began = 500.0 + TR * f64::from(n - 1);
        let step = if n > 30 { -3600.0 } else { 0.0 };
        bench.times.note(n, (n % 10 != 0).then_some(40_000.0 + began + step));
        let at = bench.came(n, began + TR, lateness(n));
        assert!(at > last && (0.0..=0.9).contains(&(at - began)), "volume {n} at {at}");
        last = at;
    }
    assert_eq!((bench.jumps(), bench.faults(&[Fault::Untimed])), (1, vec![6]));
}

#[test]
fn slices_are_of_the_time_of_the_first() {
    let mut bench = Bench::new(ClockRule::Header, 0.0);
    for slice in [0.5, 0.0, 1.5] {
        bench.times.note(1, Some(70.0 + slice));
        bench.times.note(2, Some(72.0 + slice));
    }
    assert_eq!([bench.came(1, 10.0, 0.0), bench.came(2, 12.0, 0.7)], [8.0, 10.0]);
}

#[test]
fn the_nth_trigger_is_the_nth_volumes_whatever_is_missing_doubled_or_late() {
    let mut bench = Bench::triggered(0);
    let began = |n: u32| 50.0 + TR * f64::from(n - 1) + 0.001 * f64::from(n % 3);
    let lost = |n: u32| matches!(n, 5 | 9 | 10 | 40);
    let mut heard = 0;
    for n in 1..=200 {
        // The first file is late by more than a TR, and others by much of one.
        let late = if n == 1 { 3.4 } else { 3.0 * (lateness(n) - 0.3) };
        while heard < 200 && began(heard + 1) <= began(n) + TR + late {
            heard += 1;
            if !lost(heard) {
                bench.trigger(began(heard));
            }
            if heard % 50 == 7 {
                bench.trigger(began(heard) + 0.03);
            }
        }
        let at = bench.came(n, began(n) + TR, late);
        let allowed = if lost(n) { 0.003 } else { 1e-9 };
        assert!((at - began(n)).abs() <= allowed, "volume {n} is {} s off", at - began(n));
    }
    assert_eq!(bench.faults(&[Fault::MissingTrigger, Fault::DoubleTrigger, Fault::Untimed]), [4, 4, 0]);
    assert_eq!((bench.faults(&[Fault::Paused, Fault::OtherTr]), bench.jumps()), (vec![0, 0], 0));
}

#[test]
fn before_the_first_trigger_arrivals_tell_and_who_joins_midway_is_right_from_then_on() {
    let mut bench = Bench::triggered(0);
    let began = |n: u32| 50.0 + TR * f64::from(n - 1);
    for n in 1..=20 {
        // The next volume's trigger is there before this volume's file.
        if n >= 5 {
            bench.trigger(began(n + 1));
        }
        let at = bench.came(n, began(n) + TR, 0.25);
        let expected = if n < 6 { began(n) + 0.25 } else { began(n) };
        assert!((at - expected).abs() < 1e-9, "volume {n} at {at}");
    }
    assert_eq!((bench.faults(&[Fault::Untimed, Fault::MissingTrigger]), bench.jumps()), (vec![5, 0], 0));
    let mut joined = Bench::triggered(0);
    for n in 57..70 {
        joined.trigger(began(n));
        assert_eq!(joined.came(n, began(n) + TR, 0.6), began(n));
    }
}

#[test]
fn a_pause_moves_volumes_and_is_told_even_when_it_lasts_whole_trs() {
    for (pause, slow) in [(3.1, 0), (2.0 * TR, 8), (11.0 * TR, 0)] {
        let mut bench = Bench::triggered(0);
        let began = |n: u32| 50.0 + TR * f64::from(n - 1) + if n > 10 { pause } else { 0.0 };
        let mut off = Vec::new();
        for n in 1..=40 {
            bench.trigger(began(n));
            let at = bench.came(n, began(n) + TR, lateness(n));
            if (at - began(n)).abs() > 1e-6 {
                off.push(n);
            }
        }
        // A pause of two TRs looks like two lost triggers, until eight volumes are late by as much.
        assert!(off.len() <= slow && off.iter().all(|n| (11..=18).contains(n)), "{pause}: {off:?}");
        assert_eq!(bench.jumps(), u64::from(slow > 0), "{pause}");
        assert_eq!(bench.faults(&[Fault::Paused]), [1], "{pause}");
    }
}

#[test]
fn a_series_is_tied_to_the_latest_train_after_the_scans_that_are_skipped() {
    let mut bench = Bench::triggered(3);
    // A localizer that is not exported.
    (0..7).for_each(|n| bench.trigger(10.0 + 1.3 * f64::from(n)));
    for series in 0..3 {
        let began = |n: u32| 100.0 * f64::from(series + 1) + TR * f64::from(n - 1);
        (0..3).for_each(|n| bench.trigger(began(1) - TR * f64::from(3 - n)));
        for n in 1..=12 {
            bench.trigger(began(n));
            assert_eq!(bench.came(n, began(n) + TR, lateness(n)), began(n), "series {series}, volume {n}");
        }
        bench.times.begin_series();
    }
    assert_eq!(bench.jumps(), 0);
}
