"""Run lengths: round trips, hand-drawn masks, a second implementation, and every fault one by one and in bulk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.data import rle
from sever.errors import InputError

MASKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1))

# By hand, rows top to bottom; pixels count down the columns.
DRAWN = [
    (["1"], "1 1"),
    (["0"], ""),
    (["100", "000"], "1 1"),
    (["000", "100"], "2 1"),
    (["010", "000"], "3 1"),  # the second column starts at 3
    (["110", "110"], "1 4"),  # a run goes on into the next column
    (["011", "000"], "3 1 5 1"),
    (["101", "101"], "1 2 5 2"),
    (["000", "001"], "6 1"),  # the last pixel
]

# For an image of 12 pixels.
FAULTS = [
    ("5", "odd count"),
    ("1 2 3", "odd count"),
    ("a 1", "'a'"),
    ("1 2.0", "'2.0'"),
    ("+1 2", "whole number"),
    ("1_0 2", "whole number"),
    ("١ 2", "whole number"),  # a digit to Python's int, yet no digit of a run length
    ("1,2", "whole number"),
    ("-1", "leave the field empty"),
    ("0 3", "start 0 is below 1"),
    ("-2 3", "start -2 is below 1"),
    ("3 0", "length 0"),
    ("3 -1", "length -1"),
    ("7 2 3 1", "not sorted"),
    ("3 2 3 2", "overlap"),
    ("3 3 5 2", "overlap"),
    ("12 2", "12 pixels"),
    ("13 1", "12 pixels"),
    ("1 13", "12 pixels"),
    ("1 2 40 2", "12 pixels"),
    ("1 99999999999999999999", "12 pixels"),  # beyond int64
    ("99999999999999999999 1", "12 pixels"),
    ("9223372036854775807 9223372036854775807", "12 pixels"),  # a sum beyond int64
]
GOOD = ["", "1 12", "12 1", "1 1 2 1", "1 3 4 2", "1 1 12 1", " 1  2 ", "1\t2"]


def draw(rows: list[str]) -> np.ndarray:
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


@pytest.mark.parametrize(("rows", "runs"), DRAWN)
def test_drawn_masks(rows: list[str], runs: str) -> None:
    mask = draw(rows)
    assert rle.encode(mask) == runs
    np.testing.assert_array_equal(rle.decode(runs, *mask.shape), mask)


@given(MASKS)
def test_round_trip(mask: np.ndarray) -> None:
    runs = rle.encode(mask)
    decoded = rle.decode(runs, *mask.shape)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)
    assert rle.find_fault(runs, mask.size) is None


@given(MASKS)
def test_encode_as_a_walk_over_the_pixels_does(mask: np.ndarray) -> None:
    numbers: list[int] = []
    inside = False
    place = 0
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            place += 1
            if mask[row, column]:
                if not inside:
                    numbers += [place, 0]
                numbers[-1] += 1
            inside = bool(mask[row, column])
    assert rle.encode(mask) == " ".join(map(str, numbers))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_any_dtype_and_any_value_but_zero(dtype: type) -> None:
    mask = np.array([[0, 255], [7, 0]]).astype(dtype)
    assert rle.encode(mask) == "2 2"


def test_views_are_read_as_they_look() -> None:
    mask = draw(["1100", "0010", "0001"])
    assert rle.encode(mask[:, ::-1]) == rle.encode(mask[:, ::-1].copy())
    assert rle.encode(mask.T) == rle.encode(mask.T.copy())


def test_encode_masks_goes_class_by_class() -> None:
    masks = np.stack([draw(["10", "00"]), draw(["00", "00"]), draw(["01", "01"])])
    assert rle.encode_masks(masks) == ["1 1", "", "3 2"]


def test_a_box_has_full_overlap_with_itself() -> None:
    box = np.zeros((40, 60), np.uint8)
    box[10:20, 30:40] = 1
    assert (rle.decode(rle.encode(box), 40, 60) & box).sum() == 100


@pytest.mark.parametrize(("runs", "words"), FAULTS)
def test_each_fault_is_named(runs: str, words: str) -> None:
    fault = rle.find_fault(runs, 12)
    assert fault is not None
    assert words in fault
    with pytest.raises(InputError, match=r".") as raised:
        rle.decode(runs, 3, 4)
    assert str(raised.value) == fault
    assert rle.find_faults(["1 2", runs, ""], np.array([12, 12, 12])) == {1: fault}


@pytest.mark.parametrize("runs", GOOD)
def test_good_ones_have_no_fault(runs: str) -> None:
    assert rle.find_fault(runs, 12) is None
    assert rle.find_faults([runs], np.array([12])) == {}
    rle.decode(runs, 3, 4)


def test_the_many_are_held_against_their_own_images() -> None:
    # The same text fits the large image only, and a row may start below the end of the row before it.
    assert list(rle.find_faults(["1 20", "1 20", "5 2", "1 1"], np.array([20, 19, 20, 20]))) == [1]


NUMBERS = st.lists(st.integers(-2, 9), max_size=6).map(lambda numbers: " ".join(map(str, numbers)))


@given(st.lists(NUMBERS, max_size=8), st.integers(1, 12))
def test_all_at_once_says_what_one_by_one_says(texts: list[str], pixels: int) -> None:
    alone = {at: fault for at, text in enumerate(texts) if (fault := rle.find_fault(text, pixels))}
    assert rle.find_faults(texts, np.full(len(texts), pixels)) == alone


@given(NUMBERS, st.integers(1, 12))
def test_verdict_as_by_counting_pixels(text: str, pixels: int) -> None:
    numbers = [int(number) for number in text.split()]
    covered = [
        place
        for start, length in zip(numbers[::2], numbers[1::2], strict=False)
        for place in range(start, start + length)
    ]
    good = (
        len(numbers) % 2 == 0
        and all(number > 0 for number in numbers[1::2])
        and covered == sorted(set(covered))
        and set(covered) <= set(range(1, pixels + 1))
    )
    assert (rle.find_fault(text, pixels) is None) == good
