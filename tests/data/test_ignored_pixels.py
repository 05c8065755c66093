"""Pixels that nobody judged count nowhere: each place that counts is given one image with them and one without."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sever.config import AugmentSettings, DataSettings, LossSettings, RuleSettings
from sever.config.mask_values import IGNORED
from sever.data.dataset import StripDataset, collate, measure_pixels
from sever.data.layouts import read_table
from sever.data.mixing import join
from sever.data.reader import ImageReader
from sever.data.samplers import SampleKey
from sever.data.table import ImageTable
from sever.data.transforms import CROPS_BY, RECIPES, build_augmentation, crop
from sever.decide.evidence_curves import level_counts
from sever.decide.metrics import ScoreSheet, dice_pairs, pair_counts
from sever.decide.rules import resolve_rules
from sever.decide.tuning.table import table_row
from sever.models.label_losses import build_label_loss, label_targets
from sever.models.losses import LOSSES, build_loss, num_outputs


def save(path: Path, pixels: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.asarray(pixels, np.uint8))[1].tobytes())


def read(root: Path, **settings: object) -> ImageTable:
    return read_table(DataSettings.model_validate({"root": root, "ignore_value": 255, **settings}))[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """a: pit left, ignored right; b: clean without doubt."""
    save(tmp_path / "images" / "a.png", [[10, 20, 200, 200], [30, 40, 200, 200]])
    save(tmp_path / "images" / "b.png", [[50, 50, 60, 60], [50, 50, 60, 60]])
    save(tmp_path / "masks" / "a.png", [[1, 0, 255, 255], [1, 2, 255, 255]])
    save(tmp_path / "masks" / "b.png", np.zeros((2, 4)))
    (tmp_path / "classes.txt").write_text("pit\nscratch\n")
    return tmp_path


def test_the_table_has_them_as_neither_nor(root: Path) -> None:
    table = read(root)
    assert table.mask(0).tolist() == [[[1, 0, 255, 255], [1, 0, 255, 255]], [[0, 0, 255, 255], [0, 1, 255, 255]]]
    assert table.has_class().tolist() == [[True, True], [False, False]]
    assert table.ignored(1) is None
    assert table.mask(1).max() == 0
    assert "ignored" not in read(root, include=["b.png"]).frame
    # An image of which nothing was judged shows nothing, so samplers take it for clean and score it nowhere.
    save(root / "masks" / "b.png", np.full((2, 4), 255))
    assert read(root).has_class().tolist() == [[True, True], [False, False]]


def test_statistics_leave_them_out(root: Path) -> None:
    mean, std = measure_pixels(read(root, include=["a.png"]), ImageReader(1))
    levels = np.array([10, 20, 30, 40]) / 255  # and not 200
    assert mean == pytest.approx([levels.mean()])
    assert std == pytest.approx([levels.std()])
    both, _ = measure_pixels(read(root), ImageReader(3))
    assert both == pytest.approx([np.array([10, 20, 30, 40, *[50] * 4, *[60] * 4]).mean() / 255] * 3)


def test_joined_with_pseudo_labels(root: Path) -> None:
    table = read(root)
    other = ImageTable(read(root, include=["b.png"]).frame.assign(image_id="new.png"), table.class_names)
    joined = join(table, other)
    assert joined.mask(0).tolist() == table.mask(0).tolist()
    assert joined.ignored(2) is None


def test_dataset_and_padding_carry_them(root: Path) -> None:
    dataset = StripDataset(read(root), 1)
    _, masks = collate([dataset[SampleKey(0, 0)]], multiple=8)
    assert masks.shape == (1, 2, 8, 8)
    assert masks[0, :, :, 2:].unique().tolist() == [IGNORED]  # the padding repeats the edge, that of the masks too


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_makes_other_values_of_them(name: str) -> None:
    rng = np.random.default_rng(0)
    masks_chw = np.zeros((2, 32, 48), np.uint8)
    masks_chw[0, 4:20, 4:20] = 1
    masks_chw[:, :, 30:] = IGNORED
    image_hwc = rng.integers(0, 256, (32, 48, 1), dtype=np.uint8)
    image_hwc[:, 30:] = 0
    for seed in range(12):
        recipe = build_augmentation(AugmentSettings(recipe=name, crop=None))
        _, changed = recipe(image_hwc, masks_chw, np.random.default_rng(seed))
        assert set(np.unique(changed)) <= {0, 1, IGNORED}
        assert ((changed[0] == IGNORED) == (changed[1] == IGNORED)).all()
        assert (changed == IGNORED).any()


@pytest.mark.parametrize("crops_by", CROPS_BY)
def test_no_crop_is_placed_on_them(crops_by: str) -> None:
    masks_chw = np.zeros((1, 8, 400), np.uint8)
    masks_chw[:, :, 200:] = IGNORED
    masks_chw[0, 3, 5] = 1
    image_hwc = np.zeros((8, 400, 1), np.uint8)
    for seed in range(20):
        _, cut = crop(image_hwc, masks_chw, np.random.default_rng(seed), (8, 16), 1.0, crops_by)
        assert (cut == 1).any()
    masks_chw[0, 3, 5] = 0  # nothing but ignored pixels: anywhere is as good
    lefts = {
        int((crop(image_hwc, masks_chw, np.random.default_rng(s), (8, 16), 1.0, crops_by)[1] == 255).sum())
        for s in range(30)
    }
    assert {0, 8 * 16} <= lefts


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_judged_pixels_alone(name: str) -> None:
    """Second computation: the same batch with the ignored columns cut off."""
    generator = torch.Generator().manual_seed(1)
    outputs = num_outputs(name, 2)
    logits = torch.randn(3, outputs, 6, 10, generator=generator, dtype=torch.float64)
    masks = (torch.rand(3, 2, 6, 10, generator=generator) < 0.2).to(torch.uint8)
    masks[:, :, :, 7:] = IGNORED
    loss = build_loss(LossSettings(name=name))
    whole = logits.clone().requires_grad_()
    part = logits[..., :7].clone().requires_grad_()
    got, expected = loss(whole, masks)["loss"], loss(part, masks[..., :7])["loss"]
    torch.testing.assert_close(got, expected)
    got.backward()
    expected.backward()
    assert whole.grad is not None
    assert part.grad is not None
    torch.testing.assert_close(whole.grad[..., :7], part.grad)
    assert whole.grad[..., 7:].abs().max() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_nobody_judged_teaches_nothing(name: str) -> None:
    logits = torch.randn(1, num_outputs(name, 2), 4, 4, requires_grad=True)
    loss = build_loss(LossSettings(name=name))(logits, torch.full((1, 2, 4, 4), IGNORED, dtype=torch.uint8))["loss"]
    assert torch.isfinite(loss)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_labels_of_images_do_not_count_them() -> None:
    masks = torch.zeros(1, 2, 4, 4, dtype=torch.uint8)
    masks[:, :, 2:] = IGNORED
    masks[0, 0, 0, 0] = 1
    labels, counts = label_targets(masks, 1)
    assert labels.tolist() == [[True, False]]
    assert counts.tolist() == [[True, True]]
    assert label_targets(masks, 2)[1].tolist() == [[False, True]]  # one pixel, not nine
    assert build_label_loss(LossSettings(name="bce"), "bce")(torch.zeros(1, 2), masks) > 0


PREDICTED = np.array([[[1, 0, 1, 1], [0, 0, 1, 0]]], np.uint8)
TRUE = np.array([[[1, 1, 255, 255], [0, 0, 255, 255]]], np.uint8)


def test_scores_leave_them_out() -> None:
    counts = pair_counts(PREDICTED, TRUE)
    assert counts.predicted.tolist() == [1, 3]
    assert counts.true.tolist() == [2, 2]  # and not 6
    assert counts.intersection.tolist() == [1, 2]
    assert dice_pairs(counts).tolist() == pytest.approx([2 / 3])
    clean = pair_counts(PREDICTED, np.full_like(TRUE, 255) * (PREDICTED == 1))
    assert dice_pairs(clean).tolist() == [1.0]  # a find where nobody looked is no false alarm
    sheet = ScoreSheet(1)
    sheet.add("a", counts)
    assert sheet.iou().tolist() == pytest.approx([1 / 2, 2 / 3])


def test_an_image_that_nobody_judged_is_no_find_and_no_miss() -> None:
    counts = pair_counts(PREDICTED, np.full_like(TRUE, 255))
    assert (counts.predicted.sum(), counts.true.sum()) == (0, 0)


def test_report_and_tuning_count_the_judged_levels() -> None:
    levels_chw = np.array([[[200, 10, 250, 250], [10, 10, 250, 10]]], np.uint8)
    inside = level_counts(levels_chw[0], TRUE[0])
    assert inside.sum(axis=1).tolist() == [4, 2]
    assert inside[:, 200].tolist() == [1, 1]
    for overlap in ("allow", "larger_component"):  # by counting levels, and by drawing masks
        rules = resolve_rules(RuleSettings(min_pixels=0, overlap=overlap), 1)
        row = table_row(levels_chw, TRUE, rules, [0.5, 0.9])
        assert row.true_c.tolist() == [2]
        assert row.predicted_tc.tolist() == [[1], [0]]
        assert row.common_tc.tolist() == [[1], [0]]
