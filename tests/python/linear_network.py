"""Writes a model of networks that is linear, with its manifest: linear_network.py FOLDER REGIONS.json CLASSES FISHER_Z.

CLASSES is a comma-separated list, or empty for a model of a number. Weights are a fixed pattern, so that answers differ from window
to window.
"""

import hashlib
import json
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
import onnx_write as onnx


def main(folder, regions, classes, fisher_z):
    folder, regions = pathlib.Path(folder), json.loads(pathlib.Path(regions).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    classes, n = [c for c in classes.split(",") if c], len(regions)
    k = max(len(classes), 1)
    weights = [math.sin(0.37 * i + 1.3 * c) / n for i in range(n * n) for c in range(k)]
    graph = onnx.Graph("linear")
    graph.inputs.append(onnx.value_info("connectivity", onnx.FLOAT, ["batch", n, n]))
    graph.node("Flatten", ["connectivity"], "flat", axis=1)
    graph.constant("w", onnx.FLOAT, [n * n, k], onnx.floats(weights))
    graph.constant("b", onnx.FLOAT, [k], onnx.floats([0.1 * c for c in range(k)]))
    if classes:
        graph.node("Gemm", ["flat", "w", "b"], "logits")
        graph.node("Softmax", ["logits"], "probabilities", axis=-1)
        outputs = ["logits", "probabilities"]
    else:
        graph.node("Gemm", ["flat", "w", "b"], "value")
        outputs = ["value"]
    graph.outputs += [onnx.value_info(name, onnx.FLOAT, ["batch", k]) for name in outputs]
    model = graph.serialise("tests/python/linear_network.py")
    (folder / "model.onnx").write_bytes(model)
    names = ", ".join(json.dumps(region) for region in regions)
    (folder / "manifest.toml").write_text(
        f'name = "linear"\nlicence = "MIT"\nsource = "ours"\nkind = "network"\noutput = "{outputs[-1]}"\ndims = {k}\n'
        f'sha256 = {{ model = "{hashlib.sha256(model).hexdigest()}" }}\n'
        f'[network]\ninput = "connectivity"\nconnectivity = "pearson"\nfisher_z = {fisher_z}\n'
        f"classes = {json.dumps(classes)}\nregions = [{names}]\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
