"""What a classifier or a label head makes small, and how it joins the loss of the masks; knows no thresholds.

The truth of an image's labels is read off its masks, which crops and flips have changed along with the pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sever.config import LABEL_LOSSES, LossSettings, ModelSettings
from sever.errors import InputError
from sever.models.across import summed
from sever.models.losses import Parts, build_loss, full_precision, smoothed
from sever.models.network import Outputs

OutputsLoss = Callable[[Outputs, Tensor], Parts]


def label_targets(masks: Tensor, min_pixels: int) -> tuple[Tensor, Tensor]:
    """Masks (N, C, H, W) -> labels (N, C) bool, and which of them count (N, C) bool.

    A class that shows fewer than `min_pixels` pixels, but some, doesn't count: at the border of a crop it is there in
    name only. Pixels that are IGNORED show nothing.
    """
    pixels = (masks.flatten(2) == 1).sum(dim=2)
    return pixels >= min_pixels, (pixels == 0) | (pixels >= min_pixels)


def bce(logits: Tensor, labels: Tensor, settings: LossSettings) -> Tensor:
    """Binary cross-entropy of each (image, class) pair, (N, C)."""
    truth = smoothed(labels.to(logits.dtype), settings.label_smoothing)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def focal(logits: Tensor, labels: Tensor, settings: LossSettings) -> Tensor:
    """Cross-entropy times (1 - probability of the truth) ** gamma of each pair, (N, C) (Lin et al., 2017)."""
    logits_of_truth = torch.where(labels, logits, -logits)
    ease = torch.exp(settings.focal_gamma * F.logsigmoid(-logits_of_truth))
    return -ease * F.logsigmoid(logits_of_truth)


PAIR_LOSSES: dict[str, Callable[[Tensor, Tensor, LossSettings], Tensor]] = {"bce": bce, "focal": focal}


def build_label_loss(settings: LossSettings, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """(label logits (N, C), masks (N, C, H, W)) -> scalar: the mean of `name` over the pairs that count, else 0.

    In float32 at least, whatever the logits are.
    """
    if name not in PAIR_LOSSES:
        raise InputError(f"loss {name!r} does not label images; choose one of {', '.join(LABEL_LOSSES)}")

    def loss(label_logits: Tensor, masks: Tensor) -> Tensor:
        assert label_logits.shape == masks.shape[:2], (label_logits.shape, masks.shape)
        labels, counts = label_targets(masks, settings.label_min_pixels)
        with torch.autocast(label_logits.device.type, enabled=False):
            pairs = PAIR_LOSSES[name](full_precision(label_logits), labels, settings)
            return summed((pairs * counts).sum()) / summed(counts.sum()).clamp(min=1)

    return loss


def build_outputs_loss(settings: LossSettings, model: ModelSettings) -> OutputsLoss:
    """(Outputs, masks) -> {"loss": what to make small, and its parts, detached}, for what `model` answers.

    With a label head, `label_weight` times the labels' BCE is added, and shown as `label_bce`.
    """
    if model.task == "classify":
        label_loss = build_label_loss(settings, settings.name)
        return lambda outputs, masks: {"loss": label_loss(_there(outputs.label_logits), masks)}
    mask_loss = build_loss(settings)
    if not model.label_head:
        return lambda outputs, masks: mask_loss(_there(outputs.mask_logits), masks)
    label_loss = build_label_loss(settings, "bce")

    def joined(outputs: Outputs, masks: Tensor) -> Parts:
        parts = mask_loss(_there(outputs.mask_logits), masks)
        label_bce = label_loss(_there(outputs.label_logits), masks)
        return parts | {"loss": parts["loss"] + settings.label_weight * label_bce, "label_bce": label_bce.detach()}

    return joined


def _there(logits: Tensor | None) -> Tensor:
    assert logits is not None, "the network lacks the head that its settings speak of"
    return logits
