#!/usr/bin/env python3
"""Exports a published network to a model folder that neurod reads: model.onnx, manifest.toml and, for text,
tokenizer.json.

    .cache/export/bin/python tools/export_models.py ARCH --weights DIR --out models/NAME

The environment is made by `tools/fetch_assets.py --only export`: torch 1.13 and torchvision 0.14 (Debian's), and
transformers 4.36.2, tokenizers 0.15.2 and timm 0.9.16. DIR is the model as it was published: for a network of transformers
its folder (config.json, model.safetensors or pytorch_model.bin, tokenizer and preprocessor files), for one of torchvision
or timm a folder with its state dict (.pth or .safetensors). Nothing is downloaded and no code of a weight file is run.

    ARCH                 the paper's checkpoint                          the feature
    vgg19                torchvision IMAGENET1K_V1                       fc2, 4096
    resnet50             torchvision IMAGENET1K_V1                       avgpool, 2048
    inception-resnet-v2  timm inception_resnet_v2                        avgpool, 1536
    efficientnet-b5      torchvision IMAGENET1K_V1                       avgpool, 2048
    roberta              roberta-base                                    mean over tokens, 768
    vit                  google/vit-base-patch16-224                     mean over tokens, 768
    deit                 facebook/deit-base-distilled-patch16-224        mean over tokens, 768
    beit                 microsoft/beit-base-patch16-224-pt22k-ft22k     mean over tokens, 768
    clip-image           openai/clip-vit-base-patch32                    image_embeds, 512
    clip-text            the same                                        text_embeds, 512
    clip                 the same                                        both of them, 1024
    lxmert               unc-nlp/lxmert-base-uncased                     pooled_output, 768
    visualbert           uclanlp/visualbert-vqa-coco-pre                 mean over tokens and regions, 768

Every layer is in the manifest as well, for `--layers all`; `--pooling` says how the tokens of a layer become one vector.
`--weights random` makes a network of random weights (`--seed`, and `--tiny` for a small one) to try things with: no score
of such a network is evidence of anything, and its manifest says so.
"""

import argparse
import hashlib
import json
import os
import sys
import warnings

sys.dont_write_bytecode = True
OPSET = 16


def write(path, data):
    """Whole or not at all."""
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.replace(f"{path}.part", path)


def value(what):
    """A Python value as TOML has it, on one line."""
    if isinstance(what, dict):
        return "{ " + ", ".join(f"{key} = {value(entry)}" for key, entry in what.items()) + " }"
    if isinstance(what, (list, tuple)):
        return "[" + ", ".join(map(value, what)) + "]"
    return json.dumps(what)


def part(output, take, outputs):
    """A feature as a manifest has it: the output, which row or how it is pooled, how long it is."""
    shape = outputs[output].shape
    found = {"output": output}
    if isinstance(take, str):
        found["pooling"] = take
    elif take is not None:
        found["layer"] = take
    return {**found, "dims": shape[1] if take == "spatial" else shape[-1]}


def manifest(architecture, outputs, name, licence, source, hashes):
    lines = ["# What neurod needs to know about this model. Written by tools/export_models.py."]
    feature = part(*architecture.feature, outputs)
    about = {"name": name, "licence": licence, "source": source, "kind": architecture.kind, **feature}
    tables = {"sha256": hashes}
    if architecture.text:
        names = {"input_ids": "input_ids", "attention_mask": "attention_mask"}
        tables["text"] = {**names, **architecture.text}
    if architecture.image:
        names = {"input": [name for name in architecture.inputs() if "token" not in name and "mask" not in name][-1]}
        tables["image"] = {**names, "layout": "nchw", **architecture.image}
    if architecture.regions:
        tables["regions"] = architecture.regions
    tables["layers"] = {layer: part(*where, outputs) for layer, where in architecture.parts.items()}
    lines += [f"{key} = {value(entry)}" for key, entry in about.items()]
    for table, entries in tables.items():
        lines += ["", f"[{table}]", *(f"{key} = {value(entry)}" for key, entry in entries.items())]
    return "\n".join(lines) + "\n"


def export(architecture, out, name, licence, source):
    """Writes one model folder."""
    import torch

    inputs = architecture.inputs()
    samples = tuple(sample for sample, _ in inputs.values())
    with torch.no_grad():
        outputs = architecture.run(*samples)

    class Exported(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = architecture.model

        def forward(self, *given):
            return tuple(architecture.run(*given).values())

    os.makedirs(out, exist_ok=True)
    axes = {name: lengths for name, (_, lengths) in inputs.items()}
    axes.update({name: {0: "batch"} for name in outputs})
    for name_of, tensor in outputs.items():
        if tensor.dim() == 3 and not name_of.endswith(("_means", "_firsts")) and architecture.text:
            axes[name_of][1] = "rows"
    path = os.path.join(out, "model.onnx")
    with torch.no_grad(), warnings.catch_warnings():
        # What depends on a shape that is fixed here is told as a warning for each.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported().eval(), samples, f"{path}.part", input_names=list(inputs), output_names=list(outputs),
            dynamic_axes=axes, opset_version=OPSET, do_constant_folding=True,
        )  # fmt: skip
    os.replace(f"{path}.part", path)
    with open(path, "rb") as file:
        hashes = {"model": hashlib.sha256(file.read()).hexdigest()}
    if architecture.tokenizer is not None:
        tokenizer = architecture.tokenizer.encode()
        write(os.path.join(out, "tokenizer.json"), tokenizer)
        hashes["tokenizer"] = hashlib.sha256(tokenizer).hexdigest()
    text = manifest(architecture, outputs, name, licence, source, hashes)
    write(os.path.join(out, "manifest.toml"), text.encode())


def load(arch, weights, seed=0, tiny=False, pooling=None):
    """The architecture with its weights."""
    import export_architectures as known

    architecture = known.ARCHITECTURES[arch]()
    if pooling is not None:
        if architecture.pooling == "spatial":
            raise known.Refused(f"{arch} has no tokens; leave out --pooling")
        architecture.pooling = pooling
    if weights == "random":
        return architecture.random(seed, tiny)
    if not os.path.isdir(weights):
        raise known.Refused(f"{weights}: no such folder (give the folder of the published model, or `random`)")
    return architecture.load(weights, tiny) if architecture.pooling == "spatial" else architecture.load(weights)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("arch", help="which network; see the list in this file")
    parser.add_argument("--weights", required=True, metavar="DIR", help="the published model, or `random`")
    parser.add_argument("--out", required=True, metavar="DIR", help="the model folder to write")
    parser.add_argument("--name", help="what the model is called (default: the name of the folder)")
    parser.add_argument("--licence", default="unknown", help="the weights' licence, as an SPDX expression")
    parser.add_argument("--source", help="where the weights come from (default: the folder's name)")
    parser.add_argument("--pooling", choices=("mean", "first"), help="how the tokens of a layer become one vector")
    parser.add_argument("--tiny", action="store_true", help="a small network (random weights, or weights of such a one)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    options = parser.parse_args()
    try:
        import export_architectures as known
    except ImportError as error:
        sys.exit(f"export: {error}; run `tools/fetch_assets.py --only export`, then .cache/export/bin/python")
    if options.arch not in known.ARCHITECTURES:
        sys.exit(f"export: no architecture {options.arch} (there are: {', '.join(known.ARCHITECTURES)})")
    source = options.source or os.path.basename(os.path.abspath(options.weights))
    if options.weights == "random":
        source = f"random weights, seed {options.seed}: to try the code with; no score of it is evidence of anything"
    try:
        architecture = load(options.arch, options.weights, options.seed, options.tiny, options.pooling)
        name = options.name or os.path.basename(os.path.abspath(options.out))
        export(architecture, options.out, name, options.licence, f"{source} ({options.arch}; {known.versions()})")
    except known.Refused as refused:
        sys.exit(f"export: {refused}")
    except OSError as error:
        sys.exit(f"export: {error}")
    print(f"export: {options.out}: {options.arch}, {len(architecture.parts)} layers")


if __name__ == "__main__":
    main()
