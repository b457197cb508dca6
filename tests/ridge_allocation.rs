//! The real-time lane's part of the ridge allocates nothing after warm-up.

#[path = "common/allocations.rs"]
mod allocations;

use neurod::ridge::{FeatureTimeline, Lags, Response, Snapshot};

#[test]
fn features_rows_and_predictions_take_no_memory_while_running() {
    let lags = [Lags::Fir(vec![0.5, 1.0, 2.0]), Lags::Hrf(Response::Glover)];
    let mut line = FeatureTimeline::samples(20, lags[1].horizon(0.25));
    let mut rows = [vec![0.0; 60], vec![0.0; 20]];
    let snapshots = [Snapshot::new(60, 33), Snapshot::new(20, 33)];
    let mut y = vec![0.0; 33];
    let mut step = |i: usize| {
        let t = i as f64 * 0.25;
        line.push(t - 0.25, t, &[i as f64; 20]);
        for ((lags, row), snapshot) in lags.iter().zip(&mut rows).zip(&snapshots) {
            lags.row(&line, t - 0.25, 0.25, row);
            assert!(snapshot.predict(row, &mut y));
        }
    };
    (0..400).for_each(&mut step);
    assert_eq!(allocations::during(|| drop(std::hint::black_box(vec![1u8; 100]))), 2, "the counter counts");
    assert_eq!(allocations::during(|| (400..2000).for_each(&mut step)), 0);
}
