//! Does every client get what it asked for, in order, and is told of what it lost?

use super::*;
use crate::frame::{ClockStamp, Instant, ModelStamp, Unit};

fn frame(seq: u64, values: usize) -> Outgoing {
    let now = Instant::from_seconds(1.0);
    Outgoing::Frame(Arc::new(RegionFrame {
        schema: RegionFrame::SCHEMA,
        session: "test".into(),
        run: 0,
        seq,
        predictor: "regions".into(),
        kind: FrameKind::Encoded,
        t_target: now,
        t_measured: now,
        t_arrived: now,
        t_published: now,
        clock: ClockStamp { name: "virtual", unix_offset: 0.0 },
        age_s: 0.0,
        unit: Unit::ZScore,
        regions_id: names().regions_id,
        values: vec![0.0; values],
        skill: None,
        quality: Quality::GOOD,
        model: ModelStamp::default(),
    }))
}

fn names() -> Regions {
    Regions::new(vec!["insula".into()], Unit::ZScore)
}

/// All that a client gets of what was sent before the bus closed: a frame's number and flags, or None for regions.
fn received(bus: &Arc<FrameBus>, mut client: Subscriber) -> Vec<Option<(u64, Quality)>> {
    bus.close();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        bus.fan_out().await;
        let mut received = Vec::new();
        while let Some(message) = client.next().await {
            received.push(match &message.outgoing {
                Outgoing::Regions(_)
                | Outgoing::Identification(_)
                | Outgoing::Network(_)
                | Outgoing::Outcome(_)
                | Outgoing::Quality(_) => None,
                Outgoing::Frame(frame) => Some((frame.seq, frame.quality)),
            });
        }
        received
    })
}

fn fixture() -> (Arc<FrameBus>, IntCounter, IntCounter) {
    let metrics = Metrics::new("test").unwrap();
    (FrameBus::new(&metrics), metrics.sink("bus"), metrics.sink("websocket"))
}

#[test]
fn edges_are_wanted_for_as_long_as_somebody_who_asked_listens() {
    let (bus, _, counter) = fixture();
    let plain = bus.subscribe(Filter::default(), 10, counter.clone());
    assert!(bus.wanted() && !bus.wants_edges());
    let asked = bus.subscribe(Filter { edges: true, ..Filter::default() }, 10, counter);
    assert!(bus.wants_edges());
    // Another choice of frames does not change that.
    asked.set_filter(Filter { outcomes: true, ..Filter::default() });
    drop(plain);
    assert!(bus.wants_edges());
    drop(asked);
    assert!(!bus.wants_edges() && !bus.wanted());
}

#[test]
fn a_full_bus_drops_its_oldest_counts_it_and_flags_the_next_frame() {
    let (bus, dropped, counter) = fixture();
    let client = bus.subscribe(Filter::default(), 1000, counter.clone());
    bus.send(Outgoing::Regions(Arc::new(names())));
    (0..BUS as u64 + 4).for_each(|seq| bus.send(frame(seq, 1)));
    assert_eq!(dropped.get(), 4, "frames are counted, names are remembered");
    let received = received(&bus, client);
    assert_eq!(received[..3], [None, Some((4, Quality::DROPPED_BEFORE)), Some((5, Quality::GOOD))]);
    assert_eq!((received.len(), counter.get()), (BUS + 1, 0));
}

#[test]
fn names_that_fell_out_of_a_clients_queue_still_come_before_their_frames() {
    let (bus, _, counter) = fixture();
    let client = bus.subscribe(Filter::default(), 2, counter.clone());
    bus.send(Outgoing::Regions(Arc::new(names())));
    (0..5).for_each(|seq| bus.send(frame(seq, 1)));
    let received = received(&bus, client);
    assert_eq!(received, [None, Some((3, Quality::DROPPED_BEFORE)), Some((4, Quality::GOOD))]);
    assert_eq!(counter.get(), 3);
}

#[test]
fn frames_of_very_many_values_are_binary_only() {
    let (bus, _, counter) = fixture();
    let json = bus.subscribe(Filter { json: true, ..Filter::default() }, 8, counter.clone());
    let binary = bus.subscribe(Filter::default(), 8, counter);
    bus.send(frame(0, MOST_JSON_VALUES + 1));
    bus.send(frame(1, MOST_JSON_VALUES));
    assert_eq!(received(&bus, json), [Some((1, Quality::GOOD))]);
    assert_eq!(received(&bus, binary).len(), 2);
}

#[test]
fn a_client_that_does_not_read_holds_no_more_than_so_many_values() {
    let (bus, _, counter) = fixture();
    let client = bus.subscribe(Filter::default(), 1000, counter.clone());
    let third = MOST_WAITING / 3;
    for (seq, values) in [(0, third), (1, third), (2, third), (3, third), (4, 2 * MOST_WAITING), (5, 1)] {
        bus.send(frame(seq, values));
    }
    // Of those that wait together no more; one alone may be as large as it is.
    assert_eq!(received(&bus, client), [Some((5, Quality::DROPPED_BEFORE))]);
    assert_eq!(counter.get(), 5);
}

#[test]
fn a_client_that_comes_after_the_end_is_told_at_once_and_one_that_goes_is_forgotten() {
    let (bus, _, counter) = fixture();
    drop(bus.subscribe(Filter::default(), 8, counter.clone()));
    assert!(lock(&bus.clients).is_empty());
    bus.close();
    let late = bus.subscribe(Filter::default(), 8, counter);
    assert_eq!(received(&bus, late), []);
}
