"""Label targets by hand, label losses against a second implementation, and how the two parts join."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sever.config import LABEL_LOSSES, LossSettings, ModelSettings
from sever.errors import InputError
from sever.models.label_losses import PAIR_LOSSES, build_label_loss, build_outputs_loss, label_targets
from sever.models.losses import build_loss
from sever.models.network import Outputs


def masks_with(*pixels: list[int], side: int = 4) -> Tensor:
    """Masks (N, C, side, side) uint8 with so many pixels in each (image, class)."""
    masks = torch.zeros(len(pixels), len(pixels[0]), side * side, dtype=torch.uint8)
    for image, counts in enumerate(pixels):
        for index, count in enumerate(counts):
            masks[image, index, :count] = 1
    return masks.reshape(*masks.shape[:2], side, side)


def test_targets_by_hand() -> None:
    masks = masks_with([0, 1, 16], [3, 2, 0])
    labels, counts = label_targets(masks, min_pixels=1)
    assert labels.tolist() == [[False, True, True], [True, True, False]]
    assert counts.all()
    # Of three pixels or more; one or two are a sliver that says nothing either way.
    labels, counts = label_targets(masks, min_pixels=3)
    assert labels.tolist() == [[False, False, True], [True, False, False]]
    assert counts.tolist() == [[True, False, True], [True, False, True]]


def test_targets_do_not_wrap_around_and_take_floats() -> None:
    masks = torch.ones(1, 1, 64, 64, dtype=torch.uint8)  # 4096 = 0 in uint8
    for given in (masks, masks.float(), masks.bool()):
        assert label_targets(given, 4096)[0].item()
        assert not label_targets(given, 4097)[0].item()


# One image, two classes: the first is there with probability 1/2, the second is not with probability 3/4.
HAND_COMPUTED = {
    "bce": (math.log(2) + math.log(4 / 1)) / 2,
    "focal": (0.5**2 * math.log(2) + 0.75**2 * math.log(4)) / 2,
}


@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_two_pairs_worked_out_by_hand(name: str) -> None:
    logits = torch.tensor([[0.0, math.log(3)]])  # the second says 3/4 that it is there: wrong
    loss = build_label_loss(LossSettings(name=name), name)(logits, masks_with([5, 0]))
    assert loss.item() == pytest.approx(HAND_COMPUTED[name], abs=1e-6)


def second_implementation(name: str, logits: np.ndarray, masks: np.ndarray, min_pixels: int) -> float:
    values = []
    for image, index in np.ndindex(logits.shape):
        pixels = int(masks[image, index].sum())
        if 0 < pixels < min_pixels:
            continue
        p = 1 / (1 + math.exp(-logits[image, index]))
        of_truth = p if pixels else 1 - p
        values.append(-math.log(of_truth) * ((1 - of_truth) ** 2 if name == "focal" else 1))
    return float(np.mean(values)) if values else 0.0


@pytest.mark.parametrize("name", LABEL_LOSSES)
@pytest.mark.parametrize("min_pixels", [1, 4, 40])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_second_implementation_with_gradients(name: str, min_pixels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(5, 3, generator=generator, dtype=torch.float64)
    masks = torch.rand(5, 3, 3, 4, generator=generator) < 0.25
    masks[torch.rand(5, 3, generator=generator) < 0.3] = False
    loss = build_label_loss(LossSettings(name=name, label_min_pixels=min_pixels), name)
    expected = second_implementation(name, logits.numpy(), masks.numpy(), min_pixels)
    assert loss(logits, masks).item() == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(lambda z: loss(z, masks), logits.requires_grad_())


def test_slivers_teach_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.3]], requires_grad=True)
    loss = build_label_loss(LossSettings(name="bce", label_min_pixels=5), "bce")(logits, masks_with([4, 5, 0]))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert (logits.grad[0, 1:] != 0).all()
    nothing = build_label_loss(LossSettings(label_min_pixels=9), "bce")(logits, masks_with([1, 2, 3]))
    assert nothing.item() == 0


@pytest.mark.parametrize("name", LABEL_LOSSES)
@pytest.mark.parametrize("extreme", [50.0, -50.0, 3e4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_extreme_logits_stay_finite(name: str, extreme: float, dtype: torch.dtype) -> None:
    logits = torch.full((2, 2), extreme, dtype=dtype, requires_grad=True)
    loss = build_label_loss(LossSettings(name=name), name)(logits, masks_with([0, 3], [3, 0]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_bf16_logits_and_autocast_lose_no_more_than_their_rounding(name: str) -> None:
    logits = torch.tensor([[0.3, -2.2], [4.1, 0.7]]).bfloat16()
    masks = masks_with([0, 3], [3, 0])
    loss = build_label_loss(LossSettings(name=name), name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(logits, masks)
    assert half.dtype == torch.float32
    assert half == loss(logits.float(), masks)


def test_every_label_loss_of_the_settings_is_there() -> None:
    assert set(PAIR_LOSSES) == set(LABEL_LOSSES)
    with pytest.raises(InputError, match=r"'ce_dice' does not label images; choose one of bce, focal"):
        build_label_loss(LossSettings(), "ce_dice")


# --- what each task makes small ---------------------------------------------------------------------------------------


def outputs_and_masks() -> tuple[Outputs, Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = masks_with([0, 3], [9, 0])
    mask_logits = torch.randn(2, 2, 4, 4, generator=generator, requires_grad=True)
    return Outputs(mask_logits, torch.randn(2, 2, generator=generator, requires_grad=True)), masks


def test_a_label_head_adds_its_weighted_bce_and_shows_it() -> None:
    outputs, masks = outputs_and_masks()
    assert outputs.mask_logits is not None
    assert outputs.label_logits is not None
    settings = LossSettings(label_weight=0.5)
    parts = build_outputs_loss(settings, ModelSettings(label_head=True))(outputs, masks)
    of_masks = build_loss(settings)(outputs.mask_logits, masks)
    label_bce = build_label_loss(settings, "bce")(outputs.label_logits, masks)
    assert set(parts) == {"loss", "bce", "dice", "label_bce"}
    torch.testing.assert_close(parts["loss"], of_masks["loss"] + 0.5 * label_bce)
    assert parts["label_bce"] == label_bce
    assert all(value.requires_grad == (name == "loss") for name, value in parts.items())
    parts["loss"].backward()
    assert outputs.mask_logits.grad is not None
    assert outputs.label_logits.grad is not None


def test_a_label_head_learns_by_bce_whatever_the_masks_learn_by() -> None:
    outputs, masks = outputs_and_masks()
    assert outputs.label_logits is not None
    settings = LossSettings(name="focal", label_weight=1.0)
    parts = build_outputs_loss(settings, ModelSettings(label_head=True))(outputs, masks)
    assert parts["label_bce"] == build_label_loss(settings, "bce")(outputs.label_logits, masks)


def test_without_a_label_head_the_masks_loss_is_as_it_was() -> None:
    outputs, masks = outputs_and_masks()
    assert outputs.mask_logits is not None
    expected = build_loss(LossSettings())(outputs.mask_logits, masks)
    assert build_outputs_loss(LossSettings(), ModelSettings())(Outputs(outputs.mask_logits), masks) == expected


def test_a_classifier_learns_by_labels_alone() -> None:
    outputs, masks = outputs_and_masks()
    assert outputs.label_logits is not None
    settings = LossSettings(name="focal")
    parts = build_outputs_loss(settings, ModelSettings(task="classify"))(Outputs(None, outputs.label_logits), masks)
    assert parts == {"loss": build_label_loss(settings, "focal")(outputs.label_logits, masks)}
