import json
import os
import sys

import numpy as np
import pytest
import torch

from gopseg.segnet import ModelError, load_network
from gopseg.segnet.importing.hf import load_hf, names_of, read_processing

try:
    import transformers
except ImportError:
    transformers = None

CLASSES = ("ground", "red", "blue")
LABELS = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
needs_transformers = pytest.mark.skipif(transformers is None, reason="transformers is not installed")
if transformers is None and os.environ.get("CI"):
    raise RuntimeError("CI must have transformers: pip install 'gopseg[test]'")


def segformer():
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, num_attention_heads=[1, 1, 2, 2], **LABELS
    )
    return transformers.SegformerForSemanticSegmentation(config)


def mobilevit():
    config = transformers.MobileViTConfig(
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 8, 16, 16, 16, 32],
        aspp_out_channels=16,
        num_attention_heads=2,
        image_size=64,
        **LABELS,
    )
    return transformers.MobileViTForSemanticSegmentation(config)


def upernet():
    backbone = transformers.ConvNextConfig(
        depths=[1] * 4, hidden_sizes=[8, 8, 16, 16], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, auxiliary_channels=8, auxiliary_in_channels=16, **LABELS
    )
    return transformers.UperNetForSemanticSegmentation(config)


FIXED = {
    "image_processor_type": "SegformerImageProcessor",
    "size": {"height": 64, "width": 128},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
}
SHORTEST = {"feature_extractor_type": "MobileViTFeatureExtractor", "size": 48, "crop_size": 32, "do_center_crop": True}
NONE = {**FIXED, "do_resize": False}


@needs_transformers
@pytest.mark.parametrize(
    ("make", "processing", "given"),
    [(segformer, FIXED, (64, 128)), (mobilevit, SHORTEST, (48, 75)), (upernet, NONE, (64, 100))],
)
def test_a_folder_gives_what_its_model_gives(tmp_path, make, processing, given):
    torch.manual_seed(0)
    module = make().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    module.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processing))
    network = load_network(f"hf:{tmp_path}")
    assert network.classes == CLASSES
    assert network.weights_file == tmp_path
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 100, 3), np.uint8))
    seen = []
    network.module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.inference_mode():
        logits = network(network.normalise(image))
        own = module(seen[0].contiguous()).logits
    assert logits.shape == (1, 3, 16, 25)
    assert tuple(seen[0].shape[-2:]) == given
    resized = torch.nn.functional.interpolate(own, size=(16, 25), mode="bilinear", antialias=True)
    assert (logits - resized).abs().max() < 0.5 * own.std(), "the model's own logits, up to interpolation"
    if processing is NONE:
        mean, std = (torch.tensor(NONE[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
        torch.testing.assert_close(seen[0][0], (image[0].permute(2, 0, 1) / 255 - mean) / std, rtol=1e-4, atol=1e-4)


def test_processing_is_read_as_the_processors_do():
    fixed = read_processing(FIXED, "x")
    assert fixed["mean"] == pytest.approx([127.5, 102, 76.5])
    assert fixed["std"] == pytest.approx([51, 63.75, 76.5])
    assert (fixed["input_size"], fixed["bgr"]) == ((64, 128), False)
    mobile = read_processing(SHORTEST, "x")
    assert mobile == {"mean": [0, 0, 0], "std": pytest.approx([255] * 3), "input_size": 48, "bgr": True}
    assert read_processing({**FIXED, "size": 512}, "x")["input_size"] == (512, 512)
    assert read_processing({**FIXED, "size": {"shortest_edge": 9}}, "x")["input_size"] == 9
    assert read_processing({**FIXED, "do_rescale": False}, "x")["mean"] == FIXED["image_mean"]
    with pytest.raises(ModelError, match="no image_mean"):
        read_processing({"size": 512}, "x")
    with pytest.raises(ModelError, match="size"):
        read_processing({**FIXED, "size": {"longest_edge": 9}}, "x")


def test_gaps_in_id2label_are_filled():
    assert names_of({0: "road", 1: "sky", 255: "void"}) == ["road", "sky", "class 2"]
    assert names_of({1: "a", 2: "b", 3: "c"}) == ["class 0", "a", "b"]


def saved_segformer(folder, labels):
    config = transformers.SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8, 8, 16, 16],
        decoder_hidden_size=16,
        num_attention_heads=[1, 1, 2, 2],
        id2label=labels,
        label2id={name: index for index, name in labels.items()},
    )
    module = transformers.SegformerForSemanticSegmentation(config).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    module.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(NONE))
    return module


@needs_transformers
@pytest.mark.parametrize("ids", [(0, 1, 255), (1, 2, 3)])
def test_a_model_with_gaps_loads(tmp_path, ids, caplog):
    saved_segformer(tmp_path, {index: f"name {index}" for index in ids})
    network = load_network(f"hf:{tmp_path}")
    said = [] if 255 in ids else [f"model 'hf:{tmp_path}': its id2label names 3 ('name 3'), beyond its 3 classes"]
    assert [message.partition(";")[0] for message in caplog.messages if "id2label" in message] == said
    assert network.classes == tuple(f"name {i}" if i in ids else f"class {i}" for i in range(3))
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 16, 16)


@needs_transformers
def test_one_class_is_told_from_the_background_by_a_sigmoid(tmp_path):
    torch.manual_seed(0)
    module = saved_segformer(tmp_path, {0: "road"})
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        module.decode_head.classifier.bias -= module(images).logits.median()
    module.save_pretrained(tmp_path)
    network = load_network(f"hf:{tmp_path}")
    assert network.classes == ("background", "road")
    with torch.inference_mode():
        logits, own = network(images), module(images).logits
    assert logits.shape == (1, 2, 16, 24)
    torch.testing.assert_close(logits.softmax(1)[:, 1], own.sigmoid()[:, 0])
    assert logits.argmax(1).unique().tolist() == [0, 1]


@needs_transformers
def test_what_is_no_model_is_said(tmp_path):
    with pytest.raises(ModelError, match=r"hf:.* cannot be loaded") as caught:
        load_hf(str(tmp_path))
    assert "\n" not in str(caught.value)
    segformer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        load_hf(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(NONE))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"hf:.* cannot be loaded: .*header"):
        load_hf(str(tmp_path))
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'bert' segments no pictures"):
        load_hf(str(tmp_path))


@needs_transformers
def test_a_fault_of_ours_is_not_taken_for_a_bad_model(tmp_path, monkeypatch):
    saved_segformer(tmp_path, {0: "a", 1: "b"})
    monkeypatch.setattr("gopseg.segnet.importing.hf.names_of", lambda labels: labels["a"])
    with pytest.raises(KeyError):
        load_hf(str(tmp_path))


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'gopseg\[segformer\]'"):
        load_network("hf:nvidia/some-model")
