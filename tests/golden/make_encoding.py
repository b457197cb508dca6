"""Makes encoding.json: what numpy, scipy and scikit-learn say about data that tests/encoding_golden.rs can make by itself.

Needs numpy, scipy, scikit-learn. usage: python make_encoding.py > encoding.json
"""
import json
import sys
from itertools import combinations

import numpy as np
from scipy.spatial.distance import cosine
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score


class Noise:
    """Knuth's 64-bit linear congruential generator, the same in Rust: uniform on [-0.5, 0.5)."""

    def __init__(self, seed):
        self.state = seed

    def draw(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53 - 0.5


def pair(seed, n, v):
    """Measured and predicted, n x v: a pattern that all samples share, a part that is predicted, and noise."""
    source = Noise(seed)
    pattern = [source.draw() for _ in range(v)]
    y, p = np.zeros((n, v), np.float32), np.zeros((n, v), np.float32)
    for i in range(n):
        for j in range(v):
            x = source.draw()
            y[i, j] = 2.0 * pattern[j] + x
            p[i, j] = 1.5 * pattern[j] + 0.05 * x + 0.6 * source.draw()
    return y, p


out = {}

seed, n, v = 11, 60, 23
y, p = (a.astype(float) for a in pair(seed, n, v))
wins = np.zeros((n, n))
for i, j in combinations(range(n), 2):
    won = cosine(y[i], p[i]) + cosine(y[j], p[j]) < cosine(y[i], p[j]) + cosine(y[j], p[i])
    wins[i, j] = wins[j, i] = won
fold_of = np.arange(n) * 5 // n
out["metrics"] = {
    "seed": seed, "n": n, "v": v,
    "pearson_per_voxel": [pearsonr(y[:, j], p[:, j]).statistic for j in range(v)],
    "pearson_per_sample": [pearsonr(y[i], p[i]).statistic for i in range(n)],
    "r2_per_voxel": r2_score(y, p, multioutput="raw_values").tolist(),
    "mae": mean_absolute_error(y, p),
    "mae_per_voxel": mean_absolute_error(y, p, multioutput="raw_values").tolist(),
    "mae_per_sample": np.abs(y - p).mean(1).tolist(),
    "two_v_two": wins[np.triu_indices(n, 1)].mean(),
    "two_v_two_per_sample": (wins.sum(1) / (n - 1)).tolist(),
    "fold_of": fold_of.tolist(),
    "train_means": np.stack([y[fold_of != k].mean(0) for k in range(5)]).ravel().tolist(),
}
assert 0.55 < out["metrics"]["two_v_two"] < 0.99

json.dump(out, sys.stdout)
