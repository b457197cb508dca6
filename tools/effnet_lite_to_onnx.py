#!/usr/bin/env python3
"""Turns the weights of an EfficientNet-Lite (.pth) into the model folder that neurod reads: model.onnx and manifest.toml.
Standard library only, so the same weights give the same bytes everywhere.

    python3 tools/effnet_lite_to_onnx.py WEIGHTS_DIR OUT_DIR --name NAME --licence LICENCE --source SOURCE

WEIGHTS_DIR holds efficientnet-lite0.pth, or that of Lite1 or Lite2. The network (opset 17, float32):

    image      float [batch, 3, side, side]  red, green, blue, normalised as manifest.toml says
    features   float [batch, 1280]         the mean over places of the last layer, before the classifier
    logits     float [batch, 1000]         ImageNet classes
    stage1..7  float [batch, channels]     the mean over places after each stage: one feature space a layer

Architecture: Tan and Le 2019 (arXiv:1905.11946), table 1, without squeeze-and-excitation and with ReLU6 for swish, as
its authors define the Lite networks: wider and deeper by a factor, but for stem, head, and the depth of the first and last
stage. Padding is TensorFlow's SAME: what is odd goes to the right and below.
"""

import argparse
import hashlib
import json
import math
import os
import sys

import onnx_write as onnx
from onnx_write import FLOAT
from torch_read import Weights

STEM, HEAD, CLASSES = 32, 1280, 1000
SIZES = ((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260))
"""Width, depth and side of Lite0, Lite1 and Lite2."""
STAGES = (
    # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
EPSILON = 1e-3
"""What batch normalisation adds to a variance."""


def stages(width, depth):
    """The stages of a network so many times as wide and deep."""

    def wider(channels):
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * channels * width else rounded

    last = len(STAGES) - 1
    for n, (blocks, *layout, channels) in enumerate(STAGES):
        yield blocks if n in (0, last) else math.ceil(blocks * depth), *layout, wider(channels)


class Network:
    """Writes the layers into a graph. A tensor is its name, channels and side."""

    def __init__(self, weights, lite):
        self.weights, self.graph = weights, onnx.Graph(f"efficientnet_lite{lite}")
        width, depth, self.side = SIZES[lite]
        self.stages = list(stages(width, depth))

    def weight(self, name, *shape):
        return self.graph.constant(name, FLOAT, shape, self.weights.read(name, *shape))

    def convolution(self, x, name, norm, channels, kernel=1, stride=1, depthwise=False, active=True):
        """Convolution, batch normalisation and, if active, ReLU6."""
        tensor, inputs, side = x
        out, size = f"{name}.out", -(-side // stride)
        padding = max((size - 1) * stride + kernel - side, 0)
        before, after = padding // 2, padding - padding // 2
        filters = self.weight(f"{name}.weight", channels, 1 if depthwise else inputs, kernel, kernel)
        y = self.graph.node(
            "Conv", [tensor, filters], out, kernel_shape=[kernel, kernel], strides=[stride, stride],
            pads=[before, before, after, after], group=inputs if depthwise else 1,
        )  # fmt: skip
        parts = [self.weight(f"{norm}.{part}", channels) for part in ("weight", "bias", "running_mean", "running_var")]
        y = self.graph.node("BatchNormalization", [y, *parts], f"{out}.normalised", epsilon=EPSILON)
        if active:
            limits = [self.graph.scalar("0", 0.0), self.graph.scalar("6", 6.0)]
            y = self.graph.node("Clip", [y, *limits], f"{out}.active")
        return y, channels, size

    def block(self, x, name, kernel, stride, expansion, channels):
        """An inverted residual: wider, across places, narrower; added to what came in where the shape allows."""
        y = x
        if expansion > 1:
            y = self.convolution(y, f"{name}._expand_conv", f"{name}._bn0", expansion * x[1])
        y = self.convolution(y, f"{name}._depthwise_conv", f"{name}._bn1", y[1], kernel, stride, depthwise=True)
        y = self.convolution(y, f"{name}._project_conv", f"{name}._bn2", channels, active=False)
        if y[1:] == x[1:]:
            y = (self.graph.node("Add", [y[0], x[0]], f"{name}.sum"), *y[1:])
        return y

    def mean(self, x, out):
        """The mean over places."""
        pooled = self.graph.node("GlobalAveragePool", [x[0]], f"{out}.pooled")
        return self.graph.node("Flatten", [pooled], out)

    def build(self):
        graph = self.graph
        graph.inputs = [onnx.value_info("image", FLOAT, ["batch", 3, self.side, self.side])]
        outputs = {"features": HEAD, "logits": CLASSES}
        x = self.convolution(("image", 3, self.side), "_conv_stem", "_bn0", STEM, kernel=3, stride=2)
        number = 0
        for stage, (blocks, kernel, stride, expansion, channels) in enumerate(self.stages, start=1):
            for index in range(blocks):
                x = self.block(x, f"_blocks.{number}", kernel, 1 if index else stride, expansion, channels)
                number += 1
            outputs[self.mean(x, f"stage{stage}")] = channels
        features = self.mean(self.convolution(x, "_conv_head", "_bn1", HEAD), "features")
        turned = graph.node("Transpose", [self.weight("_fc.weight", CLASSES, HEAD)], "_fc.weight.T", perm=[1, 0])
        products = graph.node("MatMul", [features, turned], "products")
        graph.node("Add", [products, self.weight("_fc.bias", CLASSES)], "logits")
        graph.outputs = [onnx.value_info(name, FLOAT, ["batch", size]) for name, size in outputs.items()]
        if self.weights.unused:
            sys.exit(f"weights that this converter does not know: {', '.join(sorted(self.weights.unused))}")
        return graph.serialise("neurod effnet_lite_to_onnx")


MANIFEST = """\
# What neurod needs to know about this model. Written by tools/effnet_lite_to_onnx.py.
name = {name}
licence = {licence}
source = {source}
kind = "image"
# The output that is the feature; another with `layer` in the configuration.
output = "features"
dims = {dims}

[sha256]
model = "{model}"

[image]
input = "image"
layout = "nchw"
size = {side}
# As the network was tested: the middle {side} of {shorter} pixels, and (value - 127) / 128.
resize = {{ shorter = {shorter} }}
filter = "bicubic"
scale = 1
mean = [127, 127, 127]
std = [128, 128, 128]

[layers]
{layers}
"""


def write(path, data):
    """Whole or not at all."""
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.replace(f"{path}.part", path)


def convert(weights_dir, out_dir, name, licence, source):
    """Converts one folder into another."""
    found = [n for n in range(len(SIZES)) if os.path.exists(os.path.join(weights_dir, f"efficientnet-lite{n}.pth"))]
    if len(found) != 1:
        sys.exit(f"{weights_dir}: expected one of efficientnet-lite0.pth, -lite1.pth and -lite2.pth, found {len(found)}")
    network = Network(Weights(os.path.join(weights_dir, f"efficientnet-lite{found[0]}.pth")), found[0])
    model = network.build()
    os.makedirs(out_dir, exist_ok=True)
    write(os.path.join(out_dir, "model.onnx"), model)
    layers = [f'stage{n} = {{ output = "stage{n}", dims = {stage[-1]} }}' for n, stage in enumerate(network.stages, start=1)]
    manifest = MANIFEST.format(
        name=json.dumps(name), licence=json.dumps(licence), source=json.dumps(source), dims=HEAD, side=network.side,
        shorter=network.side + 32, layers="\n".join(layers), model=hashlib.sha256(model).hexdigest(),
    )  # fmt: skip
    write(os.path.join(out_dir, "manifest.toml"), manifest.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("weights_dir")
    parser.add_argument("out_dir")
    for option in ("name", "licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
