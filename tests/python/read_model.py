"""Reads a .neurod model with json and numpy alone, as docs/model.md says, and holds it against safetensors and scikit-learn.

usage: read_model.py MODEL X.npy Y.npy LAMBDAS W.npy

X holds the features with their delays; LAMBDAS is one number, or a .npy of one a target.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import Ridge

DTYPES = {"F64": "<f8", "F32": "<f4"}


def read(path):
    """Description, arrays and SHA-256 of a model."""
    raw = pathlib.Path(path).read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    meta = header.pop("__metadata__")
    assert meta["format"] == "neurod.model" and meta["version"] == "1"
    digest = f'"{meta["sha256"]}"'.encode()
    blank = b'"' + b"0" * 64 + b'"'
    assert raw[8:end].count(digest) == 1
    assert hashlib.sha256(raw[:8] + raw[8:end].replace(digest, blank) + raw[end:]).hexdigest() == meta["sha256"]
    arrays = {}
    for name, entry in header.items():
        a, b = entry["data_offsets"]
        assert (end + a) % 8 == 0, "arrays stand aligned"
        arrays[name] = np.frombuffer(raw[end + a : end + b], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return json.loads(meta["description"]), arrays, meta["sha256"]


def main(model, x, y, lambdas, exported):
    description, arrays, _ = read(model)
    peer = load_file(model)
    assert peer.keys() == arrays.keys() and all(np.array_equal(peer[name], arrays[name]) for name in arrays)
    x, y = np.load(x), np.load(y)
    lambdas = np.load(lambdas) if lambdas.endswith(".npy") else np.full(y.shape[1], float(lambdas))
    assert np.allclose(arrays["lambdas"], lambdas, rtol=1e-12)
    assert np.array_equal(arrays["weights"], np.load(exported))
    peer = Ridge(alpha=lambdas, solver="cholesky").fit(x, y)
    scale = np.abs(peer.coef_).max()
    assert np.abs(arrays["weights"] - peer.coef_.T).max() <= 1e-9 * scale
    assert np.allclose(arrays["intercepts"], peer.intercept_, rtol=1e-9)
    assert np.allclose(arrays["feature_means"], x.mean(0))
    dx, dy = x - x.mean(0), y - y.mean(0)
    assert np.allclose(arrays["moments.gram"], dx.T @ dx) and np.allclose(arrays["moments.cross"], dx.T @ dy)
    assert np.allclose(arrays["moments.response_means"], y.mean(0))
    assert np.allclose(arrays["moments.response_squares"], (dy**2).sum(0))
    assert description["samples"] == len(x)
    print(json.dumps(description))


if __name__ == "__main__":
    main(*sys.argv[1:])
