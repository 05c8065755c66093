"""A Model: blending, 8-bit levels, members, lighter ones; stored maps answer exactly as live ones; what is found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_maker import always, constant, make_model, make_network
from run_maker import make_run

from sever.data import rle
from sever.data.formats.counts import counts_of_letters, mask_of_counts
from sever.data.formats.geometry import fill_polygon
from sever.decide.ensemble import Blend
from sever.decide.postprocess import quantise
from sever.errors import InputError
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import Ensemble

IMAGES = [np.zeros((2, 3, 1), np.uint8), np.zeros((4, 2, 1), np.uint8)]


def test_mean_of_networks_on_levels() -> None:
    networks = [make_network(constant(*values)) for values in ((0.2, 0.9), (0.4, 0.1), (0.9, 0.2))]
    first, second = (each.probabilities for each in make_model(networks, 2).inspect(IMAGES))
    assert first.shape == (2, 2, 3)
    assert second.shape == (2, 4, 2)
    # Means 0.5 and 0.4: levels ceil(127.5 - 0.5) = 127 and 102.
    assert first[:, 0, 0] == pytest.approx([127 / 255, 102 / 255], abs=1e-7)
    assert first.dtype == np.float32


def test_inspect_gives_masks_of_its_own_probabilities() -> None:
    model = make_model([make_network(constant(0.7, 0.8, 0.3))], 3, min_pixels=(0, 7, 0))
    small, large = model.inspect(IMAGES)
    # The second class wins everywhere, but 6 pixels are fewer than the 7 it needs.
    assert small.masks.sum() == 0
    assert large.areas.tolist() == [0, 8, 0]
    np.testing.assert_array_equal(model.masks(large.probabilities), large.masks)


def test_a_notebook_shows_what_a_model_is_and_what_it_found() -> None:
    model = make_model([make_network(constant(0.7, 0.8)), make_network(labels=always(0.25))], 2)
    assert repr(model).endswith(f", classes={list(model.classes)!r}, members=2)")
    one = model.classes[1]
    assert repr(model.inspect([IMAGES[1]])) == f"[Inspection('', size=(4, 2), areas={{{one!r}: 8}})]"
    classifier = make_model([make_network(labels=always(0.25))], 1)
    assert (
        repr(classifier.inspect(IMAGES[0]))
        == f"Inspection('', label_probabilities={{{classifier.classes[0]!r}: 0.25}})"
    )


def test_labels_are_averaged_over_the_networks_that_have_any() -> None:
    segmenter, classifier = make_network(constant(0.75)), make_network(labels=always(0.25))
    both = make_network(constant(0.75), always(0.5))
    alone = make_model([segmenter], 1).inspect(IMAGES[0])
    assert alone.label_probabilities is None
    gated = make_model([segmenter, classifier, both], 1).inspect(IMAGES[0])
    assert gated.label_probabilities == pytest.approx([0.375])  # (0.25 + 0.5) / 2
    np.testing.assert_array_equal(gated.probabilities, alone.probabilities)


def test_members_answer_for_themselves_where_asked() -> None:
    networks = [make_network(constant(0.2)), make_network(labels=always(0.5)), make_network(constant(0.6))]
    model = make_model(networks, 1)
    assert model.inspect(IMAGES[0]).members == ()
    one, two, three = model.inspect(IMAGES, members=True)[1].members
    assert one.probs_chw is not None
    assert one.probs_chw.max() == np.float32(0.2)
    assert two.probs_chw is None
    assert two.label_probs_c == pytest.approx([0.5])
    assert three.probs_chw is not None
    assert three.probs_chw.shape == (1, 4, 2)


def test_a_classifier_says_no_masks_in_one_sentence() -> None:
    found = make_model([make_network(labels=always(0.5, 0.1))], 2).inspect(IMAGES[0])
    assert found.label_probabilities == pytest.approx([0.5, 0.1])
    with pytest.raises(InputError, match="an image classifier draws no masks"):
        _ = found.masks
    assert found._repr_png_() is None


def test_no_images_no_answers() -> None:
    assert make_model([make_network(constant(0.5))], 1).inspect([]) == []


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.sampled_from(["highest_probability", "allow"]),
)
def test_stored_and_live_maps_give_the_same_masks(probs_chw: np.ndarray, threshold: float, overlap: str) -> None:
    network = make_network(lambda pixels: np.stack([probs_chw] * len(pixels)))
    model = make_model([network], 3, pixel_threshold=threshold, overlap=overlap, min_pixels=(1, 2, 3))
    live = model.inspect(np.zeros((4, 5, 1), np.uint8))
    assert live.levels is not None
    np.testing.assert_array_equal(quantise(live.probabilities), live.levels)
    np.testing.assert_array_equal(model.masks(live.levels), live.masks)
    np.testing.assert_array_equal(model.masks(probs_chw), live.masks)


# --- lighter models ---------------------------------------------------------------------------------------------------


def column(pixels: np.ndarray) -> np.ndarray:
    """1 in the first column, whatever is seen."""
    probs = np.zeros((len(pixels), 1, *pixels.shape[1:3]), np.float32)
    probs[..., 0] = 1
    return probs


def nested() -> Model:
    folds = Ensemble(
        (make_network(constant(0.1), path="a"), make_network(constant(0.3), path="b")), Blend(), Path("ab")
    )
    return make_model([folds, make_network(column, path="c", flips=("width",))], 1, Blend("mean", (1.0, 3.0)))


def map_of(model: Model) -> list[float]:
    return model.network.predict([np.zeros((1, 3, 1), np.uint8)])[0].probs_chw[0, 0].tolist()  # type: ignore[index]


def test_lighter_leaves_out_flips_and_members_and_their_weights() -> None:
    whole = nested()
    assert map_of(whole) == pytest.approx([0.05 + 0.375, 0.05, 0.05 + 0.375])  # 0.25 * 0.2 + 0.75 * half a column
    assert map_of(whole.lighter(flips=["width"])) == pytest.approx([0.05 + 0.75, 0.05, 0.05])
    assert map_of(whole.lighter(members=["a"])) == pytest.approx([0.075 + 0.375, 0.075, 0.075 + 0.375])
    assert map_of(whole.lighter(members=["c"])) == pytest.approx([0.2, 0.2, 0.2])
    assert map_of(whole.lighter(members=["ab"], flips=["width"])) == pytest.approx([1, 0, 0])


def test_a_lighter_model_is_another_one_and_one_without_change_is_the_same() -> None:
    whole = nested()
    identities = [each.identity for each in (whole, whole.lighter(flips=["width"]), whole.lighter(members=["a"]))]
    assert len(set(identities)) == 3
    assert whole.lighter(flips=["height"]).identity == whole.identity


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"flips": ["sideways"]}, "unknown flip 'sideways'"),
        ({"members": ["d"]}, "no member d; it has all, ab, a, b, c"),
        ({"members": ["ab", "c"]}, "nothing would be left"),
    ],
)
def test_lighter_says_what_is_wrong(wrong: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        nested().lighter(**wrong)  # type: ignore[arg-type]


# --- images as arrays -------------------------------------------------------------------------------------------------


def test_arrays_of_any_usual_form_are_one_image() -> None:
    model = make_model([make_network(lambda pixels: np.moveaxis(pixels, 3, 1))], 1)
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    forms = [grey, grey[..., None], np.stack([grey] * 3, axis=2), grey.astype(np.uint16) * 256]
    for found in model.inspect(forms):
        np.testing.assert_array_equal(found.levels, grey[None])


@pytest.mark.parametrize(
    "image",
    [np.zeros((2, 3), np.float32), np.zeros((2, 3, 2), np.uint8), np.zeros(3, np.uint8), np.zeros((0, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="an image is an array"):
        make_model([make_network(constant(0.5))], 1).inspect(image)


# --- what is found ----------------------------------------------------------------------------------------------------


def found_in(image_hw: np.ndarray):  # type: ignore[no-untyped-def]
    """A class that is what is bright, and one that never is there."""
    network = make_network(lambda pixels: np.concatenate([np.moveaxis(pixels, 3, 1), 0 * np.moveaxis(pixels, 3, 1)], 1))
    return make_model([network], 2, min_pixels=0).inspect(image_hw)


def test_components_by_hand() -> None:
    image_hw = np.zeros((5, 8), np.uint8)
    image_hw[1:3, 1:3] = 255
    image_hw[3, 3] = 204  # touches by a corner
    image_hw[0, 7] = 153
    found = found_in(image_hw)
    large, small = found.components
    assert (large.class_name, large.box, large.area) == ("1", (1, 1, 4, 4), 5)
    assert large.confidence == pytest.approx((4 + 0.8) / 5)
    assert (small.box, small.area, small.confidence) == ((7, 0, 8, 1), 1, pytest.approx(0.6))
    assert found.boxes.tolist() == [[1, 1, 4, 4], [7, 0, 8, 1]]
    assert found.areas.tolist() == [6, 0]
    assert found.run_lengths == [rle.encode(image_hw > 0), ""]
    assert [len(rings) for rings in found.polygons] == [2, 1]


@settings(deadline=None)
@given(hnp.arrays(np.bool_, (7, 9)))
def test_components_polygons_and_coco_give_the_mask_back(mask_hw: np.ndarray) -> None:
    found = found_in(mask_hw.astype(np.uint8) * 255)
    np.testing.assert_array_equal(found.masks[0], mask_hw)
    assert sum(each.area for each in found.components) == mask_hw.sum()
    drawn = np.zeros(mask_hw.shape, int)
    for rings in found.polygons:
        for ring in rings:
            drawn += fill_polygon(ring, *mask_hw.shape).astype(int)
    np.testing.assert_array_equal(drawn, mask_hw)
    back = np.zeros(mask_hw.shape, int)
    for annotation in found.to_coco()["annotations"]:
        assert annotation["category_id"] == 1
        back += mask_of_counts(counts_of_letters(annotation["segmentation"]["counts"]), 7, 9)
    np.testing.assert_array_equal(back, mask_hw)


def test_a_table_of_all_components() -> None:
    image_hw = np.zeros((5, 8), np.uint8)
    image_hw[1, 2:4] = 255
    model = make_model([make_network(lambda pixels: np.moveaxis(pixels, 3, 1))], 1, min_pixels=0)
    frame = model.inspect([image_hw, 0 * image_hw, image_hw]).to_pandas()
    assert frame.columns.tolist() == ["image", "class", "left", "top", "right", "bottom", "area", "confidence"]
    assert frame[["left", "top", "right", "bottom", "area"]].to_numpy().tolist() == [[2, 1, 4, 2, 2]] * 2


def test_a_notebook_shows_the_overlay() -> None:
    image_hw = np.full((40, 60), 90, np.uint8)
    image_hw[10:20, 10:30] = 255
    found = found_in(image_hw)
    overlay = found.overlay()
    assert overlay.shape == (40, 60, 3)
    assert tuple(overlay[10, 15]) == (238, 119, 51)  # the first class, on the outermost pixels of its mask
    assert tuple(overlay[0, 0]) == (90, 90, 90)
    shown = cv2.imdecode(np.frombuffer(found._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown[..., ::-1], overlay)
    assert found.overlay(longest=30).shape == (20, 30, 3)


def test_supervision_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match=r"pip install 'sever\[supervision\]'"):
        found_in(np.zeros((2, 2), np.uint8)).to_supervision()


@pytest.mark.parametrize("wrong", [None, 3, np.uint8(3), [None], [[1, 2]], [[np.zeros((4, 4), np.uint8)]], b"abc"])
def test_what_is_no_image_is_told_in_one_sentence(wrong: Any, strip_root: Path, tmp_path: Path) -> None:
    model = load_model(make_run(tmp_path / "tiny" / "1", strip_root))
    with pytest.raises(InputError, match="an image is a path or a numpy array"):
        model.inspect(wrong)
    with pytest.raises(InputError, match="null byte"):
        model.inspect("a\0b.png")
    big_endian = np.full((32, 32), 700, ">u2")
    assert np.array_equal(model.inspect(big_endian).image, model.inspect(big_endian.astype(np.uint16)).image)
    assert [len(found.areas) for found in model.inspect(array for array in (big_endian,))] == [4]
