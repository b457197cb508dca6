"""The peer of benches/encoding.rs: himalaya's RidgeCV on the arrays x.npy and y.npy of FOLDER.

usage: himalaya_cv.py FOLDER

One JSON line in, one out. {"load": dtype, "lambdas", "folds"} reads the arrays and finds the quickest batch settings;
{"run": true} fits, answers {"seconds"} and writes best_alphas.npy and coef.npy.
"""

import json
import sys
import time

import numpy as np
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV


def fitted(x, y, ask, settings):
    edges = np.cumsum([0] + [len(part) for part in np.array_split(np.arange(len(x)), ask["folds"])])
    rows = np.arange(len(x))
    cv = [(np.r_[rows[:a], rows[b:]], rows[a:b]) for a, b in zip(edges[:-1], edges[1:])]
    model = RidgeCV(alphas=np.array(ask["lambdas"]), fit_intercept=True, cv=cv, solver_params=settings)
    began = time.perf_counter()
    model.fit(x, y)
    return time.perf_counter() - began, model


def main():
    folder = sys.argv[1]
    set_backend("numpy")
    x = y = loaded = settings = None
    for line in sys.stdin:
        ask = json.loads(line)
        if "load" in ask:
            loaded = ask
            x, y = (np.load(f"{folder}/{name}.npy").astype(ask["load"]) for name in ("x", "y"))
            tried = []
            for targets in (None, 1000):
                for alphas in (None, 5, 1):
                    settings = {"n_targets_batch": targets, "n_alphas_batch": alphas}
                    # A part of the voxels tells which is quickest.
                    seconds, _ = fitted(x, y[:, :1500], ask, settings)
                    tried.append((seconds, json.dumps(settings)))
            settings = json.loads(min(tried)[1])
            answer = settings
        else:
            seconds, model = fitted(x, y, loaded, settings)
            np.save(f"{folder}/best_alphas.npy", model.best_alphas_)
            np.save(f"{folder}/coef.npy", model.coef_)
            answer = {"seconds": seconds}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
