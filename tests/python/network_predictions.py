"""Writes a networks.npz and says what onnxruntime makes of it: network_predictions.py MODEL NETWORKS REGIONS.json.

A line of JSON for every sample: its name, its participant, and the probabilities.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime


def main(model, networks, regions):
    regions, draws = json.loads(pathlib.Path(regions).read_text()), np.random.default_rng(0)
    z = draws.normal(size=(7, len(regions), len(regions)))
    z = (z + z.transpose(0, 2, 1)) / 2
    for network in z:
        np.fill_diagonal(network, 0.0)
    samples, people = [f"scan-{i}" for i in range(7)], [f"sub-{i // 2}" for i in range(7)]
    np.savez(networks, connectivity=z, samples=samples, participants=people, regions=regions, kind="pearson",
             fisher_z="true")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["probabilities"], {"connectivity": z.astype(np.float32)})
    for sample, participant, answer in zip(samples, people, answers):
        print(json.dumps([sample, participant, answer.tolist()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
