"""Gradients of depthwise convolutions in bf16 on a CPU, which oneDNN has no fast way for; knows no network and no loop.

Measured by benchmarks/depthwise.py: the gradient of a 5x5 kernel takes ten times as long as it need, and that of the
features where the kernel moves by two pixels. Together they were a third of the training step of efficientnets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]
# oneDNN computes the gradient of smaller kernels well.
SMALL_KERNEL = 3


def make_depthwise_faster(network: nn.Module) -> int:
    """Have the depthwise convolutions that gain by it take our gradients; returns how many. Weights keep their names.

    Answers stay bit for bit what they were, and gradients are equal within the rounding of bf16. Outside of autocast to
    bf16 on a CPU, and where no gradient is wanted, nothing changes.
    """
    gaining = [module for module in network.modules() if isinstance(module, nn.Conv2d) and _gains(module)]
    for module in gaining:
        # A class, and no function hung on the module: a copy of the network must call its own parts.
        module.__class__ = _faster(type(module))
    return len(gaining)


def _gains(module: nn.Conv2d) -> bool:
    is_depthwise = module.groups == module.in_channels == module.out_channels > 1
    return is_depthwise and (max(module.kernel_size) > SMALL_KERNEL or max(module.stride) > 1)


def _faster(kind: type[Any]) -> type[Any]:
    def forward(self: Any, features: Tensor) -> Tensor:
        wanted = torch.is_grad_enabled() and features.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not wanted or torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return kind.forward(self, features)
        with _OurGradients():  # around whatever padding the class does before
            return kind.forward(self, features)

    return type(f"Faster{kind.__name__}", (kind,), {"forward": forward, "__module__": kind.__module__})


class _OurGradients(TorchFunctionMode):
    """Within it torch.conv2d is ours. It sees no call of a module that is not within it."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.conv2d:
            return _convolve(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _convolve(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """torch.conv2d's signature."""
    if isinstance(padding, str):
        return functional.conv2d(features, weight, bias, stride, padding, dilation, groups)
    with torch.autocast("cpu", enabled=False):
        answer: Tensor = _Depthwise.apply(
            features.bfloat16(), weight.bfloat16(), _pair(stride), _pair(padding), _pair(dilation)
        )
        return answer if bias is None else answer + bias.bfloat16().view(-1, 1, 1)


def _pair(value: Any) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


class _Depthwise(torch.autograd.Function):
    """Features (N, C, H, W) and kernels (C, 1, h, w), both bf16, to (N, C, H', W')."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.moves = stride, padding, dilation
        return torch.conv2d(features, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, *_ = ctx.needs_input_grad
        return (
            _gradient_of_features(gradients[0], features, weight, *ctx.moves) if of_features else None,
            _gradient_of_weight(gradients[0], features, weight, *ctx.moves) if of_weight else None,
            *(None,) * len(ctx.moves),
        )


def _gradient_of_features(
    gradient: Tensor, features: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """oneDNN's where the kernel moves by one pixel. Else the gradient, spread out, convolved with the turned kernel."""
    if max(stride) == 1:
        return _convolution_backward(gradient, features, weight, stride, padding, dilation, [True, False])[0]
    size, kernel = features.shape[-2:], weight.shape[-2:]
    reach = [step * (side - 1) for step, side in zip(dilation, kernel, strict=True)]
    padded = [side + 2 * pad for side, pad in zip(size, padding, strict=True)]
    shape = [side - far for side, far in zip(padded, reach, strict=True)]
    spread = features.new_zeros(*gradient.shape[:2], *shape).contiguous(memory_format=torch.channels_last)
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    whole = torch.conv2d(spread, weight.flip(2, 3), None, 1, reach, dilation, len(weight))
    return whole[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


def _gradient_of_weight(
    gradient: Tensor, features: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Of large kernels a depthwise convolution itself: of each image's features, with its gradient as the kernel.

    d weight[i] = sum over h of features[dilation * i + stride * h - padding] * gradient[h]: stride and dilation change
    places.
    """
    if max(weight.shape[-2:]) <= SMALL_KERNEL:
        return _convolution_backward(gradient, features, weight, stride, padding, dilation, [False, True])[1]
    images, channels = features.shape[:2]
    moved = features.contiguous().view(1, images * channels, *features.shape[-2:])
    kernels = gradient.contiguous().view(images * channels, 1, *gradient.shape[-2:])
    sums = torch.conv2d(moved, kernels, None, dilation, padding, stride, images * channels)
    height, width = weight.shape[-2:]
    each = sums[..., :height, :width].reshape(images, channels, 1, height, width)
    return each.sum(0, dtype=torch.float32).to(weight.dtype)


def _convolution_backward(
    gradient: Tensor,
    features: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    wanted: list[bool],
) -> tuple[Tensor, Tensor]:
    backward = torch.ops.aten.convolution_backward
    found = backward(
        gradient, features, weight, None, stride, padding, dilation, False, (0, 0), len(weight), [*wanted, False]
    )
    return found[0], found[1]
