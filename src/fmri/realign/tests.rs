//! Is the movement found that was made? A head of ellipsoids, moved exactly, with noise.

use super::*;

/// 3 mm in plane, 3.5 mm slices, tilted as scans are.
fn grid(dims: [usize; 3]) -> Grid {
    let tilt = Rigid::from_parameters([0.0, 0.0, 0.0, 0.2, -0.05, 0.1]);
    let size = [-3.0, 3.0, 3.5];
    let middle = dims.map(|n| (n as f64 - 1.0) / 2.0);
    let linear = tilt.rotation.map(|row| [row[0] * size[0], row[1] * size[1], row[2] * size[2]]);
    let affine = linear.map(|row| {
        let shift = -(row[0] * middle[0] + row[1] * middle[1] + row[2] * middle[2]);
        [row[0], row[1], row[2], shift + 5.0]
    });
    Grid { dims, affine }
}

/// A skull, a brain with folds, two ventricles.
fn head([x, y, z]: [f64; 3]) -> f64 {
    let inside = |centre: [f64; 3], radii: [f64; 3], edge: f64| {
        let r = [x, y, z].iter().zip(centre).zip(radii).map(|((p, c), r)| ((p - c) / r).powi(2)).sum::<f64>().sqrt();
        1.0 / (1.0 + ((r - 1.0) * edge).exp())
    };
    let folds = 1.0 + 0.2 * (x / 6.0).sin() * (y / 7.0).cos() * (z / 5.0 + 1.0).sin();
    300.0 * inside([5.0, 5.0, 5.0], [72.0, 86.0, 58.0], 30.0)
        + 500.0 * folds * inside([5.0, 3.0, 8.0], [60.0, 74.0, 48.0], 25.0)
        + 250.0 * inside([-8.0, 0.0, 12.0], [8.0, 20.0, 10.0], 6.0)
        + 250.0 * inside([18.0, 0.0, 12.0], [8.0, 20.0, 10.0], 6.0)
}

/// What is seen at x is what lies at `motion` of x; the noise is Gaussian enough.
fn seen(grid: &Grid, motion: &Rigid, noise: f64, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let voxel = |v| {
        let sum: f64 = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        (head(motion.apply(grid.millimetres(grid.index(v)))) + noise * sum) as f32
    };
    (0..grid.voxels()).map(voxel).collect()
}

fn ready(dims: [usize; 3]) -> (Grid, Realigner) {
    let grid = grid(dims);
    let reference = seen(&grid, &Rigid::IDENTITY, 10.0, 1);
    let realigner = Realigner::new(&grid, &reference, &RealignConfig::default()).expect("a reference");
    (grid, realigner)
}

/// The largest error of a shift in mm and of a turn in degrees. Shifts are taken at the head's centre, since a turn about
/// the scanner's origin moves a head that lies elsewhere.
fn errors(found: &Rigid, truth: &Rigid) -> (f64, f64) {
    let (a, b) = (found.apply([5.0; 3]), truth.apply([5.0; 3]));
    let shift = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let turns = found.parameters().into_iter().zip(truth.parameters()).skip(3);
    (shift, turns.map(|(a, b)| (a - b).abs().to_degrees()).fold(0.0, f64::max))
}

#[test]
fn movements_are_found_within_a_twentieth_of_a_millimetre_and_of_a_degree() {
    let (grid, mut realigner) = ready([64, 64, 36]);
    let turns = [1.0f64, -0.5, 2.0].map(f64::to_radians);
    let cases = [
        [0.0; 6],
        [0.3, -0.2, 0.1, 0.002, -0.001, 0.003],
        [1.7, -2.3, 1.1, turns[0], turns[1], turns[2]],
        [-3.2, 2.6, -4.4, -turns[2], turns[0], turns[1]],
    ];
    for (i, parameters) in cases.into_iter().enumerate() {
        let truth = Rigid::from_parameters(parameters);
        let motion = realigner.realign(&seen(&grid, &truth, 10.0, 10 + i as u64));
        let (shift, turn) = errors(&motion.rigid, &truth);
        assert!(motion.fit == Fit::Converged && motion.steps < 40, "{parameters:?}: {motion:?}");
        assert!(shift < 0.05 && turn < 0.05, "{parameters:?}: {shift} mm, {turn}°");
    }
    assert_eq!(realigner.counts(), RealignCounts { converged: 4, ..RealignCounts::default() });
}

#[test]
fn a_resliced_volume_is_the_one_without_motion() {
    let (grid, mut realigner) = ready([48, 48, 28]);
    let still = seen(&grid, &Rigid::IDENTITY, 0.0, 0);
    let truth = Rigid::from_parameters([1.2, -0.7, 2.1, 0.02, -0.01, 0.03]);
    let moved = seen(&grid, &truth, 0.0, 0);
    realigner.realign(&moved);
    let mut out = vec![0.0; moved.len()];
    realigner.reslice(&mut out, f32::NAN);
    let rms = |a: &[f32]| {
        let squares = a.iter().zip(&still).filter(|(a, _)| a.is_finite()).map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / a.len() as f64).sqrt()
    };
    assert!(rms(&out) < 0.1 * rms(&moved), "{} after, {} before", rms(&out), rms(&moved));
    let outside = out.iter().filter(|v| v.is_nan()).count();
    assert!(outside > 0 && outside < out.len() / 5, "{outside} of {} outside", out.len());
}

#[test]
fn what_is_missing_is_left_out_and_a_volume_that_does_not_fit_keeps_the_last_estimate() {
    let (grid, mut realigner) = ready([48, 48, 28]);
    let truth = Rigid::from_parameters([0.8, -0.4, 0.6, 0.01, 0.005, -0.01]);
    let mut holed = seen(&grid, &truth, 10.0, 3);
    holed.iter_mut().step_by(97).for_each(|v| *v = f32::NAN);
    let plane = 48 * 48;
    holed[10 * plane..11 * plane].fill(f32::INFINITY);
    let motion = realigner.realign(&holed);
    let (shift, turn) = errors(&motion.rigid, &truth);
    assert!(motion.fit == Fit::Converged && shift < 0.1 && turn < 0.1, "{shift} mm {turn}° {motion:?}");
    assert_eq!(motion.missing, holed.iter().filter(|v| !v.is_finite()).count());
    let mut out = vec![0.0; holed.len()];
    realigner.reslice(&mut out, -1.0);
    assert!(out.iter().all(|v| v.is_finite()) && out.iter().filter(|v| **v == -1.0).count() > plane);

    let good = motion.rigid;
    let other: Vec<f32> = (0..holed.len()).map(|i| ((i * 7919) % 1000) as f32).collect();
    let cases = [
        (vec![0.0; holed.len()], Fit::Empty),
        (vec![f32::NAN; holed.len()], Fit::Empty),
        (vec![1.0; 7], Fit::Empty),
        (other, Fit::NotConverged),
    ];
    for (volume, fit) in cases {
        let motion = realigner.realign(&volume);
        assert_eq!((motion.fit, motion.rigid), (fit, good));
    }
    assert_eq!(realigner.counts(), RealignCounts { converged: 1, not_converged: 1, empty: 3 });
    realigner.realign(&[1.0; 7]);
    realigner.reslice(&mut out, -1.0);
    assert!(out.iter().all(|v| *v == -1.0), "an older volume shows");
    let back = realigner.realign(&seen(&grid, &truth, 10.0, 4));
    assert!(back.fit == Fit::Converged && errors(&back.rigid, &truth).0 < 0.05);
    realigner.reset();
    assert_eq!(realigner.realign(&[1.0; 7]).rigid, Rigid::IDENTITY);
}

#[test]
fn a_reference_that_holds_nothing_is_refused() {
    let told = |dims: [usize; 3], values: fn(usize) -> f32, affine: Option<[[f64; 4]; 3]>| {
        let mut grid = grid(dims);
        grid.affine = affine.unwrap_or(grid.affine);
        let reference: Vec<f32> = (0..grid.voxels()).map(values).collect();
        Realigner::new(&grid, &reference, &RealignConfig::default()).map(|_| ()).map_err(|e| e.to_string())
    };
    let nothing = "realign: the reference volume shows nothing to hold on to (choose a later volume)";
    assert_eq!(told([20, 20, 20], |_| 5.0, None), Err(nothing.into()));
    assert_eq!(told([20, 20, 20], |_| f32::NAN, None), Err(nothing.into()));
    let thin = told([20, 20, 1], |i| i as f32, None);
    assert_eq!(thin, Err("realign: [20, 20, 1] voxels, at least 4 are needed along each axis".into()));
    let flat = told([20, 20, 20], |i| i as f32, Some([[0.0; 4]; 3]));
    assert!(flat.is_err_and(|e| e.contains("has no inverse (mend the header's geometry)")));
    let grid = grid([8, 8, 8]);
    let short = Realigner::new(&grid, &[1.0; 3], &RealignConfig::default()).map(|_| ()).map_err(|e| e.to_string());
    assert_eq!(short, Err("realign: a reference of 3 voxels on a grid of 512".into()));
}
