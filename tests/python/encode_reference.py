"""The oracle of tests/encode.rs: the same folds, weights and scores from scikit-learn, himalaya and their definitions.

usage: encode_reference.py FOLDER

Writes predictions_fixed.npy (λ = 10, runs), predictions_auto.npy (λ per voxel, runs), lambdas.npy (all rows) and
reference.json (metrics of the first).
"""

import json
import sys

import numpy as np
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut


def two_v_two(y, p):
    def distance(a, b):
        return 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    won = pairs = 0
    for i in range(len(y)):
        for j in range(i + 1, len(y)):
            right = distance(y[i], p[i]) + distance(y[j], p[j])
            won += right < distance(y[i], p[j]) + distance(y[j], p[i])
            pairs += 1
    return won / pairs


def main():
    folder = sys.argv[1]
    set_backend("numpy")
    x, y = np.load(f"{folder}/features.npy"), np.load(f"{folder}/responses.npy")
    runs = np.array([line.split("\t")[0] for line in open(f"{folder}/runs.tsv").read().splitlines()[1:]])
    grid = np.array(json.load(open(f"{folder}/grid.json")))
    fixed, auto = np.zeros_like(y), np.zeros_like(y)

    def chosen(rows):
        splits = list(LeaveOneGroupOut().split(x[rows], groups=runs[rows]))
        model = RidgeCV(alphas=grid, fit_intercept=True, cv=splits).fit(x[rows], y[rows])
        return model

    for train, test in LeaveOneGroupOut().split(x, groups=runs):
        fixed[test] = Ridge(alpha=10.0).fit(x[train], y[train]).predict(x[test])
        auto[test] = chosen(train).predict(x[test])
    np.save(f"{folder}/predictions_fixed.npy", fixed)
    np.save(f"{folder}/predictions_auto.npy", auto)
    np.save(f"{folder}/lambdas.npy", chosen(np.arange(len(x))).best_alphas_)
    by_voxel = [np.corrcoef(y[:, v], fixed[:, v])[0, 1] for v in range(y.shape[1])]
    by_sample = [np.corrcoef(y[i], fixed[i])[0, 1] for i in range(len(y))]
    r2 = 1 - ((y - fixed) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)
    answer = {
        "pearson_per_voxel": np.mean(by_voxel), "pearson_per_sample": np.mean(by_sample), "r2_per_voxel": np.mean(r2),
        "mae": np.abs(y - fixed).mean(), "2v2": two_v_two(y, fixed),
    }
    json.dump(answer, open(f"{folder}/reference.json", "w"))


if __name__ == "__main__":
    main()
