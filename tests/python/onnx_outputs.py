"""What does onnxruntime make of a model that we exported?

onnx_outputs.py FOLDER INPUT,... OUTPUT,...: reads FOLDER/model.onnx and FOLDER/INPUT.npy, writes FOLDER/out_OUTPUT.npy.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, inputs, outputs = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
assert [i.name for i in session.get_inputs()] == inputs, [i.name for i in session.get_inputs()]
assert {o.name for o in session.get_outputs()} >= set(outputs), [o.name for o in session.get_outputs()]
found = session.run(outputs, {name: np.load(folder / f"{name}.npy") for name in inputs})
for name, values in zip(outputs, found):
    np.save(folder / f"out_{name}.npy", values)
