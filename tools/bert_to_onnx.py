#!/usr/bin/env python3
"""Turns a BERT sentence encoder (safetensors) into the model folder that neurod reads: model.onnx, tokenizer.json and
manifest.toml. Standard library only, so the same weights give the same bytes everywhere.

    python3 tools/bert_to_onnx.py MODEL_DIR OUT_DIR --name NAME --licence LICENCE --source SOURCE

MODEL_DIR holds config.json, model.safetensors and tokenizer.json as published. The network (opset 17, float32):

    input_ids, attention_mask   int64 [batch, tokens]
    sentence_embedding          float [batch, hidden]              masked mean over tokens of the last layer, unit length
    last_hidden_state           float [batch, tokens, hidden]
    layer_means                 float [batch, layers + 1, hidden]  masked mean of every hidden state, embeddings first:
                                                                   one feature space a layer, for encoding models

Architecture: Devlin et al. 2019 (arXiv:1810.04805), post-norm transformer with erf-GELU and learned positions; every
token is of segment 0.
"""

import argparse
import array
import hashlib
import json
import math
import os
import sys

import onnx_write as onnx
from onnx_write import FLOAT, INT64

IGNORED = ("pooler.", "embeddings.position_ids", "cls.")
"""Weights of the pre-training heads, which play no part in a sentence embedding."""


class Weights:
    """The tensors of a .safetensors file: 8 bytes of header length, a JSON header, then the data back to back."""

    def __init__(self, path):
        self.file = open(path, "rb")
        length = int.from_bytes(self.file.read(8), "little")
        if length > os.path.getsize(path):
            sys.exit(f"{path}: not a safetensors file")
        header = json.loads(self.file.read(length))
        header.pop("__metadata__", None)
        self.start = 8 + length
        self.entries = {name.removeprefix("bert."): entry for name, entry in header.items()}
        self.unused = {name for name in self.entries if not name.startswith(IGNORED)}

    def read(self, name, *shape):
        """The float32 bytes of one tensor of exactly this shape."""
        entry = self.entries.get(name)
        if entry is None:
            sys.exit(f"weight {name} is missing: not a BERT encoder")
        if entry["dtype"] != "F32" or entry["shape"] != list(shape):
            sys.exit(f"weight {name}: expected F32 {list(shape)}, found {entry['dtype']} {entry['shape']}")
        self.unused.discard(name)
        begin, end = entry["data_offsets"]
        self.file.seek(self.start + begin)
        return self.file.read(end - begin)

    def transposed(self, name, rows, columns):
        """A matrix [rows, columns] read as [columns, rows]: PyTorch keeps weights as [out, in], MatMul wants [in, out]."""
        flat = array.array("f", self.read(name, rows, columns))
        return b"".join(flat[column::columns].tobytes() for column in range(columns))


class Encoder:
    """Writes the layers of one network into a graph."""

    def __init__(self, weights, config):
        self.weights, self.graph = weights, onnx.Graph("bert")
        self.hidden = config["hidden_size"]
        self.inner = config["intermediate_size"]
        self.heads = config["num_attention_heads"]
        self.layers = config["num_hidden_layers"]
        self.epsilon = float(config["layer_norm_eps"])
        self.vocabulary = config["vocab_size"]
        self.positions = config["max_position_embeddings"]
        self.segments = config.get("type_vocab_size", 0)

    def weight(self, name, *shape):
        return self.graph.constant(name, FLOAT, shape, self.weights.read(name, *shape))

    def dense(self, x, name, out, inner, outer):
        """x · Wᵀ + b."""
        node, matrix = self.graph.node, f"{name}.weight"
        turned = self.graph.constant(f"{matrix}.T", FLOAT, [inner, outer], self.weights.transposed(matrix, outer, inner))
        return node("Add", [node("MatMul", [x, turned], f"{out}.product"), self.weight(f"{name}.bias", outer)], out)

    def norm(self, x, name, out):
        scale, shift = self.weight(f"{name}.weight", self.hidden), self.weight(f"{name}.bias", self.hidden)
        return self.graph.node("LayerNormalization", [x, scale, shift], out, axis=-1, epsilon=self.epsilon)

    def embeddings(self):
        """Word + position + segment 0, normalised: [batch, tokens, hidden]."""
        node, graph, name = self.graph.node, self.graph, "embeddings"
        table = self.weight(f"{name}.word_embeddings.weight", self.vocabulary, self.hidden)
        words = node("Gather", [table, "input_ids"], "words", axis=0)
        table = self.weight(f"{name}.position_embeddings.weight", self.positions, self.hidden)
        tokens = node("Shape", ["input_ids"], "tokens", start=1, end=2)
        where = node("Slice", [table, graph.ints("zero", [0]), tokens, graph.ints("zero", [0])], "positions")
        segments = self.weights.read(f"{name}.token_type_embeddings.weight", self.segments, self.hidden)
        segment = graph.constant("segment", FLOAT, [self.hidden], segments[: 4 * self.hidden])
        summed = node("Add", [node("Add", [words, where], "words+positions"), segment], "embedded")
        return self.norm(summed, f"{name}.LayerNorm", "hidden.0")

    def masks(self, scores="score_penalty"):
        """What the layers need of the attention mask: a penalty on the scores of padding, and weights for means."""
        node, graph = self.graph.node, self.graph
        kept = node("Cast", ["attention_mask"], "kept", to=FLOAT)
        padded = node("Sub", [graph.scalar("1", 1.0), kept], "padded")
        penalty = node("Mul", [padded, graph.scalar("-1e9", -1e9)], "penalty")
        node("Unsqueeze", [penalty, graph.ints("axes.1,2", [1, 2])], scores)
        node("Unsqueeze", [kept, graph.ints("axis.2", [2])], "token_weight")
        count = node("ReduceSum", ["token_weight", graph.ints("axis.1", [1])], "count", keepdims=0)
        node("Clip", [count, graph.scalar("1", 1.0)], "token_count")

    def mean(self, x, out):
        """The mean over the tokens that the mask keeps: [batch, hidden]."""
        node = self.graph.node
        weighted = node("Mul", [x, "token_weight"], f"{out}.weighted")
        total = node("ReduceSum", [weighted, "axis.1"], f"{out}.total", keepdims=0)
        return node("Div", [total, "token_count"], out)

    def attention(self, x, layer):
        """Multi-head self-attention: [batch, tokens, hidden] both ways."""
        node, graph, size = self.graph.node, self.graph, self.hidden // self.heads
        split = graph.ints("split_heads", [0, 0, self.heads, size])

        def head(part, order):
            out = f"layer.{layer}.{part}"
            flat = self.dense(x, self.weights_of(layer, part), f"{out}.flat", self.hidden, self.hidden)
            return node("Transpose", [node("Reshape", [flat, split], f"{out}.split")], out, perm=order)

        out = f"layer.{layer}.attention"
        products = node("MatMul", [head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1])], f"{out}.products")
        scaled = node("Mul", [products, graph.scalar("scale", 1.0 / math.sqrt(size))], f"{out}.scaled")
        share = node("Softmax", [node("Add", [scaled, "score_penalty"], f"{out}.masked")], f"{out}.share", axis=-1)
        context = node("MatMul", [share, head("value", [0, 2, 1, 3])], f"{out}.context")
        context = node("Transpose", [context], f"{out}.by_token", perm=[0, 2, 1, 3])
        merged = node("Reshape", [context, graph.ints("merge_heads", [0, 0, self.hidden])], f"{out}.merged")
        return self.dense(merged, self.weights_of(layer, "merge"), out, self.hidden, self.hidden)

    def weights_of(self, layer, part):
        """What the file calls the weights of a part of the attention: query, key, value, merge, and the norm behind it."""
        names = {"merge": "output.dense", "norm": "output.LayerNorm"}
        return f"encoder.layer.{layer}.attention.{names.get(part, f'self.{part}')}"

    def gelu(self, x):
        """x/2 · (1 + erf(x/√2))."""
        node, graph = self.graph.node, self.graph
        error = node("Erf", [node("Div", [x, graph.scalar("sqrt2", math.sqrt(2.0))], f"{x}.scaled")], f"{x}.erf")
        gated = node("Mul", [x, node("Add", [error, graph.scalar("1", 1.0)], f"{x}.gate")], f"{x}.gated")
        return node("Mul", [gated, graph.scalar("half", 0.5)], f"{x}.gelu")

    def layer(self, x, layer, out):
        node, name = self.graph.node, f"encoder.layer.{layer}"
        summed = node("Add", [self.attention(x, layer), x], f"layer.{layer}.attended")
        x = self.norm(summed, self.weights_of(layer, "norm"), f"layer.{layer}.middle")
        wide = self.gelu(self.dense(x, f"{name}.intermediate.dense", f"layer.{layer}.wide", self.hidden, self.inner))
        narrow = self.dense(wide, f"{name}.output.dense", f"layer.{layer}.narrow", self.inner, self.hidden)
        return self.norm(node("Add", [narrow, x], f"layer.{layer}.summed"), f"{name}.output.LayerNorm", out)

    def build(self):
        node, graph = self.graph.node, self.graph
        graph.inputs = [onnx.value_info(n, INT64, ["batch", "tokens"]) for n in ("input_ids", "attention_mask")]
        graph.outputs = [
            onnx.value_info("sentence_embedding", FLOAT, ["batch", self.hidden]),
            onnx.value_info("last_hidden_state", FLOAT, ["batch", "tokens", self.hidden]),
            onnx.value_info("layer_means", FLOAT, ["batch", self.layers + 1, self.hidden]),
        ]
        self.masks()
        x = self.embeddings()
        means = [self.mean(x, "mean.0")]
        for layer in range(self.layers):
            x = self.layer(x, layer, "last_hidden_state" if layer + 1 == self.layers else f"hidden.{layer + 1}")
            means.append(self.mean(x, f"mean.{layer + 1}"))
        node("LpNormalization", [means[-1]], "sentence_embedding", axis=-1, p=2)
        rows = [node("Unsqueeze", [mean, "axis.1"], f"{mean}.row") for mean in means]
        node("Concat", rows, "layer_means", axis=1)
        if self.weights.unused:
            sys.exit(f"weights that this converter does not know: {', '.join(sorted(self.weights.unused))}")
        return graph.serialise("neurod bert_to_onnx")


MANIFEST = """\
# What neurod needs to know about this model. Written by tools/bert_to_onnx.py.
name = {name}
licence = {licence}
source = {source}
kind = "text"
# The output that is the feature; others: last_hidden_state (pooling = "mean" or "first"), layer_means (layer = 0..{layers}).
output = "sentence_embedding"
dims = {dims}

[sha256]
model = "{model}"
tokenizer = "{tokenizer}"

[text]
input_ids = "input_ids"
attention_mask = "attention_mask"
max_tokens = {max_tokens}

[layers]
{rows}
"""


def write(path, data):
    """Whole or not at all."""
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.replace(f"{path}.part", path)


def rows(layers, dims):
    """The hidden states as layers of a manifest."""
    names = ["embeddings", *(f"layer{n}" for n in range(1, layers + 1))]
    return "\n".join(f'{name} = {{ output = "layer_means", layer = {n}, dims = {dims} }}' for n, name in enumerate(names))


def convert(model_dir, out_dir, name, licence, source, network=Encoder, kind="bert", unused_positions=0):
    """Converts one model folder into another."""
    with open(os.path.join(model_dir, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    if config.get("model_type") != kind or config.get("hidden_act") != "gelu":
        sys.exit(f"{model_dir}: a {config.get('model_type')} with {config.get('hidden_act')}; only {kind} with gelu is known")
    model = network(Weights(os.path.join(model_dir, "model.safetensors")), config).build()
    with open(os.path.join(model_dir, "tokenizer.json"), "rb") as file:
        tokenizer = file.read()
    limit = config["max_position_embeddings"] - unused_positions
    try:
        with open(os.path.join(model_dir, "sentence_bert_config.json"), encoding="utf-8") as file:
            limit = min(limit, json.load(file)["max_seq_length"])
    except FileNotFoundError:
        pass
    os.makedirs(out_dir, exist_ok=True)
    write(os.path.join(out_dir, "model.onnx"), model)
    write(os.path.join(out_dir, "tokenizer.json"), tokenizer)
    manifest = MANIFEST.format(
        name=json.dumps(name), licence=json.dumps(licence), source=json.dumps(source),
        layers=config["num_hidden_layers"], dims=config["hidden_size"], max_tokens=limit,
        model=hashlib.sha256(model).hexdigest(), tokenizer=hashlib.sha256(tokenizer).hexdigest(),
        rows=rows(config["num_hidden_layers"], config["hidden_size"]),
    )  # fmt: skip
    write(os.path.join(out_dir, "manifest.toml"), manifest.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model_dir")
    parser.add_argument("out_dir")
    for option in ("name", "licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
