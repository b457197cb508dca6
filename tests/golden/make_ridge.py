"""Makes ridge.json: what scikit-learn and scipy say about data that tests/ridge_golden.rs can make by itself.

Needs numpy, scipy, scikit-learn. usage: python make_ridge.py > ridge.json
"""
import json

import numpy as np
from scipy.integrate import quad
from scipy.stats import gamma
from sklearn.linear_model import Ridge, RidgeCV


class Noise:
    """Knuth's 64-bit linear congruential generator, the same in Rust: uniform on [-0.5, 0.5)."""

    def __init__(self, seed):
        self.state = seed

    def draw(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53 - 0.5


def rows(seed, n, f, v, noise):
    """x: uniform with an offset of its index and correlated neighbours; y: three features each, an offset and noise."""
    source, x, y = Noise(seed), np.zeros((n, f)), np.zeros((n, v))
    for t in range(n):
        for i in range(f):
            x[t, i] = source.draw() + (0.5 * x[t, i - 1] if i else 0.0)
        for j in range(v):
            y[t, j] = x[t, j % f] - 2.0 * x[t, (3 * j + 1) % f] + 0.5 * x[t, (j + 2) % f] + noise[j] * source.draw() + j
        x[t] += np.arange(f)
    return x, y


out = {}

x, y = rows(1, 10_000, 20, 5, [1.0] * 5)
fit = Ridge(alpha=10.0, solver="svd").fit(x, y)
out["ridge"] = {"lambda": 10.0, "coef": fit.coef_.T.ravel().tolist(), "intercept": fit.intercept_.tolist()}

# Fewer rows than features, and a constant one.
x, y = rows(2, 12, 20, 5, [1.0] * 5)
x[:, 4] = 3.0
fit = Ridge(alpha=0.5, solver="svd").fit(x, y)
out["wide"] = {"lambda": 0.5, "coef": fit.coef_.T.ravel().tolist(), "intercept": fit.intercept_.tolist()}

noise = [0.1, 1.0, 6.0, 10.0, 14.0, 20.0]
grid = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
x, y = rows(5, 150, 10, 6, noise)
choice = RidgeCV(alphas=grid, alpha_per_target=True, fit_intercept=True).fit(x, y).alpha_
xc, yc = x - x.mean(0), y - y.mean(0)
u, s, vt = np.linalg.svd(xc, full_matrices=False)
scores = []
for lam in grid:
    fitted = u @ np.diag(s**2 / (s**2 + lam)) @ u.T @ yc
    df = 1.0 + (s**2 / (s**2 + lam)).sum()
    scores.append((len(x) * ((yc - fitted) ** 2).sum(0) / (len(x) - df) ** 2).tolist())
out["gcv"] = {"seed": 5, "noise": noise, "grid": grid, "scores": sum(scores, []), "ridgecv_choice": choice.tolist()}
assert len(set(choice)) > 2, choice
assert np.allclose([grid[i] for i in np.argmin(scores, 0)], choice), (np.argmin(scores, 0), choice)


def density(t):
    """nilearn's spm_hrf without its discretisation: no shift by one step, scaled to unit area, not unit sum."""
    return gamma.pdf(t, 6) - 0.167 * gamma.pdf(t, 16)


area = quad(density, 0, 32, epsabs=1e-13)[0]
times = [0.0, 0.3, 1.0, 2.5, 5.0, 5.5, 8.0, 12.0, 16.0, 20.0, 31.9]
out["hrf"] = {"times": times, "values": [density(t) / area for t in times]}

# A regressor as nilearn makes it: high-resolution block, discrete spm_hrf (50 steps a TR), sampled at the frame times.
tr, steps, frames = 2.0, 50, 40
dt = tr / steps
stamps = np.linspace(0, 32, int(np.rint(32 / dt)))
kernel = gamma.pdf(stamps, 6, loc=dt) - 0.167 * gamma.pdf(stamps, 16, loc=dt)
kernel /= kernel.sum()
fine = np.arange(frames * steps) * dt
block = sum(a * ((fine >= on) & (fine < on + d)) for on, d, a in [(4.0, 3.0, 1.0), (21.0, 10.0, -0.5), (40.3, 1.0, 2.0)])
out["regressor"] = {"tr": tr, "events": [[4.0, 3.0, 1.0], [21.0, 10.0, -0.5], [40.3, 1.0, 2.0]],
                    "values": np.convolve(block, kernel)[: frames * steps][::steps].tolist()}
# The whole way: events held, lagged, predicted by a refit on all earlier volumes, scored before learning.
source, tr, volumes, lags = Noise(7), 2.0, 80, [2.0, 5.0]
events = [[3.7 * i + source.draw(), 1.5 + source.draw(), [source.draw(), source.draw(), source.draw()]] for i in range(40)]
x = np.zeros((volumes, 6))
for t in range(volumes):
    for l, lag in enumerate(lags):
        a = t * tr - lag
        for onset, duration, vector in events:
            overlap = min(onset + duration, a + tr) - max(onset, a, 0.0)
            x[t, 3 * l : 3 * l + 3] += max(0.0, overlap) / tr * np.array(vector)
y = np.array([[x[t, 0] - x[t, 4] + 0.2 * source.draw(), x[t, 2] + 0.4 * source.draw() + 3.0] for t in range(volumes)])
p = np.zeros_like(y)
for t in range(1, volumes):
    p[t] = y[0] if t == 1 else Ridge(alpha=0.3, solver="svd").fit(x[:t], y[:t]).predict(x[t : t + 1])[0]
out["path"] = {"events": events, "targets": y.ravel().tolist(), "predictions": p.ravel().tolist(),
               "r": [np.corrcoef(p[:, j], y[:, j])[0, 1] for j in range(2)], "mae": np.abs(p - y).mean()}
print(json.dumps(out))
