"""Makes encoding.json: what numpy, scipy and scikit-learn say about data that tests/encoding_golden.rs can make by itself.

Needs numpy, scipy, scikit-learn. usage: python make_encoding.py > encoding.json
"""
import json
import sys
from itertools import combinations

import numpy as np
from scipy.spatial.distance import cosine
from scipy.stats import bootstrap, false_discovery_control, pearsonr
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

# The test makes the scores from the same numbers; scipy draws its own samples.
source = Noise(13)
scores = [source.draw() ** 2 for _ in range(200)]
interval = bootstrap((scores,), np.mean, n_resamples=100_000, confidence_level=0.9, method="percentile",
                     rng=np.random.default_rng(1)).confidence_interval
out["bootstrap"] = {"seed": 13, "n": 200, "confidence": 0.9, "low": interval.low, "high": interval.high}

p_values = [abs(2.0 * source.draw()) ** 3 for _ in range(40)] + [0.0, 1.0, 0.25, 0.25, 0.25]
out["false_discovery"] = {"p": p_values, "q": false_discovery_control(p_values, method="bh").tolist()}

# Voxels whose prediction is better and better; samples are exchangeable, so blocks of one.
seed, n, v = 17, 80, 6
y, p = (a.astype(float) for a in pair(seed, n, v))
p += y * (np.arange(v) - 3) * 0.15
out["permutation"] = {"seed": seed, "n": n, "v": v, "slope": 0.15,
                      "p": [pearsonr(y[:, j], p[:, j], alternative="greater").pvalue for j in range(v)]}

# 40 stimuli, shown 1 to 4 times.
seed, n, v = 19, 90, 5
y, _ = (a.astype(float) for a in pair(seed, n, v))
stimulus = np.array([(i * i + 3 * i) % 40 for i in range(n)])
y += (stimulus % 7)[:, None] * 0.1 * np.arange(v)
rows = [y[stimulus == s] for s in np.unique(stimulus) if (stimulus == s).sum() > 1]
m = len(rows) / sum(1 / len(r) for r in rows)
noise = np.mean([r.var(0, ddof=1) for r in rows], 0)
total = np.var([r.mean(0) for r in rows], 0, ddof=1)
signal = np.maximum(0.0, total - noise / m)
r = np.linspace(-0.1, 0.5, v)
out["ceiling"] = {
    "seed": seed, "n": n, "v": v, "stimulus": stimulus.tolist(), "stimuli": len(rows), "repeats": m,
    "r2_of_means": (signal / (signal + noise / m)).tolist(), "r2_of_3": (signal / (signal + noise / 3)).tolist(),
    "r": r.tolist(), "normalised": [a / np.sqrt(b) if b > 0 else None
                                    for a, b in zip(r, signal / (signal + noise / m))],
}
assert np.histogram(out["permutation"]["p"], [0, 0.001, 0.5, 1])[0].all(), out["permutation"]["p"]
assert len({len(r) for r in rows}) > 1 and (signal == 0).any() and (signal > 0).sum() > 2

json.dump(out, sys.stdout)
