"""What would a model say of every window of a recording, offline? numpy and onnxruntime, which know nothing of neurod.

network_outcomes.py MODEL TABLE WINDOW FISHER_Z OUTPUT: a line for every volume that ends a whole window: the volume's number, the sum
of each region's edges, and the model's answer, as JSON.
"""

import json
import sys

import numpy as np
import onnxruntime


def main(model, table, window, fisher_z, output):
    rows = np.genfromtxt(table, delimiter="\t", skip_header=1)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    window = int(window)
    for end in range(window, len(rows) + 1):
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.nan_to_num(np.corrcoef(rows[end - window : end].T))
        np.fill_diagonal(r, 1.0)
        if fisher_z == "true":
            np.fill_diagonal(r, 0.0)
            r = np.arctanh(np.clip(r, -1 + 2**-53, 1 - 2**-53))
        (answer,) = session.run([output], {"connectivity": r[None].astype(np.float32)})
        strength = r.sum(axis=1) - np.diag(r)
        print(json.dumps({"volume": end - 1, "strength": strength.tolist(), "answer": answer[0].tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
