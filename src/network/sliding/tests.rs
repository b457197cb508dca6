//! Is a window that moved the window that it would be from its samples alone?

use super::*;
use crate::draws::Draws;

/// From the samples alone, each pair over the samples that both have: numpy's own two passes.
fn direct(samples: &[Vec<f64>], correlation: bool) -> Vec<f64> {
    let n = samples[0].len();
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            let both: Vec<(f64, f64)> =
                samples.iter().map(|s| (s[i], s[j])).filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
            let count = both.len() as f64;
            let (mx, my) =
                (both.iter().map(|p| p.0).sum::<f64>() / count, both.iter().map(|p| p.1).sum::<f64>() / count);
            let sum = |of: fn(f64, f64) -> f64| both.iter().map(|(x, y)| of(x - mx, y - my)).sum::<f64>();
            let (xx, yy, xy) = (sum(|x, _| x * x), sum(|_, y| y * y), sum(|x, y| x * y));
            let constant = |k: usize| both.iter().all(|p| if k == 0 { p.0 == both[0].0 } else { p.1 == both[0].1 });
            // Two samples lie on a line whatever they are.
            let none = both.len() < 3 || constant(0) || constant(1);
            out[i * n + j] = match (correlation, none) {
                (true, _) if i == j => 1.0,
                (_, true) => 0.0,
                (true, false) => xy / (xx * yy).sqrt(),
                (false, false) => xy / count,
            };
        }
    }
    out
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d.is_nan() { f64::NAN } else { worst.max(d) })
}

/// Regions that share a slow wave, on a base of 10⁴ as raw fMRI has it.
fn sample(t: usize, n: usize, draws: &mut Draws) -> Vec<f64> {
    let wave = (t as f64 * 0.07).sin();
    (0..n).map(|i| 1e4 + 500.0 * i as f64 + wave * (i % 3) as f64 + draws.normal()).collect()
}

#[test]
fn error_does_not_grow_over_a_hundred_thousand_updates() {
    let (n, w) = (13, 40);
    let (mut window, good) = (SlidingWindow::new(n, w), ChannelMask::none(n));
    let (mut draws, mut held) = (Draws::new(1, 0), std::collections::VecDeque::new());
    let (mut out, mut errors) = (vec![0.0; n * n], [0.0_f64; 2]);
    for t in 0..100_000 {
        let x = sample(t, n, &mut draws);
        window.push(&x, &good);
        held.push_back(x);
        if held.len() > w {
            held.pop_front();
        }
        if t > 2 && (t < 200 || t % 997 == 0) {
            window.correlation(&mut out);
            let late = usize::from(t > 50_000);
            errors[late] = errors[late].max(worst(&out, &direct(held.make_contiguous(), true)));
        }
    }
    assert!(errors[0] < 1e-10 && errors[1] < 1e-10, "early and late: {errors:?}");
}

#[test]
fn missing_values_constant_regions_and_leaps_are_those_of_the_window_alone() {
    let (n, w) = (9, 30);
    let (mut window, mut bad) = (SlidingWindow::new(n, w), ChannelMask::none(n));
    let (mut draws, mut held) = (Draws::new(2, 0), std::collections::VecDeque::new());
    let mut out = vec![0.0; n * n];
    for t in 0..600 {
        let mut x = sample(t, n, &mut draws);
        bad.clear();
        // NaN, a flag, a region that stops for a while, one that never varies, a value of absurd size, a leap of the base.
        if t % 50 == 20 {
            x[1] = f64::NAN;
        }
        if (100..140).contains(&t) {
            bad.set(2, true);
        }
        if (200..280).contains(&t) {
            x[3] = 10_000.1;
        }
        x[4] = 7.3;
        if t == 300 {
            x[5] = 1e300;
        }
        if t == 350 {
            x[6] = 1e9;
        }
        if t >= 400 {
            x[7] -= 1e6;
        }
        window.push(&x, &bad);
        if bad.contains(2) {
            x[2] = f64::NAN;
        }
        if t == 300 {
            x[5] = f64::NAN;
        }
        held.push_back(x);
        if held.len() > w {
            held.pop_front();
        }
        if t < 5 {
            continue;
        }
        window.correlation(&mut out);
        let error = worst(&out, &direct(held.make_contiguous(), true));
        // While 10⁹ is in the window, its square leaves eight digits.
        let bound = if (350..380).contains(&t) { 1e-6 } else { 1e-9 };
        assert!(error < bound, "sample {t}: {error:e}");
        window.covariance(&mut out);
        let expected = direct(held.make_contiguous(), false);
        let size = expected.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        assert!(worst(&out, &expected) < 1e-9 * size, "sample {t}: {:e}", worst(&out, &expected));
        assert_eq!(window.is_constant(3), (229..280).contains(&t), "sample {t}");
    }
}

#[test]
fn a_cleared_window_is_a_new_one() {
    let (n, w) = (5, 8);
    let good = ChannelMask::none(n);
    let (mut used, mut fresh) = (SlidingWindow::new(n, w), SlidingWindow::new(n, w));
    let mut draws = Draws::new(3, 0);
    (0..100).for_each(|t| used.push(&sample(t, n, &mut draws), &good));
    used.clear();
    assert!(used.is_empty());
    let (mut a, mut b) = (vec![0.0; n * n], vec![0.0; n * n]);
    for t in 0..20 {
        let x = sample(t, n, &mut draws);
        used.push(&x, &good);
        fresh.push(&x, &good);
        used.correlation(&mut a);
        fresh.correlation(&mut b);
        assert_eq!(a, b);
    }
    assert!(used.is_full() && used.samples().count() == w);
}
