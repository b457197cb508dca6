#!/usr/bin/env python3
"""Golden residuals of nuisance regression and t of contrasts, each volume's from a fit of the volumes so far. Needs numpy.

usage: make_nuisance.py > nuisance.json"""
import json

import numpy as np

TR, WARM_UP = 2.0, 6
random = np.random.default_rng(7)
n = 70
parameters = np.cumsum(random.normal(0, [0.05, 0.05, 0.1, 0.001, 0.001, 0.002], (n, 6)), axis=0)
parameters[41:44] += [1.5, 0.2, -0.8, 0.02, 0.01, -0.01]
censored = [41, 42, 44, 45]
t = np.arange(n)
volumes = 1e4 + random.normal(0, 3, (n, 4))
volumes += parameters @ random.normal(0, [[20], [20], [10], [800], [900], [500]], (6, 4))
volumes += np.outer(t, [0.5, -0.3, 0, 0.1]) + np.outer(np.sin(t / 12), [0, 8, 4, 0])
volumes[30, 2] = volumes[31, 2] = volumes[55, 0] = np.nan


def residuals(motion, drift, penalty):
    mm = parameters * [1, 1, 1, 50, 50, 50]
    before = np.vstack([mm[:1], mm[:-1]])
    moved = {0: mm[:, :0], 6: mm, 12: np.hstack([mm, mm - before]), 24: np.hstack([mm, before, mm**2, before**2])}[motion]
    out, rows, filled = [], [], volumes.copy()
    for now in range(n):
        order = 1 + int((now + 1) * TR / drift) if drift else 0
        # Any polynomials of that order do: these lie on the run so far.
        trend = np.polynomial.legendre.legvander(2 * t / max(now, 1) - 1, order)
        x = np.hstack([trend, moved])
        ridge = np.hstack([np.zeros((motion, order + 1)), np.sqrt(penalty) * np.eye(motion)])
        fit = lambda rows: np.linalg.lstsq(np.vstack([x[rows], ridge]), np.vstack([filled[rows], np.zeros((motion, 4))]), rcond=1e-12)[0]
        missing = np.isnan(volumes[now])
        if missing.any():
            filled[now, missing] = (x[now] @ fit(rows))[missing]
        if now not in censored:
            rows.append(now)
        left = filled[now] - x[now] @ fit(rows)
        left[missing] = 0
        out.append((left if len(rows) > WARM_UP else np.zeros(4)).tolist())
    return out


def t_values(contrast, motion, drift, ridge):
    """t of a contrast of the design after every volume, from a fit of all volumes so far; NaN where it cannot be told."""
    mm = parameters * [1, 1, 1, 50, 50, 50]
    out, rows, filled, missing = [], [], volumes.copy(), np.isnan(volumes)
    for now in range(n):
        order = 1 + int((now + 1) * TR / drift) if drift else 0
        trend = np.polynomial.legendre.legvander(2 * t / max(now, 1) - 1, order)
        x = np.hstack([design, trend, mm[:, :motion]])
        penalty = np.diag(np.r_[[ridge] * 2, [0] * (order + 1), [ridge] * motion])
        solve = lambda rows: np.linalg.lstsq(np.vstack([x[rows], np.sqrt(penalty)]), np.vstack([filled[rows], np.zeros((x.shape[1], 4))]), rcond=1e-12)[0]
        if missing[now].any():
            filled[now, missing[now]] = (x[now] @ solve(rows))[missing[now]]
        if now not in censored:
            rows.append(now)
        rank = x.shape[1] if ridge else np.linalg.matrix_rank(x[rows])
        if rank < x.shape[1] or len(rows) <= rank + 1:
            out.append([np.nan] * 4)
            continue
        beta, inverse = solve(rows), np.linalg.inv(x[rows].T @ x[rows] + penalty)
        left = filled[rows] - x[rows] @ beta
        freedom = len(rows) - missing[rows].sum(axis=0) - rank
        c = np.r_[contrast, np.zeros(x.shape[1] - 2)]
        variance = (left**2).sum(axis=0) / freedom * (c @ inverse @ x[rows].T @ x[rows] @ inverse @ c)
        out.append((c @ beta / np.sqrt(variance)).tolist())
    return out


# Two conditions that are shown in turn, as slow as blood.
shown = np.array([np.where(t % 20 // 10 == k, 1.0, 0.0) for k in range(2)])
kernel = np.exp(-np.arange(8) / 2.0) * np.arange(8)
design = np.array([np.convolve(s, kernel)[:n] for s in shown]).T
volumes += design @ random.normal(0, 0.5, (2, 4))
plain = lambda array: [[None if np.isnan(v) else float(v) for v in row] for row in array]
both = lambda *settings: [plain(t_values(contrast, *settings)) for contrast in ([1, 0], [1, -1])]
print(json.dumps({
    "parameters": plain(parameters),
    "volumes": plain(volumes),
    "censored": censored,
    "six": residuals(6, 30.0, 0.1),
    "twelve": residuals(12, 0.0, 0.1),
    "twenty_four": residuals(24, 20.0, 0.01),
    "drift": residuals(0, 30.0, 0.1),
    "design": plain(design),
    "t_plain": both(0, 0.0, 0.0),
    "t_motion": both(6, 30.0, 0.0),
    "t_ridge": both(6, 60.0, 0.7),
}))
