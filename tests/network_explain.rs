//! Does `neurod network explain` find what was planted, sum to what it explains, and say where there is nothing to explain?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod network_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::{Array1, Axis};
use network_support::{planted, rows};
use neurod::datasets::networks;
use neurod::network::baselines::{Edges, Logistic, LogisticConfig};
use neurod::network::benchmark::{Model, Plan};
use neurod::network::deep::{BrainTransformer, DeepLearner, GraphNetwork, Messages, NodeFeatures, Training};
use neurod::network::division::{Scheme, Units, divide};
use neurod::network::explain::stability::stability;
use neurod::network::explain::{Baseline, Explaining, Integrated, MaskConfig, Method, gathered, gradients};
use neurod::network::synthetic::{Effect, Synthetic};
use neurod::network::{Fitted, Inside, Networks, Targets};
use serde_json::Value;

/// Which share of the first edges is planted, of as many as were planted.
fn precision(networks: &Networks, labels: &[String], truth: &Synthetic, model: &str, method: Method) -> f64 {
    let targets = Targets::classes(labels).unwrap();
    let all: Vec<usize> = (0..networks.len()).collect();
    let units = Units::of(&networks.participants, None);
    let folds = divide(&all, &units, &targets, Scheme::Parts(5), 0).unwrap();
    let models = [Model::described("m", model, None).unwrap()];
    let plan = Plan {
        networks,
        targets: &targets,
        units: &units,
        folds: &folds,
        models: &models,
        inner: 5,
        held_back: 0.2,
        seed: 0,
    };
    let edges = Edges::of(None, plan.rows(&all));
    let (baseline, mask) = (Baseline::Mean, MaskConfig::default());
    let explaining = Explaining { plan: &plan, model: &models[0], method, baseline, steps: 16, mask, edges: &edges };
    let explained = explaining.run(&|| ());
    let values: Vec<&Array1<f64>> = explained.iter().map(|of| of.values.first().expect("values")).collect();
    let wanted: BTreeSet<(usize, usize)> = truth.edges().into_iter().map(|(i, j, _)| (i, j)).collect();
    let (places, first) = (edges.places(), stability(&values, wanted.len()).ranked);
    let found = first.iter().take(wanted.len()).filter(|of| wanted.contains(&places[of.edge])).count();
    found as f64 / wanted.len() as f64
}

/// A model that learns fast.
fn short(model: &str) -> String {
    format!("model = \"{model}\"\n[settings]\nepochs = 20\nlr = 0.003\n")
}

#[test]
fn every_method_finds_what_was_planted_and_nothing_where_labels_are_shuffled() {
    let logistic = "model = \"logistic\"".to_owned();
    // The share of the planted edges among as many first ones that is the least: attention says where a model looks.
    let cases = [
        (Effect::Edges, &logistic, Method::Pattern, 0.8),
        (Effect::Edges, &logistic, Method::Gradients, 0.8),
        (Effect::Edges, &short("mlp"), Method::Gradients, 0.8),
        (Effect::Edges, &short("mlp"), Method::Mask, 0.6),
        (Effect::Community, &short("node-edge-concat"), Method::Gradients, 0.8),
        (Effect::Community, &short("attention-weighted"), Method::Attention, 0.3),
    ];
    let mut said = Vec::new();
    for (effect, model, method, least) in cases {
        let truth = Synthetic { effect, strength: 0.45, people: 120, regions: 16, seed: 5 };
        let networks = truth.make().unwrap();
        // Of each group every other two, so that both new groups hold half of each.
        let shuffled: Vec<String> = (0..120).map(|at| ["a", "b"][at / 2 % 2].to_owned()).collect();
        let right = precision(&networks, &networks.labels, &truth, model, method);
        let wrong = precision(&networks, &shuffled, &truth, model, method);
        said.push((
            model.lines().next().unwrap().to_owned(),
            method,
            right,
            wrong,
            right >= least && wrong <= 0.34 && right > wrong,
        ));
    }
    assert!(said.iter().all(|(.., holds)| *holds), "{said:#?}");
}

/// A graph network of a few columns that has learned a little of planted networks.
fn learned(
    network: GraphNetwork,
    networks: &Networks,
    targets: &Targets,
) -> neurod::network::deep::Trained<GraphNetwork> {
    let all: Vec<usize> = (0..networks.len()).collect();
    let training = Training { epochs: 6, lr: 0.01, ..Training::default() };
    DeepLearner::new(network, training).learn(rows(networks, targets, &all), None, 3, None).unwrap()
}

fn small(messages: Messages, features: NodeFeatures) -> GraphNetwork {
    GraphNetwork { messages, features, hidden: 6, eigenvectors: 3, ..GraphNetwork::default() }
}

fn integrated(fitted: &dyn Fitted, networks: &Networks, row: usize, steps: usize) -> Integrated {
    let Inside::Layers(layers) = fitted.inside() else { panic!("layers") };
    let mean = networks.connectivity.mean_axis(Axis(0)).unwrap();
    layers.integrated(networks.connectivity.index_axis(Axis(0), row), mean.view(), steps).unwrap()
}

#[test]
fn attributions_sum_to_what_the_output_changes_by() {
    let (networks, targets) = planted(24, 9, 0.4, 1);
    let combined = [
        (Messages::NodeEdgeConcat, NodeFeatures::ConnectionProfile),
        (Messages::AttentionNodeConcat, NodeFeatures::ConnectionProfile),
        (Messages::EdgeWeighted, NodeFeatures::Degree),
        (Messages::AttentionEdgeSum, NodeFeatures::Identity),
        (Messages::NodeEdgeConcat, NodeFeatures::Eigenvector),
    ];
    for (messages, features) in combined {
        let fitted = learned(small(messages, features), &networks, &targets);
        let missed = |steps: usize| {
            let (mut gaps, mut changes) = (0.0, 0.0);
            for row in 0..8 {
                let one = integrated(&fitted, &networks, row, steps);
                gaps += one.gap(0).abs();
                changes += one.change[0].abs();
            }
            assert!(changes > 0.01, "{messages:?}: the network says the same of everybody ({changes})");
            gaps / changes
        };
        // Midpoints miss less and less of a way whose gradient has steps; 32 of them are the default.
        let (usual, many) = (missed(32), missed(512));
        if features == NodeFeatures::Eigenvector {
            // What comes through features that do not follow the edges is missed, and told.
            assert!(many > 0.01, "{messages:?} on {features:?} misses no more than {many}");
            continue;
        }
        assert!(usual < 0.05 && many < 0.005, "{messages:?} on {features:?} misses {many}, {usual} in 32 steps");
    }
    // What no edge reaches has nothing to explain.
    let fitted = learned(small(Messages::AttentionNodeConcat, NodeFeatures::Identity), &networks, &targets);
    let mean = networks.connectivity.mean_axis(Axis(0)).unwrap();
    let refused = gradients::carried("x", fitted.inside(), rows(&networks, &targets, &[0, 1]), mean.view(), 2);
    assert!(
        refused.unwrap_err().to_string().starts_with("model \"x\": has no gradient: edges reach it through counts")
    );
}

#[test]
fn attributions_are_the_path_integral_of_differences() {
    const STEPS: usize = 16;
    const STEP: f64 = 0.02;
    let (networks, targets) = planted(24, 9, 0.4, 1);
    let mean = networks.connectivity.mean_axis(Axis(0)).unwrap();
    for messages in [Messages::NodeEdgeConcat, Messages::AttentionNodeEdgeConcat] {
        let fitted = learned(small(messages, NodeFeatures::ConnectionProfile), &networks, &targets);
        let ours = integrated(&fitted, &networks, 5, STEPS);
        let way = &networks.connectivity.index_axis(Axis(0), 5) - &mean;
        let largest = ours.attribution.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        for (i, j) in [(1, 0), (0, 1), (2, 1), (7, 3), (8, 8), (4, 6)] {
            let mut connectivity = ndarray::Array3::zeros((2 * STEPS, 9, 9));
            for (at, mut network) in connectivity.outer_iter_mut().enumerate() {
                network.assign(&(&mean + &(&way * ((at / 2) as f64 + 0.5) / STEPS as f64)));
                network[[i, j]] += if at % 2 == 0 { STEP } else { -STEP };
            }
            let networks = Networks { connectivity, ..Networks::default() };
            let all: Vec<usize> = (0..2 * STEPS).collect();
            let logits = fitted.logits(rows(&networks, &targets, &all)).unwrap();
            let odds: Vec<f64> = logits.rows().into_iter().map(|row| row[1] - row[0]).collect();
            let slopes = odds.chunks(2).map(|pair| (pair[0] - pair[1]) / (2.0 * STEP));
            let theirs = way[[i, j]] * slopes.sum::<f64>() / STEPS as f64;
            let apart = (ours.attribution[[0, i, j]] - theirs).abs();
            assert!(apart <= 0.03 * largest, "{messages:?} ({i}, {j}): {} and {theirs}", ours.attribution[[0, i, j]]);
        }
        assert!(largest > 1e-3, "{largest}");
    }
}

#[test]
fn gradients_of_a_linear_model_are_its_weights_times_the_way() {
    let (networks, targets) = planted(30, 6, 0.4, 2);
    let all: Vec<usize> = (0..30).collect();
    let set = rows(&networks, &targets, &all);
    let linear = Logistic::new("logistic", LogisticConfig::default()).unwrap().learn(set).unwrap();
    let mean = networks.connectivity.mean_axis(Axis(0)).unwrap();
    let found = gradients::carried("logistic", linear.inside(), set, mean.view(), 1).unwrap();
    let edges = Edges::of(None, set);
    // The slope on the truth of w ∘ (x − x̄), edge by edge.
    let x = edges.vectors(set).unwrap();
    let weights = &linear.weights.column(0) / &linear.standard.scale;
    let of = |class: usize| x.select(Axis(0), &(class..30).step_by(2).collect::<Vec<_>>()).mean_axis(Axis(0)).unwrap();
    let expected = &weights * &(of(1) - of(0));
    let ours = gathered(&edges, found.slope.index_axis(Axis(0), 0));
    assert!((&ours - &expected).iter().all(|d| d.abs() < 1e-12), "{ours} and {expected}");
    // All edges together are the slope of the decision itself.
    let said = linear.decisions(set).unwrap();
    let mean_of = |class: usize| (class..30).step_by(2).map(|row| said[[row, 0]]).sum::<f64>() / 15.0;
    assert!((ours.sum() - (mean_of(1) - mean_of(0))).abs() < 1e-10);
    assert!(found.gap < 1e-10, "{}", found.gap);
    let ill: Vec<usize> = (0..30).step_by(2).collect();
    let same = gradients::carried("logistic", linear.inside(), rows(&networks, &targets, &ill), mean.view(), 1);
    assert!(same.unwrap_err().to_string().contains("do not differ in what they are"));
}

#[test]
fn attention_is_what_regions_pay_and_is_not_there_where_there_is_none() {
    let (networks, targets) = planted(20, 7, 0.4, 3);
    let all: Vec<usize> = (0..20).collect();
    let set = rows(&networks, &targets, &all);
    let attend = |fitted: &dyn Fitted, rows| {
        let Inside::Layers(layers) = fitted.inside() else { panic!("layers") };
        layers.attention(rows).unwrap()
    };
    let fitted = learned(small(Messages::AttentionWeighted, NodeFeatures::ConnectionProfile), &networks, &targets);
    let found = attend(&fitted, set).unwrap();
    assert_eq!(found.dim(), (20, 7, 7));
    assert!(found.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-5), "each region pays 1 in all");
    // One person alone is the same, and people differ.
    let alone = attend(&fitted, rows(&networks, &targets, &[13])).unwrap();
    assert!((&alone.index_axis(Axis(0), 0) - &found.index_axis(Axis(0), 13)).iter().all(|d| d.abs() < 1e-6));
    assert!((&found.index_axis(Axis(0), 0) - &found.index_axis(Axis(0), 1)).iter().any(|d| d.abs() > 1e-4));
    let training = Training { epochs: 2, ..Training::default() };
    let transformer =
        BrainTransformer { feedforward: 8, encoder: 4, clusters: 3, heads: 2, ..BrainTransformer::default() };
    let fitted = DeepLearner::new(transformer, training).learn(set, None, 0, None).unwrap();
    let found = attend(&fitted, set).unwrap();
    assert!(found.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
    let fitted = learned(small(Messages::NodeEdgeConcat, NodeFeatures::ConnectionProfile), &networks, &targets);
    assert!(attend(&fitted, set).is_none());
}

#[test]
fn a_mask_keeps_what_the_model_needs_and_is_the_same_for_a_seed() {
    let (networks, targets) = planted(40, 6, 0.8, 4);
    let all: Vec<usize> = (0..40).collect();
    let set = rows(&networks, &targets, &all);
    let fitted = learned(small(Messages::NodeEdgeConcat, NodeFeatures::ConnectionProfile), &networks, &targets);
    let Inside::Layers(layers) = fitted.inside() else { panic!("layers") };
    let mean = networks.connectivity.mean_axis(Axis(0)).unwrap();
    let mask = |config: &MaskConfig, seed| layers.mask(set, mean.view(), config, seed).unwrap();
    let before = fitted.saved().unwrap();
    let found = mask(&MaskConfig::default(), 1);
    assert_eq!(fitted.saved().unwrap(), before, "the model stays as it is");
    assert_eq!(found, mask(&MaskConfig::default(), 1));
    assert_ne!(found, mask(&MaskConfig::default(), 2));
    for ((i, j), m) in found.indexed_iter() {
        assert!((0.0..=1.0).contains(m) && (m - found[[j, i]]).abs() < 1e-6, "{i} {j} {m}");
        assert!(i != j || *m == 1.0);
    }
    // The edge that was planted is needed more than any other.
    let most = found.indexed_iter().filter(|((i, j), _)| i > j).max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert_eq!(most.0, (1, 0), "{found}");
    // Where edges only cost, all are masked away; where nothing pulls, all stay where they began, at σ(1).
    let nothing = MaskConfig { class: 0.0, agreement: 0.0, entropy: 0.0, ..MaskConfig::default() };
    let away = mask(&nothing, 1);
    assert!(away.indexed_iter().all(|((i, j), m)| i == j || *m < 0.2), "{away}");
    let still = mask(&MaskConfig { sparsity: 0.0, ..nothing }, 1);
    let begin = 1.0 / (1.0 + (-1.0_f64).exp());
    assert!(still.indexed_iter().all(|((i, j), m)| i == j || (m - begin).abs() < 1e-6), "{still}");
}

fn neurod(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.current_dir(folder).args(["network", "explain"]).args(words).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// networks.npz of 60 people with three planted edges, participants.tsv, and regions.tsv.
fn folder() -> (tempfile::TempDir, Synthetic) {
    let folder = tempfile::tempdir().unwrap();
    let truth = Synthetic { effect: Effect::Edges, strength: 0.6, people: 60, regions: 12, seed: 2 };
    let made = truth.make().unwrap();
    networks::write(&folder.path().join("networks.npz"), &made).unwrap();
    let mut people = String::from("participant_id\tnothing\tthree\tscore\n");
    for (at, person) in made.participants.iter().enumerate() {
        let (i, j, _) = truth.edges()[0];
        let (nothing, three) = (["a", "b"][at / 2 % 2], ["x", "y", "z"][at % 3]);
        people += &format!("{person}\t{nothing}\t{three}\t{}\n", 10.0 * made.connectivity[[at, i, j]]);
    }
    fs::write(folder.path().join("participants.tsv"), people).unwrap();
    let mut regions = String::from("name\tx\ty\tz\n");
    for (at, region) in made.regions.iter().enumerate().rev() {
        regions += &format!("{region}\t{}\t{}\t{}\n", at as f64 * 10.0 - 60.0, at % 4 * 20, at % 3 * 15);
    }
    fs::write(folder.path().join("regions.tsv"), regions).unwrap();
    fs::write(
        folder.path().join("short.toml"),
        "name = \"short\"\nmodel = \"mlp\"\n[settings]\nepochs = 30\nlr = 0.003\n",
    )
    .unwrap();
    (folder, truth)
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for inner in ["", "figures"] {
        for entry in fs::read_dir(folder.join(inner)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

#[test]
fn what_is_planted_stands_first_in_the_files_and_a_seed_gives_the_same_bytes() {
    let (folder, truth) = folder();
    let words = ["networks.npz", "--top", "3", "--coordinates", "regions.tsv", "--out", "out"];
    let said = done(&neurod(folder.path(), &words));
    assert!(said.contains("logistic has AUC 0.") || said.contains("logistic has AUC 1."), "{said}");
    assert!(said.contains("by chance") && !said.contains("WARNING"), "{said}");
    let first = files(&folder.path().join("out"));
    done(&neurod(folder.path(), &words));
    assert_eq!(files(&folder.path().join("out")), first);
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let all = [
        "edges.tsv",
        "explain.html",
        "figures/brain.svg",
        "figures/chord.svg",
        "figures/matrix.svg",
        "nodes.tsv",
        "summary.json",
    ];
    assert_eq!(names, all);

    let text = |name: &str| String::from_utf8(first[name].clone()).unwrap();
    let table = text("edges.tsv");
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 66);
    let planted: BTreeSet<[String; 2]> =
        truth.edges().iter().map(|(i, j, _)| [format!("REGION{}", j + 1), format!("REGION{}", i + 1)]).collect();
    let named: BTreeSet<[String; 2]> = rows[..3].iter().map(|row| [row[2].to_owned(), row[3].to_owned()]).collect();
    assert_eq!(named, planted);
    // Cases have more of an edge whose sign is +, and "control" is the second class.
    for (i, j, sign) in truth.edges() {
        let row = rows.iter().find(|row| row[2] == format!("REGION{}", j + 1) && row[3] == format!("REGION{}", i + 1));
        let row = row.unwrap();
        assert_eq!((row[0], row[4].parse::<f64>().unwrap() * sign < 0.0, row[6]), ("control", true, "1"), "{row:?}");
        assert!(row[7].parse::<usize>().unwrap() >= 3, "{row:?}");
    }
    assert_eq!(text("nodes.tsv").lines().count(), 13);
    let summary: Value = serde_json::from_str(&text("summary.json")).unwrap();
    assert_eq!((summary["method"].as_str(), summary["edges"].as_u64()), (Some("pattern"), Some(66)));
    assert!(summary["score"]["pooled"].as_f64().unwrap() > 0.8, "{}", summary["score"]);
    let overlap = &summary["outputs"][0]["overlap"];
    assert!(overlap["jaccard"].as_f64().unwrap() > 5.0 * overlap["jaccard_chance"].as_f64().unwrap(), "{overlap}");
    let page = text("explain.html");
    assert!(page.matches("<svg").count() == 3 && !page.contains("http://") && !page.contains("https://"));
    assert!(text("figures/brain.svg").contains("from the top"));

    // Without places there is no brain, and none of an earlier result is left.
    done(&neurod(folder.path(), &["networks.npz", "--top", "3", "--out", "out"]));
    assert!(!folder.path().join("out/figures/brain.svg").exists());
}

#[test]
fn noise_is_called_noise_and_each_class_and_a_number_are_explained() {
    let (folder, _) = folder();
    let explain = |words: &[&str]| {
        let words = [&["networks.npz", "--out", "out", "--top", "5", "--json"], words].concat();
        serde_json::from_str::<Value>(&done(&neurod(folder.path(), &words))).unwrap()
    };
    let nothing = explain(&["--labels", "participants.tsv:nothing"]);
    assert!(nothing["warnings"][0].as_str().unwrap().contains("is not better than chance"), "{nothing}");
    let page = fs::read_to_string(folder.path().join("out/explain.html")).unwrap();
    assert!(page.find("WARNING").unwrap() < page.find("<svg").unwrap());

    let three = explain(&["--labels", "participants.tsv:three", "--method", "gradients", "--model", "short.toml"]);
    let classes: Vec<&str> =
        three["outputs"].as_array().unwrap().iter().map(|of| of["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["x", "y", "z"]);
    assert!(three["completeness_gap"].as_f64().unwrap() < 0.05, "{}", three["completeness_gap"]);
    let names: Vec<String> = files(&folder.path().join("out")).into_keys().collect();
    assert!(names.contains(&"figures/chord-3.svg".into()) && !names.contains(&"figures/chord.svg".into()), "{names:?}");

    let score = ["--labels", "participants.tsv:score", "--task", "values", "--model", "ridge"];
    let number = explain(&score);
    assert_eq!((number["score"]["metric"].as_str(), number["outputs"][0]["class"].is_null()), (Some("r2"), true));
    // The number is an edge itself, which moves with what is said of it.
    let table = fs::read_to_string(folder.path().join("out/edges.tsv")).unwrap();
    let first: Vec<&str> = table.lines().nth(1).unwrap().split('\t').collect();
    let (_, truth) = self::folder();
    let (i, j, _) = truth.edges()[0];
    assert_eq!([first[2].to_owned(), first[3].to_owned()], [format!("REGION{}", j + 1), format!("REGION{}", i + 1)]);
}

#[test]
fn what_cannot_be_explained_says_why_and_what_to_do_and_leaves_nothing() {
    let (folder, _) = folder();
    let says = |words: &[&str], wanted: &str| {
        let output = neurod(folder.path(), &[&["networks.npz", "--out", "none"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted), "{words:?}: {said}");
        assert!(!folder.path().join("none").exists(), "{words:?}");
    };
    says(&["--model", "mpca"], "model \"mpca\": has neither a weight an edge nor gradients (choose logistic");
    says(&["--model", "node-edge-concat", "--method", "attention"], "has no attention (choose --method gradients");
    says(&["--model", "mlp", "--method", "pattern"], "is not linear, and has no pattern (choose --method gradients)");
    says(&["--method", "mask"], "its edges need no mask (choose --method pattern)");
    says(&["--method", "attention"], "is linear and has no attention");
    says(&["--model", "logistik"], "did you mean \"logistic\"?");
    says(&["--model", "ridge"], "learns numbers, but the labels are classes");
    says(&["--steps", "0"], "0 is not in 1..=10000");
    says(&["--validation", "1"], "--validation 1: give a share");
    says(&["--folds", "leave-one-person-out", "--method", "gradients"], "0 of 60 folds could be explained");
    says(&["--coordinates", "nowhere.tsv"], "--coordinates nowhere.tsv");
    fs::write(folder.path().join("few.tsv"), "name\tx\ty\tz\nREGION1\t0\t0\t0\n").unwrap();
    says(&["--coordinates", "few.tsv"], "--coordinates few.tsv: no row for region \"REGION2\"");
    fs::write(folder.path().join("flat.tsv"), "name\tx\ty\nREGION1\t0\t0\n").unwrap();
    says(&["--coordinates", "flat.tsv"], "the columns x, y and z must hold a number (mm) for every region");
    let help = done(&neurod(folder.path(), &["--help"]));
    for words in
        ["neurod network explain networks.npz", "--method", "pattern", "--coordinates", "docs/network-biomarkers.md"]
    {
        assert!(help.contains(words), "{words}: {help}");
    }
}
