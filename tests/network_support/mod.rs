//! What do tests of networks need? Networks with an effect that is known, and the peers that read what we export.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use ndarray::{Array2, Array3, ArrayD};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use neurod::network::{Networks, Rows, Targets};

/// Uniform numbers on (−1, 1) of a linear congruential generator.
pub fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Symmetric networks with ones on their diagonal, of two classes in turn: in the second one, the first third of the regions
/// are more tightly bound, by `effect`.
pub fn planted(samples: usize, nodes: usize, effect: f64, seed: u64) -> (Networks, Targets) {
    let mut draw = noise(seed);
    let mut connectivity = Array3::zeros((samples, nodes, nodes));
    for (sample, mut network) in connectivity.outer_iter_mut().enumerate() {
        for i in 0..nodes {
            for j in 0..i {
                let bound = if sample % 2 == 1 && i < nodes / 3 { effect } else { 0.0 };
                network[[i, j]] = 0.3 * draw() + bound;
                network[[j, i]] = network[[i, j]];
            }
            network[[i, i]] = 1.0;
        }
    }
    let name = |what: &str, count: usize| (0..count).map(|i| format!("{what}-{i:03}")).collect::<Vec<_>>();
    let networks = Networks {
        kind: "pearson".into(),
        connectivity,
        samples: name("sample", samples),
        participants: name("sub", samples),
        labels: vec![String::new(); samples],
        regions: name("region", nodes),
        ..Networks::default()
    };
    let targets = Targets::Classes { names: vec!["a".into(), "b".into()], of: (0..samples).map(|s| s % 2).collect() };
    (networks, targets)
}

/// All samples of a set.
pub fn rows<'a>(networks: &'a Networks, targets: &'a Targets, rows: &'a [usize]) -> Rows<'a> {
    Rows { networks, targets, rows }
}

/// What onnxruntime in Python gives for each of `outputs`.
pub fn onnxruntime(python: &Path, model: &[u8], inputs: &[(&str, ArrayD<f32>)], outputs: &[&str]) -> Vec<Array2<f32>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), model).unwrap();
    for (name, values) in inputs {
        values.write_npy(std::fs::File::create(folder.path().join(format!("{name}.npy"))).unwrap()).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/onnx_outputs.py");
    let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let ran = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .args([names.join(","), outputs.join(",")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let read = |name: &&str| {
        Array2::read_npy(std::fs::File::open(folder.path().join(format!("out_{name}.npy"))).unwrap()).unwrap()
    };
    outputs.iter().map(read).collect()
}

/// The largest difference.
pub fn apart(a: &Array2<f64>, b: &Array2<f32>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max)
}
