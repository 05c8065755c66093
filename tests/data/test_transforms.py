"""Augmentation: masks stay exact, chance comes from the generator alone, and each step does what its name says."""

import pickle
import random
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import AugmentSettings
from sever.data import transforms
from sever.data.dataset import collate
from sever.data.transforms import RECIPES, Sample, build_augmentation, crop
from sever.errors import InputError


def blobs(seed: int, height: int = 96, width: int = 160, classes: int = 1) -> np.ndarray:
    """(C, H, W) uint8: one or two ellipses a class, not touching the border."""
    rng = np.random.default_rng(seed)
    masks_chw = np.zeros((classes, height, width), np.uint8)
    for mask_hw in masks_chw:
        for _ in range(rng.integers(1, 3)):
            centre = rng.integers(30, width - 30), rng.integers(30, height - 30)
            axes = rng.integers(8, 20), rng.integers(8, 20)
            cv2.ellipse(mask_hw, [int(v) for v in centre], [int(v) for v in axes], 20, 0, 360, 1, -1)
    return masks_chw


def textured(seed: int, height: int = 96, width: int = 160, channels: int = 1) -> np.ndarray:
    image_hwc = np.random.default_rng(seed).integers(60, 140, (height, width, channels), dtype=np.uint8)
    return cv2.GaussianBlur(image_hwc, (5, 5), 0).reshape(image_hwc.shape)


def is_whole(sample: Sample, height: int, width: int, channels: int, classes: int) -> bool:
    """Contiguous uint8 of the right shapes, masks of 0 and 1."""
    image_hwc, masks_chw = sample
    shapes_fit = image_hwc.shape == (height, width, channels) and masks_chw.shape == (classes, height, width)
    types_fit = image_hwc.dtype == masks_chw.dtype == np.uint8 and masks_chw.max(initial=0) <= 1
    return shapes_fit and types_fit and image_hwc.flags.c_contiguous and masks_chw.flags.c_contiguous


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(list(RECIPES)),
    st.sampled_from([1, 3]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.none() | st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 2**32),
)
def test_every_recipe_takes_every_size(
    recipe: str, channels: int, height: int, width: int, size: tuple[int, int] | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image_hwc = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    masks_chw = rng.integers(0, 2, (3, height, width), dtype=np.uint8)
    image_before, masks_before = image_hwc.copy(), masks_chw.copy()
    sample = build_augmentation(AugmentSettings(recipe=recipe, crop=size))(image_hwc, masks_chw, rng)
    cropped = (min(size[0], height), min(size[1], width)) if size else (height, width)
    assert is_whole(sample, *cropped, channels, 3)
    assert (image_hwc == image_before).all()
    assert (masks_chw == masks_before).all()


def test_nothing_is_changed_by_the_recipe_none_without_a_crop() -> None:
    image_hwc, masks_chw = textured(0), blobs(0)
    augment = build_augmentation(AugmentSettings(recipe="none", crop=None))
    changed_image, changed_masks = augment(image_hwc, masks_chw, np.random.default_rng(0))
    assert (changed_image == image_hwc).all()
    assert (changed_masks == masks_chw).all()


# --- chance


@pytest.mark.parametrize("recipe", RECIPES)
def test_chance_comes_from_the_generator_alone_and_leaks_nowhere(recipe: str) -> None:
    augment = build_augmentation(AugmentSettings(recipe=recipe, crop=(64, 96)))
    augment = pickle.loads(pickle.dumps(augment))  # as sent to a worker
    image_hwc, masks_chw = textured(1, channels=3), blobs(1, classes=2)
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        random.seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002 -- the global state is what must not matter
        before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
        results.append([augment(image_hwc, masks_chw, np.random.default_rng(seed)) for seed in range(12)])
        after = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        assert before[1:] == after[1:]
    for (image_a, masks_a), (image_b, masks_b) in zip(*results, strict=True):
        assert (image_a == image_b).all()
        assert (masks_a == masks_b).all()
    assert len({image.tobytes() for image, _ in results[0]}) > 6  # and seeds do matter


# --- masks follow their image


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_and_flips_carry_a_mask_hidden_in_the_image_exactly(seed: int, channels: int) -> None:
    masks_chw = blobs(seed)
    image_hwc = np.repeat(masks_chw[0, ..., None] * np.uint8(200), channels, axis=2)
    rng = np.random.default_rng(seed)
    image_hwc, masks_chw = crop(image_hwc, masks_chw, rng, (64, 80), mask_aware_share=1.0)
    image_hwc, masks_chw = transforms.flip(image_hwc, np.ascontiguousarray(masks_chw), rng)
    assert masks_chw.any()
    assert (image_hwc == masks_chw[0, ..., None] * 200).all()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("seed", range(12))
def test_whole_recipes_keep_a_mask_hidden_in_the_image(recipe: str, seed: int) -> None:
    """Blur and bilinear rotation soften the image's edge, so one pixel on either side of it may disagree."""
    masks_chw = blobs(seed)
    augment = build_augmentation(AugmentSettings(recipe=recipe, crop=(80, 128), mask_aware_share=1.0))
    image_hwc, masks_chw = augment(masks_chw[0, ..., None] * np.uint8(200), masks_chw, np.random.default_rng(seed))
    inside = cv2.erode(masks_chw[0], np.ones((3, 3), np.uint8)) > 0
    outside = cv2.dilate(masks_chw[0], np.ones((3, 3), np.uint8)) == 0
    middle = (np.median(image_hwc[inside]) + np.median(image_hwc[outside])) / 2
    assert inside.any()
    assert (image_hwc[inside] > middle).all()
    assert (image_hwc[outside] < middle).all()


def test_tilt_turns_half_of_the_images_and_brings_in_black_without_a_defect() -> None:
    image_hwc, masks_chw = textured(2, 60, 90), np.ones((2, 60, 90), np.uint8)
    tilted = [transforms.tilt(image_hwc, masks_chw, np.random.default_rng(seed)) for seed in range(60)]
    assert 15 <= sum((image != image_hwc).any() for image, _ in tilted) <= 45
    black = [image[..., 0] == 0 for image, _ in tilted]
    assert sum(pixels.any() for pixels in black) > 5
    for (_, masks), pixels in zip(tilted, black, strict=True):
        assert (masks[0] == masks[1]).all()
        assert not masks[:, pixels].any()


def test_tilt_enlarges_a_disc_by_its_scale_and_keeps_its_place() -> None:
    disc = cv2.circle(np.zeros((81, 81), np.uint8), (40, 40), 20, 1, -1)
    growth = []
    for seed in range(60):
        _, masks = transforms.tilt(disc[..., None] * 200, disc[None], np.random.default_rng(seed))
        growth.append(np.sqrt(masks.sum() / disc.sum()))
        assert np.argwhere(masks[0]).mean(axis=0) == pytest.approx([40, 40], abs=0.3)
    assert min(growth) > 0.98
    assert 1.15 < max(growth) < 1.27


def test_flips_show_all_four_ways_equally() -> None:
    image_hwc = np.array([[1, 2], [3, 4]], np.uint8)[..., None]
    ways = Counter(
        tuple(transforms.flip(image_hwc, image_hwc[None, ..., 0], np.random.default_rng(seed))[0].ravel())
        for seed in range(400)
    )
    assert set(ways) == {(1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 1)}
    assert min(ways.values()) > 70


# --- crops


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 50))
def test_a_mask_aware_crop_holds_a_defect_wherever_it_lies(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    masks_chw = np.zeros((3, 24, 40), np.uint8)
    masks_chw[rng.integers(3), rng.integers(24), rng.integers(40)] = 1
    image_hwc = np.zeros((24, 40, 1), np.uint8)
    _, cut = crop(image_hwc, masks_chw, rng, (height, width), mask_aware_share=1.0)
    assert cut.sum() == 1


def lefts(mask_row: list[int], side: int, share: float) -> Counter[int]:
    """How often each column (its number is its pixel value) begins a crop, in 300."""
    image_hwc = np.arange(len(mask_row), dtype=np.uint8).reshape(1, -1, 1)
    masks_chw = np.array(mask_row, np.uint8).reshape(1, 1, -1)
    cuts = (crop(image_hwc, masks_chw, np.random.default_rng(seed), (1, side), share) for seed in range(300))
    return Counter(int(image[0, 0, 0]) for image, _ in cuts)


def test_crops_begin_everywhere_they_may() -> None:
    # a row a case: six columns, crops of three
    assert set(lefts([0, 0, 1, 0, 0, 0], 3, 1.0)) == {0, 1, 2}
    assert set(lefts([1, 0, 0, 0, 0, 0], 3, 1.0)) == {0}
    assert set(lefts([0, 0, 0, 0, 0, 1], 3, 1.0)) == {3}
    assert set(lefts([0, 0, 0, 0, 0, 0], 3, 1.0)) == {0, 1, 2, 3}  # no defect: anywhere
    assert set(lefts([0, 0, 0, 0, 0, 1], 3, 0.0)) == {0, 1, 2, 3}
    assert min(lefts([0, 0, 0, 0, 0, 0], 3, 0.0).values()) > 45  # of 75 expected


def test_mask_aware_share_is_the_share_of_crops_put_on_a_defect() -> None:
    found = lefts([1] + [0] * 199, 1, 0.25)
    assert 50 <= found[0] <= 105  # of 75 expected, and one or two by chance


def test_a_small_class_is_cropped_as_often_as_a_large_one() -> None:
    masks_chw = np.zeros((3, 50, 50), np.uint8)
    masks_chw[0, :40] = 1
    masks_chw[2, 49, 49] = 1
    image_hwc = np.zeros((50, 50, 1), np.uint8)
    hits = [crop(image_hwc, masks_chw, np.random.default_rng(seed), (4, 4), 1.0)[1][2].any() for seed in range(200)]
    assert 70 <= sum(hits) <= 130


def test_a_side_smaller_than_its_crop_stays_whole() -> None:
    image_hwc = np.arange(2 * 9, dtype=np.uint8).reshape(2, 9, 1)
    masks_chw = (image_hwc[None, ..., 0] % 2).astype(np.uint8)
    for seed in range(20):
        image, masks = crop(image_hwc, masks_chw, np.random.default_rng(seed), (3, 4), 1.0)
        assert image.shape == (2, 4, 1)
        left = int(image[0, 0, 0])
        assert (image == image_hwc[:, left : left + 4]).all()
        assert (masks == masks_chw[:, :, left : left + 4]).all()


@pytest.mark.parametrize("crops_by", ["class", "pixel"])
def test_in_the_padding_of_small_images_defects_go_on(crops_by: str) -> None:
    """Masks of 0 there would say that a defect ends at the edge, though its texture goes on."""
    image_hwc, masks_chw = np.full((40, 50, 1), 7, np.uint8), np.ones((1, 40, 50), np.uint8)
    cut = crop(image_hwc, masks_chw, np.random.default_rng(0), (256, 416), 1.0, crops_by)
    image, masks = (torch.from_numpy(part) for part in (cut[0].transpose(2, 0, 1), cut[1]))
    pixels, padded = collate([(image, masks)], multiple=32)
    assert padded.shape == (1, 1, 64, 64)  # and no more of it than the network needs
    assert padded.all()
    assert (pixels == 7).all()


# --- what happens to the pixels


@pytest.mark.parametrize("recipe", RECIPES)
def test_grey_stored_in_three_channels_stays_grey(recipe: str) -> None:
    augment = build_augmentation(AugmentSettings(recipe=recipe, crop=(64, 96)))
    image_hwc, masks_chw = np.repeat(textured(3), 3, axis=2), blobs(3)
    for seed in range(30):
        image, _ = augment(image_hwc, masks_chw, np.random.default_rng(seed))
        assert (image == image[..., :1]).all()


def test_one_and_three_channels_are_enhanced_alike() -> None:
    grey, masks_chw = textured(4), blobs(4)
    for seed in range(30):
        one, _ = transforms.enhance(grey, masks_chw, np.random.default_rng(seed))
        three, _ = transforms.enhance(np.repeat(grey, 3, axis=2), masks_chw, np.random.default_rng(seed))
        assert (three == one).all()


def test_half_of_the_images_are_enhanced_each_way_as_often() -> None:
    """Told apart on a dot: blur spreads it, sharpening darkens what is around it, CLAHE does neither."""
    image_hwc = np.full((16, 16, 1), 100, np.uint8)
    image_hwc[8, 8] = 116
    ways: Counter[str] = Counter()
    for seed in range(600):
        image, _ = transforms.enhance(image_hwc, image_hwc[None, ..., 0], np.random.default_rng(seed))
        beside, dot = int(image[8, 7, 0]), int(image[8, 8, 0])
        if (image == image_hwc).all():
            ways["as it was"] += 1
        elif (dot, beside, int(image[7, 7, 0])) == (104, 102, 101):  # [1, 2, 1] / 4 each way
            ways["blur"] += 1
        elif beside in (95, 96, 97) and 116 + 25 <= dot <= 116 + 39:  # 16 * 0.2..0.3 down, 8 * 16 * 0.2..0.3 up
            ways["sharpen"] += 1
        else:
            ways["clahe"] += 1
    assert 250 <= ways["as it was"] <= 350
    assert all(70 <= ways[name] <= 130 for name in ("blur", "sharpen", "clahe"))


DRAWS = 4000


def drawn_enhancements(settings: AugmentSettings, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Which enhancement each of 4,000 images got, told by what was called."""
    counts: Counter[str] = Counter()
    for name in transforms.ENHANCEMENTS:
        patch.setitem(transforms.ENHANCEMENTS, name, lambda image, rng, name=name: [counts.update([name]), image][1])
    augment, image_hwc = build_augmentation(settings), np.zeros((2, 2, 1), np.uint8)
    for seed in range(DRAWS):
        augment(image_hwc, image_hwc[None, ..., 0], np.random.default_rng(seed))
    assert counts.total() == DRAWS
    return counts


def drawn_flips(settings: AugmentSettings) -> Counter[str]:
    ways = {(1, 2, 3, 4): "none", (2, 1, 4, 3): "width", (3, 4, 1, 2): "height", (4, 3, 2, 1): "both"}
    image_hwc, counts = np.array([[1, 2], [3, 4]], np.uint8)[..., None], Counter[str]()
    augment = build_augmentation(settings)
    for step in augment.steps:
        if getattr(step, "func", step) is transforms.flip:
            for seed in range(DRAWS):
                flipped, _ = step(image_hwc, image_hwc[None, ..., 0], np.random.default_rng(seed))
                counts[ways[tuple(flipped.ravel().tolist())]] += 1
    return counts


def assert_shares(counts: Counter[str], shares: dict[str, float]) -> None:
    """Within four standard errors of what is expected, and nothing else."""
    assert set(counts) == {name for name, share in shares.items() if share > 0}
    for name, share in shares.items():
        assert counts[name] / DRAWS == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / DRAWS)), name


# The report's OneOf([CLAHE(p=0.5), GaussianBlur(p=0.3), IAASharpen(p=0.3)], p=1): one always, by these weights.
ENHANCED_IN_2019 = {"clahe": 0.5 / 1.1, "blur": 0.3 / 1.1, "sharpen": 0.3 / 1.1}
OURS = {"none": 1 / 2, "clahe": 1 / 6, "blur": 1 / 6, "sharpen": 1 / 6}
# Flip(p=0.5): half of the images stay, the others are flipped in one of three ways.
FLIPPED_IN_2019 = {"none": 1 / 2, "width": 1 / 6, "height": 1 / 6, "both": 1 / 6}
EVEN = dict.fromkeys(FLIPPED_IN_2019, 0.25)


@pytest.mark.parametrize(
    ("settings", "enhanced", "flipped"),
    [
        ({"recipe": "severstal-2019"}, ENHANCED_IN_2019, FLIPPED_IN_2019),
        ({"recipe": "strip"}, OURS, EVEN),
        ({}, OURS, EVEN),
        (
            {"recipe": "strip", "enhance": {"none": 1, "blur": 3}, "flips": {"height": 2}},
            {"none": 0.25, "blur": 0.75},
            {"height": 1},
        ),
        (
            {"recipe": "severstal-2019", "enhance": {"none": 2}, "flips": {"width": 1, "both": 1}},
            {"none": 1},
            {"width": 0.5, "both": 0.5},
        ),
        ({"recipe": "light", "flips": {"none": 9, "width": 1}}, {}, {"none": 0.9, "width": 0.1}),
    ],
)
def test_draws_are_those_of_the_recipe_or_of_the_settings(
    settings: dict[str, object],
    enhanced: dict[str, float],
    flipped: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_settings = AugmentSettings.model_validate({"crop": None} | settings)
    assert_shares(drawn_flips(given_settings), flipped)
    if enhanced:
        assert_shares(drawn_enhancements(given_settings, monkeypatch), enhanced)


def crop_hits(recipe: str, **settings: object) -> Counter[str]:
    """Which class the pixel of a mask-aware crop of one pixel shows: class 1 has 90 pixels, class 3 has 10."""
    masks_chw = np.zeros((3, 20, 20), np.uint8)
    masks_chw[0, :9, :10] = 1
    masks_chw[2, 12, :10] = 1
    augment = build_augmentation(
        AugmentSettings.model_validate({"recipe": recipe, "crop": [1, 1], "mask_aware_share": 1.0} | settings)
    )
    image_hwc, counts = np.zeros((20, 20, 1), np.uint8), Counter[str]()
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        _, cut = crop(image_hwc, masks_chw, rng, (1, 1), augment.mask_aware_share, augment.crops_by)
        counts["".join(str(number + 1) for number in np.flatnonzero(cut))] += 1
    return counts


def test_mask_aware_crops_draw_any_pixel_or_a_class_first() -> None:
    assert_shares(crop_hits("severstal-2019"), {"1": 0.9, "3": 0.1})
    assert_shares(crop_hits("strip"), {"1": 0.5, "3": 0.5})
    assert_shares(crop_hits("severstal-2019", mask_aware="class"), {"1": 0.5, "3": 0.5})
    assert_shares(crop_hits("heavy", mask_aware="pixel"), {"1": 0.9, "3": 0.1})


def test_a_pixel_that_two_classes_claim_counts_once_and_crops_are_pushed_back_to_the_border() -> None:
    # Six columns, crops of three: the start is drawn 0 to 2 before the pixel, then clipped to 0..3 (2019).
    rows = {
        (1, 0, 0, 0, 0, 0): {0: 1.0},
        (0, 1, 0, 0, 0, 0): {0: 2 / 3, 1: 1 / 3},
        (0, 0, 0, 0, 1, 0): {2: 1 / 3, 3: 2 / 3},
        (1, 0, 0, 0, 0, 1): {0: 0.5, 3: 0.5},
    }
    image_hwc = np.arange(6, dtype=np.uint8).reshape(1, 6, 1)
    for row, expected in rows.items():
        # The first defect pixel in all three classes, the others in one.
        masks_chw = np.stack([np.array([row])] * 3).astype(np.uint8)
        masks_chw[1:, :, int(np.flatnonzero(row)[0]) + 1 :] = 0
        starts = Counter(
            str(crop(image_hwc, masks_chw, np.random.default_rng(seed), (1, 3), 1.0, "pixel")[0][0, 0, 0])
            for seed in range(DRAWS)
        )
        assert_shares(starts, {str(start): share for start, share in expected.items()})


@pytest.mark.parametrize("by", ["class", "pixel"])
def test_what_nobody_judged_draws_no_crop(by: str) -> None:
    masks_chw = np.full((2, 4, 40), 255, np.uint8)
    masks_chw[:, :, :20] = 0
    masks_chw[1, 2, 7] = 1
    for seed in range(50):
        cut = crop(masks_chw[0][..., None], masks_chw, np.random.default_rng(seed), (1, 1), 1.0, by)[1]
        assert cut.ravel().tolist() == [0, 1]


def test_without_a_defect_a_crop_by_pixel_lies_anywhere() -> None:
    image_hwc, empty = np.arange(6, dtype=np.uint8).reshape(1, 6, 1), np.zeros((2, 1, 6), np.uint8)
    starts = Counter(
        str(crop(image_hwc, empty, np.random.default_rng(seed), (1, 3), 1.0, "pixel")[0][0, 0, 0])
        for seed in range(DRAWS)
    )
    assert_shares(starts, dict.fromkeys("0123", 0.25))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"recipe": "light", "enhance": {"blur": 1}}, "augment.enhance is set, but the recipe light draws none"),
        ({"recipe": "none", "flips": {"width": 1}}, "augment.flips is set, but the recipe none draws none"),
        ({"flips": {"width": 0}}, "all weights are 0; give one of none, width, height, both"),
        ({"flips": {"across": 1}}, "across"),
        ({"enhance": {"blur": -1}}, "greater than or equal to 0"),
        ({"mask_aware": "pixel", "crop": None}, "no crop is placed on a defect"),
        ({"mask_aware": "pixel", "mask_aware_share": 0}, "no crop is placed on a defect"),
    ],
)
def test_draws_that_mean_nothing_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AugmentSettings.model_validate(wrong)


def test_clahe_raises_local_contrast_and_keeps_differences_of_colour() -> None:
    # A dim half beside a bright half, each with a faint texture; red 10 levels above blue.
    image_hwc = textured(5, 64, 64, channels=1) // 4 + np.where(np.arange(64) < 32, 60, 160)[None, :, None]
    image_hwc = (image_hwc + np.array([5, 0, -5])).astype(np.uint8)
    changed = transforms._clahe(image_hwc, np.random.default_rng(0))
    for half in (np.s_[:, 4:28], np.s_[:, 36:60]):
        assert changed[half].std() > 1.2 * image_hwc[half].std()
    unclipped = (changed > 0).all(axis=2) & (changed < 255).all(axis=2)
    assert (changed[unclipped][:, 0].astype(int) - changed[unclipped][:, 2] == 10).all()


def test_light_and_strong_changes_of_light_stay_in_their_range() -> None:
    flat, masks_chw = np.full((8, 8, 1), 100, np.uint8), np.zeros((1, 8, 8), np.uint8)

    def levels(step: transforms.Augmentation) -> list[int]:
        return [int(step(flat, masks_chw, np.random.default_rng(seed))[0].mean()) for seed in range(200)]

    light, strong = levels(transforms.relight_slightly), levels(transforms.relight_strongly)
    # contrast moves about the mean, so a flat image shows brightness and gamma only
    assert min(light) in range(89, 93)
    assert max(light) in range(107, 111)
    assert min(strong) < 75
    assert max(strong) > 125
    assert min(strong) >= 0.75 * 255 * (100 / 255) ** 1.4 - 1
    assert max(strong) <= 1.25 * 255 * (100 / 255) ** (1 / 1.4) + 1


def test_noise_keeps_the_mean_and_stays_small() -> None:
    flat, masks_chw = np.full((64, 64, 3), 128, np.uint8), np.zeros((1, 64, 64), np.uint8)
    noisy = [transforms.add_noise(flat, masks_chw, np.random.default_rng(seed))[0] for seed in range(60)]
    spreads = [image.std() for image in noisy]
    assert 15 <= sum(spread == 0 for spread in spreads) <= 45
    assert 5 < max(spreads) < 8.5
    assert all(abs(image.mean() - 128) < 1 for image in noisy)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'medium'.*none, light, strip, severstal-2019, heavy"):
        build_augmentation(AugmentSettings.model_construct(recipe="medium"))
