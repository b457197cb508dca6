//! What comes in may be anything: the answers stay finite, and what was learned stays learned.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use neurod::frame::Quality;
use neurod::ridge::{Learner, Observed, RidgeConfig, Snapshot};

const F: usize = 6;
const V: usize = 3;

fn row(t: usize) -> ([f64; F], [f64; V]) {
    let wave = |i: usize| ((t * 31 + i * 17) as f64 * 0.731).sin() + ((t * (i + 3)) as f64 * 0.117).cos();
    let x: [f64; F] = std::array::from_fn(wave);
    let y = std::array::from_fn(|j| 2.0 * x[j] - x[j + 2] + 0.1 * wave(F + j) + 4.0);
    (x, y)
}

fn learner() -> Learner {
    Learner::new(F, V, &RidgeConfig::default()).unwrap()
}

/// Every answer there is must be finite.
fn check(learner: &mut Learner) {
    let (x, _) = row(12345);
    let mut y = [f64::NAN; V];
    learner.predict(&x, &mut y);
    assert!(y.iter().all(|v| v.is_finite()), "{y:?}");
    let mut snapshot = Snapshot::new(F, V);
    learner.snapshot_into(&mut snapshot);
    let mut y = [f32::NAN; V];
    snapshot.predict(&x, &mut y);
    assert!(y.iter().all(|v| v.is_finite()), "{y:?}");
    assert!(learner.weights().iter().all(|w| w.is_finite()));
    assert!(learner.skill().r_mean().is_finite() && learner.skill().mae().is_finite());
}

#[test]
fn a_row_with_a_bad_feature_is_refused_and_leaves_no_trace() {
    let (mut clean, mut dirty) = (learner(), learner());
    for t in 0..60 {
        let (x, y) = row(t);
        clean.observe(&x, &y, Quality::GOOD);
        dirty.observe(&x, &y, Quality::GOOD);
        let mut bad = x;
        bad[t % F] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e38, -1e300][t % 5];
        assert_eq!(dirty.observe(&bad, &y, Quality::GOOD), Observed::Refused);
        let mut out = [f64::NAN; V];
        assert!(!dirty.predict(&bad, &mut out));
        assert!(out.iter().all(|v| v.is_finite()));
    }
    assert_eq!(dirty.observe(&[0.0; 2], &[0.0; V], Quality::GOOD), Observed::Refused);
    assert_eq!((dirty.refused(), dirty.updates()), (61, 60));
    assert_eq!(clean.weights(), dirty.weights());
    assert_eq!(clean.skill().r_mean(), dirty.skill().r_mean());
}

#[test]
fn a_missing_target_teaches_nothing_and_the_other_regions_learn_as_ever() {
    let (mut clean, mut holes) = (learner(), learner());
    for t in 0..400 {
        let (x, mut y) = row(t);
        clean.observe(&x, &y, Quality::GOOD);
        if t % 3 == 1 {
            y[1] = [f64::NAN, f64::INFINITY, 1e38][t % 9 / 3];
        }
        assert_eq!(holes.observe(&x, &y, Quality::GOOD), Observed::Learned);
        check(&mut holes);
    }
    assert_eq!(holes.missing_targets(), 133);
    let (a, b) = (clean.weights(), holes.weights());
    for f in 0..F {
        assert!(a[f * V] == b[f * V] && a[f * V + 2] == b[f * V + 2]);
        // With a third missing, the weights lean towards what they were: near those of all rows, not at them.
        assert!((a[f * V + 1] - b[f * V + 1]).abs() < 0.2, "{} {}", a[f * V + 1], b[f * V + 1]);
    }
    assert!(holes.measure_drift() < 1e-9, "the moments hold the rows as they were learned");
}

#[test]
fn all_targets_missing_from_the_first_volume_on() {
    let mut l = learner();
    for t in 0..30 {
        let (x, y) = row(t);
        l.observe(&x, &if t < 10 { [f64::NAN; V] } else { y }, Quality::GOOD);
        check(&mut l);
    }
    assert_eq!(l.skill().scored(), 30);
}

#[test]
fn constant_features_and_constant_regions_are_survived() {
    let mut l = learner();
    for t in 0..200 {
        let (mut x, mut y) = row(t);
        (x[0], x[3]) = (7.0, 0.0);
        y[2] = -3.0;
        l.observe(&x, &y, Quality::GOOD);
        check(&mut l);
    }
    let w = l.weights();
    assert!(w[..V].iter().all(|w| w.abs() < 1e-12) && (0..F).all(|f| w[f * V + 2].abs() < 1e-12));
    assert_eq!(l.skill().r(2), 0.0);
    let mut y = [0.0; V];
    l.predict(&[7.0, 1.0, 0.0, 0.0, 1.0, 0.0], &mut y);
    assert!((y[2] + 3.0).abs() < 1e-9);
}

#[test]
fn values_at_the_edge_of_what_is_allowed_do_not_ruin_the_recursion_for_good() {
    let mut l = learner();
    for t in 0..400 {
        let (mut x, y) = row(t);
        if (100..140).contains(&t) {
            x.iter_mut().enumerate().for_each(|(i, v)| *v *= 10f64.powi(6 + (i as i32 + t as i32) % 6));
        }
        l.observe(&x, &y, Quality::GOOD);
        check(&mut l);
    }
    // The giants dominate the moments for ever; what matters is that the answer is the ridge's, not rounding's.
    assert!(l.measure_drift().is_finite());
}

#[test]
fn flagged_volumes_are_scored_but_not_learned_and_freezing_stops_learning() {
    let mut l = learner();
    for t in 0..50 {
        let (x, y) = row(t);
        l.observe(&x, &y, Quality::GOOD);
    }
    let before = l.weights();
    let (x, y) = row(50);
    assert_eq!(l.observe(&x, &y, Quality::MOTION | Quality::LATE), Observed::Frozen);
    l.freeze();
    assert_eq!(l.observe(&x, &y, Quality::GOOD), Observed::Frozen);
    assert_eq!((l.weights(), l.updates(), l.skill().scored()), (before.clone(), 50, 52));
    l.learn();
    assert_eq!(l.observe(&x, &y, Quality::LATE), Observed::Learned);
    assert_ne!(l.weights(), before);
}

#[test]
fn the_prediction_is_made_before_the_volume_is_known() {
    let (mut a, mut b) = (learner(), learner());
    for t in 0..40 {
        let (x, y) = row(t);
        a.observe(&x, &y, Quality::GOOD);
        b.observe(&x, &y, Quality::GOOD);
    }
    let (x, y) = row(40);
    let mut before = [0.0; V];
    a.predict(&x, &mut before);
    a.observe(&x, &y, Quality::GOOD);
    b.observe(&x, &[1000.0; V], Quality::GOOD);
    assert_eq!(a.prediction(), before);
    assert_eq!(a.prediction(), b.prediction());
}

#[test]
fn a_snapshot_is_the_learner_in_f32() {
    let mut l = learner();
    let mut snapshot = Snapshot::new(1, 1);
    for t in 0..77 {
        let (x, y) = row(t);
        l.observe(&x, &y, Quality::GOOD);
    }
    l.snapshot_into(&mut snapshot);
    assert_eq!(snapshot.updates, 77);
    let (x, _) = row(80);
    let (mut exact, mut single) = ([0.0; V], [0.0; V]);
    l.predict(&x, &mut exact);
    assert!(snapshot.predict(&x, &mut single));
    for (a, b) in exact.iter().zip(single) {
        assert!((a - f64::from(b)).abs() < 1e-5 * (1.0 + a.abs()), "{a} {b}");
    }
}
