"""Makes the plain folder of Haxby et al. (2001), subject 1, and checks what neurod made of it.

usage: haxby_folder.py make BIDS DATA       responses.npy (each run's linear trend taken away, then its standard deviation 1),
                                            runs.tsv (run, condition, text), features/onehot.npy
       haxby_folder.py ridge DATA SPACE     scikit-learn's ridge (λ = 10) on features/SPACE.npy with delays of 1 to 4 volumes,
                                            each run left out: DATA/SPACE.predictions.npy and, as JSON, its scores
"""

import gzip
import json
import os
import sys

import numpy as np
from scipy.signal import detrend
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

RUNS, VOLUMES, TR = 12, 121, 2.5


def image(data):
    """The values of a NIfTI-1 file of int16: x × y × z × t."""
    shape = np.frombuffer(data, "<i2", 5, 40)[1:]
    return np.frombuffer(data, "<i2", int(np.prod(shape)), 352).reshape(shape, order="F").astype(float)


def make(bids, data):
    stem = f"{bids}/sub-1/func/sub-1_task-objectviewing"
    with gzip.open(f"{stem}_mask.nii.gz") as file:
        # In the order in which the image holds its voxels.
        inside = image(file.read())[..., 0].ravel(order="F") > 0
    responses, rows = [], []
    for run in range(1, RUNS + 1):
        with open(f"{stem}_run-{run:02d}_bold.nii", "rb") as file:
            bold = detrend(image(file.read()).reshape(-1, VOLUMES, order="F")[inside].T, axis=0)
        responses.append(bold / bold.std(axis=0))
        seen = ["n/a"] * VOLUMES
        for line in open(f"{stem}_run-{run:02d}_events.tsv").read().splitlines()[1:]:
            onset, duration, kind = line.split("\t")
            first, count = round(float(onset) / TR), round(float(duration) / TR)
            seen[first : first + count] = [kind] * count
        rows += [(run, kind) for kind in seen]
    os.makedirs(f"{data}/features")
    np.save(f"{data}/responses.npy", np.vstack(responses))
    with open(f"{data}/runs.tsv", "w") as file:
        file.write("run\tcondition\ttext\n")
        for run, kind in rows:
            file.write(f"{run}\t{kind}\t{'n/a' if kind == 'n/a' else f'a photo of a {kind}'}\n")
    kinds = sorted({kind for _, kind in rows} - {"n/a"})
    np.save(f"{data}/features/onehot.npy", np.array([[float(kind == k) for k in kinds] for _, kind in rows]))


def two_v_two(y, p):
    """The share of pairs that are told apart, by more than rounding: at rest one prediction is like another, which is a tie,
    and ties lose."""
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (y, p)]
    s = unit[0] @ unit[1].T
    right = np.diag(s)
    margin = (right[:, None] + right[None, :] - s - s.T)[np.triu_indices(len(y), 1)]
    return (margin > 1e-6).mean()


def ridge(data, space):
    x, y = np.load(f"{data}/features/{space}.npy").astype(float), np.load(f"{data}/responses.npy")
    runs = np.array([line.split("\t")[0] for line in open(f"{data}/runs.tsv").read().splitlines()[1:]])
    design = np.zeros((len(x), 4 * x.shape[1]))
    for run in np.unique(runs):
        rows = np.where(runs == run)[0]
        for copy, delay in enumerate((1, 2, 3, 4)):
            design[rows[delay:], copy * x.shape[1] : (copy + 1) * x.shape[1]] = x[rows[:-delay]]
    p = cross_val_predict(Ridge(alpha=10.0), design, y, groups=runs, cv=LeaveOneGroupOut())
    np.save(f"{data}/{space}.predictions.npy", p)
    by_voxel = np.array([np.corrcoef(y[:, v], p[:, v])[0, 1] for v in range(y.shape[1])])
    by_sample = np.array([np.corrcoef(y[i], p[i])[0, 1] for i in range(len(y))])
    r2 = 1 - ((y - p) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)
    scores = {
        "pearson_per_voxel": by_voxel.mean(), "pearson_per_sample": by_sample.mean(), "r2_per_voxel": r2.mean(),
        "mae": np.abs(y - p).mean(), "2v2": two_v_two(y, p),
    }  # fmt: skip
    print(json.dumps({"scores": scores}))


if __name__ == "__main__":
    {"make": make, "ridge": ridge}[sys.argv[1]](*sys.argv[2:])
