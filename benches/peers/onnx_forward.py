"""How long does onnxruntime take for one graph? onnx_forward.py MODEL NODES: milliseconds, the median of 300 passes."""

import sys
import time

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
nodes = int(sys.argv[2])
a = np.random.default_rng(0).uniform(-1, 1, (1, nodes, nodes)).astype(np.float32)
times = []
for _ in range(320):
    began = time.perf_counter()
    session.run(["probabilities"], {"connectivity": a})
    times.append(time.perf_counter() - began)
print(1e3 * sorted(times[20:])[150])
