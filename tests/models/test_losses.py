"""Losses against numbers worked out by hand, second implementations, finite differences, and the edges of float."""

import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from sever.config import SOFTMAX_LOSSES, LossSettings
from sever.errors import InputError
from sever.models.losses import LOSSES, build_loss, num_outputs, probabilities

INDEPENDENT = [name for name in LOSSES if name not in SOFTMAX_LOSSES]


def random_case(
    name: str, seed: int = 0, classes: int = 3, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, num_outputs(name, classes), 4, 5, generator=generator, dtype=torch.float64)
    target = torch.rand(2, classes, 4, 5, generator=generator) < 0.3
    return logits.to(dtype), target.to(torch.uint8)


def loss_and_gradient(name: str, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    loss = build_loss(LossSettings(name=name))(logits, target)["loss"]
    loss.backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


# Two pixels, one class: the first is a defect with probability 1/2, the second none with probability 3/4.
HAND_COMPUTED = {
    # BCE (ln 2 + ln 4) / 2; Dice (2 * 0.5 + 1) / (1.25 + 1 + 1); 0.6 * BCE + 0.4 * (1 - Dice)
    "bce_dice": 0.6 * 1.5 * math.log(2) + 0.4 * (1 - 2 / 3.25),
    # (0.5 ** 2 * ln 2 + 0.75 ** 2 * ln 4) / 2
    "focal": (0.25 * math.log(2) + 0.5625 * math.log(4)) / 2,
    # shared 0.5, union 1.25 + 1 - 0.5, one pixel of smoothing each
    "iou": 1 - 1.5 / 2.75,
    # errors 1 and 1 + ln 3; Jaccard loss 1/2 with the worse one wrong, 1 with both
    "lovasz": 0.5 * (1 + math.log(3)) + 0.5 * 1,
    # a softmax of two with background at 0 is the sigmoid, so CE is BCE
    "ce_dice": 0.6 * 1.5 * math.log(2) + 0.4 * (1 - 2 / 3.25),
    # defect: 0.75 * 1/2 + 0.5 * 1/2; background, whose one pixel is the worse: 0.75 * 1 + 0.5 * 0
    "lovasz_softmax": (0.625 + 0.75) / 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_two_pixels_worked_out_by_hand(name: str) -> None:
    logits = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 2)
    if name in SOFTMAX_LOSSES:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    target = torch.tensor([1, 0], dtype=torch.uint8).reshape(1, 1, 1, 2)
    loss = build_loss(LossSettings(name=name))(logits, target)["loss"]
    assert loss.item() == pytest.approx(HAND_COMPUTED[name], abs=1e-6)


def lovasz_by_sets(errors: np.ndarray, truth: np.ndarray) -> float:
    """The definition: pixels go wrong one by one, worst first; the Jaccard loss is |wrong| / |true or wrong|."""
    wrong = np.zeros(len(errors), bool)
    total, before = 0.0, 0.0
    for pixel in np.argsort(-errors):
        wrong[pixel] = True
        after = wrong.sum() / (truth | wrong).sum()
        total += errors[pixel] * (after - before)
        before = after
    return total


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def one_hot_lowest(target: np.ndarray) -> np.ndarray:
    taken = np.zeros(target[:, 0].shape, bool)
    planes = []
    for index in range(target.shape[1]):
        planes.append((target[:, index] > 0) & ~taken)
        taken |= planes[-1]
    return np.stack([~taken, *planes], axis=1)


def numpy_dice(probs: np.ndarray, truth: np.ndarray) -> float:
    scores = []
    for index in range(probs.shape[1]):
        p, t = probs[:, index].ravel(), truth[:, index].ravel().astype(float)
        scores.append((2 * p @ t + 1) / (p.sum() + t.sum() + 1))
    return float(np.mean(scores))


def independent_in_numpy(name: str, logits: np.ndarray, truth: np.ndarray) -> float:
    probs = 1 / (1 + np.exp(-logits))
    of_truth = np.where(truth, probs, 1 - probs)
    if name == "bce_dice":
        return 0.6 * -np.log(of_truth).mean() + 0.4 * (1 - numpy_dice(probs, truth))
    if name == "focal":
        return float((-((1 - of_truth) ** 2) * np.log(of_truth)).mean())
    if name == "iou":
        shared = (probs * truth).sum(axis=(0, 2, 3))
        union = (probs + truth - probs * truth).sum(axis=(0, 2, 3))
        return float(np.mean(1 - (shared + 1) / (union + 1)))
    assert name == "lovasz"
    errors = np.maximum(0, 1 - np.where(truth, logits, -logits))
    pairs = np.ndindex(logits.shape[:2])
    return float(np.mean([lovasz_by_sets(errors[pair].ravel(), truth[pair].ravel()) for pair in pairs]))


def exclusive_in_numpy(name: str, logits: np.ndarray, truth: np.ndarray) -> float:
    probs = softmax(logits)
    if name == "ce_dice":
        return 0.6 * -np.log(probs[truth]).mean() + 0.4 * (1 - numpy_dice(probs[:, 1:], truth[:, 1:]))
    assert name == "lovasz_softmax"
    errors = np.abs(truth - probs)
    present = [c for c in range(probs.shape[1]) if truth[:, c].any()]
    return float(np.mean([lovasz_by_sets(errors[:, c].ravel(), truth[:, c].ravel()) for c in present]))


def second_implementation(name: str, logits: np.ndarray, target: np.ndarray) -> float:
    if name in SOFTMAX_LOSSES:
        return exclusive_in_numpy(name, logits, one_hot_lowest(target))
    return independent_in_numpy(name, logits, target > 0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [1, 4])
def test_agrees_with_a_second_implementation(name: str, seed: int, classes: int) -> None:
    logits, target = random_case(name, seed, classes, torch.float64)
    if seed == 4:
        target[:, -1] = 0  # a class that the batch does not show
    loss = build_loss(LossSettings(name=name))(logits, target)["loss"]
    assert loss.item() == pytest.approx(second_implementation(name, logits.numpy(), target.numpy()), rel=1e-9)


# Where segmentation_models_pytorch means the same: its Lovasz joins classes, so one class; its IoU leaves absent
# classes out, so none is absent here.
SMP_LOSSES = {
    "focal": (3, smp.losses.FocalLoss("multilabel", gamma=2.0)),
    "iou": (3, smp.losses.JaccardLoss("multilabel", smooth=1.0)),
    "lovasz": (1, smp.losses.LovaszLoss("multilabel", per_image=True)),
    "lovasz_softmax": (3, smp.losses.LovaszLoss("multiclass", per_image=False)),
}


@pytest.mark.parametrize("name", SMP_LOSSES)
def test_loss_and_gradient_agree_with_smp(name: str) -> None:
    classes, theirs = SMP_LOSSES[name]
    logits, target = random_case(name, classes=classes)
    assert target.flatten(2).any(dim=2).any(dim=0).all()
    loss, gradient = loss_and_gradient(name, logits, target)
    labels = torch.from_numpy(one_hot_lowest(target.numpy()).argmax(axis=1))
    logits.requires_grad_()
    expected = theirs(logits, labels if name in SOFTMAX_LOSSES else target.float())
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_by_finite_differences(name: str) -> None:
    logits, target = random_case(name, dtype=torch.float64)
    loss = build_loss(LossSettings(name=name))
    assert torch.autograd.gradcheck(lambda z: loss(z, target)["loss"], logits.requires_grad_())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_focal_gamma_has_finite_gradients_where_the_truth_is_certain(gamma: float) -> None:
    logits = torch.tensor([60.0, -60.0, 0.3]).reshape(1, 1, 1, 3).requires_grad_()
    target = torch.tensor([1, 0, 1]).reshape(1, 1, 1, 3)
    loss = build_loss(LossSettings(name="focal", focal_gamma=gamma))(logits, target)["loss"]
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    p = 1 / (1 + math.exp(-0.3))
    assert loss.item() == pytest.approx((1 - p) ** gamma * -math.log(p) / 3, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_bf16_logits_lose_no_more_than_their_rounding(name: str) -> None:
    logits, target = random_case(name)
    rounded = logits.bfloat16()
    loss, gradient = loss_and_gradient(name, rounded, target)
    expected_loss, expected_gradient = loss_and_gradient(name, rounded.float(), target)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    assert loss == expected_loss
    torch.testing.assert_close(gradient.float(), expected_gradient, rtol=2**-8, atol=1e-8)
    full_loss, full_gradient = loss_and_gradient(name, logits, target)
    assert loss.item() == pytest.approx(full_loss.item(), rel=0.01)
    agreement = torch.cosine_similarity(gradient.float().flatten(), full_gradient.flatten(), dim=0)
    assert agreement > 0.99


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_around_it_changes_nothing(name: str) -> None:
    logits, target = random_case(name)
    expected = loss_and_gradient(name, logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss_and_gradient(name, logits, target), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("filling", ["empty", "full", "mixed"])
@pytest.mark.parametrize("extreme", [50.0, -50.0, 3e4])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype, filling: str, extreme: float) -> None:
    logits, target = random_case(name)
    logits = (logits.sign() * extreme).to(dtype)
    if filling != "mixed":
        target.fill_(filling == "full")
    loss, gradient = loss_and_gradient(name, logits, target)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("defect", [False, True])
def test_certain_and_right_costs_nothing_on_empty_and_full_masks(name: str, defect: bool) -> None:
    classes = 1 if name in SOFTMAX_LOSSES else 3
    right = torch.full((2, classes, 8, 8), 50.0 if defect else -50.0)
    logits = torch.cat([-right, right], dim=1) if name in SOFTMAX_LOSSES else right
    target = torch.full((2, classes, 8, 8), float(defect))
    loss = build_loss(LossSettings(name=name))
    assert loss(logits, target)["loss"].item() == pytest.approx(0, abs=1e-6)
    assert loss(-logits, target)["loss"].item() > 0.3


@pytest.mark.parametrize("name", SOFTMAX_LOSSES)
def test_where_exclusive_classes_overlap_the_lowest_number_wins(name: str) -> None:
    logits, target = random_case(name)
    overlapping = target.clone()
    overlapping[:, 2] |= target[:, 0]
    exclusive = target.clone()
    exclusive[:, 1:] &= 1 - target[:, :1]
    exclusive[:, 2] &= 1 - exclusive[:, 1]
    loss = build_loss(LossSettings(name=name))
    assert loss(logits, overlapping)["loss"] == loss(logits, exclusive)["loss"]


@pytest.mark.parametrize("name", LOSSES)
def test_masks_may_be_uint8_or_float(name: str) -> None:
    logits, target = random_case(name)
    loss = build_loss(LossSettings(name=name))
    assert loss(logits, target)["loss"] == loss(logits, target.float())["loss"]


@pytest.mark.parametrize(("name", "pixel_part"), [("bce_dice", "bce"), ("ce_dice", "ce")])
def test_weights_join_the_parts(name: str, pixel_part: str) -> None:
    logits, target = random_case(name)
    parts = build_loss(LossSettings(name=name, pixel_weight=2.0, dice_weight=0.5))(logits.requires_grad_(), target)
    assert set(parts) == {"loss", pixel_part, "dice"}
    torch.testing.assert_close(parts["loss"].detach(), 2 * parts[pixel_part] + 0.5 * parts["dice"])
    assert all(part.ndim == 0 and part.requires_grad == (key == "loss") for key, part in parts.items())


def test_outputs_and_probabilities_of_the_two_families() -> None:
    assert num_outputs("bce_dice", 4) == 4
    assert num_outputs("ce_dice", 4) == 5
    logits = torch.tensor([0.0, math.log(2), math.log(5)], dtype=torch.bfloat16).reshape(1, 3, 1, 1)
    sigmoid = probabilities(logits, "lovasz")
    exclusive = probabilities(logits, "lovasz_softmax")
    assert sigmoid.dtype == exclusive.dtype == torch.float32
    assert sigmoid.flatten().tolist() == pytest.approx([1 / 2, 2 / 3, 5 / 6], rel=0.01)
    assert exclusive.flatten().tolist() == pytest.approx([2 / 8, 5 / 8], rel=0.01)


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'tversky'.*bce_dice.*lovasz_softmax"):
        build_loss(LossSettings.model_construct(name="tversky"))
    with pytest.raises(InputError, match="lovasz_softmax"):
        num_outputs("tversky", 4)


# --- as in 2019


def dice_of_2019(probs: np.ndarray, target: np.ndarray) -> float:
    """The definition that the 2019 solution used: all classes and images pooled, 1e-7 below."""
    return float(2 * (probs * target).sum() / (probs.sum() + target.sum() + 1e-7))


@pytest.mark.parametrize("name", ["bce_dice", "ce_dice"])
def test_dice_over_all_classes_pools_their_pixels(name: str) -> None:
    logits, target = random_case(name, seed=3, dtype=torch.float64)
    target[:, 0] = 0  # a class without a pixel counts for nothing by itself
    settings = LossSettings(name=name, dice_over="all")  # type: ignore[arg-type]
    parts = build_loss(settings)(logits, target)
    probs = probabilities(logits, name).double().numpy()
    truth = target.numpy() if name == "bce_dice" else one_hot_lowest(target.numpy())[:, -target.shape[1] :]
    assert parts["dice"].item() == pytest.approx(1 - dice_of_2019(probs, truth), abs=1e-6)
    by_class = build_loss(LossSettings(name=name))(logits, target)  # type: ignore[arg-type]
    assert abs(parts["dice"].item() - by_class["dice"].item()) > 1e-3


def test_large_classes_weigh_the_most_in_one_dice_of_all() -> None:
    """Class 1 has 96 pixels, all found; class 2 has 4, all missed: (2 * 96) / (96 + 100), and (1 + 1 / 5) / 2."""
    target = torch.zeros(1, 2, 10, 10)
    target[0, 0].view(-1)[:96] = 1
    target[0, 1].view(-1)[96:] = 1
    logits = torch.where(target > 0, 40.0, -40.0)
    logits[0, 1] = -40
    dice = {
        over: 1 - build_loss(LossSettings(dice_over=over))(logits, target)["dice"].item()  # type: ignore[arg-type]
        for over in ("all", "class")
    }
    assert dice["all"] == pytest.approx(192 / 196, abs=1e-6)
    assert dice["class"] == pytest.approx((1 + 1 / 5) / 2, abs=1e-6)


def test_a_batch_without_a_defect_has_a_finite_pooled_dice() -> None:
    logits = torch.full((1, 2, 4, 4), -200.0, requires_grad=True)
    loss = build_loss(LossSettings(dice_over="all"))(logits, torch.zeros(1, 2, 4, 4))["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(0.4)  # a Dice of 0, as in 2019
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_smoothed_labels_worked_out_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 2)
    target = torch.tensor([1, 0], dtype=torch.uint8).reshape(1, 1, 1, 2)
    parts = build_loss(LossSettings(label_smoothing=0.1))(logits, target)
    # 0.9 and 0.1 in place of 1 and 0: ln 2 whichever; 0.1 * -ln(3/4) + 0.9 * -ln(1/4)
    by_hand = (math.log(2) - 0.1 * math.log(0.75) - 0.9 * math.log(0.25)) / 2
    assert parts["bce"].item() == pytest.approx(by_hand, abs=1e-6)
    assert parts["dice"].item() == pytest.approx(1 - 2 / 3.25, abs=1e-6)  # Dice knows the plain truth


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "focal", "dice_over": "all"}, "focal has no Dice; it is for bce_dice, ce_dice"),
        ({"name": "ce_dice", "label_smoothing": 0.1}, "ce_dice has no BCE; it is for bce_dice, bce"),
        ({"label_smoothing": 0.5}, "less than 0.5"),
    ],
)
def test_parts_that_a_loss_lacks_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LossSettings.model_validate(wrong)
