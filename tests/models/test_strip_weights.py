"""The weights that come with sever: whole for the network that learnt them, an encoder for others, else an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sever.config import ModelSettings
from sever.data.synthetic import make_strip
from sever.decide.metrics import ScoreSheet, pair_counts
from sever.errors import InputError
from sever.models import strip_weights
from sever.models.losses import probabilities
from sever.models.segmenter import Segmenter, build_segmenter

WHOLE = {"decoder_channels": (96, 64, 32, 24)}


def build(pretrained: bool = True, **settings: object) -> Segmenter:
    values = {"encoder": "tf_efficientnet_lite0", "weights": "strip", "in_channels": "sum"} | settings
    model = ModelSettings.model_validate(values)
    channels = 3 if model.in_channels == "rgb" else 1
    return build_segmenter(model, 5, [0.37] * channels, [0.13] * channels, pretrained)


def filled(network: Segmenter) -> set[str]:
    """Names of the network's tensors that are as shipped, within half precision."""
    shipped = load_file(strip_weights.FILE)
    own = {name.removeprefix("network."): value for name, value in network.state_dict().items()}
    return {
        name
        for name, value in shipped.items()
        if name in own and own[name].shape == value.shape and torch.equal(own[name], value.float())
    }


def test_they_find_defects_of_strip_that_nobody_trained_on() -> None:
    network = build(**WHOLE).eval()
    sheet = ScoreSheet(4)
    for number, shown in enumerate([(0,), (2,), (3,), (1,), (), ()]):
        image_hw, masks_chw = make_strip(seed=99, index=number, height=128, width=512, classes=shown)
        with torch.no_grad():
            probs = probabilities(network(torch.from_numpy(image_hw)[None, None]).mask_logits, "ce_dice")[0]
        sheet.add(str(number), pair_counts((probs.numpy() > 0.5).astype(np.uint8), masks_chw))
    assert sheet.as_dict()["dice_positive"] > 0.3


def test_the_decoder_comes_along_where_it_fits() -> None:
    names = set(load_file(strip_weights.FILE))
    assert any(name.startswith("decoder.") for name in names)
    assert filled(build(**WHOLE)) >= {name for name in names if not name.startswith("classification_head.")}
    fitting = {name for name in names if name.startswith(("encoder.", "decoder."))}
    longer = filled(build(decoder_channels=(96, 64, 32, 24, 16)))
    assert longer >= fitting, "a decoder that draws more finely starts its last stage from nothing"
    encoder = {name for name in names if name.startswith("encoder.")}
    assert filled(build(architecture="FPN")) >= encoder


@pytest.mark.parametrize("settings", [{"encoder": "resnet18"}, {"in_channels": "rgb"}])
def test_another_encoder_or_colours_are_told(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"set model\.encoder: tf_efficientnet_lite0"):
        build(**settings)


def test_packing_halves_the_convolutions_alone(tmp_path: Path) -> None:
    network = build(pretrained=False, **WHOLE)
    save_file(dict(network.state_dict()), tmp_path / "model.safetensors")
    strip_weights.pack(tmp_path / "model.safetensors", tmp_path / "packed.safetensors")
    packed = load_file(tmp_path / "packed.safetensors")
    assert {value.dtype for value in packed.values() if value.ndim > 1} == {torch.float16}
    assert {value.dtype for value in packed.values() if value.ndim == 1} == {torch.float32}
    assert strip_weights.FILE.stat().st_size < 12e6
