"""Heat or rating, as scikit-learn reads it from the networks of 33 people.

usage: network_reference.py networks HEATPAIN OUT.npz      Fisher-z Pearson networks, one a run and condition, with Ledoit-Wolf covariances
       network_reference.py score NETWORKS.npz FOLDS.tsv C  logistic regression and linear SVM on the written folds, as JSON
"""
import csv
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

TR, LAG = 2.0, 5.0
RUNS = [("01", "_ts.txt", 0.0), ("03", "_ts_run_03.tsv", 836.0), ("07", "_ts_run_07.tsv", 2472.0)]


def networks(folder, out):
    connectivity, covariance, people, samples, labels, regions = [], [], [], [], [], []
    for person in sorted({path.name[:6] for path in folder.glob("sub-*_events.tsv")}):
        for run, suffix, begins in RUNS:
            path = folder / f"{person}{suffix}"
            if not path.exists():
                continue
            lines = path.read_text().splitlines()
            regions = lines[0].split("\t")[1:]
            series = np.array([line.split("\t") for line in lines[1:]], float)[:, 1:]
            events = folder / f"{person}_task-heatpainwithregulationandratings_run-{run}_events.tsv"
            rows = list(csv.DictReader(events.open(), delimiter="\t"))
            for label, column in [("heat", "temperature"), ("rating", "ratings")]:
                taken = np.zeros(len(series), bool)
                for row in rows:
                    if row[column] != "n/a":
                        at = float(row["onset"]) - begins + LAG
                        times = np.arange(len(series)) * TR
                        taken |= (times >= at) & (times < at + float(row["duration"]))
                part = series[taken]
                spread = part.std(0)
                part = (part - part.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
                r = part.T @ part / len(part)
                z = np.arctanh(np.clip(r, -1 + 1e-7, 1 - 1e-7))
                np.fill_diagonal(z, 0.0)
                connectivity.append((z + z.T) / 2)
                covariance.append(LedoitWolf(assume_centered=True).fit(part).covariance_)
                people.append(person)
                samples.append(f"{person}_run-{run}_{label}")
                labels.append(label)
    names = [f"{i}_{name}" for i, name in enumerate(regions)]  # some names are there twice
    np.savez(out, connectivity=np.array(connectivity), covariance=np.array(covariance), participants=np.array(people),
             samples=np.array(samples), labels=np.array(labels), regions=np.array(names), kind=np.array("pearson"),
             fisher_z=np.array("true"))


def score(path, folds, c):
    data = np.load(path)
    low = np.tril_indices(data["connectivity"].shape[1], -1)
    x = data["connectivity"][:, low[0], low[1]]
    y = (data["labels"] == "rating").astype(int)
    fold = np.array([int(row["fold"]) for row in csv.DictReader(open(folds), delimiter="\t")])
    models = {
        # Turned into the samples' span, which changes no prediction, Newton's method is exact; L-BFGS stops 1e-6 short of it.
        "logistic": make_pipeline(StandardScaler(), PCA(svd_solver="full"),
                                  LogisticRegression(C=c, solver="newton-cholesky", tol=1e-14, max_iter=1000)),
        "svm": make_pipeline(StandardScaler(), LinearSVC(C=c, tol=1e-8, max_iter=1000000, dual=True, random_state=0)),
    }
    out = {}
    for name, model in models.items():
        decided, probable, each = np.zeros(len(y)), np.zeros(len(y)), []
        for k in range(fold.max() + 1):
            test = fold == k
            model.fit(x[~test], y[~test])
            decided[test] = model.decision_function(x[test])
            probable[test] = 1 / (1 + np.exp(-decided[test]))
            both = len(set(y[test])) == 2
            each.append({"accuracy": accuracy_score(y[test], decided[test] > 0),
                         "auc": roc_auc_score(y[test], decided[test]) if both else None})
        out[name] = {"probabilities": probable.tolist(), "folds": each,
                     "accuracy": accuracy_score(y, decided > 0), "auc": roc_auc_score(y, decided)}
    print(json.dumps(out))


if sys.argv[1] == "networks":
    networks(Path(sys.argv[2]), sys.argv[3])
else:
    score(sys.argv[2], sys.argv[3], float(sys.argv[4]))
