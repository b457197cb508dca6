"""Networks of random weights and tokenizers of a few words, for tests of tools/export_models.py: what comes out of them
says nothing about anything."""

from functools import partial

import timm
import torch
import torchvision
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn

TINY = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
WORDS = 400
"""How many tokens a small tokenizer may have, and rows the table of words."""

TEXT = (
    "a photo of a small cat on a mat", "two dogs run over the green field near a house", "the painful heat on your arm",
    "people eat pizza at a wooden table", "a red bus drives down a street in the rain", "Überraschung im Café, naïve façade",
    "a man rides a wave on top of a surfboard", "an old clock tower against the blue sky", "1234567890 !?.,;:'\"()-",
)  # fmt: skip


def byte_pairs(special, **settings):
    tokenizer = Tokenizer(models.BPE(**settings))
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix=settings.get("end_of_word_suffix", ""), show_progress=False,
    )  # fmt: skip
    return tokenizer, trainer


def roberta_reader():
    """Byte pairs as RoBERTa has them: case is kept, a blank belongs to the word behind it."""
    tokenizer, trainer = byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return transformers.RobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=64)


CLIP_END = 1
"""The number of the token that ends a text."""


def clip_reader():
    """Byte pairs as CLIP has them: lower case, words end in </w>."""
    tokenizer, trainer = byte_pairs(
        ["<|startoftext|>", "<|endoftext|>"], unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(" ", " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 1), ("<|startoftext|>", 0), add_prefix_space=False, trim_offsets=False
    )
    return transformers.CLIPTokenizerFast(tokenizer_object=tokenizer, model_max_length=77)


def bert_reader(kind):
    """Word pieces as BERT has them: lower case, without accents."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return kind(tokenizer_object=tokenizer, model_max_length=512)


def reader(kind):
    """A tokenizer or an image processor of that class, of no published model."""
    if kind is transformers.RobertaTokenizerFast:
        return roberta_reader()
    if kind is transformers.CLIPTokenizerFast:
        return clip_reader()
    if kind in (transformers.BertTokenizerFast, transformers.LxmertTokenizerFast):
        return bert_reader(kind)
    return kind()


def stirred(model):
    """The same network, whose biases, norms and running statistics are no longer zeros and ones: so that one that is
    forgotten shows."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if not value.is_floating_point() or value.dim() > 1:
                continue
            if name.endswith("running_var"):
                value.copy_(0.5 + torch.rand_like(value))
            else:
                value.add_(0.1 * torch.randn_like(value))
    return model


def calibrated(model, side):
    """The same network, whose norms know what comes: else what goes in is lost in so many layers of random weights."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        # The mean over all that was seen since.
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        model.train()
        # Like pictures: what is near is alike.
        soft = nn.functional.interpolate(torch.randn(4, 3, 12, 12), size=(side, side), mode="bilinear", align_corners=False)
        model(soft + 0.4 * torch.randn(4, 3, side, side))
        model.eval()
    return model


def vgg19():
    """Configuration E with a sixteenth of the channels."""
    plan = [size if size == "M" else size // 16 for size in torchvision.models.vgg.cfgs["E"]]
    model = torchvision.models.vgg.VGG(torchvision.models.vgg.make_layers(plan), num_classes=10)
    model.classifier = nn.Sequential(
        nn.Linear(32 * 7 * 7, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 48), nn.ReLU(True), nn.Dropout(),
        nn.Linear(48, 10),
    )  # fmt: skip
    return model


def resnet50():
    """One bottleneck a stage, each a quarter as wide inside."""
    resnet = torchvision.models.resnet
    return resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], width_per_group=16, num_classes=10)


def efficientnet_b5():
    """A fifth of the width, a quarter of the depth."""
    efficientnet = torchvision.models.efficientnet
    settings, last = efficientnet._efficientnet_conf("efficientnet_b5", width_mult=0.3, depth_mult=0.5)
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
    return efficientnet.EfficientNet(settings, 0.4, last_channel=last, norm_layer=norm, num_classes=10)


def inception_resnet_v2(tiny):
    model = timm.create_model("inception_resnet_v2", pretrained=False)
    if tiny:
        # Each repeated once; a classifier of its 1000 classes would be a fifth of the weights.
        model.repeat, model.repeat_1, model.repeat_2 = model.repeat[:1], model.repeat_1[:1], model.repeat_2[:1]
        model.classif = nn.Linear(model.num_features, 10)
    return model
