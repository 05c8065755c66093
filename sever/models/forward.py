"""A trained network as a plain function from a batch of pixels to probabilities; knows no class names and no sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sever.errors import InputError

AUTOCAST_TYPES: dict[str, torch.dtype | None] = {"bf16": torch.bfloat16, "fp16": torch.float16, "no": None}


@dataclass(frozen=True)
class TorchForward:
    """Pixels (N, H, W, in) uint8 to maps (N, C, H, W) and labels (N, C), float32; None where there is no such head.

    network: uint8 pixels (N, in, H, W) to Outputs; moved to `device`, put into evaluation mode.
    to_probabilities: mask logits, as float32, to probabilities (N, C, H, W).
    precision: bf16, fp16 or no (full). Raises InputError for an unknown one.
    """

    network: nn.Module
    to_probabilities: Callable[[Tensor], Tensor]
    device: torch.device | str = "cpu"
    precision: str = "no"
    channels_last: bool = True

    def __post_init__(self) -> None:
        if self.precision not in AUTOCAST_TYPES:
            raise InputError(f"unknown precision {self.precision!r}; allowed: {', '.join(AUTOCAST_TYPES)}")
        self.network.to(self.device)
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        self.network.eval()
        pixels_nchw = torch.from_numpy(pixels_nhwc).permute(0, 3, 1, 2)
        # Pixels come with channels last in memory; a network that wants them first gets a copy.
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        pixels_nchw = pixels_nchw.to(self.device, memory_format=layout)
        dtype = AUTOCAST_TYPES[self.precision]
        with torch.autocast(torch.device(self.device).type, dtype=dtype, enabled=dtype is not None):
            masks, labels = self.network(pixels_nchw)
        maps = None if masks is None else self.to_probabilities(masks.float())
        return _plain(maps), _plain(None if labels is None else labels.float().sigmoid())


def _plain(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.cpu().numpy()
