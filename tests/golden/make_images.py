#!/usr/bin/env python3
"""Makes what tests/encoders_image.rs compares with: small images of many kinds, the bytes that Pillow makes of them when
resized and cropped as torchvision does, small networks, and features of EfficientNet-Lite0 from Python's onnxruntime.

    .cache/venv/bin/python tests/golden/make_images.py [CACHE]

Writes images/ (the images, and expected.gz: all squares back to back), encoders/image_*.onnx and images.json.
Pillow up to 12: version 13 resizes in another order where the height shrinks far more than the width.
"""

import gzip
import json
import os
import struct
import sys
import tomllib
import zlib

import numpy as np
import onnxruntime
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(HERE, "images")
CACHE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".cache")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import onnx_write as onnx  # noqa: E402
from onnx_write import FLOAT, Graph  # noqa: E402

rng = np.random.default_rng(20240611)
FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}


def path(name):
    return os.path.join(OUT, name)


def photo(width, height):
    """Like a photograph: soft shading, round things with hard edges, a little noise."""
    y, x = np.mgrid[0:height, 0:width] / height
    image = np.stack([120 + 90 * np.sin(3 * x + c) * np.cos(4 * y - c) for c in range(3)], axis=-1)
    for _ in range(9):
        cx, cy, radius = rng.uniform(0, width / height), rng.uniform(0, 1), rng.uniform(0.05, 0.25)
        image[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = rng.uniform(0, 255, 3)
    return np.clip(image + rng.normal(scale=2, size=image.shape), 0, 255).astype(np.uint8)


def png(width, height, depth, colour, rows):
    """A PNG written by hand, for the kinds that Pillow does not write."""

    def part(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9) if rows else b""
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", data) + part(b"IEND", b"")


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)


def images():
    """Every kind of file."""
    base = photo(120, 80)
    rgb = Image.fromarray(base)
    rgb.save(path("photo.png"), optimize=True)
    rgb.save(path("photo.bmp"))
    Image.fromarray(photo(37, 90)).save(path("tall.png"), optimize=True)
    Image.fromarray(base[:11, :17]).save(path("tiny.png"))
    Image.fromarray((rng.integers(0, 2, (70, 90, 3)) * 255).astype(np.uint8)).save(path("contrast.png"), optimize=True)
    rgb.convert("L").save(path("grey.png"), optimize=True)
    rgb.convert("1").save(path("bilevel.png"))
    rgb.quantize(40).save(path("palette.png"))
    rgb.quantize(16).save(path("palette_transparent.png"), transparency=3)
    alpha = np.linspace(0, 255, base.shape[0] * base.shape[1]).reshape(base.shape[:2]).astype(np.uint8)
    Image.fromarray(np.dstack([base, alpha])).save(path("rgba.png"), optimize=True)
    Image.fromarray(np.dstack([base[..., 0], alpha]), "LA").save(path("grey_alpha.png"), optimize=True)
    rgb.save(path("photo.jpg"), quality=90)
    rgb.save(path("full_chroma.jpg"), quality=95, subsampling=0)
    rgb.save(path("progressive.jpg"), quality=90, progressive=True)
    # Sizes that no block divides; colour halved across, both ways and down.
    odd = rgb.crop((0, 0, 117, 75))
    odd.save(path("half_chroma.jpg"), quality=90, subsampling=1)
    odd.save(path("quarter_chroma.jpg"), quality=70, subsampling=2, progressive=True)
    odd.save(path("restarts.jpg"), quality=85, restart_marker_blocks=5)
    rgb.crop((0, 0, 64, 64)).save(path("tall_chroma.jpg"), quality=90, subsampling=1)
    with open(path("tall_chroma.jpg"), "rb") as file:
        data = bytearray(file.read())
    # Pillow does not write that: as many blocks, in another order. What is shown is scrambled, to every decoder alike.
    data[data.index(b"\xff\xc0") + 11] = 0x12
    write("tall_chroma.jpg", data)
    rgb.convert("L").save(path("grey.jpg"), quality=90)
    rgb.convert("CMYK").save(path("cmyk.jpg"), quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    rgb.save(path("turned.jpg"), quality=90, exif=exif)
    wide = base.astype(">u2") * 251 + 3
    deep = [("grey16.png", 0, wide[..., :1]), ("rgb16.png", 2, wide)]
    deep += [("grey_alpha16.png", 4, np.dstack([wide[..., 0], alpha.astype(">u2")]))]
    deep += [("rgba16.png", 6, np.dstack([wide, alpha.astype(">u2")]))]
    for name, colour, values in deep:
        rows = [row.astype(">u2").tobytes() for row in values[:40, :50]]
        write(name, png(50, 40, 16, colour, rows))
    # Only headers: what they announce is never there.
    write("huge.png", png(20000, 20000, 8, 2, []))
    with open(path("photo.jpg"), "rb") as file:
        data = file.read()
    frame = data.index(b"\xff\xc0") + 5
    write("huge.jpg", data[:frame] + struct.pack(">HH", 20000, 20000) + data[frame + 4 :])


def rgb_of(name):
    """The picture as neurod is to see it: Pillow's own, but for 16-bit grey, which Pillow clips at 255."""
    image = Image.open(path(name))
    if name == "grey16.png":
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    return image.convert("RGB")


def square(image, size, shorter, chosen):
    """torchvision: Resize(shorter) or Resize((size, size)), then CenterCrop(size)."""
    if shorter is None:
        return image.resize((size, size), FILTERS[chosen])
    width, height = image.size
    longer = int(shorter * max(width, height) / min(width, height))
    width, height = (shorter, longer) if width <= height else (longer, shorter)
    left, top = int(round((width - size) / 2.0)), int(round((height - size) / 2.0))
    return image.resize((width, height), FILTERS[chosen]).crop((left, top, left + size, top + size))


def squares():
    """Each image through the steps that it tells most about."""
    steps = [("photo.png", size, shorter, f) for f in FILTERS for size, shorter in ((40, 47), (40, None), (80, 80))]
    steps += [("tall.png", 36, s, "bicubic") for s in (37, 41, None)] + [("tall.png", 35, 36, "bilinear")]
    steps += [("tiny.png", 48, 55, f) for f in FILTERS] + [("tiny.png", 30, None, "bicubic")]
    steps += [("contrast.png", 64, s, f) for f in FILTERS for s in (69, None)]
    rest = sorted(n for n in os.listdir(OUT) if n.endswith((".png", ".jpg", ".bmp")) and "huge" not in n)
    steps += [(name, 32, 38, "bicubic") for name in rest if name not in {step[0] for step in steps}]
    cases, data = [], b""
    for name, size, shorter, chosen in steps:
        cases.append({"file": name, "size": size, "shorter": shorter, "filter": chosen, "at": len(data)})
        data += np.asarray(square(rgb_of(name), size, shorter, chosen)).tobytes()
    with open(path("expected.gz"), "wb") as file:
        file.write(gzip.compress(data, 9, mtime=0))
    return cases


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


def numbers(values):
    return [float(f"{v:.8g}") for v in np.asarray(values, np.float32).ravel()]


def networks():
    """A small network for either layout: the weighted picture as it is, as tokens and flat; and what comes out."""
    answers = {}
    for layout, dims in (("nchw", [1, 3, 6, 6]), ("nhwc", [1, 6, 6, 3])):
        graph = Graph(layout)
        graph.inputs = [onnx.value_info("pixels", FLOAT, ["batch", *dims[1:]])]
        graph.outputs = [onnx.value_info("map", FLOAT, ["batch", *dims[1:]])]
        graph.outputs += [onnx.value_info("tokens", FLOAT, ["batch", 36, 3]), onnx.value_info("flat", FLOAT, ["batch", 108])]
        values = rng.normal(size=dims).astype(np.float32)
        graph.node("Mul", ["pixels", graph.constant("weights", FLOAT, dims, values.tobytes())], "map")
        graph.node("Reshape", ["map", graph.ints("tokens_shape", [-1, 36, 3])], "tokens")
        graph.node("Flatten", ["map"], "flat")
        model = os.path.join(HERE, "encoders", f"image_{layout}.onnx")
        write(model, graph.serialise("tests"))
        mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
        pixels = (np.asarray(square(rgb_of("photo.png"), 6, 7, "bilinear")) / 255.0 - mean) / std
        pixels = pixels.astype(np.float32)[None]
        pixels = pixels.transpose(0, 3, 1, 2) if layout == "nchw" else pixels
        found, tokens, flat = session(model).run(None, {"pixels": pixels})
        answers[layout] = {
            "spatial": numbers(found.mean(axis=(2, 3) if layout == "nchw" else (1, 2))),
            "mean": numbers(tokens.mean(axis=1)),
            "first": numbers(tokens[:, 0]),
            "flat": numbers(flat),
        }
    return answers


def efficientnet():
    """Features of EfficientNet-Lite0 of two pictures, and of one layer of the first."""
    folder = os.path.join(CACHE, "models", "efficientnet-lite0")
    with open(os.path.join(folder, "manifest.toml"), "rb") as file:
        image = tomllib.load(file)["image"]
    network, answers = session(os.path.join(folder, "model.onnx")), {}
    for name in ("photo.png", "contrast.png"):
        pixels = np.asarray(square(rgb_of(name), image["size"], image["resize"]["shorter"], image["filter"]))
        pixels = ((pixels * image["scale"] - image["mean"]) / image["std"]).astype(np.float32)
        features, stage = network.run(["features", "stage5"], {image["input"]: pixels.transpose(2, 0, 1)[None]})
        answers[name] = {"features": numbers(features), "stage5": numbers(stage)}
    return answers


def main():
    os.makedirs(OUT, exist_ok=True)
    images()
    golden = {"squares": squares(), "networks": networks(), "efficientnet": efficientnet()}
    with open(os.path.join(HERE, "images.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file)
        file.write("\n")


main()
