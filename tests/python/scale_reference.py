"""The oracle of tests/encode_fusion.rs: spaces side by side in their own units, in scikit-learn's pipelines.

usage: scale_reference.py FOLDER

For --scale none, space and column writes FOLDER/NAME.npy: predictions of ridge (λ = 10) with each run left out; for column
also column_auto.npy: a λ a voxel by himalaya, chosen over runs of the scaled teaching rows.
"""

import json
import sys

import numpy as np
from himalaya.ridge import RidgeCV
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class SpaceScaler(TransformerMixin, BaseEstimator):
    """Divides each space by the square root of its total variance."""

    def __init__(self, sizes):
        self.sizes = sizes

    def fit(self, x, y=None):
        spaces = np.split(x, np.cumsum(self.sizes)[:-1], axis=1)
        self.factors_ = np.concatenate([np.full(s.shape[1], np.sqrt(s.var(axis=0).sum())) for s in spaces])
        return self

    def transform(self, x):
        return x / self.factors_


def main():
    folder = sys.argv[1]
    spaces = [np.load(f"{folder}/features/{name}.npy") for name in ("a", "b")]
    x, y = np.hstack(spaces), np.load(f"{folder}/responses.npy")
    runs = np.array([line.split("\t")[0] for line in open(f"{folder}/runs.tsv").read().splitlines()[1:]])
    grid = np.array(json.load(open(f"{folder}/grid.json")))
    leave_out = LeaveOneGroupOut()
    scalers = {"none": [], "space": [SpaceScaler([s.shape[1] for s in spaces])], "column": [StandardScaler()]}
    for name, scaler in scalers.items():
        model = make_pipeline(*scaler, Ridge(alpha=10.0))
        np.save(f"{folder}/{name}.npy", cross_val_predict(model, x, y, groups=runs, cv=leave_out))
    auto = np.zeros_like(y)
    for train, test in leave_out.split(x, groups=runs):
        scaler = StandardScaler().fit(x[train])
        scaled = scaler.transform(x[train])
        inner = list(leave_out.split(scaled, groups=runs[train]))
        auto[test] = RidgeCV(alphas=grid, fit_intercept=True, cv=inner).fit(scaled, y[train]).predict(scaler.transform(x[test]))
    np.save(f"{folder}/column_auto.npy", auto)


if __name__ == "__main__":
    main()
