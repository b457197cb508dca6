"""What tools/export_models.py can export: the networks, what goes in, and which of their layers can be a feature.

Every architecture is a class with the same members. `Architecture.load` takes published weights from a folder,
`Architecture.random` makes a network of random weights, which says nothing about any brain and is there to test with.
"""

import json
import os

import torch
import torchvision
import transformers
from safetensors.torch import load_file
from torch import nn

import export_random as random_made

POOLINGS = ("mean", "first")
"""Of the tokens of a layer: their mean, or the first one ([CLS], <s>, class token)."""


class Refused(Exception):
    """What is wrong with the weights, and the mend."""


def state_of(folder):
    """The weights in a folder: the only .safetensors, or the only .bin or .pth, of which no code is run."""
    names = sorted(os.listdir(folder))
    for endings in ((".safetensors",), (".bin", ".pth", ".pt")):
        found = [name for name in names if name.endswith(endings)]
        if len(found) > 1:
            raise Refused(f"{folder}: several weight files ({', '.join(found)}); leave one, saved as a whole")
        if found:
            path = os.path.join(folder, found[0])
            if endings == (".safetensors",):
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    raise Refused(f"{folder}: no weights (.safetensors, .bin or .pth)")


def masked_mean(hidden, mask):
    """The mean over the tokens that the mask keeps: [batch, tokens, dims] to [batch, dims]."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


def pooled_layers(hidden, mask=None):
    """Every hidden state as one vector: means and first tokens, each [batch, layers + 1, dims], embeddings first."""
    means = [layer.mean(1) if mask is None else masked_mean(layer, mask) for layer in hidden]
    return torch.stack(means, 1), torch.stack([layer[:, 0] for layer in hidden], 1)


class Architecture:
    """One network. `parts` names what can be a feature: a layer's name to (output, row or pooling or None)."""

    kind = ""
    feature = None
    parts = {}
    text = image = regions = None
    tokenizer = None

    def inputs(self):
        """Name to (a sample input, its axes of any length by number)."""
        return {}

    def run(self, *inputs):
        """Name to output, in order."""
        raise NotImplementedError


class Pretrained(Architecture):
    """A network of the transformers package."""

    model_class = config_class = None
    optional = ("pooler.",)
    """Weights that some checkpoints lack: then the output is left out, where it would be of random weights."""

    def load(self, folder):
        if not os.path.exists(os.path.join(folder, "config.json")):
            raise Refused(f"{folder}: no config.json; give the model folder as it was published")
        self.config = self.config_class.from_pretrained(folder, local_files_only=True)
        self.model, info = self.model_class.from_pretrained(
            None, config=self.config, state_dict=state_of(folder), output_loading_info=True
        )
        missing = [name for name in info["missing_keys"] if not name.startswith(self.optional)]
        if missing or info["mismatched_keys"]:
            names = ", ".join([*missing, *(str(m) for m in info["mismatched_keys"])][:4])
            raise Refused(f"{folder}: the weights lack {names}; not a {self.model_class.__name__}")
        self.pooler = not any(name.startswith(self.optional) for name in info["missing_keys"])
        self.read(lambda reader: reader.from_pretrained(folder, local_files_only=True))
        return self.prepared()

    def random(self, seed, tiny):
        self.config = self.random_config(tiny)
        torch.manual_seed(seed)
        self.model, self.pooler = random_made.stirred(self.model_class(self.config)), True
        self.read(random_made.reader)
        return self.prepared()

    def random_config(self, tiny):
        sizes = random_made.TINY if tiny else {}
        words = {"vocab_size": random_made.WORDS} if self.text_reader and tiny else {}
        return self.config_class(**sizes, **words, **self.more(tiny))

    def more(self, tiny):
        return {}

    text_reader = image_reader = None

    def read(self, made):
        """Reads tokenizer and preparation."""
        if self.text_reader:
            self.reader = made(self.text_reader)
            self.tokenizer = self.reader.backend_tokenizer.to_str(pretty=False)
        if self.image_reader:
            self.processor = made(self.image_reader)

    def prepared(self):
        self.model.eval()
        return self

    def max_tokens(self, positions):
        limit = self.reader.model_max_length
        return min(positions, limit if limit < 1 << 20 else positions)

    def sample_ids(self):
        ids = self.reader("a photo of a small cat on a mat", return_tensors="pt")["input_ids"]
        return {"input_ids": (ids, {0: "batch", 1: "tokens"}), "attention_mask": (torch.ones_like(ids), {0: "batch", 1: "tokens"})}

    def layered(self, count, pooling, prefix=""):
        """One part a hidden state, pooled in the network."""
        output = {"mean": f"{prefix}layer_means", "first": f"{prefix}layer_firsts"}[pooling]
        return {f"{prefix}{'layer' if n else 'embeddings'}{n or ''}": (output, n) for n in range(count + 1)}


class Roberta(Pretrained):
    """Liu et al. 2019 (arXiv:1907.11692)."""

    kind, pooling = "text", "mean"
    model_class, config_class = transformers.RobertaModel, transformers.RobertaConfig
    text_reader = transformers.RobertaTokenizerFast

    def more(self, tiny):
        # Two positions are never used: numbers begin behind that of the padding.
        return {"max_position_embeddings": 66 if tiny else 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

    def prepared(self):
        self.text = {"max_tokens": self.max_tokens(self.config.max_position_embeddings - 2)}
        self.feature = ("last_hidden_state", self.pooling)
        self.parts = self.layered(self.config.num_hidden_layers, self.pooling)
        if self.pooler:
            self.parts["pooler"] = ("pooler_output", None)
        return super().prepared()

    def inputs(self):
        return self.sample_ids()

    def run(self, ids, mask):
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        means, firsts = pooled_layers(out.hidden_states, mask)
        found = {"last_hidden_state": out.last_hidden_state, "layer_means": means, "layer_firsts": firsts}
        return {**found, "pooler_output": out.pooler_output} if self.pooler else found


class Vision(Pretrained):
    """An image transformer. ViT: Dosovitskiy et al. 2021 (arXiv:2010.11929)."""

    kind, pooling = "image", "mean"
    model_class, config_class = transformers.ViTModel, transformers.ViTConfig
    image_reader = transformers.ViTImageProcessor

    def more(self, tiny):
        return {"patch_size": 32} if tiny else {}

    def prepared(self):
        self.image = image_input(self.processor)
        self.feature = ("last_hidden_state", self.pooling)
        self.parts = self.layered(self.config.num_hidden_layers, self.pooling)
        if self.pooler:
            self.parts["pooler"] = ("pooler_output", None)
        return super().prepared()

    def inputs(self):
        side = self.image["size"]
        return {"pixel_values": (torch.rand(1, 3, side, side), {0: "batch"})}

    def run(self, pixels):
        out = self.model(pixel_values=pixels, output_hidden_states=True)
        means, firsts = pooled_layers(out.hidden_states)
        found = {"last_hidden_state": out.last_hidden_state, "layer_means": means, "layer_firsts": firsts}
        return {**found, "pooler_output": out.pooler_output} if self.pooler else found


class Deit(Vision):
    """Touvron et al. 2021 (arXiv:2012.12877): tokens of class and of distillation first."""

    model_class, config_class = transformers.DeiTModel, transformers.DeiTConfig
    image_reader = transformers.DeiTImageProcessor


class Beit(Vision):
    """Bao et al. 2022 (arXiv:2106.08254)."""

    model_class, config_class = transformers.BeitModel, transformers.BeitConfig
    image_reader = transformers.BeitImageProcessor

    def more(self, tiny):
        # As published: a position bias in every layer, and layers that are scaled.
        return {**super().more(tiny), "use_relative_position_bias": True, "layer_scale_init_value": 0.1}


class Clip(Pretrained):
    """Both towers (Radford et al. 2021, arXiv:2103.00020), side by side: what the picture means, then what the text means."""

    kind, pooling = "multimodal", "first"
    model_class, config_class = transformers.CLIPModel, transformers.CLIPConfig
    text_reader, image_reader = transformers.CLIPTokenizerFast, transformers.CLIPImageProcessor
    sees = reads = True

    def random_config(self, tiny):
        sizes = random_made.TINY if tiny else {}
        text = {**sizes, "eos_token_id": random_made.CLIP_END, **({"vocab_size": random_made.WORDS} if tiny else {})}
        vision = {**sizes, "patch_size": 32}
        return self.config_class(text_config=text, vision_config=vision, projection_dim=32 if tiny else 512)

    def prepared(self):
        self.parts = {}
        if self.sees:
            self.image = image_input(self.processor)
            self.parts["image"] = ("image_embeds", None)
            self.parts.update(self.layered(self.config.vision_config.num_hidden_layers, self.pooling, "image_"))
        if self.reads:
            self.text = {"max_tokens": self.max_tokens(self.config.text_config.max_position_embeddings)}
            self.parts["text"] = ("text_embeds", None)
            # The first token of a text sees none of the others: nothing to tell.
            self.parts.update(self.layered(self.config.text_config.num_hidden_layers, "mean", "text_"))
        else:
            self.tokenizer = None
        self.feature = ("embeds" if self.sees and self.reads else next(iter(self.parts.values()))[0], None)
        return super().prepared()

    def inputs(self):
        side = self.processor.crop_size["height"]
        pixels = {"pixel_values": (torch.rand(1, 3, side, side), {0: "batch"})}
        return {**(self.sample_ids() if self.reads else {}), **(pixels if self.sees else {})}

    def run(self, *inputs):
        found, inputs = {}, list(inputs)
        if self.sees:
            out = self.model.vision_model(pixel_values=inputs.pop(), output_hidden_states=True)
            image = self.model.visual_projection(out.pooler_output)
            means, firsts = pooled_layers(out.hidden_states)
            found.update(image_embeds=image, image_layer_means=means, image_layer_firsts=firsts)
        if self.reads:
            ids, mask = inputs
            out = self.model.text_model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            text = self.model.text_projection(out.pooler_output)
            means, firsts = pooled_layers(out.hidden_states, mask)
            found.update(text_embeds=text, text_layer_means=means, text_layer_firsts=firsts)
        if self.sees and self.reads:
            found["embeds"] = torch.cat([image, text], 1)
        return found


class ClipImage(Clip):
    """The image tower alone."""

    kind, reads = "image", False


class ClipText(Clip):
    """The text tower alone."""

    kind, sees = "text", False


class Lxmert(Pretrained):
    """Tan and Bansal 2019 (arXiv:1908.07490): a text, and regions of a picture with their boxes."""

    kind, pooling = "multimodal", "mean"
    model_class, config_class = transformers.LxmertModel, transformers.LxmertConfig
    text_reader = transformers.LxmertTokenizerFast

    def random_config(self, tiny):
        if not tiny:
            return self.config_class()
        sizes = {name: size for name, size in random_made.TINY.items() if name != "num_hidden_layers"}
        return self.config_class(
            vocab_size=random_made.WORDS, l_layers=2, x_layers=2, r_layers=1, visual_feat_dim=24, **sizes
        )

    def prepared(self):
        config = self.config
        self.text = {"max_tokens": self.max_tokens(config.max_position_embeddings)}
        self.regions = {
            "features": "visual_feats", "boxes": "visual_pos", "dims": config.visual_feat_dim, "most": 100,
        }  # fmt: skip
        self.feature = ("pooled_output", None)
        words = self.layered(config.l_layers + config.x_layers, self.pooling, "language_")
        seen = self.layered(config.r_layers + config.x_layers, self.pooling, "vision_")
        # The package gives the states behind each layer, not the embeddings.
        shifted = {name: (output, n - 1) for name, (output, n) in {**words, **seen}.items() if n}
        self.parts = {"pooled": self.feature, **shifted}
        return super().prepared()

    def inputs(self):
        axes = {0: "batch", 1: "boxes"}
        boxes = torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.4, 0.9]]])
        seen = {"visual_feats": (torch.rand(1, 3, self.regions["dims"]), axes), "visual_pos": (boxes, axes)}
        return {**self.sample_ids(), **seen}

    def run(self, ids, mask, features, boxes):
        out = self.model(
            input_ids=ids, attention_mask=mask, visual_feats=features, visual_pos=boxes, output_hidden_states=True
        )
        found = {
            "pooled_output": out.pooled_output,
            "language_output": out.language_output,
            "vision_output": out.vision_output,
        }
        for name, hidden, kept in (("language", out.language_hidden_states, mask), ("vision", out.vision_hidden_states, None)):
            means, firsts = pooled_layers(hidden, kept)
            found.update({f"{name}_layer_means": means, f"{name}_layer_firsts": firsts})
        return found


class VisualBert(Pretrained):
    """Li et al. 2019 (arXiv:1908.03557): the tokens of a text, then the regions of a picture, in one sequence."""

    kind, pooling = "multimodal", "mean"
    model_class, config_class = transformers.VisualBertModel, transformers.VisualBertConfig
    text_reader = transformers.BertTokenizerFast

    def more(self, tiny):
        return {"visual_embedding_dim": 24 if tiny else 2048}

    def prepared(self):
        config = self.config
        self.text = {"max_tokens": self.max_tokens(config.max_position_embeddings)}
        self.regions = {"features": "visual_embeds", "dims": config.visual_embedding_dim, "most": 100}
        self.feature = ("last_hidden_state", self.pooling)
        self.parts = self.layered(config.num_hidden_layers, self.pooling)
        if self.pooler:
            self.parts["pooler"] = ("pooler_output", None)
        return super().prepared()

    def inputs(self):
        return {**self.sample_ids(), "visual_embeds": (torch.rand(1, 3, self.regions["dims"]), {0: "batch", 1: "boxes"})}

    def run(self, ids, mask, features):
        ones = torch.ones(features.shape[:2], dtype=torch.long)
        out = self.model(
            input_ids=ids, attention_mask=mask, visual_embeds=features, visual_attention_mask=ones,
            visual_token_type_ids=ones, output_hidden_states=True,
        )  # fmt: skip
        means, firsts = pooled_layers(out.hidden_states, torch.cat([mask, ones], 1))
        found = {"last_hidden_state": out.last_hidden_state, "layer_means": means, "layer_firsts": firsts}
        return {**found, "pooler_output": out.pooler_output} if self.pooler else found


def image_input(processor):
    """An image processor of the transformers package as a manifest has it."""
    resampling = {2: "bilinear", 3: "bicubic"}.get(int(processor.resample))
    if resampling is None:
        raise Refused(f"the pictures are resampled by filter {processor.resample}; only bilinear and bicubic are known")
    crop = processor.crop_size if getattr(processor, "do_center_crop", False) else None
    size = processor.size
    if "shortest_edge" in size:
        resize = {"shorter": size["shortest_edge"]}
        side = (crop or {"height": size["shortest_edge"]})["height"]
    else:
        side = (crop or size)["height"]
        resize = "squash" if size["height"] == side else {"both": size["height"]}
    return {
        "size": side, "resize": resize, "filter": resampling, "crop": "down",
        "scale": processor.rescale_factor,
        "mean": list(processor.image_mean) if processor.do_normalize else [0.0] * 3,
        "std": list(processor.image_std) if processor.do_normalize else [1.0] * 3,
    }  # fmt: skip


class Convolutional(Architecture):
    """A network of torchvision or timm, whose stages are maps of places."""

    kind, pooling = "image", "spatial"

    def load(self, folder, tiny=False):
        self.model = self.build(tiny)
        try:
            self.model.load_state_dict(state_of(folder))
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise Refused(f"{folder}: {' '.join(line.strip() for line in lines[:3])[:300]}") from None
        return self.prepared()

    def random(self, seed, tiny):
        torch.manual_seed(seed)
        self.model = random_made.stirred(self.build(tiny))
        random_made.calibrated(self.model, self.image_input()["size"])
        return self.prepared()

    def prepared(self):
        self.model.eval()
        self.image = self.image_input()
        with torch.no_grad():
            names = self.run(*(sample for sample, _ in self.inputs().values()))
        self.parts = {name: (name, "spatial" if value.dim() == 4 else None) for name, value in names.items()}
        self.feature = (list(names)[-1], None)
        return self

    def inputs(self):
        side = self.image["size"]
        return {"image": (torch.rand(1, 3, side, side), {0: "batch"})}

    def image_input(self):
        preset = self.weights.transforms()
        filters = {"bilinear": "bilinear", "bicubic": "bicubic"}
        return {
            "size": preset.crop_size[0], "resize": {"shorter": preset.resize_size[0]},
            "filter": filters[preset.interpolation.value], "crop": "nearest", "scale": 1 / 255,
            "mean": list(preset.mean), "std": list(preset.std),
        }  # fmt: skip


class Vgg19(Convolutional):
    """Simonyan and Zisserman 2015 (arXiv:1409.1556), configuration E. The feature is fc2, rectified."""

    weights = torchvision.models.VGG19_Weights.IMAGENET1K_V1

    def build(self, tiny):
        return random_made.vgg19() if tiny else torchvision.models.vgg19()

    def run(self, image):
        found, x = {}, image
        for layer in self.model.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                found[f"block{len(found) + 1}"] = x
        x = torch.flatten(self.model.avgpool(x), 1)
        found["fc1"] = self.model.classifier[:2](x)
        found["fc2"] = self.model.classifier[3:5](found["fc1"])
        return found


class Resnet50(Convolutional):
    """He et al. 2016 (arXiv:1512.03385). The feature is the mean over places of the last stage."""

    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V1

    def build(self, tiny):
        return random_made.resnet50() if tiny else torchvision.models.resnet50()

    def run(self, image):
        model = self.model
        x = model.maxpool(model.relu(model.bn1(model.conv1(image))))
        found = {"stem": x}
        for n, stage in enumerate((model.layer1, model.layer2, model.layer3, model.layer4), start=1):
            x = found[f"stage{n}"] = stage(x)
        found["avgpool"] = torch.flatten(model.avgpool(x), 1)
        return found


class EfficientNetB5(Convolutional):
    """Tan and Le 2019 (arXiv:1905.11946). The feature is the mean over places of the last layer."""

    weights = torchvision.models.EfficientNet_B5_Weights.IMAGENET1K_V1

    def build(self, tiny):
        return random_made.efficientnet_b5() if tiny else torchvision.models.efficientnet_b5()

    def run(self, image):
        found, x = {}, image
        for n, stage in enumerate(self.model.features):
            x = found[f"stage{n}"] = stage(x)
        found["avgpool"] = torch.flatten(self.model.avgpool(x), 1)
        return found


class InceptionResnetV2(Convolutional):
    """Szegedy et al. 2017 (arXiv:1602.07261), as timm has it. The feature is the mean over places of the last layer."""

    def build(self, tiny):
        return random_made.inception_resnet_v2(tiny)

    def image_input(self):
        # timm's own settings of these weights: 299 of 333 pixels (a share of 0.8975), values from -1 to 1.
        config = self.model.default_cfg
        side = config["input_size"][1]
        return {
            "size": side, "resize": {"shorter": int(side // config["crop_pct"])}, "filter": config["interpolation"],
            "crop": "nearest", "scale": 1 / 255, "mean": list(config["mean"]), "std": list(config["std"]),
        }  # fmt: skip

    STAGES = (
        ("stem", ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "maxpool_5a", "mixed_5b")),
        ("block35", ("repeat",)),
        ("block17", ("mixed_6a", "repeat_1")),
        ("block8", ("mixed_7a", "repeat_2", "block8")),
        ("head", ("conv2d_7b",)),
    )

    def run(self, image):
        found, x = {}, image
        for name, layers in self.STAGES:
            for layer in layers:
                x = getattr(self.model, layer)(x)
            found[name] = x
        found["avgpool"] = self.model.global_pool(x)
        return found


ARCHITECTURES = {
    "vgg19": Vgg19, "resnet50": Resnet50, "inception-resnet-v2": InceptionResnetV2, "efficientnet-b5": EfficientNetB5,
    "roberta": Roberta, "vit": Vision, "deit": Deit, "beit": Beit,
    "clip": Clip, "clip-image": ClipImage, "clip-text": ClipText, "lxmert": Lxmert, "visualbert": VisualBert,
}  # fmt: skip


def versions():
    """What made a network, for its manifest."""
    import timm

    return json.dumps(f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
                      f"transformers {transformers.__version__}, timm {timm.__version__}")[1:-1]  # fmt: skip
