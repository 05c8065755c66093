"""Every certain pair is built and run both ways, or refused in words; and each setting does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional as F

from sever.config import ModelSettings
from sever.errors import InputError
from sever.models.architectures import ARCHITECTURES, find_architecture, find_encoder
from sever.models.device import has_bf16_units
from sever.models.network import Outputs
from sever.models.segmenter import Segmenter, build_segmenter

CERTAIN_ARCHITECTURES = ["Unet", "FPN", "UnetPlusPlus", "DeepLabV3", "DeepLabV3Plus"]
ONE_A_FAMILY = [
    "resnet18",
    "resnet50",
    "se_resnext50_32x4d",
    "inceptionv4",
    "res2net50_26w_4s",
    "efficientnet-b0",
    "tf_efficientnet_lite0",
]
# Larger and smaller sisters differ in widths and depths only, so each meets one architecture, in turn.
SISTERS = [
    *(f"efficientnet-b{size}" for size in range(1, 8)),
    "resnet34",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
]
CERTAIN_PAIRS = [
    *((architecture, encoder) for encoder in ONE_A_FAMILY for architecture in CERTAIN_ARCHITECTURES),
    *((CERTAIN_ARCHITECTURES[n % len(CERTAIN_ARCHITECTURES)], encoder) for n, encoder in enumerate(SISTERS)),
]
DILATING = ["Unet", "FPN", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet", "Segformer"]
REFUSED_PAIRS = [("DeepLabV3", "inceptionv4"), ("DeepLabV3Plus", "inceptionv4"), ("PAN", "inceptionv4")]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def build(architecture: str = "Unet", encoder: str = "resnet18", num_outputs: int = 3, **more: Any) -> Segmenter:
    settings = ModelSettings(architecture=architecture, encoder=encoder, weights="none", **more)
    channels = 3 if settings.in_channels == "rgb" else 1
    return build_segmenter(settings, num_outputs, [0.3] * channels, [0.1] * channels)


def mask_logits(segmenter: Segmenter, pixels: Tensor) -> Tensor:
    """The answer of a segmenter without a label head."""
    outputs: Outputs = segmenter(pixels)
    assert outputs.label_logits is None
    assert outputs.mask_logits is not None
    return outputs.mask_logits


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


# --- the certain pairs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "encoder"), [pair for pair in CERTAIN_PAIRS if pair not in REFUSED_PAIRS])
def test_certain_pair_runs_both_ways_in_mixed_precision(architecture: str, encoder: str) -> None:
    """In that of this processor: bf16 without units for it takes a minute a pair, and is tried on one pair only."""
    segmenter = build(architecture, encoder).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = noise(2, 1, 64, 96).contiguous(memory_format=torch.channels_last)
    bf16 = has_bf16_units(torch.device("cpu")) or (architecture, encoder) == CERTAIN_PAIRS[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = mask_logits(segmenter, pixels)
    assert logits.shape == (2, 3, 64, 96)
    assert logits.isfinite().all()
    logits.float().square().mean().backward()
    for name, group in segmenter.parameter_groups().items():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in group), name


@pytest.mark.parametrize("architecture", CERTAIN_ARCHITECTURES)
def test_runs_both_ways_in_full_precision(architecture: str) -> None:
    segmenter = build(architecture, "tf_efficientnet_lite0", in_channels="rgb")
    logits = mask_logits(segmenter, noise(2, 3, 64, 64))
    logits.square().mean().backward()
    assert logits.dtype == torch.float32
    stem = segmenter.network.encoder.model.conv_stem.weight
    assert stem.shape[1] == 3
    assert stem.grad.abs().sum() > 0


@pytest.mark.parametrize(("architecture", "encoder"), REFUSED_PAIRS)
def test_pair_that_cannot_be_dilated_says_what_can(architecture: str, encoder: str) -> None:
    with pytest.raises(InputError) as caught:
        build(architecture, encoder)
    message = str(caught.value)
    assert f"{architecture} does not work with encoder {encoder}" in message
    assert "se_resnext50_32x4d" in message  # an encoder for this architecture
    assert "Unet, FPN" in message  # architectures for this encoder


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("Linknet", "mit_b0"), ("UnetPlusPlus", "mit_b0"), ("DPT", "resnet18"), ("Unet", "vit_tiny_patch16_224")],
)
def test_other_misfits_are_told_when_built(architecture: str, encoder: str) -> None:
    with pytest.raises(InputError, match=rf"{architecture} does not work with encoder .*{encoder}.* needs "):
        build(architecture, encoder)


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_architecture_of_smp_is_known() -> None:
    assert {entry.network for entry in ARCHITECTURES.values()} == set(smp.MODEL_ARCHITECTURES_MAPPING.values())


@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if n != "dpt"])
def test_every_architecture_keeps_the_input_size(name: str) -> None:
    side = 128 if name == "pan" else 64
    assert mask_logits(build(name), noise(2, 1, side, 2 * side)).shape == (2, 3, side, 2 * side)


def test_dpt_takes_any_size() -> None:
    # timm's vision transformers are built for one size unless told otherwise.
    assert mask_logits(build("DPT", "vit_tiny_patch16_224"), noise(2, 1, 64, 160)).shape == (2, 3, 64, 160)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("UNET", smp.Unet),
        ("fpn", smp.FPN),
        ("unetplusplus", smp.UnetPlusPlus),
        ("Unet++", smp.UnetPlusPlus),
        ("DeepLabV3+", smp.DeepLabV3Plus),
        ("deeplabv3", smp.DeepLabV3),
    ],
)
def test_architecture_by_any_case(given: str, expected: type) -> None:
    assert find_architecture(given).network is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("resnet18", "resnet18"),  # both have it: SMP's own comes first
        ("tu-resnet18", "tu-resnet18"),
        ("efficientnet-b7", "efficientnet-b7"),
        ("tf_efficientnet_lite0", "tu-tf_efficientnet_lite0"),
        ("res2net50_26w_4s", "tu-res2net50_26w_4s"),
        ("res2net50_26w_4s.in1k", "tu-res2net50_26w_4s.in1k"),
    ],
)
def test_encoder_names(given: str, expected: str) -> None:
    assert find_encoder(given) == expected


def test_deprecated_names_of_smp_still_build() -> None:
    assert build(encoder="timm-efficientnet-b0").size_multiple == 32


def test_wrong_names_list_the_right_ones() -> None:
    with pytest.raises(InputError, match=r"'Unett'; choose one of Unet, UnetPlusPlus, .*DPT"):
        build("Unett")
    with pytest.raises(InputError, match=r"'efficientnet-b9'.*did you mean .*efficientnet-b\d"):
        build(encoder="efficientnet-b9")
    with pytest.raises(InputError, match=r"'qqqqqqqq'.*known are resnet18, resnet34"):
        build(encoder="qqqqqqqq")


# --- what each setting does -------------------------------------------------------------------------------------------


def dropout_gaps(architecture: str, dropout: float) -> tuple[float, float]:
    """Largest difference between two passes over one batch, while training and while predicting."""
    segmenter = build(architecture, decoder_dropout=dropout)
    # Other sources of chance must be none: the batch is the same, and resnet18 has no dropout of its own.
    side = 128 if architecture == "PAN" else 64
    pixels = noise(2, 1, side, side)
    gaps = []
    for training in (True, False):
        segmenter.train(training)
        with torch.no_grad():
            gaps.append((mask_logits(segmenter, pixels) - mask_logits(segmenter, pixels)).abs().max().item())
    return gaps[0], gaps[1]


@pytest.mark.parametrize("architecture", [entry.name for name, entry in ARCHITECTURES.items() if name != "dpt"])
def test_decoder_dropout_really_drops(architecture: str) -> None:
    # The trap: SMP's Unet accepts decoder_dropout= and ignores it.
    training_gap, predicting_gap = dropout_gaps(architecture, dropout=0.5)
    assert training_gap > 1e-4
    assert predicting_gap == 0


@pytest.mark.parametrize("architecture", [entry.name for name, entry in ARCHITECTURES.items() if name != "dpt"])
def test_without_dropout_nothing_drops(architecture: str) -> None:
    # FPN, PSPNet and DeepLab drop 20 to 50 % by SMP's own defaults; ours says 0, and means it.
    assert dropout_gaps(architecture, dropout=0.0) == (0, 0)


@pytest.mark.parametrize("architecture", CERTAIN_ARCHITECTURES)
def test_dropout_leaves_the_names_of_weights_alone(architecture: str) -> None:
    with_dropout, without = build(architecture, decoder_dropout=0.3), build(architecture)
    assert list(with_dropout.state_dict()) == list(without.state_dict())


def test_decoder_dropout_drops_the_share_that_is_asked_for() -> None:
    segmenter = build("Unet", decoder_dropout=0.25, decoder_channels=(16, 16, 16, 16, 256))
    features: list[Tensor] = []
    segmenter.network.segmentation_head.register_forward_pre_hook(lambda head, inputs: features.append(inputs[0]))
    with torch.no_grad():
        segmenter(noise(4, 1, 32, 32))
    dropped = (features[0] == 0).all(dim=3).all(dim=2)  # whole channels, 1,024 of them
    assert 0.19 < dropped.float().mean() < 0.31


def test_a_unet_can_drop_in_every_block_as_in_2019() -> None:
    segmenter = build("Unet", decoder_dropout=0.25, decoder_dropout_at="blocks")
    assert list(segmenter.state_dict()) == list(build("Unet").state_dict())
    seen: list[tuple[Tensor, Tensor]] = []
    for block in segmenter.network.decoder.blocks:
        block.conv1[0].dropout.register_forward_hook(lambda drop, inputs, output: seen.append((inputs[0], output)))
    head: list[Tensor] = []
    segmenter.network.segmentation_head.register_forward_pre_hook(lambda _, inputs: head.append(inputs[0]))
    with torch.no_grad():
        segmenter(noise(2, 1, 64, 64))
        assert len(seen) == 5
        for given, kept in seen:  # single values, not whole channels, and what stays is scaled up
            there = given != 0
            assert 0.2 < (kept[there] == 0).float().mean() < 0.3
            torch.testing.assert_close(kept[there & (kept != 0)], given[there & (kept != 0)] / 0.75)
        assert not (head[0] == 0).all(dim=3).all(dim=2).any()  # nothing is dropped behind the last block
        seen.clear()
        pixels = noise(1, 1, 32, 32)
        assert torch.equal(mask_logits(segmenter.eval(), pixels), mask_logits(segmenter, pixels))


@pytest.mark.parametrize(
    ("settings", "given"),
    [({}, "0, Unet"), ({"architecture": "FPN", "decoder_dropout": 0.1}, "0.1, FPN")],
)
def test_dropping_in_blocks_is_refused_where_it_has_no_effect(settings: dict[str, Any], given: str) -> None:
    with pytest.raises(InputError, match=rf"decoder_dropout_at is blocks.*given: {given}"):
        build(**settings, decoder_dropout_at="blocks")


@pytest.mark.parametrize("output_stride", [None, 8])
def test_fpn_joins_its_levels_by_their_sum_or_one_after_the_other(output_stride: Literal[8] | None) -> None:
    by_sum, joined = (build("FPN", fpn_merge=merge, output_stride=output_stride).eval() for merge in ("add", "cat"))
    heads = [segmenter.network.segmentation_head[0].weight.shape[1] for segmenter in (by_sum, joined)]
    assert heads == [128, 4 * 128]
    # One after the other with the same weights of the head four times is the sum.
    state = by_sum.state_dict()
    name = "network.segmentation_head.0.weight"
    joined.load_state_dict(state | {name: state[name].repeat(1, 4, 1, 1)})
    pixels = noise(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(mask_logits(by_sum, pixels), mask_logits(joined, pixels), atol=1e-4, rtol=1e-4)
        head = joined.network.segmentation_head[0].weight
        head[:, 128:] = 0
        assert (mask_logits(by_sum, pixels) - mask_logits(joined, pixels)).abs().max() > 1e-3


def test_a_merge_of_levels_is_refused_where_there_is_no_pyramid() -> None:
    with pytest.raises(InputError, match=r"fpn_merge is cat, but Unet merges no pyramid.*use FPN"):
        build("Unet", fpn_merge="cat")


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        *((architecture, "resnet18") for architecture in DILATING),
        *((architecture, "tu-resnet18") for architecture in DILATING),
        *((architecture, encoder) for architecture in ("FPN", "DeepLabV3Plus") for encoder in ("resnet34", "resnet50")),
    ],
)
def test_dilated_resnet(architecture: str, encoder: str, output_stride: int) -> None:
    segmenter = build(architecture, encoder, output_stride=output_stride)
    pixels = noise(2, 1, 128, 64 if architecture != "PAN" else 128)
    deepest = segmenter.network.encoder(torch.zeros(1, 1, 128, 64))[-1]
    assert deepest.shape[-2:] == (128 // output_stride, 64 // output_stride)
    assert segmenter.size_multiple == output_stride
    logits = mask_logits(segmenter, pixels)
    assert logits.shape[-2:] == pixels.shape[-2:]
    logits.mean().backward()


def test_fpn_without_dilation_is_smps_own() -> None:
    # The pyramid is only refitted when the encoder is dilated; stride 32 must give what SMP's FPN gives.
    segmenter = build("FPN").eval()
    plain = smp.FPN("resnet18", encoder_weights=None, in_channels=1, classes=3, decoder_dropout=0).eval()
    plain.load_state_dict(segmenter.network.state_dict())
    pixels = noise(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(mask_logits(segmenter, pixels), plain((pixels / 255 - 0.3) / 0.1))


@pytest.mark.parametrize("architecture", ["UnetPlusPlus", "MAnet", "Linknet", "PSPNet", "DPT"])
def test_output_stride_is_refused_where_it_cannot_be_kept(architecture: str) -> None:
    with pytest.raises(InputError, match=r"output_stride is 16.*cannot follow.*use Unet, FPN, DeepLabV3"):
        build(architecture, output_stride=16)


@pytest.mark.parametrize("encoder", ["inceptionv4", "densenet121", "vgg11"])
def test_output_stride_is_refused_by_an_encoder_that_cannot_dilate(encoder: str) -> None:
    with pytest.raises(InputError, match=r"FPN does not work with encoder .* at output_stride 16"):
        build("FPN", encoder, output_stride=16)


@pytest.mark.parametrize("architecture", ["Unet", "UnetPlusPlus", "MAnet"])
def test_decoder_channels_shape_the_decoder(architecture: str) -> None:
    segmenter = build(architecture, decoder_channels=(32, 24, 16, 16, 8))
    assert segmenter.network.segmentation_head[0].in_channels == 8
    assert mask_logits(segmenter, noise(2, 1, 64, 64)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    "architecture", ["FPN", "Linknet", "PSPNet", "DeepLabV3", "PAN", "UPerNet", "Segformer", "DPT"]
)
def test_decoder_channels_are_refused_elsewhere(architecture: str) -> None:
    with pytest.raises(InputError, match=r"decoder_channels is set, but .*use Unet, UnetPlusPlus, MAnet"):
        build(architecture, decoder_channels=(32, 24, 16, 16, 8))


@pytest.mark.parametrize("channels", [(32, 24, 16, 12), (32, 24, 16)])
def test_a_unet_of_fewer_stages_is_the_beginning_of_the_whole_one(channels: tuple[int, ...]) -> None:
    """The same weights give the whole decoder's features of that stage, whose logits are enlarged."""
    short = build("Unet", decoder_channels=channels)
    whole = smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=3, decoder_channels=(*channels, 8, 8)[:5])
    taken = {name: value for name, value in short.network.state_dict().items() if not name.startswith("segm")}
    missing, unexpected = whole.load_state_dict(taken, strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"segmentation_head", "decoder"}
    stages: list[Tensor] = []
    for block in whole.decoder.blocks:
        block.register_forward_hook(lambda _, __, features: stages.append(features))
    pixels = noise(2, 1, 64, 96)
    with torch.no_grad():
        found = mask_logits(short.eval(), pixels)
        whole.eval()((pixels / 255 - 0.3) / 0.1)
        logits = short.network.segmentation_head[0](stages[len(channels) - 1])
    assert logits.shape[-2:] == (64 // 2 ** (5 - len(channels)), 96 // 2 ** (5 - len(channels)))
    assert torch.equal(found, F.interpolate(logits, size=(64, 96), mode="bilinear", align_corners=False))


@pytest.mark.parametrize(
    ("architecture", "channels", "wanted"),
    [("Unet", (32, 16), "3 to 5"), ("Unet", (1, 2, 3, 4, 5, 6), "3 to 5"), ("UnetPlusPlus", (8, 8, 8, 8), "5")],
)
def test_other_numbers_of_decoder_channels_are_refused(
    architecture: str, channels: tuple[int, ...], wanted: str
) -> None:
    with pytest.raises(InputError, match=f"{architecture} needs {wanted} numbers"):
        build(architecture, decoder_channels=channels)


# --- normalisation, groups, weights -----------------------------------------------------------------------------------


def test_normalises_inside_by_hand() -> None:
    segmenter = build_segmenter(
        ModelSettings(encoder="resnet18", weights="none", in_channels="rgb"), 1, [0.2, 0.4, 0.6], [0.1, 0.2, 0.5]
    )
    seen: list[Tensor] = []
    segmenter.network.encoder.register_forward_pre_hook(lambda encoder, inputs: seen.append(inputs[0]))
    segmenter(torch.full((2, 3, 32, 32), 51, dtype=torch.uint8))  # 51 / 255 = 0.2
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([0.0, -1.0, -0.8]))


def test_uint8_and_float_pixels_agree() -> None:
    segmenter = build().eval()
    pixels = noise(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(mask_logits(segmenter, pixels), mask_logits(segmenter, pixels.float()))


def test_weights_carry_their_preprocessing() -> None:
    settings = ModelSettings(encoder="resnet18", weights="none")
    trained = build_segmenter(settings, 2, [0.34], [0.04]).eval()
    blank = build_segmenter(settings, 2, [0.5], [0.5], pretrained=False).eval()
    blank.load_state_dict(trained.state_dict())
    pixels = noise(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(mask_logits(blank, pixels), mask_logits(trained, pixels))


@pytest.mark.parametrize("architecture", CERTAIN_ARCHITECTURES)
def test_parameter_groups_are_complete_and_disjoint(architecture: str) -> None:
    segmenter = build(architecture)
    groups = segmenter.parameter_groups()
    grouped = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(groups) == ["decoder", "encoder"]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for parameter in segmenter.parameters()}
    assert all(id(parameter) in grouped for parameter in segmenter.network.decoder.parameters())


@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("r", 1), ("g", 1), ("b", 1), ("sum", 1), ("mean", 1)])
def test_in_channels(mode: str, channels: int) -> None:
    segmenter = build(in_channels=mode)
    assert segmenter.in_channels == channels
    assert mask_logits(segmenter, noise(2, channels, 32, 32)).shape == (2, 3, 32, 32)


def test_built_in_training_mode_and_moves_as_one() -> None:
    segmenter = build()
    assert all(module.training for module in segmenter.modules())
    assert {tensor.dtype for tensor in segmenter.double().state_dict().values()} == {torch.float64, torch.int64}
    assert mask_logits(segmenter, noise(2, 1, 32, 32)).dtype == torch.float64


def test_constant_images_are_told() -> None:
    with pytest.raises(InputError, match="constant colour"):
        build_segmenter(ModelSettings(encoder="resnet18", weights="none"), 1, [0.5], [0.0])
