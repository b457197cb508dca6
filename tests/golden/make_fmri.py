#!/usr/bin/env python3
"""Golden values of the causal detrend. Needs numpy. usage: make_fmri.py > fmri.json

Brute force on purpose: every volume solves a fresh ridge over all earlier finite volumes of the run, region by region.
"""
import json

import numpy as np


def detrend(run, penalty=5.0, warm_up=6, clip=5.0):
    volumes, regions = run.shape
    z, residual = np.zeros(run.shape), np.zeros(run.shape)
    for r in range(regions):
        seen = []
        for t in range(volumes):
            if not np.isfinite(run[t, r]):
                continue
            rows = [s for s, _ in seen] + [t]
            x = np.array([[1.0, s / 50.0] for s in rows])
            y = run[rows, r]
            w = np.linalg.solve(x.T @ x + np.diag([1e-6, penalty]), x.T @ y)
            e = y[-1] - x[-1] @ w
            squares = [d * d for _, d in seen]
            seen.append((t, e))
            if len(squares) < warm_up or np.all(y == y[0]):
                continue
            residual[t, r] = e
            spread = np.sqrt(np.mean(squares))
            if spread > 1e-9:
                z[t, r] = np.clip(e / spread, -clip, clip)
    return z, residual


def main():
    random = np.random.default_rng(3)
    runs = []
    for volumes in (48, 36):
        t = np.arange(volumes)
        noise = random.normal(size=(volumes, 6))
        run = np.stack([
            900 + 3 * noise[:, 0],                                  # a plain region
            12000 + 8.0 * t + 20 * noise[:, 1],                     # a steep drift
            -40 + np.cumsum(noise[:, 2]),                           # a random walk
            np.full(volumes, 512.25),                               # does not vary
            100 + noise[:, 4] + 60 * (t == 30),                     # a spike past the clip
            500 + 5 * np.sin(t / 4) + noise[:, 5],                  # an oscillation with missing volumes
        ], axis=1)
        run = np.round(run, 6)
        run[[0, 9, 20, 21], 5] = np.nan
        runs.append(run)
    out = [detrend(run) for run in runs]
    lists = lambda arrays, digits: [[[None if not np.isfinite(v) else round(float(v), digits) for v in row] for row in a] for a in arrays]
    print(json.dumps({"volumes": lists(runs, 6), "z": lists([z for z, _ in out], 13), "residual": lists([r for _, r in out], 11)}, separators=(",", ":")))


main()
