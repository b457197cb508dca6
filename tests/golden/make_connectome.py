"""Makes connectome.json: what nilearn, scipy and numpy make of small time series.

    python tests/golden/make_connectome.py   (nilearn, scipy and numpy of tests/python/requirements.txt)
"""

import json
import os

import numpy as np
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec
from scipy import signal, stats
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

rng = np.random.default_rng(20260101)
mixing = rng.normal(size=(6, 6)) + 2 * np.eye(6)
series = []
for volumes in (40, 25, 60, 33, 48):
    noise = rng.normal(size=(volumes, 6))
    series.append((noise @ (mixing + 0.3 * rng.normal(size=(6, 6)))) * [1, 10, 0.1, 3, 1, 1] + 100)
series[1][:, 2] = series[1][:, 4] * 2 + 5  # two regions that are the same
flat = [s.copy() for s in series[:2]]
flat[0][:, 3] = 9600.1
short = rng.normal(size=(5, 6)) + np.arange(6)
short[1:4, 0] = short[0, 0]  # ties


def kinds(data, estimator):
    out = {}
    for kind in ("correlation", "partial correlation", "covariance", "precision"):
        try:
            measure = ConnectivityMeasure(cov_estimator=estimator, kind=kind)
            out[kind] = np.asarray(measure.fit_transform(data)).tolist()
        except np.linalg.LinAlgError:
            pass
    return out


def ranked(data):
    return [np.atleast_2d(stats.spearmanr(x).statistic).tolist() for x in data]


def coherent(x, tr, low, high):
    n, out = x.shape[1], np.eye(x.shape[1])
    for i in range(n):
        for j in range(i):
            f, c = signal.coherence(x[:, i], x[:, j], fs=1 / tr, nperseg=16)
            out[i, j] = out[j, i] = c[(f >= low) & (f <= high)].mean()
    return out.tolist()


clean = [series[0], *series[2:]]
tangent = ConnectivityMeasure(kind="tangent")
train = tangent.fit_transform(clean)
unseen = tangent.transform([series[1], series[0]])
golden = {
    "series": [s.tolist() for s in series],
    "flat": [s.tolist() for s in flat],
    "short": short.tolist(),
    "ledoit_wolf": kinds(series, LedoitWolf(store_precision=False)),
    "flat_ledoit_wolf": kinds(flat, LedoitWolf(store_precision=False)),
    "short_ledoit_wolf": kinds([short], LedoitWolf(store_precision=False)),
    "none": kinds(clean, EmpiricalCovariance(store_precision=False)),
    "corrcoef": [np.corrcoef(s.T).tolist() for s in series],
    "spearman": ranked([*series, short]),
    "tangent": {
        "mean": tangent.mean_.tolist(),
        "train": train.tolist(),
        "unseen": unseen.tolist(),
        "vectors": sym_matrix_to_vec(train).tolist(),
        "without_diagonal": sym_matrix_to_vec(train, discard_diagonal=True).tolist(),
    },
    "coherence": coherent(series[0], 2.0, 0.05, 0.2),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "connectome.json"), "w", encoding="utf-8") as file:
    json.dump(golden, file)
    file.write("\n")
