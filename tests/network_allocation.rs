//! Moving the window of a live connectome allocates nothing, nor does reading it, whatever is missing in it.

#[path = "common/allocations.rs"]
mod allocations;

use neurod::frame::ChannelMask;
use neurod::network::SlidingWindow;

#[test]
fn a_window_moves_and_is_read_without_memory() {
    let (n, w) = (17, 12);
    let mut window = SlidingWindow::new(n, w);
    let (mut bad, mut sample, mut out) = (ChannelMask::none(n), vec![0.0; n], vec![0.0; n * n]);
    let mut step = |t: usize| {
        sample.iter_mut().enumerate().for_each(|(i, x)| *x = ((t * (i + 3)) as f64 * 0.7).sin());
        if t % 40 == 7 {
            sample[3] = f64::NAN;
        }
        // Leaves a hole that has to be computed anew.
        if t % 90 == 50 {
            sample[5] = 1e12;
        }
        bad.set(2, t.is_multiple_of(31));
        window.push(&sample, &bad);
        window.correlation(&mut out);
        window.covariance(&mut out);
        if t % 200 == 199 {
            window.clear();
        }
    };
    (0..20).for_each(&mut step);
    assert_eq!(allocations::during(|| drop(std::hint::black_box(vec![1u8; 100]))), 2, "the counter counts");
    assert_eq!(allocations::during(|| (20..2000).for_each(&mut step)), 0);
}
