"""The oracle of tests/encoding_solve.rs: himalaya's RidgeCV and group ridge, given the same folds, λ and mixes.

usage: encode_banded.py FOLDER

Reads x.npy, y.npy, ask.json {"grid", "folds", "spaces" (sizes), "mixes"}; writes alphas.npy and coef.npy of RidgeCV, and of
`solve_group_ridge_random_search` deltas.npy, weights.npy, scores.npy (mixes × voxels) and intercepts.npy.
"""

import json
import sys

import numpy as np
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV, solve_group_ridge_random_search
from sklearn.model_selection import KFold


def main():
    folder = sys.argv[1]
    set_backend("numpy")
    x, y = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy")
    ask = json.load(open(f"{folder}/ask.json"))
    grid, folds = np.array(ask["grid"]), KFold(ask["folds"])
    plain = RidgeCV(alphas=grid, fit_intercept=True, cv=folds).fit(x, y)
    np.save(f"{folder}/alphas.npy", plain.best_alphas_)
    np.save(f"{folder}/coef.npy", plain.coef_)
    edges = np.cumsum([0] + ask["spaces"])
    spaces = [x[:, a:b].copy() for a, b in zip(edges, edges[1:])]
    deltas, weights, scores, intercepts = solve_group_ridge_random_search(
        spaces, y, n_iter=np.array(ask["mixes"]), alphas=grid, fit_intercept=True, cv=folds, return_weights=True,
        progress_bar=False, warn=False,
    )
    for name, values in (("deltas", deltas), ("weights", weights), ("scores", scores), ("intercepts", intercepts)):
        np.save(f"{folder}/{name}.npy", values)


if __name__ == "__main__":
    main()
