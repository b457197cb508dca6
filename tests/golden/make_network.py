"""Golden values of scikit-learn for network baselines and scores: python tests/golden/make_network.py > tests/golden/network.json"""

import json

import numpy as np
from scipy.stats import pearsonr
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

rng = np.random.default_rng(5)
REGIONS, SAMPLES, TRAIN = 10, 60, 40
low = np.tril_indices(REGIONS, -1)
edges = np.round(rng.normal(size=(SAMPLES, len(low[0]))), 4)
edges[:, 7] = 0.25  # an edge that never varies
two = (edges[:, 0] - edges[:, 1] + 0.8 * rng.normal(size=SAMPLES) > 0).astype(int)
three = np.digitize(edges[:, 2] + edges[:, 3] + 0.8 * rng.normal(size=SAMPLES), [-0.6, 0.6])
number = np.round(edges[:, 4] + 0.5 * edges[:, 5] + 0.3 * rng.normal(size=SAMPLES) + 20, 4)

scaler = StandardScaler().fit(edges[:TRAIN])
x, later = scaler.transform(edges[:TRAIN]), scaler.transform(edges[TRAIN:])


def logistic(y, c, weight=None):
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100000, class_weight=weight).fit(x, y[:TRAIN])
    return model.predict_proba(later).tolist()


def svm(y, c, loss, weight=None):
    model = LinearSVC(C=c, loss=loss, tol=1e-10, max_iter=1_000_000, dual=True, class_weight=weight, random_state=0)
    return np.reshape(model.fit(x, y[:TRAIN]).decision_function(later), (len(later), -1)).tolist()


def mk_svm(y, c):
    """The probabilities of the second class: kernels weighed by centred alignment, in the span of the training samples."""
    gamma, s = 1 / x.shape[1], np.where(y[:TRAIN, None] == y[None, :TRAIN], 1.0, -1.0)
    kernels = [(x @ x.T * gamma, later @ x.T * gamma), (rbf_kernel(x, x, gamma), rbf_kernel(later, x, gamma))]
    hat = np.eye(TRAIN) - 1 / TRAIN
    along = [np.sum(hat @ k @ hat * (hat @ s @ hat)) / np.linalg.norm(hat @ k @ hat) for k, _ in kernels]
    share = np.maximum(along, 0) / np.sum(np.maximum(along, 0))
    inside, outside = (sum(w * k[i] for w, k in zip(share, kernels)) for i in (0, 1))
    values, vectors = np.linalg.eigh(inside)
    keep = values > 1e-10
    turn = vectors[:, keep] / np.sqrt(values[keep])
    model = LinearSVC(C=c, loss="hinge", tol=1e-10, max_iter=1_000_000, dual=True, random_state=0)
    return (1 / (1 + np.exp(-model.fit(inside @ turn, y[:TRAIN]).decision_function(outside @ turn)))).tolist()


def scored(truth, p):
    said, several = p.argmax(1), p.shape[1] > 2
    auc = roc_auc_score(truth, p if several else p[:, 1], multi_class="ovr", average="macro")
    return {
        "truth": truth.tolist(), "predicted": p.tolist(), "accuracy": accuracy_score(truth, said), "auc": auc,
        "f1": f1_score(truth, said, average="macro"), "f1_micro": f1_score(truth, said, average="micro"),
    }


coarse = np.round(rng.dirichlet([2, 2], size=50), 1)  # many ties
finer = rng.dirichlet([2, 2, 2, 1], size=80)
values, guesses = rng.normal(size=30), rng.normal(size=30)
mean = number[:TRAIN].mean()
print(json.dumps({
    "regions": REGIONS, "train": TRAIN, "edges": edges.tolist(),
    "two": two.tolist(), "three": three.tolist(), "number": number.tolist(),
    "logistic": [
        {"labels": "two", "c": 1.0, "balanced": False, "probabilities": logistic(two, 1.0)},
        {"labels": "two", "c": 0.01, "balanced": True, "probabilities": logistic(two, 0.01, "balanced")},
        {"labels": "three", "c": 1.0, "balanced": False, "probabilities": logistic(three, 1.0)},
        {"labels": "three", "c": 0.05, "balanced": True, "probabilities": logistic(three, 0.05, "balanced")},
    ],
    "svm": [
        {"labels": "two", "c": 1.0, "loss": "squared-hinge", "balanced": False, "decisions": svm(two, 1.0, "squared_hinge")},
        {"labels": "two", "c": 0.01, "loss": "hinge", "balanced": True, "decisions": svm(two, 0.01, "hinge", "balanced")},
        {"labels": "three", "c": 0.1, "loss": "squared-hinge", "balanced": False, "decisions": svm(three, 0.1, "squared_hinge")},
    ],
    "mk_svm": [{"c": c, "probabilities": mk_svm(two, c)} for c in [1.0, 10.0]],
    "ridge": [{"alpha": a, "predicted": Ridge(alpha=a).fit(x, number[:TRAIN]).predict(later).tolist()} for a in [1.0, 100.0]],
    "kernel_ridge": [
        {"alpha": a, "gamma": g, "predicted": (KernelRidge(alpha=a, kernel="rbf", gamma=g).fit(x, number[:TRAIN] - mean)
                                               .predict(later) + mean).tolist()}
        for a, g in [(1.0, None), (0.1, 0.01)]
    ],
    "classes": [scored(rng.integers(0, 2, 50), coarse), scored(rng.integers(0, 4, 80), finer)],
    "values": {
        "truth": values.tolist(), "predicted": guesses.tolist(), "r2": r2_score(values, guesses),
        "pearson": pearsonr(values, guesses)[0], "mae": mean_absolute_error(values, guesses),
    },
}, indent=None))
