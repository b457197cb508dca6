"""The oracle of tests/encode_identify.rs: identification by scikit-learn's ridge and the definition, sample by sample.

usage: identify_reference.py FOLDER

Prints top-1, top-5 and mean percentile rank by likelihood and by cosine, as JSON.
"""

import json
import sys

import numpy as np
from sklearn.linear_model import Ridge


def main(folder):
    x, y = np.load(f"{folder}/features.npy"), np.load(f"{folder}/responses.npy")
    lines = [line.split("\t") for line in open(f"{folder}/runs.tsv").read().splitlines()[1:]]
    runs, stimuli = np.array([a for a, _ in lines]), np.array([b for _, b in lines])
    predicted = np.zeros_like(y)
    for run in np.unique(runs):
        test = runs == run
        train = ~test & ~np.isin(stimuli, stimuli[test])
        predicted[test] = Ridge(alpha=10.0).fit(x[train], y[train]).predict(x[test])
    out = {}
    for by in ("likelihood", "cosine"):
        top_1, top_5, percentile = [], [], []
        for run in np.unique(runs):
            test = runs == run
            variance = ((y - predicted)[~test] ** 2).mean(0)
            names = list(dict.fromkeys(stimuli[test]))
            measured = [y[test & (stimuli == name)].mean(0) for name in names]
            expected = [predicted[test & (stimuli == name)].mean(0) for name in names]
            for i, m in enumerate(measured):
                if by == "cosine":
                    scores = [m @ e / np.linalg.norm(m) / np.linalg.norm(e) for e in expected]
                else:
                    scores = [-0.5 * (((m - e) ** 2) / variance).sum() for e in expected]
                rank = 1 + sum(s > scores[i] for s in scores)
                top_1.append(rank == 1)
                top_5.append(rank <= 5)
                percentile.append(1 - (rank - 1) / (len(names) - 1))
        out[by] = {"top_1": np.mean(top_1), "top_5": np.mean(top_5), "percentile": np.mean(percentile)}
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
