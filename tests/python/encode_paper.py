"""The oracle of `neurod encode evaluate --paper`: the formulas of the released code, in numpy and nothing else.

usage: encode_paper.py FOLDER

Not centred, W = (XᵀX + λI)⁻¹ XᵀY; ten consecutive folds, the first n % 10 of them one longer; in each, for every voxel the λ
of 10⁻⁶ … 10⁹ with the least sum of 1 − R² over ten consecutive folds of the teaching rows. Writes predictions_paper.npy and
lambdas_paper.npy (chosen with all rows), and weights_paper.npy (of all rows with these).
"""

import sys

import numpy as np

GRID = [10.0**power for power in range(-6, 10)]


def folds(n, parts):
    sizes = [n // parts + (part < n % parts) for part in range(parts)]
    edges = np.cumsum([0] + sizes)
    rows = np.arange(n)
    return [(np.concatenate([rows[:a], rows[b:]]), rows[a:b]) for a, b in zip(edges, edges[1:])]


def weights(x, y, penalty):
    return np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1])) @ x.T @ y


def r2(predicted, measured):
    return 1 - np.mean((measured - predicted) ** 2, 0) / np.var(measured, 0)


def chosen(x, y):
    losses = np.zeros((len(GRID), y.shape[1]))
    for train, test in folds(len(x), 10):
        for place, penalty in enumerate(GRID):
            losses[place] += 1 - r2(x[test] @ weights(x[train], y[train], penalty), y[test])
    return np.argmin(losses, 0)


def main():
    folder = sys.argv[1]
    x, y = np.load(f"{folder}/features.npy"), np.load(f"{folder}/responses.npy")
    predicted = np.zeros_like(y)
    for train, test in folds(len(x), 10):
        best = chosen(x[train], y[train])
        for place in np.unique(best):
            of = best == place
            predicted[np.ix_(test, of)] = x[test] @ weights(x[train], y[train][:, of], GRID[place])
    np.save(f"{folder}/predictions_paper.npy", predicted)
    lambdas = np.array(GRID)[chosen(x, y)]
    np.save(f"{folder}/lambdas_paper.npy", lambdas)
    np.save(f"{folder}/weights_paper.npy", np.hstack([weights(x, y[:, [v]], penalty) for v, penalty in enumerate(lambdas)]))


if __name__ == "__main__":
    main()
