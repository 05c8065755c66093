"""What training makes small: losses of logits against masks, by name; knows no thresholds or class names.

Every loss takes logits (N, outputs, H, W) and masks (N, C, H, W) of 0 and 1. Independent losses have one
output a class and a sigmoid each. Exclusive ones (config.SOFTMAX_LOSSES) share one softmax and have C + 1
outputs, of which the first is background. Pixels of masks that are IGNORED take part in no sum: a batch with them has
the loss that it would have if they were cut out of it. The labels of whole images are learnt by label_losses.py.

All of them compute in float32 at least: the logits of a bf16 network have three digits, but sums over a
million pixels and the differences of sorted errors need more.

Where several processes train together, sums over the batch go over the batches of all (across.py): the mean of the
losses of all processes, and of their gradients, is that of one process with all their images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sever.config import SOFTMAX_LOSSES, LossSettings
from sever.config.mask_values import IGNORED
from sever.errors import InputError
from sever.models.across import gathered, num_processes, summed

Parts = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Parts]
# Which pixels count, broadcast over the target; None where all do.
Counted = Tensor | None

# One pixel on both sides of every ratio: a class absent from the batch and not predicted scores 1, not 0/0.
SMOOTH_PIXELS = 1.0
# That of 2019, below the ratio alone: a batch without any defect scores 0 there.
POOLED_EPSILON = 1e-7


def bce_dice(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """pixel_weight * BCE + dice_weight * (1 - soft Dice), the loss of the 2019 solution."""
    truth = smoothed(target, settings.label_smoothing)
    bce = _mean(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), counted)
    dice = 1 - SOFT_DICE[settings.dice_over](_kept(logits.sigmoid(), counted), target)
    return {"loss": settings.pixel_weight * bce + settings.dice_weight * dice, "bce": bce, "dice": dice}


def focal(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """Cross-entropy times (1 - probability of the truth) ** gamma (Lin et al., 2017), mean over pixels.

    The factor is taken through its logarithm, which keeps a finite gradient where the probability rounds to
    1.
    """
    logits_of_truth = torch.where(target > 0.5, logits, -logits)
    ease = torch.exp(settings.focal_gamma * F.logsigmoid(-logits_of_truth))
    return {"loss": _mean(-ease * F.logsigmoid(logits_of_truth), counted)}


def iou(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """1 - soft Jaccard of the sigmoid probabilities, a class over the whole batch, mean over classes."""
    probs = _kept(logits.sigmoid(), counted)
    shared = summed((probs * target).sum(dim=(0, 2, 3)))
    union = summed(probs.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))) - shared
    return {"loss": 1 - ((shared + SMOOTH_PIXELS) / (union + SMOOTH_PIXELS)).mean()}


def lovasz(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """Lovasz hinge of each (image, class) pair (Berman et al., 2018), mean over pairs.

    In a pair without a defect the Jaccard loss is 1 as soon as one pixel is wrong, so only the worst one is
    pushed.
    """
    margins = 1 - logits * (2 * target - 1)
    # An error of 0 adds nothing, and stands behind all others.
    errors = _kept(F.relu(margins), counted).flatten(2).flatten(0, 1)
    truth = target.flatten(2).flatten(0, 1).bool()
    return {"loss": _mean(lovasz_extension(errors, truth), None)}


def ce_dice(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """pixel_weight * cross-entropy + dice_weight * (1 - soft Dice of the defect classes), one softmax."""
    labels = exclusive_labels(target)
    ce = _mean(F.cross_entropy(logits, labels, reduction="none")[:, None], counted)
    probs = _kept(logits.softmax(dim=1)[:, 1:], counted)
    dice = 1 - SOFT_DICE[settings.dice_over](probs, one_hot(labels, logits)[:, 1:])
    return {"loss": settings.pixel_weight * ce + settings.dice_weight * dice, "ce": ce, "dice": dice}


def lovasz_softmax(logits: Tensor, target: Tensor, settings: LossSettings, counted: Counted = None) -> Parts:
    """Lovasz-softmax over all pixels of the batch (Berman et al., 2018), mean over the classes present.

    Background counts as a class, so there is always one.
    """
    probs = logits.softmax(dim=1)
    truth = _kept(one_hot(exclusive_labels(target), logits), counted)
    # Where batches are filled up, errors of 0 add nothing.
    errors = gathered(_kept(torch.where(truth.bool(), 1 - probs, probs), counted).transpose(0, 1).flatten(1))
    truth = gathered(truth.transpose(0, 1).flatten(1)).bool()
    present = truth.any(dim=1)
    per_class = lovasz_extension(errors, truth)
    return {"loss": (per_class * present).sum() / present.sum().clamp(min=1)}


def soft_dice(probs: Tensor, target: Tensor) -> Tensor:
    """Soft Dice of each class over the whole batch, mean over classes.

    Over the batch and not an image at a time: most (image, class) pairs are empty, and the ratio of almost
    nothing to nothing has a gradient that drowns the others.
    """
    shared = summed((probs * target).sum(dim=(0, 2, 3)))
    total = summed(probs.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3)))
    return ((2 * shared + SMOOTH_PIXELS) / (total + SMOOTH_PIXELS)).mean()


def pooled_dice(probs: Tensor, target: Tensor) -> Tensor:
    """One soft Dice of all pixels of the batch, whichever their class, as in 2019: large classes weigh the most."""
    shared, total = summed((probs * target).sum()), summed(probs.sum() + target.sum())
    return 2 * shared / (total + POOLED_EPSILON)


SOFT_DICE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"class": soft_dice, "all": pooled_dice}

LOSSES: dict[str, Callable[[Tensor, Tensor, LossSettings, Counted], Parts]] = {
    "bce_dice": bce_dice,
    "focal": focal,
    "iou": iou,
    "lovasz": lovasz,
    "ce_dice": ce_dice,
    "lovasz_softmax": lovasz_softmax,
}


def build_loss(settings: LossSettings) -> Loss:
    """The named loss: (logits, masks) -> {"loss": what to make small, and its parts, detached}, all scalars.

    Masks may be uint8 or float, of 0, 1 and IGNORED. Half-precision logits are taken to float32; their gradient comes
    back in half.
    """
    _check_name(settings.name)

    def loss(logits: Tensor, target: Tensor) -> Parts:
        expected = num_outputs(settings.name, target.shape[1])
        assert logits.shape == (len(target), expected, *target.shape[2:]), (logits.shape, target.shape)
        with torch.autocast(logits.device.type, enabled=False):
            logits = full_precision(logits)
            target, counted = _counted(target)
            parts = LOSSES[settings.name](logits, target.to(logits.dtype), settings, counted)
        return {name: value if name == "loss" else value.detach() for name, value in parts.items()}

    return loss


def num_outputs(name: str, num_classes: int) -> int:
    """Channels of logits: one a class, and one for background where the loss makes classes exclusive."""
    _check_name(name)
    return num_classes + (name in SOFTMAX_LOSSES)


def probabilities(logits: Tensor, name: str) -> Tensor:
    """Logits (N, outputs, H, W) -> probabilities of the defects (N, C, H, W) float32, without background."""
    _check_name(name)
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        return logits.softmax(dim=1)[:, 1:] if name in SOFTMAX_LOSSES else logits.sigmoid()


def smoothed(target: Tensor, smoothing: float) -> Tensor:
    """Truth of 0 and 1 as `smoothing` and 1 - `smoothing`."""
    return target if smoothing == 0 else target * (1 - 2 * smoothing) + smoothing


def lovasz_extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Lovasz extension of the Jaccard loss, a row at a time: errors (R, P) and bool truth (R, P) -> (R,).

    From the largest error on, each pixel weighs what the Jaccard loss grows by when it is wrong too. The
    growth is written out, since neighbouring values of the loss itself differ by less than float32 can tell.
    """
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    positives = truth.sum(dim=1, keepdim=True)
    shared = positives - truth.cumsum(dim=1, dtype=torch.int32)
    union = (positives + (~truth).cumsum(dim=1, dtype=torch.int32)).to(errors.dtype)
    growth = torch.where(truth, 1 / union, shared / (union * (union - 1).clamp(min=1)))
    # Without a positive pixel the loss leaps from 0 to 1 at the first one that is wrong.
    growth[:, 0] += (positives == 0)[:, 0]
    return (errors * growth).sum(dim=1)


def exclusive_labels(target: Tensor) -> Tensor:
    """Masks (N, C, H, W) -> labels (N, H, W): 0 where no class is set, else 1 + the lowest class that is."""
    # argmax gives the first of several equal values.
    return torch.where(target.any(dim=1), target.argmax(dim=1) + 1, 0)


def one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels (N, H, W) -> (N, outputs, H, W) of 0 and 1 in the type of the logits."""
    return torch.zeros_like(logits).scatter_(1, labels[:, None], 1)


def _counted(target: Tensor) -> tuple[Tensor, Counted]:
    """The masks with 0 where they are IGNORED, and the pixels (N, 1, H, W) bool that are not, in any class."""
    ignored = (target == IGNORED).any(dim=1, keepdim=True)
    return (target.masked_fill(ignored, 0), ~ignored) if ignored.any() else (target, None)


def _kept(values: Tensor, counted: Counted) -> Tensor:
    """The values with 0 where they don't count."""
    return values if counted is None else torch.where(counted, values, 0.0)


def _mean(values: Tensor, counted: Counted) -> Tensor:
    """Over the pixels that count; 0 where none does."""
    if counted is None and num_processes() == 1:
        return values.mean()
    number = values.new_tensor(values.numel()) if counted is None else counted.expand_as(values).sum().to(values.dtype)
    return summed(_kept(values, counted).sum()) / summed(number).clamp(min=1)


def full_precision(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _check_name(name: str) -> None:
    if name not in LOSSES:
        raise InputError(f"unknown loss {name!r}; choose one of {', '.join(LOSSES)}")
