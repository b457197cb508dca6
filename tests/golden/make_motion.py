#!/usr/bin/env python3
"""Golden values of motion and signal quality. Needs numpy. usage: make_motion.py > motion.json"""
import json

import numpy as np


def plain(array):
    return [[None if np.isnan(v) else float(v) for v in row] for row in np.atleast_2d(array)]


random = np.random.default_rng(6)
p = np.cumsum(random.normal(0, [0.1, 0.1, 0.2, 0.002, 0.001, 0.001], (12, 6)), axis=0)
change = np.vstack([np.zeros((1, 6)), np.diff(p, axis=0)])
before = np.vstack([p[:1], p[:-1]])
# Power et al. 2012, as nipype's and fMRIPrep's FramewiseDisplacement have it.
displacement = np.abs(np.diff(p, axis=0)) @ np.array([1, 1, 1, 50, 50, 50])

values = 1000 + random.normal(0, 5, (12, 7)) + np.arange(7) * 100
values[3, 2] = values[4, 2] = values[7, 5] = np.nan
values[:, 6] = 42.0
dvars = np.sqrt(np.nanmean(np.diff(values, axis=0) ** 2, axis=1))
tsnr = []
for n in range(1, 13):
    with np.errstate(all="ignore"):
        mean, deviation = np.nanmean(values[:n], axis=0), np.nanstd(values[:n], axis=0)
        tsnr.append(np.where(deviation > 0, mean / deviation, np.nan))

print(json.dumps({
    "parameters": plain(p),
    "displacement": plain(np.r_[np.nan, displacement]),
    "six": plain(p),
    "twelve": plain(np.hstack([p, change])),
    "twenty_four": plain(np.hstack([p, before, p**2, before**2])),
    "values": plain(values),
    "dvars": plain(np.r_[np.nan, dvars]),
    "tsnr": plain(tsnr),
}))
