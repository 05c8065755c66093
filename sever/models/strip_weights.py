"""Weights of a whole network that has learnt synthetic strip, shipped with sever; knows no data set and no settings.

`make strip-weights` makes them again: experiments/strip-weights.yml, then this file as a program, which halves their
precision. Convolutions are stored in 16 bits; what normalises needs its range and stays in 32.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sever.errors import InputError
from sever.files import atomic_path

FILE = Path(__file__).with_name("strip-unet-lite0.safetensors")
ENCODER = "tf_efficientnet_lite0"
# Under which a segmenter keeps its network.
PREFIX = "network."


def load_strip_weights(network: Any, encoder_name: str) -> int:
    """Fill the encoder, and of the other parts all that fit; returns how many tensors were filled.

    Raises InputError for another encoder, and for one that takes colours.
    """
    encoder: nn.Module = network.encoder
    own = network.state_dict()
    filled = {name: value.float() for name, value in load_file(FILE).items() if _fits(own.get(name), value)}
    # Counters are whole numbers of their own, and nothing here uses them.
    wanted = [f"encoder.{name}" for name in encoder.state_dict() if not name.endswith("num_batches_tracked")]
    if any(name not in filled for name in wanted):
        raise InputError(
            f"model.weights: strip is of the encoder {ENCODER} with one grey channel; set model.encoder: {ENCODER} "
            f"instead of {encoder_name}, and model.in_channels to anything but rgb, or choose other weights"
        )
    network.load_state_dict(filled, strict=False)
    return len(filled)


def pack(source: Path, output: Path) -> None:
    """A run's weights as they are shipped."""
    weights = {name.removeprefix(PREFIX): value for name, value in load_file(source).items() if name.startswith(PREFIX)}
    kept = {name: value for name, value in weights.items() if value.is_floating_point()}
    halved = {name: value.to(torch.float16) if value.ndim > 1 else value for name, value in kept.items()}
    with atomic_path(output) as temporary:
        save_file({name: value.contiguous() for name, value in halved.items()}, temporary)
        shutil.copymode(source, temporary)  # safetensors makes files that nobody else may read


def _fits(own: torch.Tensor | None, value: torch.Tensor) -> bool:
    return own is not None and own.shape == value.shape


if __name__ == "__main__":
    pack(Path(sys.argv[1]), FILE)
