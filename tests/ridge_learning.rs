//! What the learner does over time: memory, λ, refactorisation in the background, and going back when it got worse.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use neurod::frame::Quality;
use neurod::ridge::{
    ChooseLambda, Criterion, Forget, GuardConfig, LambdaConfig, LambdaGrid, Learner, Memory, Moments, Observed,
    RidgeConfig, Rls, SkillConfig, Window,
};

const F: usize = 8;
const V: usize = 4;

struct Noise(u64);

impl Noise {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    /// `y` follows `x` through fixed weights; `noise[j]` is added to target `j`.
    fn row(&mut self, noise: &[f64; V]) -> (Vec<f64>, Vec<f64>) {
        let x: Vec<f64> = (0..F).map(|i| 2.0 * self.draw() + i as f64).collect();
        let y = (0..V).map(|j| x[j] - x[j + 3] + 0.5 * x[j + 4] + noise[j] * self.draw()).collect();
        (x, y)
    }
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    let largest = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

#[test]
fn forgetting_decays_the_data_and_not_the_penalty() {
    let memory = Memory::Forget(Forget { factor: 0.5, block: 10 });
    let config = RidgeConfig { memory, lambda: LambdaConfig::Fixed(2.0), ..RidgeConfig::default() };
    let mut learner = Learner::new(F, V, &config).unwrap();
    let mut noise = Noise(3);
    let mut blocks: Vec<Moments> = vec![Moments::new(F, V)];
    for t in 1..=137 {
        let (x, y) = noise.row(&[1.0; V]);
        learner.observe(&x, &y, Quality::GOOD);
        blocks.last_mut().unwrap().observe(&x, &y);
        if t % 10 == 0 {
            blocks.iter_mut().for_each(|block| block.forget(0.5));
            blocks.push(Moments::new(F, V));
        }
        // A weighted batch ridge with the whole λ, at the blocks' ends and between them.
        let exact = Rls::solve(&blocks, &[2.0; V]).unwrap();
        assert!(close(&learner.weights(), &exact.weights(), 1e-9), "after {t}");
    }
}

#[test]
fn a_window_holds_the_newest_blocks_exactly() {
    let memory = Memory::Window(Window { blocks: 3, block: 15 });
    let config = RidgeConfig { memory, ..RidgeConfig::default() };
    let mut learner = Learner::new(F, V, &config).unwrap();
    let mut noise = Noise(4);
    let mut rows = Vec::new();
    for t in 1..=200usize {
        let (x, y) = noise.row(&[1.0; V]);
        learner.observe(&x, &y, Quality::GOOD);
        rows.push((x, y));
        let kept = if t < 45 { t } else { 30 + t % 15 };
        let mut moments = Moments::new(F, V);
        rows[t - kept..].iter().for_each(|(x, y)| moments.observe(x, y));
        let exact = Rls::solve(&[&moments], &[10.0; V]).unwrap();
        assert!(close(&learner.weights(), &exact.weights(), 1e-9), "after {t}, {kept} kept");
    }
}

fn choosing(criterion: Criterion, grid: Vec<f64>, every: u64) -> RidgeConfig {
    let choose =
        ChooseLambda { choose: criterion, grid: LambdaGrid::List(grid), every, keep_runs: 3, start: Some(1.0) };
    RidgeConfig { lambda: LambdaConfig::Choose(choose), ..RidgeConfig::default() }
}

#[test]
fn held_out_runs_choose_a_lambda_per_region_and_older_runs_are_merged() {
    let config = choosing(Criterion::Runs, vec![0.01, 1.0, 100.0, 1e4], 40);
    let mut learner = Learner::new(F, V, &config).unwrap();
    let mut noise = Noise(5);
    let mut total = Moments::new(F, V);
    let mut adopted = 0;
    for t in 0..240 {
        if t % 40 == 0 {
            learner.new_run();
        }
        let (x, mut y) = noise.row(&[0.01, 3.0, 3.0, 0.0]);
        y[3] = noise.draw();
        learner.observe(&x, &y, Quality::GOOD);
        total.observe(&x, &y);
        if let Some(job) = learner.begin_search() {
            assert!(learner.adopt(job.run()));
            adopted += 1;
            if adopted == 1 {
                assert_eq!(learner.lambdas(), [1.0; V], "with one run there is nothing to hold out");
            }
        }
    }
    assert_eq!(adopted, 6);
    let lambdas = learner.lambdas();
    assert!(lambdas[0] <= 0.01 && lambdas[3] >= 1e4, "{lambdas:?}: clean data want little, pure noise wants much");
    let exact = Rls::solve(&[&total], &lambdas).unwrap();
    assert!(close(&learner.weights(), &exact.weights(), 1e-9), "merged runs lose nothing");
    assert!(learner.drift().unwrap() < 1e-9);
    let condition = learner.condition().unwrap();
    assert!((1.0..1e6).contains(&condition), "{condition}");
}

#[test]
fn what_is_learned_while_a_job_runs_elsewhere_is_not_lost() {
    let mut learner = Learner::new(F, V, &choosing(Criterion::Gcv, vec![0.1, 10.0, 1e3], 50)).unwrap();
    let mut noise = Noise(6);
    let mut total = Moments::new(F, V);
    let mut job = None;
    for t in 0..90 {
        let (x, mut y) = noise.row(&[0.1, 9.0, 1.0, 30.0]);
        if t == 70 {
            y[2] = f64::NAN;
        }
        learner.observe(&x, &y, Quality::GOOD);
        y.iter_mut().zip(learner.prediction()).filter(|(y, _)| y.is_nan()).for_each(|(y, p)| *y = *p);
        total.observe(&x, &y);
        job = job.or(learner.begin_search());
    }
    let job = job.expect("due after 50");
    assert!(learner.begin_search().is_none(), "one at a time");
    let result = std::thread::Builder::new().name("search".into()).spawn(move || job.run()).unwrap().join().unwrap();
    assert!(learner.adopt(result));
    let lambdas = learner.lambdas();
    assert!(lambdas.windows(2).any(|w| w[0] != w[1]), "{lambdas:?}");
    let exact = Rls::solve(&[&total], &lambdas).unwrap();
    assert!(close(&learner.weights(), &exact.weights(), 1e-9));

    let late = learner.search().run();
    learner.abandon_search();
    assert!(!learner.adopt(late), "nobody waits for it any more");
}

#[test]
fn a_refresh_comes_at_fixed_update_counts_and_changes_nothing_but_rounding() {
    let config = RidgeConfig { refresh: 64, ..RidgeConfig::default() };
    let (mut with, mut without) = (Learner::new(F, V, &config).unwrap(), Learner::new(F, V, &config).unwrap());
    let mut noise = Noise(7);
    let mut at = Vec::new();
    for _ in 0..200 {
        let (x, y) = noise.row(&[1.0; V]);
        with.observe(&x, &y, Quality::GOOD);
        without.observe(&x, &y, Quality::GOOD);
        if let Some(job) = with.begin_search() {
            at.push(with.updates());
            let result = job.run();
            assert!(result.drift < 1e-12 && result.condition > 1.0);
            assert!(with.adopt(result));
        }
    }
    assert_eq!(at, [64, 128, 192]);
    assert!(close(&with.weights(), &without.weights(), 1e-11));
}

/// Feeds 450 good volumes, 70 with the targets of `corrupt`, and good ones again; (learner, R over the last window
/// before, during, after).
fn corrupted(guard: GuardConfig, corrupt: impl Fn(&mut [f64], &mut Noise)) -> (Learner, [f64; 3]) {
    let config = RidgeConfig { guard, skill: SkillConfig { window: 50 }, ..RidgeConfig::default() };
    let mut learner = Learner::new(F, V, &config).unwrap();
    let mut noise = Noise(8);
    let mut skills = [0.0; 3];
    for t in 0..720 {
        let (x, mut y) = noise.row(&[1.0; V]);
        if (450..520).contains(&t) {
            corrupt(&mut y, &mut noise);
        }
        let observed = learner.observe(&x, &y, Quality::GOOD);
        assert!(observed != Observed::Refused);
        match t {
            449 => skills[0] = learner.skill().window_r_mean(),
            519 => skills[1] = learner.skill().window_r_mean(),
            719 => skills[2] = learner.skill().window_r_mean(),
            _ => {}
        }
    }
    (learner, skills)
}

#[test]
fn corrupted_targets_are_unlearned_and_without_the_guard_they_are_not() {
    let wrong = |y: &mut [f64], noise: &mut Noise| y.iter_mut().for_each(|y| *y = -20.0 * *y + 200.0 * noise.draw());
    let guard = GuardConfig { every: 100, patience: 10, ..GuardConfig::default() };
    // Copies after 300, 400 and 500: the one of 400 is from before the bad volumes.
    let (guarded, [before, during, after]) = corrupted(guard.clone(), wrong);
    assert!(before > 0.9 && during < 0.3 && after > 0.9 * before, "{before} {during} {after}");
    assert!((1..=3).contains(&guarded.rollbacks()), "{}", guarded.rollbacks());
    let (bare, [_, _, bare_after]) = corrupted(GuardConfig { enabled: false, ..guard.clone() }, wrong);
    assert_eq!(bare.rollbacks(), 0);
    assert!(after > bare_after + 0.1, "guarded {after}, bare {bare_after}");
    let (calm, _) = corrupted(guard, |_, _| ());
    assert_eq!(calm.rollbacks(), 0);
    assert!(guarded.measure_drift() < 1e-9, "weights and moments went back together");
}
