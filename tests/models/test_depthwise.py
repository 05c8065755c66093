"""Our gradients of depthwise convolutions are those of float64 within the rounding of bf16; answers are bit-equal."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import Tensor, nn

from sever.models.depthwise import make_depthwise_faster
from sever.models.lean import recomputed

# bf16 keeps 8 bits; a sum of many rounded products may be off by some units of the last one.
ROUNDING = 2.0**-8


def in_bf16(module: nn.Module, features: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Answer, gradient of the features, gradient of the weight."""
    features = features.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answer = module(features)
    answer.backward(gradient.to(answer.dtype))
    weight = module.weight
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    assert features.grad is not None
    return answer.detach(), features.grad, weight.grad


def exactly(module: nn.Module, features: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same in float64, of the rounded inputs."""
    module = copy.deepcopy(module)
    for parameter in module.parameters():
        parameter.data = parameter.data.bfloat16()
        parameter.grad = None
    features = features.bfloat16().double().requires_grad_()
    answer = module.double()(features)
    answer.backward(gradient.bfloat16().double())
    return answer.detach(), features.grad, module.weight.grad  # type: ignore[return-value]


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from([(5, 5), (3, 3), (7, 7), (3, 5), (9, 1), (4, 6)]),
    stride=st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 2)]),
    padding=st.sampled_from([(0, 0), (2, 2), (1, 3), (7, 7)]),
    dilation=st.sampled_from([(1, 1), (2, 2), (1, 3)]),
    size=st.tuples(st.integers(12, 23), st.integers(12, 23)),
    images=st.integers(1, 3),
    bias=st.booleans(),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
)
def test_gradients(
    kernel: Any, stride: Any, padding: Any, dilation: Any, size: Any, images: int, bias: bool, layout: Any
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 6, kernel, stride, padding, dilation, groups=6, bias=bias)
    features = torch.randn(images, 6, *size).to(memory_format=layout)
    try:
        gradient = torch.randn_like(plain(features))
    except RuntimeError:  # the kernel reaches farther than the image
        return
    ours = copy.deepcopy(plain)
    assert make_depthwise_faster(ours) == int(max(kernel) > 3 or max(stride) > 1)
    found, theirs = in_bf16(ours, features, gradient), in_bf16(plain, features, gradient)
    assert torch.equal(found[0], theirs[0]) or bias
    wanted = exactly(plain, features, gradient)
    for one, other, exact in zip(found, theirs, wanted, strict=True):
        assert one.dtype == other.dtype
        assert far(one, exact) <= max(2 * ROUNDING, far(other, exact))
    if bias:
        assert far(ours.bias.grad, plain.bias.grad.double()) <= 2 * ROUNDING  # type: ignore[union-attr, arg-type]


def test_a_class_that_pads_by_itself() -> None:
    torch.manual_seed(0)
    plain = Conv2dSame(4, 4, 5, stride=2, groups=4, bias=False)
    ours = copy.deepcopy(plain)
    assert make_depthwise_faster(ours) == 1
    features = torch.randn(2, 4, 15, 18)
    gradient = torch.randn_like(plain(features))
    found, wanted = in_bf16(ours, features, gradient), exactly(plain, features, gradient)
    assert [far(one, exact) < 2 * ROUNDING for one, exact in zip(found, wanted, strict=True)] == [True] * 3
    assert list(ours.state_dict()) == list(plain.state_dict())


def test_what_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 5), nn.Conv2d(4, 8, 5, groups=4), nn.Conv2d(4, 4, 3, groups=4))
    assert make_depthwise_faster(network) == 0
    ours = nn.Conv2d(4, 4, 5, groups=4)
    plain = copy.deepcopy(ours)
    make_depthwise_faster(ours)
    features = torch.randn(1, 4, 9, 9)
    for module in (ours, plain):  # in full precision
        module(features).sum().backward()
    assert torch.equal(ours.weight.grad, plain.weight.grad)  # type: ignore[arg-type]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(features), plain(features))


def test_it_can_be_computed_twice_to_save_memory() -> None:
    torch.manual_seed(0)
    ours = nn.Conv2d(4, 4, 5, groups=4, bias=False)
    make_depthwise_faster(ours)
    twin = copy.deepcopy(ours)
    features = torch.randn(2, 4, 9, 9, requires_grad=True)
    for module, how in ((ours, lambda of, x: of(x)), (twin, recomputed)):
        with torch.autocast("cpu", torch.bfloat16):
            how(module, features).float().sum().backward()
    assert torch.equal(ours.weight.grad, twin.weight.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("frozen", ["weight", "features"])
def test_only_what_is_wanted_gets_a_gradient(frozen: str) -> None:
    ours = nn.Conv2d(4, 4, 5, groups=4, bias=False)
    make_depthwise_faster(ours)
    ours.weight.requires_grad_(frozen != "weight")
    features = torch.randn(2, 4, 9, 9, requires_grad=frozen != "features")
    with torch.autocast("cpu", torch.bfloat16):
        ours(features).sum().backward()
    assert (ours.weight.grad is None, features.grad is None) == (frozen == "weight", frozen == "features")
