"""Turns an encoder's three-channel first convolution into a grey one by recycling its filters.

Knows nothing of which encoder it is given, nor of where its weights came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sever.errors import InputError

IMAGE_CHANNELS = 3

# Each takes the pretrained filters (out, 3, kh, kw) and gives the grey ones (out, 1, kh, kw).
RECYCLES: dict[str, Callable[[Tensor], Tensor]] = {
    "r": lambda filters: filters[:, 0:1],
    "g": lambda filters: filters[:, 1:2],
    "b": lambda filters: filters[:, 2:3],
    "sum": lambda filters: filters.sum(dim=1, keepdim=True),
    "mean": lambda filters: filters.mean(dim=1, keepdim=True),
}


def recycle_stem(encoder: nn.Module, mode: str) -> None:
    """Make `encoder` take one grey channel, in place; `rgb` leaves it as it is (khornlund's trick of 2019).

    Raises InputError when the encoder hasn't exactly one convolution that reads three channels.
    """
    if mode == "rgb":
        return
    if mode not in RECYCLES:
        raise InputError(f"in_channels is {mode!r}; allowed are rgb, {', '.join(RECYCLES)}")
    name, conv = find_stem(encoder)
    filters = conv.weight.detach().clone()
    colour_output = _look(conv, _colour_probe(conv, mode))
    conv.weight = nn.Parameter(RECYCLES[mode](filters).contiguous(), requires_grad=conv.weight.requires_grad)
    conv.in_channels = 1
    if not torch.allclose(_look(conv, _grey_probe(conv)), colour_output, atol=1e-4, rtol=1e-3):
        # Weight-standardised convolutions rescale their filters over the input channels while they run.
        raise InputError(
            f"the first convolution {name} ({type(conv).__name__}) does not add up over its input channels, so "
            f"in_channels: {mode} cannot recycle it; use in_channels: rgb"
        )
    _tell_encoder(encoder)


def find_stem(encoder: nn.Module) -> tuple[str, nn.Conv2d]:
    """The one convolution of an encoder that reads three channels, with its name; InputError if not exactly one."""
    found = [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == IMAGE_CHANNELS and module.groups == 1
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(name for name, _ in found) or "none"
    raise InputError(
        f"grey input needs exactly one first convolution with {IMAGE_CHANNELS} input channels, but "
        f"{type(encoder).__name__} has {len(found)} ({names}); use in_channels: rgb, or another encoder"
    )


def _tell_encoder(encoder: Any) -> None:
    """SMP's encoders remember how wide their input is, as feature 0; keep that true."""
    if hasattr(encoder, "_in_channels"):
        encoder._in_channels = 1
    widths = getattr(encoder, "_out_channels", None)
    if widths is not None and widths[0] == IMAGE_CHANNELS:
        encoder._out_channels = [1, *widths[1:]]


def _grey_probe(conv: nn.Conv2d) -> Tensor:
    """A ramp large enough for one step of the convolution, (1, 1, h, w)."""
    height, width = (2 * size for size in conv.kernel_size)
    ramp = torch.linspace(-1, 1, height * width, dtype=conv.weight.dtype, device=conv.weight.device)
    return ramp.view(1, 1, height, width)


def _colour_probe(conv: nn.Conv2d, mode: str) -> Tensor:
    """The colour image on which the old filters must answer as the recycled ones do on the grey one."""
    grey, blank = _grey_probe(conv), torch.zeros_like(_grey_probe(conv))
    if mode in ("sum", "mean"):
        return torch.cat([grey] * IMAGE_CHANNELS, dim=1) / (IMAGE_CHANNELS if mode == "mean" else 1)
    return torch.cat([grey if mode == channel else blank for channel in "rgb"], dim=1)


@torch.no_grad()
def _look(conv: nn.Conv2d, probe: Tensor) -> Tensor:
    return conv(probe)
