//! Which options of graph networks can see a planted effect, and do they? What theory says, held against grouped cross-validation.
//!
//! The effect is [`Effect::Community`]: in cases the six edges among four of sixteen regions are stronger by 2 in Fisher's z. The community
//! is fixed, so with the connection profile as node features the effect is a shift of certain entries of X, and a linear function of X
//! tells the groups apart.
//!
//! **Can see it.** Every message keeps a linear image of the features of the region itself or of its neighbours. "Node concat", "node
//! edge concat" and their attentive forms have n h_i L₁, and so each row of X as it is. "Edge weighted" and the attentive sums have
//! mixtures of rows, (e X) W and (a X) W; "bin concat" and "edge weight concat" have (Σ_j h_j) L₁, the same sum of rows for every region.
//! A mean of all rows is the least that can be left: three of its sixteen rows are shifted in a column of the community, by about 0.8
//! in correlation, so the mean by 0.15; the noise of an edge (0.25) leaves 0.06 of deviation in it, and what a person's whole network is
//! shifted by is the same in the other columns. That is more than two deviations in each of four columns: the groups are told apart.
//! Concat keeps all regions; mean, sum and DiffPool add them, and a shift that has one sign in every row that has it cannot cancel. All
//! of these must reach an AUC of 0.95.
//!
//! **Cannot see it.** The messages "node concat" look at no edge weight, so that all they know of a network is in its features, and:
//! identity features are the same matrix for every network; on a complete graph every region has N neighbours with N neighbours each,
//! so that the degree profile is the same for every region of every network. The model is then a constant: AUC 0.5. With
//! DiffPool it is not, because that groups the edges themselves (Sᵀ A S), whatever the features are; so it is left out of this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use neurod::network::deep::{DeepLearner, GraphNetwork, Messages, NodeFeatures, Pooling, Training};
use neurod::network::division::{Fold, Scheme, Units, divide, held_back};
use neurod::network::scores::Metric;
use neurod::network::synthetic::{Effect, Synthetic};
use neurod::network::{Learner, Networks, Rows, Targets};

/// Two networks of each of 48 people, both of one group.
fn planted() -> (Networks, Targets) {
    let made = Synthetic { effect: Effect::Community, strength: 2.0, people: 96, regions: 16, seed: 3 };
    let mut networks = made.make().unwrap();
    // Of every four networks the first and the third are cases.
    networks.participants = (0..96).map(|sample| format!("{}-{}", sample / 4, sample % 2)).collect();
    let targets = Targets::classes(&networks.labels).unwrap();
    (networks, targets)
}

/// The mean AUC of the folds.
fn auc(network: GraphNetwork, networks: &Networks, targets: &Targets) -> f64 {
    let training = Training { epochs: 40, batch: 8, lr: 3e-3, patience: 15, ..Training::default() };
    let learner = DeepLearner::new(network, training);
    let (all, units) = (Vec::from_iter(0..networks.len()), Units::of(&networks.participants, None));
    let folds = divide(&all, &units, targets, Scheme::Parts(2), 0).unwrap();
    let score = |Fold { train, test }: &Fold| {
        let apart =
            |row: &usize| train.iter().all(|other| networks.participants[*other] != networks.participants[*row]);
        assert!(test.iter().all(apart), "a person is on both sides");
        let inner = held_back(train, &units, targets, 0.25, 0).unwrap();
        let rows = |rows| Rows { networks, targets, rows };
        let fitted = learner.fit(rows(&inner.train), Some(rows(&inner.test)), 0).unwrap();
        let predicted = fitted.predict(rows(test)).unwrap();
        // Single precision rounds the same network differently in another row of a batch: what differs by no more is tied.
        let first = predicted.row(0).to_owned();
        let predicted = (predicted - &first).mapv(|p| (p / 1e-4).round());
        Metric::Auc.score(targets, test, predicted.view())
    };
    folds.iter().map(score).sum::<f64>() / folds.len() as f64
}

fn small() -> GraphNetwork {
    GraphNetwork { hidden: 8, heads: 2, edge_embedding: 8, layers: 1, ..GraphNetwork::default() }
}

#[test]
fn every_message_and_attention_finds_what_it_can_see() {
    let (networks, targets) = planted();
    for messages in Messages::ALL {
        let found = auc(GraphNetwork { messages, ..small() }, &networks, &targets);
        assert!(found >= 0.95, "{}: {found}", messages.name());
    }
}

#[test]
fn every_pooling_finds_what_it_can_see() {
    let (networks, targets) = planted();
    for pooling in Pooling::ALL {
        let found = auc(GraphNetwork { pooling, ..small() }, &networks, &targets);
        assert!(found >= 0.95, "{}: {found}", pooling.name());
    }
}

#[test]
fn what_cannot_see_the_edges_is_at_chance() {
    let (networks, targets) = planted();
    for features in [NodeFeatures::Identity, NodeFeatures::DegreeProfile] {
        for pooling in [Pooling::Concat, Pooling::Mean, Pooling::Sum] {
            let messages = Messages::NodeConcat;
            let found = auc(GraphNetwork { features, messages, pooling, ..small() }, &networks, &targets);
            assert!((found - 0.5).abs() < 1e-9, "{} + {}: {found}", features.name(), pooling.name());
        }
    }
}
