"""Labels that are formally right and still not what is meant: overlaps, background as a class, digests that notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.data import rle
from sever.data.class_names import stated_class_names
from sever.data.label_doubts import find_overlap, like_background, overlapping_images
from sever.data.table import ImageTable
from sever.errors import InputError

masks_of_images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(4), st.just(5)), elements=st.integers(0, 1))


def table_of(*images: np.ndarray, names: tuple[str, ...] = ("pit", "scab", "scratch")) -> ImageTable:
    """Images a, b, ... with these masks (C, H, W)."""
    frame = pd.DataFrame(
        {
            "image_id": [chr(ord("a") + at) for at in range(len(images))],
            "height": [masks_chw.shape[1] for masks_chw in images],
            "width": [masks_chw.shape[2] for masks_chw in images],
        }
    )
    for index in range(images[0].shape[0]):
        frame[f"runs_{index}"] = [rle.encode(masks_chw[index]) for masks_chw in images]
    return ImageTable(frame, names[: images[0].shape[0]])


@given(masks_of_images)
def test_overlaps_are_those_that_pixels_show(masks_chw: np.ndarray) -> None:
    found = overlapping_images(table_of(masks_chw))
    contested = masks_chw.sum(axis=0) > 1
    assert bool(found) == contested.any()
    if found:
        first, second = found["a"].classes
        pixel = found["a"].pixel - 1
        assert masks_chw[:, pixel % 4, pixel // 4].tolist()[first] == masks_chw[second, pixel % 4, pixel // 4] == 1


def test_an_overlap_in_words() -> None:
    assert str(find_overlap([0, 2], ["1 3 9 2", "4 6"])) == "classes 3 and 1 at pixel 9"
    assert find_overlap([0, 2], ["1 3 9 2", "4 5"]) is None  # touching is not overlapping


def test_a_class_that_covers_most_of_all_pixels() -> None:
    half, more = np.zeros((2, 4, 5), np.uint8), np.zeros((2, 4, 5), np.uint8)
    half[1, :2] = 1
    more[1, :3] = 1
    assert like_background(table_of(half, half)) is None
    assert like_background(table_of(half, more)) == ("scab", pytest.approx(0.625))
    assert like_background(table_of(np.zeros((2, 4, 5), np.uint8))) is None


@given(masks_of_images, st.integers(0, 19))
def test_a_digest_notices_each_pixel(masks_chw: np.ndarray, pixel: int) -> None:
    (before,) = table_of(masks_chw).label_digests()
    changed = masks_chw.copy()
    changed[0].flat[pixel] ^= 1
    assert table_of(changed).label_digests() != [before]
    assert table_of(masks_chw.copy()).label_digests() == [before]
    assert table_of(masks_chw.transpose(0, 2, 1)).label_digests() != [before]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=6))
def test_a_digest_is_of_masks_and_not_of_how_they_are_written(pairs: list[tuple[int, int]]) -> None:
    numbers, at = [], 1
    for length, gap in pairs:
        numbers += [at, length]
        at += length + gap  # a gap of 0: runs that touch
    text = " ".join(map(str, numbers))
    assert rle.join_touching(text) == rle.encode(rle.decode(text, 7, 6))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("background\npit\nscab\n", "'background' at line 1"),
        ("__ignore__\n_background_\npit\n", "'__ignore__' at line 1 and '_background_' at line 2"),
        ("Background\npit\n", "'Background' at line 1"),
        ("pit\nno defect\n", "'no defect' at line 2"),
        ("0: background\n1: pit\n", "'0: background' at line 1"),
        ("0 pit\n1 scab\n", "numbers its classes from 0"),
        ("0\n1\n2\n", "numbers its classes from 0"),
    ],
)
def test_lists_of_classes_that_would_shift_every_label(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=r"classes\.txt") as raised:
        stated_class_names(tmp_path, None)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "names", [("1", "2"), ("1 pit", "2 scab"), ("0.5 mm pit", "1 mm pit"), ("backgroundless", "a")]
)
def test_names_that_only_look_so(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(names))
    stated = stated_class_names(tmp_path, None)
    assert stated is not None
    assert stated[0] == names
