//! A learner survives the process: bit for bit, whole or not at all, whatever happens to the files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use neurod::frame::{Clock, MonotonicClock, Quality};
use neurod::ridge::{
    Checkpoint, CheckpointError, ChooseLambda, Criterion, Fingerprint, GuardConfig, LagsConfig, LambdaConfig,
    LambdaGrid, Learner, RidgeConfig, SkillConfig, Writer,
};
use sha2::{Digest, Sha256};

const F: usize = 12;
const V: usize = 5;

/// Everything switched on: λ by runs, a guard with copies, a moving window. The guard never goes back (R cannot fall by
/// more than 2), so that updates count volumes and a child that was killed knows where to go on.
fn config() -> RidgeConfig {
    RidgeConfig {
        lambda: LambdaConfig::Choose(ChooseLambda {
            choose: Criterion::Runs,
            grid: LambdaGrid::List(vec![0.1, 10.0, 1000.0]),
            every: 50,
            keep_runs: 3,
            start: None,
        }),
        skill: SkillConfig { window: 20 },
        guard: GuardConfig { every: 30, delta: 2.5, ..GuardConfig::default() },
        ..RidgeConfig::default()
    }
}

fn fingerprint(config: &RidgeConfig) -> Fingerprint {
    Fingerprint::new(&["sentence"], &["a", "b", "c", "d", "e"], &LagsConfig::Fir(vec![2.0, 4.0]), config)
}

fn new_learner() -> Learner {
    Learner::new(F, V, &config()).unwrap()
}

fn checkpoint(folder: &Path) -> Checkpoint {
    Checkpoint::new(folder, "regions", fingerprint(&config())).unwrap()
}

/// Observes volumes `from..to`, with runs, gaps in the targets and λ chosen at fixed counts.
fn observe(learner: &mut Learner, from: usize, to: usize) {
    for t in from..to {
        if t % 45 == 0 {
            learner.new_run();
        }
        let wave = |i: usize| ((t * 31 + i * 17) as f64 * 0.731).sin() + ((t * (i + 3)) as f64 * 0.117).cos();
        let x: Vec<f64> = (0..F).map(wave).collect();
        let mut y: Vec<f64> = (0..V).map(|j| x[j] - x[j + 2] + j as f64 * wave(F + j)).collect();
        if t % 11 == 0 {
            y[2] = f64::NAN;
        }
        learner.observe(&x, &y, Quality::GOOD);
        if let Some(job) = learner.begin_search() {
            learner.adopt(job.run());
        }
    }
}

fn bytes(learner: &Learner) -> Vec<u8> {
    let mut writer = Writer::default();
    learner.save(&mut writer);
    writer.into_bytes()
}

#[test]
fn a_resumed_learner_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for stop in [0, 1, 7, 137, 150] {
        let mut uninterrupted = new_learner();
        observe(&mut uninterrupted, 0, stop);
        checkpoint(folder.path()).save(&uninterrupted).unwrap();
        let mut resumed = new_learner();
        let loaded = checkpoint(folder.path()).load(&mut resumed).unwrap().unwrap();
        assert_eq!(loaded.why_older, None);
        assert!(bytes(&resumed) == bytes(&uninterrupted), "saved after {stop}");
        observe(&mut uninterrupted, stop, 400);
        observe(&mut resumed, stop, 400);
        assert!(bytes(&resumed) == bytes(&uninterrupted), "resumed after {stop}");
        assert!(uninterrupted.lambdas().iter().any(|l| *l != 10.0), "λ was chosen on the way");
    }
}

#[test]
fn a_damaged_file_is_never_taken_and_the_older_generation_steps_in_loudly() {
    let folder = tempfile::tempdir().unwrap();
    let store = checkpoint(folder.path());
    let mut learner = new_learner();
    observe(&mut learner, 0, 100);
    let older = bytes(&learner);
    store.save(&learner).unwrap();
    observe(&mut learner, 100, 101);
    store.save(&learner).unwrap();
    let (good, good_older) = (fs::read(store.newest()).unwrap(), fs::read(store.older()).unwrap());

    let mut state = 42u64;
    let mut draw = |limit: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % limit
    };
    for case in 0..400 {
        let mut bad = good.clone();
        match case % 4 {
            0 => bad.truncate(draw(good.len())),
            // The header, bit by bit, then anywhere.
            1 => bad[draw(56)] ^= 1 << draw(8),
            2 => bad[draw(good.len())] ^= 1 << draw(8),
            _ => bad.extend(std::iter::repeat_n(0, 1 + draw(100))),
        }
        fs::write(store.newest(), &bad).unwrap();
        fs::write(store.older(), &good_older).unwrap();
        let mut restored = new_learner();
        let loaded = store.load(&mut restored).unwrap().unwrap();
        assert_eq!(loaded.path, store.older());
        assert!(loaded.why_older.unwrap().contains("regions.ckpt: "), "case {case}");
        assert!(bytes(&restored) == older, "case {case}");
        assert!(folder.path().join("regions.ckpt.damaged").exists() && !store.newest().exists());
    }

    // The next save must not push the good generation out for the bad one.
    fs::write(store.newest(), &good[..100]).unwrap();
    let mut restored = new_learner();
    store.load(&mut restored).unwrap();
    store.save(&restored).unwrap();
    assert_eq!(fs::read(store.older()).unwrap(), good_older);

    fs::write(store.newest(), b"").unwrap();
    fs::write(store.older(), &good_older[..good_older.len() - 1]).unwrap();
    let mut untouched = new_learner();
    let error = store.load(&mut untouched).unwrap_err().to_string();
    assert!(error.contains("regions.ckpt: ends after 0 bytes") && error.contains("regions.previous.ckpt: "), "{error}");
    assert!(bytes(&untouched) == bytes(&new_learner()), "what cannot be loaded changes nothing");
}

/// A file whose checksum is right, whatever it says.
fn forge(payload: &[u8], version: u64, len: u64) -> Vec<u8> {
    let mut head = b"NRDRIDGE".to_vec();
    head.extend(version.to_le_bytes());
    head.extend(len.to_le_bytes());
    let sum = Sha256::new().chain_update(&head).chain_update(payload).finalize();
    [&head[..], &sum[..], payload].concat()
}

#[test]
fn a_forged_file_with_a_right_checksum_allocates_nothing_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = checkpoint(folder.path());
    let mut learner = new_learner();
    observe(&mut learner, 0, 60);
    store.save(&learner).unwrap();
    let payload = fs::read(store.newest()).unwrap()[56..].to_vec();
    let refused = |file: Vec<u8>| {
        fs::write(store.newest(), file).unwrap();
        let mut learner = new_learner();
        let error = store.load(&mut learner).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. } | CheckpointError::Mismatch { .. }), "{error}");
        assert_eq!(learner.updates(), 0);
        error.to_string()
    };
    let len = payload.len() as u64;
    assert!(refused(forge(&payload, 1, len)).contains("has version 1, this program reads 2"));
    assert!(refused(forge(&payload, 2, u64::MAX)).contains("says it has 18446744073709551615 bytes"));
    assert!(refused(forge(b"", 2, 0)).contains("ends after 0 bytes"));
    assert!(refused(forge(&[payload.clone(), vec![0; 8]].concat(), 2, len + 8)).contains("left over"));
    // Every word of the state's beginning in turn says something monstrous.
    for at in (0..payload.len().min(4000)).step_by(8) {
        let mut monster = payload.clone();
        monster[at..at + 8].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
        fs::write(store.newest(), forge(&monster, 2, len)).unwrap();
        // A number among the weights may be anything; a size may not, and neither may crash.
        let _ = store.load(&mut new_learner());
    }
    for cut in 0..200 {
        let part = &payload[..payload.len() * cut / 200];
        refused(forge(part, 2, part.len() as u64));
    }
}

#[test]
fn a_checkpoint_made_with_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path()).save(&new_learner()).unwrap();
    let (five, lags) = (["a", "b", "c", "d", "e"], LagsConfig::Fir(vec![2.0, 4.0]));
    let refused = |fingerprint: Fingerprint| {
        let store = Checkpoint::new(folder.path(), "regions", fingerprint).unwrap();
        let error = store.load(&mut new_learner()).unwrap_err();
        assert!(matches!(error, CheckpointError::Mismatch { .. }));
        error.to_string()
    };
    let other = refused(Fingerprint::new(&["sentence"], &five, &LagsConfig::Fir(vec![2.0]), &config()));
    assert!(
        other.ends_with(
            "regions.ckpt: was made with lags = [2.0,4.0], the configuration says [2.0] \
             (change it back, or move the file away to begin anew)"
        ),
        "{other}"
    );
    assert!(refused(Fingerprint::new(&["image"], &five, &lags, &config())).contains("made with features = 1 of hash"));
    assert!(
        refused(Fingerprint::new(&["sentence"], &five[..4], &lags, &config())).contains("made with targets = 5 of")
    );
    let fixed = RidgeConfig { lambda: LambdaConfig::Fixed(3.0), ..config() };
    assert!(refused(Fingerprint::new(&["sentence"], &five, &lags, &fixed)).contains("made with lambda = "));
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_so_is_a_name_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = checkpoint(&file.join("state")).save(&new_learner()).unwrap_err();
    assert!(matches!(error, CheckpointError::Io { .. }));
    assert!(error.to_string().ends_with("(checkpoints need a folder that can be written: set session.state_dir)"));
    for name in ["", "../x", ".hidden", "a/b", "a b"] {
        let error = Checkpoint::new(&file, name, fingerprint(&config())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("checkpoint name \"{name}\" must be")), "{error}");
    }
}

/// The child of the next test: learns and saves until it is killed, and says how far it got.
#[test]
#[ignore = "only as a child of the test below"]
#[allow(clippy::print_stdout, reason = "its stdout is how the parent knows")]
fn child_that_saves_until_it_is_killed() {
    let Ok(folder) = std::env::var("NEUROD_TEST_CHECKPOINT") else { return };
    let store = checkpoint(Path::new(&folder));
    let mut learner = new_learner();
    store.load(&mut learner).unwrap();
    for t in learner.updates() as usize.. {
        observe(&mut learner, t, t + 1);
        store.save(&learner).unwrap();
        println!("saved {}", learner.updates());
    }
}

#[test]
fn kill_9_while_saving_leaves_the_old_or_the_new_state_and_never_a_mix() {
    let folder = tempfile::tempdir().unwrap();
    let store = checkpoint(folder.path());
    let (mut reference, mut reached, mut missing) = (new_learner(), 0, 0);
    for round in 0..60u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_saves_until_it_is_killed", "--ignored", "--nocapture"])
            .env("NEUROD_TEST_CHECKPOINT", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines =
            lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("saved ")?.1.parse().unwrap()));
        let mut acknowledged: u64 = lines.next().unwrap();
        // Into the middle of a later save: some part of the two milliseconds after the first one was reported.
        let clock = MonotonicClock;
        let until = clock.now() + (round * 37 % 60) as f64 * 5e-5;
        while clock.now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        acknowledged = lines.last().unwrap_or(acknowledged);
        child.wait().unwrap();

        let mut restored = new_learner();
        let loaded = store.load(&mut restored).unwrap().expect("one was saved");
        missing += u32::from(loaded.why_older.is_some_and(|why| why.contains("is missing")));
        let updates = restored.updates();
        assert!((acknowledged..=acknowledged + 1).contains(&updates), "said {acknowledged}, found {updates}");
        observe(&mut reference, reached, updates as usize);
        reached = updates as usize;
        assert!(bytes(&restored) == bytes(&reference), "after {updates} updates");
    }
    assert!(reached > 60, "{reached}; cut between the renames {missing} times");
}
