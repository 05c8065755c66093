"""Grey input by recycled filters: what the grey encoder says must be what the colour one says of the right image."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from timm.layers import Conv2dSame, ScaledStdConv2d
from torch import Tensor, nn

from sever.errors import InputError
from sever.models.stem import RECYCLES, find_stem, recycle_stem

# The encoders that issue 2 names, under SMP's names.
CERTAIN_ENCODERS = [
    *(f"efficientnet-b{size}" for size in range(8)),
    "se_resnext50_32x4d",
    "inceptionv4",
    "tu-res2net50_26w_4s",
    "resnet18",
    "resnet34",
    "resnet50",
    *(f"tu-tf_efficientnet_lite{size}" for size in range(3)),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose much beside other work on few cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def colour_image(grey: Tensor, mode: str) -> Tensor:
    """The image on which the untouched encoder must answer as the recycled one does on `grey`."""
    blank = torch.zeros_like(grey)
    return {
        "r": torch.cat([grey, blank, blank], dim=1),
        "g": torch.cat([blank, grey, blank], dim=1),
        "b": torch.cat([blank, blank, grey], dim=1),
        "sum": torch.cat([grey, grey, grey], dim=1),
        "mean": torch.cat([grey, grey, grey], dim=1) / 3,
    }[mode]


@pytest.mark.parametrize("encoder_name", CERTAIN_ENCODERS)
@torch.no_grad()
def test_grey_features_equal_colour_features(encoder_name: str) -> None:
    torch.manual_seed(3)
    colour = get_encoder(encoder_name, weights=None).eval()
    stem_name = find_stem(colour)[0]
    old_stem = copy.deepcopy(colour.get_submodule(stem_name))
    grey_image = torch.randn(1, 1, 32, 64)
    for mode in RECYCLES:
        setattr_path(colour, stem_name, copy.deepcopy(old_stem))
        expected = colour(colour_image(grey_image, mode))
        recycle_stem(colour, mode)
        features = colour(grey_image)
        assert features[0].shape[1] == 1
        for found, wanted in zip(features[1:], expected[1:], strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4 * max(1.0, float(wanted.abs().max())))


def setattr_path(root: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, module)


def test_rgb_leaves_the_encoder_alone() -> None:
    encoder = get_encoder("resnet18", weights=None)
    before = copy.deepcopy(encoder.state_dict())
    recycle_stem(encoder, "rgb")
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("mode", RECYCLES)
def test_filters_by_hand(mode: str) -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 1, kernel_size=1))
    encoder[0].weight.data = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    recycle_stem(encoder, mode)
    assert encoder[0].weight.item() == {"r": 1, "g": 10, "b": 100, "sum": 111, "mean": 37}[mode]


def test_bias_class_padding_and_freezing_are_kept() -> None:
    conv = Conv2dSame(3, 8, 3, stride=2, bias=True)
    conv.requires_grad_(False)
    bias = conv.bias
    encoder = nn.Sequential(conv, nn.ReLU())
    recycle_stem(encoder, "sum")
    assert type(encoder[0]) is Conv2dSame
    assert encoder[0].bias is bias
    assert not encoder[0].weight.requires_grad
    assert encoder(torch.zeros(1, 1, 7, 9)).shape == (1, 8, 4, 5)  # "same" padding: half, rounded up


def test_trainable_stem_stays_trainable() -> None:
    encoder = get_encoder("resnet18", weights=None)
    recycle_stem(encoder, "mean")
    encoder(torch.rand(2, 1, 32, 32))[-1].sum().backward()
    assert find_grey_stem(encoder).weight.grad is not None


def find_grey_stem(encoder: nn.Module) -> nn.Conv2d:
    return next(m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 1)


@pytest.mark.parametrize(
    ("encoder", "count"),
    [
        (nn.Sequential(nn.Conv2d(4, 8, 3)), "has 0"),
        (nn.Sequential(nn.Linear(3, 8)), "has 0"),
        (nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 8, 3)), "has 2"),
    ],
    ids=["four channels", "no convolution", "two candidates"],
)
def test_needs_exactly_one_first_convolution(encoder: nn.Module, count: str) -> None:
    with pytest.raises(InputError, match=f"exactly one first convolution.*{count}.*in_channels: rgb"):
        recycle_stem(encoder, "mean")


def test_two_parallel_stems_are_refused() -> None:
    # MobileOne reads the image through two branches; recycling one alone would be wrong.
    with pytest.raises(InputError, match="has 2"):
        recycle_stem(get_encoder("mobileone_s0", weights=None), "sum")


def test_weight_standardised_stem_is_refused() -> None:
    # Such a convolution rescales its filters over all input channels, so a sum of filters isn't their sum any more.
    with pytest.raises(InputError, match="does not add up"):
        recycle_stem(nn.Sequential(ScaledStdConv2d(3, 8, 3)), "sum")


def test_unknown_mode() -> None:
    with pytest.raises(InputError, match=r"'grey'.*rgb, r, g, b, sum, mean"):
        recycle_stem(get_encoder("resnet18", weights=None), "grey")
