"""Soft targets: a loss that also draws a network towards a trained one's probabilities; knows not what the teacher is.

Hinton, Vinyals and Dean, Distilling the knowledge in a neural network (2015), at temperature 1: masks are sigmoids, and
their probabilities already say how sure the teacher is of each pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from sever.models.losses import Parts, full_precision
from sever.models.network import Outputs

# Pixels (N, in_channels, H, W) uint8 to probabilities (N, C, H, W) float32.
Teacher = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SoftTargets:
    """`share` of the loss is the cross-entropy to the teacher."""

    teacher: Teacher
    share: float

    def join(self, parts: Parts, outputs: Outputs, pixels: Tensor) -> Parts:
        """The loss with the teacher's part in it, which is also shown as `distill`."""
        assert outputs.mask_logits is not None
        probs = self.teacher(pixels).to(outputs.mask_logits.device)
        soft = F.binary_cross_entropy_with_logits(full_precision(outputs.mask_logits), probs)
        return parts | {"loss": (1 - self.share) * parts["loss"] + self.share * soft, "distill": soft.detach()}
