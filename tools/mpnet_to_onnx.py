#!/usr/bin/env python3
"""Turns an MPNet sentence encoder (safetensors) into the model folder that neurod reads, as tools/bert_to_onnx.py does with
BERT: the same inputs and outputs, and nothing but the standard library.

    python3 tools/mpnet_to_onnx.py MODEL_DIR OUT_DIR --name NAME --licence LICENCE --source SOURCE

Architecture: Song et al. 2020 (arXiv:2004.09297): BERT without segments, its positions numbered from 2 on, and in every
layer the same bias on the scores, by how far apart two tokens are: in 32 classes, half of them for tokens to the left, as
Raffel et al. 2020 (arXiv:1910.10683) have them. The file may be cut in parts (all-mpnet-base-v2.zip.001 and on).
"""

import argparse
import array
import math
import os
import shutil
import sys
import tempfile
import zipfile

import bert_to_onnx
from onnx_write import FLOAT

BUCKETS, FAR = 32, 128
"""Classes of distances, and the distance from which on all are one."""
UNUSED = 2
"""Positions are numbered from behind that of the padding."""


def bucket(distance):
    """The class of how far to the right a token is."""
    half = BUCKETS // 2
    side, away = (0, -distance) if distance <= 0 else (half, distance)
    near = half // 2
    if away < near:
        return side + away
    return side + min(half - 1, near + int(math.log(away / near) / math.log(FAR / near) * (half - near)))


class Encoder(bert_to_onnx.Encoder):
    """Writes the layers of one network into a graph."""

    def embeddings(self):
        """Word + position, normalised: [batch, tokens, hidden]."""
        node, graph, name = self.graph.node, self.graph, "embeddings"
        table = self.weight(f"{name}.word_embeddings.weight", self.vocabulary, self.hidden)
        words = node("Gather", [table, "input_ids"], "words", axis=0)
        positions = self.weights.read(f"{name}.position_embeddings.weight", self.positions, self.hidden)
        used = self.positions - UNUSED
        table = graph.constant("positions.used", FLOAT, [used, self.hidden], positions[4 * UNUSED * self.hidden :])
        tokens = node("Shape", ["input_ids"], "tokens", start=1, end=2)
        zero = graph.ints("zero", [0])
        where = node("Slice", [table, zero, tokens, zero], "positions")
        self.bias(used)
        return self.norm(node("Add", [words, where], "embedded"), f"{name}.LayerNorm", "hidden.0")

    def bias(self, positions):
        """Adds the bias on the scores to their penalty: [batch, heads, tokens, tokens]."""
        node, graph = self.graph.node, self.graph
        table = array.array("f", self.weights.read("encoder.relative_attention_bias.weight", BUCKETS, self.heads))
        data = array.array("f")
        for head in range(self.heads):
            by_distance = [table[self.heads * bucket(d) + head] for d in range(1 - positions, positions)]
            for query in range(positions):
                data.extend(by_distance[positions - 1 - query : 2 * positions - 1 - query])
        biases = graph.constant("biases", FLOAT, [1, self.heads, positions, positions], data.tobytes())
        ends = node("Concat", ["tokens", "tokens"], "square", axis=0)
        bias = node("Slice", [biases, graph.ints("corner", [0, 0]), ends, graph.ints("axes.2,3", [2, 3])], "bias")
        node("Add", ["mask_penalty", bias], "score_penalty")

    def masks(self):
        super().masks("mask_penalty")

    def weights_of(self, layer, part):
        names = {"query": "attn.q", "key": "attn.k", "value": "attn.v", "merge": "attn.o", "norm": "LayerNorm"}
        return f"encoder.layer.{layer}.attention.{names[part]}"


def joined(folder, into):
    """Unpacks the parts of an archive, where there are any; the folder that holds config.json."""
    parts = sorted(name for name in os.listdir(folder) if name[-4:-3] == "." and name[-3:].isdigit())
    if not parts:
        return folder
    archive = os.path.join(into, "model.zip")
    with open(archive, "wb") as whole:
        for name in parts:
            with open(os.path.join(folder, name), "rb") as part:
                shutil.copyfileobj(part, whole)
    wanted = ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json")
    with zipfile.ZipFile(archive) as found:
        for entry in found.namelist():
            name = os.path.basename(entry)
            # Of two of a name, that of the whole model, not of a part of it.
            if name in wanted and entry.count("/") <= 1:
                with found.open(entry) as source, open(os.path.join(into, name), "wb") as sink:
                    shutil.copyfileobj(source, sink)
    os.remove(archive)
    return into


def convert(model_dir, out_dir, name, licence, source):
    """Converts one model folder into another."""
    with tempfile.TemporaryDirectory(dir=model_dir) as work:
        folder = joined(model_dir, work)
        bert_to_onnx.convert(folder, out_dir, name, licence, source, Encoder, "mpnet", UNUSED)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model_dir")
    parser.add_argument("out_dir")
    for option in ("name", "licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
