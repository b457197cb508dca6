#!/usr/bin/env python3
"""Makes what tests/encoders_*.rs compare with: small ONNX models (sound ones and ones that must be refused) and
encoders.json, the answers of Python's onnxruntime and tokenizers to the same inputs.

    .cache/venv/bin/python tests/golden/make_encoders.py [CACHE]
"""

import json
import math
import os
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(HERE, "encoders")
CACHE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".cache")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import onnx_write as onnx  # noqa: E402
from onnx_write import FLOAT, INT64, Graph, chunk, number  # noqa: E402

rng = np.random.default_rng(20240607)


def weights(graph, name, *shape):
    """Random float32 weights."""
    values = rng.normal(size=shape).astype(np.float32)
    return graph.constant(name, FLOAT, shape, values.tobytes())


def save(name, data):
    assert len(data) < 5000, name
    with open(os.path.join(OUT, f"{name}.onnx"), "wb") as file:
        file.write(data)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def run(name, output, feeds):
    return session(os.path.join(OUT, f"{name}.onnx")).run([output], feeds)[0]


def window_models():
    """3 channels × 8 samples to features: channels first as in EEGNet, and time first; and one that can go NaN."""
    graph = Graph("channels_time")
    graph.inputs = [onnx.value_info("signal", FLOAT, [1, 1, 3, 8])]
    graph.outputs = [onnx.value_info("features", FLOAT, ["batch", 6])]
    mixed = graph.node("MatMul", ["signal", weights(graph, "filters", 8, 2)], "mixed")
    flat = graph.node("Reshape", [mixed, graph.ints("flat_shape", [1, 6])], "flat")
    graph.node("Tanh", [flat], "features")
    save("window", graph.serialise("tests"))

    graph = Graph("time_channels")
    graph.inputs = [onnx.value_info("signal", FLOAT, ["batch", 8, 3])]
    graph.outputs = [onnx.value_info("features", FLOAT, ["batch", 2])]
    middle = graph.node("ReduceMean", ["signal"], "middle", axes=[1], keepdims=0)
    graph.node("MatMul", [middle, weights(graph, "mix", 3, 2)], "features")
    save("window_time_first", graph.serialise("tests"))

    graph = Graph("roots")
    graph.inputs = [onnx.value_info("signal", FLOAT, ["batch", 3, 8])]
    graph.outputs = [onnx.value_info("features", FLOAT, ["batch", 24]), onnx.value_info("count", INT64, [1])]
    shifted = graph.node("Add", ["signal", graph.scalar("two", 2.0)], "shifted")
    graph.node("Flatten", [graph.node("Sqrt", [shifted], "roots")], "features")
    graph.node("Shape", ["signal"], "count", start=0, end=1)
    save("window_roots", graph.serialise("tests"))

    # The size of a second of EEG, for benches/encode.rs.
    graph = Graph("second")
    graph.inputs = [onnx.value_info("signal", FLOAT, ["batch", 64, 250])]
    graph.outputs = [onnx.value_info("features", FLOAT, ["batch", 8])]
    power = graph.node("ReduceMean", [graph.node("Mul", ["signal", "signal"], "squared")], "power", axes=[2], keepdims=0)
    graph.node("MatMul", [power, weights(graph, "mix", 64, 8)], "features")
    save("window_second", graph.serialise("tests"))

    data = rng.normal(size=(8, 3)) * 3  # samples × channels, as in a block
    scaled = (data * 0.5).astype(np.float32)
    return {
        "data": data.ravel().tolist(),
        "scale": 0.5,
        "channels_time": run("window", "features", {"signal": scaled.T[None, None]})[0].tolist(),
        "time_channels": run("window_time_first", "features", {"signal": scaled[None]})[0].tolist(),
    }


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "heat", "pain", "rate", "arm"]


def text_model():
    """Eight words of four numbers each, a position-free network, and a tokenizer to go with it."""
    graph = Graph("words")
    # Segments before tokens: inputs are found by name, not by place.
    graph.inputs = [onnx.value_info(n, INT64, ["batch", "tokens"]) for n in ("segments", "tokens")]
    graph.outputs = [
        onnx.value_info("last", FLOAT, ["batch", "tokens", 4]),
        onnx.value_info("layers", FLOAT, ["batch", 2, 4]),
    ]
    words = graph.node("Gather", [weights(graph, "table", 8, 4), "tokens"], "words", axis=0)
    kinds = graph.node("Gather", [weights(graph, "kinds", 2, 4), "segments"], "kinds_of", axis=0)
    summed = graph.node("Add", [words, kinds], "summed")
    graph.node("MatMul", [summed, weights(graph, "mix", 4, 4)], "last")
    rows = [graph.node("ReduceMean", [x], f"{x}.mean", axes=[1], keepdims=1) for x in ("summed", "last")]
    graph.node("Concat", rows, "layers", axis=1)
    save("text", graph.serialise("tests"))

    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [{"id": i, "content": WORDS[i], **special} for i in range(4)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {w: {"id": w, "ids": [i], "tokens": [w]} for i, w in ((2, "[CLS]"), (3, "[SEP]"))},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }  # fmt: skip
    path = os.path.join(OUT, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, indent=1)
    reader = Tokenizer.from_file(path)
    reader.no_padding()
    reader.enable_truncation(6)
    text = "Rate the PAIN of heat on your arm now"
    ids = reader.encode(text).ids
    feeds = {"tokens": np.array([ids]), "segments": np.zeros((1, len(ids)), np.int64)}
    last, layers = run("text", "last", feeds)[0], run("text", "layers", feeds)[0]
    return {
        "text": text,
        "max_tokens": 6,
        "ids": ids,
        "mean": last.mean(axis=0).tolist(),
        "first": last[0].tolist(),
        "layer_0": layers[0].tolist(),
    }


def multimodal_models():
    """The eight words again, beside regions of three numbers with their boxes, or beside a picture of 6 × 6."""
    graph = Graph("regions")
    graph.inputs = [
        onnx.value_info("boxes", FLOAT, ["batch", "regions", 4]),
        onnx.value_info("tokens", INT64, ["batch", "tokens"]),
        onnx.value_info("seen", FLOAT, ["batch", "regions", 3]),
    ]
    graph.outputs = [
        onnx.value_info("rows", FLOAT, ["batch", "rows", 4]),
        onnx.value_info("places", FLOAT, ["batch", 4]),
    ]
    words = graph.node("Gather", [weights(graph, "table", 8, 4), "tokens"], "words", axis=0)
    seen = graph.node("MatMul", ["seen", weights(graph, "detector", 3, 4)], "features")
    placed = graph.node("Add", [seen, graph.node("MatMul", ["boxes", weights(graph, "where", 4, 4)], "corners")], "placed")
    graph.node("Concat", [words, placed], "rows", axis=1)
    graph.node("ReduceMean", ["boxes"], "places", axes=[1], keepdims=0)
    save("regions", graph.serialise("tests"))

    graph = Graph("captioned")
    graph.inputs = [
        onnx.value_info("tokens", INT64, ["batch", "tokens"]),
        onnx.value_info("pixels", FLOAT, ["batch", 3, 6, 6]),
    ]
    graph.outputs = [onnx.value_info("both", FLOAT, ["batch", 7])]
    words = graph.node("Gather", [weights(graph, "table", 8, 4), "tokens"], "words", axis=0)
    words = graph.node("ReduceMean", [words], "text", axes=[1], keepdims=0)
    picture = graph.node("Flatten", [graph.node("GlobalAveragePool", ["pixels"], "pooled")], "picture")
    graph.node("Concat", [words, picture], "both", axis=1)
    save("captioned", graph.serialise("tests"))

    ids = np.array([[2, 5, 4, 3]])  # [CLS] pain heat [SEP]
    features = rng.normal(size=(2, 3)).astype(np.float32)
    boxes = np.array([[0.0, 0.25, 0.5, 1.0], [0.125, 0.0, 0.75, 0.5]], np.float32)
    feeds = {"tokens": ids, "seen": features[None], "boxes": boxes[None]}
    np.save(os.path.join(OUT, "regions.npy"), features)
    np.save(os.path.join(OUT, "boxes.npy"), boxes)
    np.savez(os.path.join(OUT, "stored.npz"), features=features, boxes=boxes.astype(np.float64))
    np.savez_compressed(os.path.join(OUT, "deflated.npz"), boxes=boxes, features=features.astype(np.float64))
    np.savez(os.path.join(OUT, "other.npz"), boxes=boxes, seen=features)
    text = run("captioned", "both", {"tokens": ids, "pixels": np.zeros((1, 3, 6, 6), np.float32)})
    return {
        "text": "pain heat",
        "features": features.tolist(),
        "boxes": boxes.tolist(),
        "mean": run("regions", "rows", feeds)[0].mean(axis=0).tolist(),
        "places": run("regions", "places", feeds)[0].tolist(),
        "text_of_captioned": text[0, :4].tolist(),
    }


def refused_models():
    """Files that must never reach the runtime, each with one thing wrong with it."""

    def model(extra=b"", nodes=(), after_graph=b""):
        graph = Graph("refused")
        graph.inputs = [onnx.value_info("x", FLOAT, [1, 2])]
        graph.outputs = [onnx.value_info("y", FLOAT, [1, 2])]
        graph.node("Identity", ["x"], "y")
        graph.nodes += nodes
        return graph.serialise("tests", extra) + after_graph

    entry = chunk(1, "location") + chunk(2, "../../etc/passwd")
    here = number(1, 2) + number(2, FLOAT) + chunk(8, "stolen")
    external = here + chunk(13, entry) + number(14, 1)
    tensor = onnx.tensor("held", FLOAT, [2], onnx.floats([1.0, 2.0]))
    graph_with = chunk(2, "inner") + chunk(5, external)
    of = lambda name, kind, body: chunk(1, name) + body + number(20, kind)  # noqa: E731
    node = lambda op, attribute, tail=b"": chunk(2, "z") + chunk(4, op) + chunk(5, attribute) + tail  # noqa: E731
    constant = node("Constant", of("value", 4, chunk(5, external)))
    many = node("Constant", of("value", 9, chunk(10, tensor) + chunk(10, external)))
    sparse = chunk(1, tensor) + chunk(2, external) + number(3, 2)
    function = chunk(1, "f") + chunk(7, constant)

    save("external_initialiser", model(chunk(5, external)))
    save("external_without_location", model(chunk(5, here + number(14, 1))))
    save("external_only_entries", model(chunk(5, here + chunk(13, entry))))
    save("external_taken_back", model(chunk(5, external + number(14, 0))))
    save("external_sparse", model(chunk(15, sparse)))
    save("external_attribute", model(nodes=[constant]))
    save("external_attribute_list", model(nodes=[many]))
    save("external_sparse_attribute", model(nodes=[node("Constant", of("sparse_value", 11, chunk(22, sparse)))]))
    save("external_subgraph", model(nodes=[node("If", of("then_branch", 5, chunk(6, graph_with)))]))
    save("external_function", model(after_graph=chunk(25, function)))
    save("external_training", model(after_graph=chunk(20, chunk(1, graph_with))))
    save("external_second_graph", model(after_graph=chunk(7, graph_with)))
    save("domain", model(nodes=[node("Run", b"", chunk(7, "evil.ops"))]))
    save("domain_function", model(after_graph=chunk(25, chunk(1, "g") + chunk(10, "evil.ops"))))
    save("opaque", model(nodes=[node("EPContext", b"", chunk(7, "com.microsoft"))]))
    huge = number(1, 1 << 40) + number(1, 1 << 40) + number(2, FLOAT) + chunk(8, "huge") + chunk(9, b"\0" * 8)
    save("inflated", model(chunk(5, huge)))
    deep = tensor
    for _ in range(40):
        deep = chunk(6, chunk(1, node("If", deep)))
    save("deep", model(nodes=[node("If", deep)]))


SENTENCES = [
    "painful heat of 45 degrees on the arm, imagine it is less painful",
    "rate how painful that was",
    "The cat sits outside.",
    "A kitten rests in the garden.",
    "The stock market fell sharply today.",
    "Ünïcödé: naïve café, Ελληνικά, Русский, العربية, 日本語の文章 and 中文",
    "emoji 🧠🔥 zero\u200bwidth, combining e\u0301, tab\tand\nnewline, control \x07 and \ufffd",
    "",
    "   ",
    "[MASK] [SEP] special tokens in the text [CLS]",
    "a word that is " + "very " * 400 + "long",
    "x" * 500,
]


def minilm():
    """all-MiniLM-L6-v2 as tools/bert_to_onnx.py made it."""
    folder = os.path.join(CACHE, "models", "minilm")
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    network = session(os.path.join(folder, "model.onnx"))
    cases = []
    for text in SENTENCES:
        ids = np.array([tokenizer.encode(text).ids])
        feature, last, layers = network.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        assert math.isclose(np.linalg.norm(feature), 1.0, rel_tol=1e-5)
        cases.append({"text": text, "ids": ids[0].tolist(), "feature": [float(f"{v:.8g}") for v in feature[0]]})
        if text == SENTENCES[0]:
            cases[0]["layer_3"] = layers[0, 3].tolist()
            cases[0]["first"] = last[0, 0].tolist()
    return cases


def main():
    os.makedirs(OUT, exist_ok=True)
    golden = {"window": window_models(), "text": text_model(), "minilm": minilm()}
    golden["multimodal"] = multimodal_models()
    refused_models()
    with open(os.path.join(HERE, "encoders.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file)
        file.write("\n")


main()
