"""What tests/export_models.rs compares with: small networks of random weights, exported by tools/export_models.py, and
what PyTorch, tokenizers and image processors themselves make of the same inputs.

    .cache/export/bin/python tests/python/export_reference.py OUT PICTURES

Each network is saved as its library saves it and exported from there, as a user would do. Features are taken from what
the network's own forward pass returns, or from hooks on its layers, and pooled here by numpy: not by the exporter's code.
"""

import json
import os
import shutil
import sys

import numpy as np
import torch
import torchvision
import transformers
from PIL import Image

OUT, PICTURES = sys.argv[1:]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools"))
import export_architectures as known  # noqa: E402
import export_models  # noqa: E402
import export_random  # noqa: E402
import mpnet_to_onnx  # noqa: E402

TEXTS = ("A small cat on a mat", "Überraschung: 2 naïve dogs aren't in the Café!  ", "heat " * 300)
FILES = ("photo.png", "wide.png", "tall.png")
SEED = 3


def mean(tokens):
    return np.asarray(tokens, np.float64).mean(0)


def listed(feature):
    return np.asarray(feature, np.float64).ravel().tolist()


def token_layers(hidden, prefix="", first=False, start=0):
    """A vector for each hidden state, by the name that it has in a manifest."""
    found = {}
    for n, state in enumerate(hidden, start=start):
        state = state[0].numpy()
        found[f"{prefix}{'layer' if n else 'embeddings'}{n or ''}"] = state[0] if first else mean(state)
    return found


def text_features(made, inputs):
    out = made.model(**inputs, output_hidden_states=True)
    layers = {"": mean(out.last_hidden_state[0]), **token_layers(out.hidden_states), "pooler": out.pooler_output}
    return layers


def image_features(made, picture):
    pixels = made.processor(images=picture, return_tensors="pt")["pixel_values"]
    out = made.model(pixel_values=pixels, output_hidden_states=True)
    layers = token_layers(out.hidden_states)
    return pixels, {"": mean(out.last_hidden_state[0]), **layers, "pooler": out.pooler_output}


def clip_image(made, picture):
    pixels = made.processor(images=picture, return_tensors="pt")["pixel_values"]
    embeds = made.model.get_image_features(pixel_values=pixels)
    hidden = made.model.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    return pixels, {"image": embeds, **token_layers(hidden, "image_", first=True)}


def clip_text(made, inputs):
    hidden = made.model.text_model(**inputs, output_hidden_states=True).hidden_states
    return {"text": made.model.get_text_features(**inputs), **token_layers(hidden, "text_")}


def lxmert(made, inputs, features, boxes):
    out = made.model(**inputs, visual_feats=features, visual_pos=boxes, output_hidden_states=True)
    layers = token_layers(out.language_hidden_states, "language_", start=1)
    layers.update(token_layers(out.vision_hidden_states, "vision_", start=1))
    return {"": out.pooled_output, "pooled": out.pooled_output, **layers}


def visualbert(made, inputs, features, _):
    ones = torch.ones(features.shape[:2], dtype=torch.long)
    out = made.model(
        **inputs, visual_embeds=features, visual_attention_mask=ones, visual_token_type_ids=ones, output_hidden_states=True
    )
    layers = token_layers(out.hidden_states)
    return {"": mean(out.last_hidden_state[0]), **layers, "pooler": out.pooler_output}


CONVOLUTIONAL = {
    # By the names that the libraries give their layers; the last is the feature.
    "vgg19": ({f"block{n}": f"features.{i}" for n, i in enumerate((4, 9, 18, 27, 36), start=1)}
              | {"fc1": "classifier.1", "fc2": "classifier.4"}),
    "resnet50": {"stem": "maxpool", **{f"stage{n}": f"layer{n}" for n in range(1, 5)}, "avgpool": "avgpool"},
    "efficientnet-b5": {**{f"stage{n}": f"features.{n}" for n in range(9)}, "avgpool": "avgpool"},
    "inception-resnet-v2": {"stem": "mixed_5b", "block35": "repeat", "block17": "repeat_1", "block8": "block8",
                            "head": "conv2d_7b", "avgpool": "global_pool"},
}  # fmt: skip


def preparation(arch, made):
    """What the library itself does with a picture."""
    if arch == "inception-resnet-v2":
        import timm.data

        return timm.data.create_transform(**timm.data.resolve_data_config({}, model=made.model))
    return type(made).weights.transforms()


def convolutional(arch, made, picture):
    seen, hooks = {}, []
    modules = dict(made.model.named_modules())
    for name, layer in CONVOLUTIONAL[arch].items():
        # A copy: what follows may rectify in place.
        hooks.append(modules[layer].register_forward_hook(lambda _, __, y, name=name: seen.update({name: y.clone()})))
    pixels = preparation(arch, made)(picture)[None]
    made.model(pixels)
    for hook in hooks:
        hook.remove()
    places = {name: y[0].numpy().astype(np.float64) for name, y in seen.items()}
    layers = {name: y.reshape(len(y), -1).mean(1) for name, y in places.items()}
    return pixels, {"": layers[list(CONVOLUTIONAL[arch])[-1]], **layers}


def save(arch, made, folder):
    """As the network's library saves it."""
    os.makedirs(folder)
    if made.pooling == "spatial":
        torch.save(made.model.state_dict(), os.path.join(folder, "weights.pth"))
        return
    # LXMERT's own checkpoint is a .bin.
    made.model.save_pretrained(folder, safe_serialization=arch != "lxmert")
    if made.text_reader:
        made.reader.save_pretrained(folder)
    if made.image_reader:
        made.processor.save_pretrained(folder)


def cases(arch, made):
    """Every input with what comes of it."""
    rng = np.random.default_rng(SEED)
    pictures = [Image.open(os.path.join(OUT, file)).convert("RGB") for file in FILES]
    tokens = [
        made.reader(text, return_tensors="pt", truncation=True, max_length=made.text["max_tokens"], return_token_type_ids=False)
        for text in TEXTS
    ] if made.text else []  # fmt: skip
    found = []
    if made.regions:
        for n, inputs in enumerate(tokens):
            features = rng.normal(size=(5 * n + 1, made.regions["dims"])).astype(np.float32)
            corners = np.sort(rng.uniform(size=(len(features), 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
            if n == 0:
                np.save(os.path.join(OUT, f"{arch}-{n}.npy"), features)
                np.save(os.path.join(OUT, f"{arch}-{n}-boxes.npy"), corners)
            else:
                how = np.savez if n == 1 else np.savez_compressed
                how(os.path.join(OUT, f"{arch}-{n}.npz"), boxes=corners.astype(np.float64), features=features)
            run = lxmert if arch == "lxmert" else visualbert
            layers = run(made, inputs, torch.tensor(features)[None], torch.tensor(corners)[None])
            files = {"regions": f"{arch}-0.npy", "boxes": f"{arch}-0-boxes.npy"} if n == 0 else {"regions": f"{arch}-{n}.npz"}
            found.append({"text": TEXTS[n], "ids": inputs["input_ids"][0].tolist(), **files, "features": layers})
        return found
    for n in range(len(TEXTS)):
        case, layers = {}, {}
        if made.text:
            case.update(text=TEXTS[n], ids=tokens[n]["input_ids"][0].tolist())
            layers.update((clip_text if arch.startswith("clip") else text_features)(made, tokens[n]))
        if made.image:
            if made.pooling == "spatial":
                pixels, seen = convolutional(arch, made, pictures[n])
            else:
                pixels, seen = (clip_image if arch.startswith("clip") else image_features)(made, pictures[n])
            layers.update(seen)
            pixels.numpy().astype("<f4").tofile(os.path.join(OUT, f"{arch}-{n}.pixels"))
            case.update(picture=FILES[n], pixels=f"{arch}-{n}.pixels")
        if arch.startswith("clip"):
            layers[""] = np.concatenate([np.asarray(layers[part]).ravel() for part in ("image", "text") if part in layers])
        found.append({**case, "features": layers})
    return found


def mpnet():
    """tools/mpnet_to_onnx.py, which the standard library is enough for, against the network of transformers."""
    config = transformers.MPNetConfig(vocab_size=export_random.WORDS, max_position_embeddings=202, **export_random.TINY)
    torch.manual_seed(SEED)
    model = export_random.stirred(transformers.MPNetModel(config, add_pooling_layer=False)).eval()
    published = os.path.join(OUT, "mpnet-published")
    model.save_pretrained(published)
    reader = export_random.roberta_reader().backend_tokenizer
    reader.no_padding()
    reader.save(os.path.join(published, "tokenizer.json"))
    mpnet_to_onnx.convert(published, os.path.join(OUT, "mpnet"), "mpnet", "CC0-1.0", "random weights")
    reader.enable_truncation(200)
    found = []
    for text in TEXTS:
        ids = reader.encode(text).ids
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        layers = token_layers(hidden)
        last = layers[f"layer{len(hidden) - 1}"]
        found.append({"text": text, "ids": ids, "features": {"": last / np.linalg.norm(last), **layers}})
    return found


def pictures():
    """Small ones, and one that has to shrink and is cut in the middle of a pixel."""
    for file in FILES[::2]:
        shutil.copy(os.path.join(PICTURES, file), OUT)
    y, x = np.mgrid[:341, :517]
    waves = [np.sin(x / 5 + y / 9), np.sin(x * y / 900), np.cos(y / 3)]
    noise = np.random.default_rng(SEED).normal(size=(341, 517, 3)) * 20
    values = 128 + 90 * np.stack(waves, -1) + noise
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(os.path.join(OUT, FILES[1]))


def main():
    pictures()
    torch.set_num_threads(1)
    answers = {"versions": {"torch": torch.__version__, "torchvision": torchvision.__version__}, "networks": {}}
    for arch, kind in known.ARCHITECTURES.items():
        made = kind().random(SEED, tiny=True)
        published = os.path.join(OUT, f"{arch}-published")
        save(arch, made, published)
        loaded = export_models.load(arch, published, tiny=True)
        export_models.export(loaded, os.path.join(OUT, arch), arch, "CC0-1.0", "random weights")
        with torch.no_grad():
            answers["networks"][arch] = cases(arch, made)
    answers["networks"]["mpnet"] = mpnet()
    for found in answers["networks"].values():
        for case in found:
            case["features"] = {layer: listed(feature) for layer, feature in case["features"].items()}
    with open(os.path.join(OUT, "reference.json"), "w", encoding="utf-8") as file:
        json.dump(answers, file)


main()
