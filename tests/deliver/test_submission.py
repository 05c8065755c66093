"""Submissions in both forms: exact text, round trips, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.data import rle
from sever.data.run_table import FORMS
from sever.deliver.submission import read_submission, write_submission
from sever.errors import InputError

ROWS = [("a.jpg", ["1 2 5 1", "", ""]), ("b_2.jpg", ["", "", ""]), ("c.jpg", ["", "7 1", "1 3"])]
IDS = ["a.jpg", "b_2.jpg", "c.jpg"]

COMBINED_TEXT = """\
ImageId_ClassId,EncodedPixels
a.jpg_1,1 2 5 1
a.jpg_2,
a.jpg_3,
b_2.jpg_1,
b_2.jpg_2,
b_2.jpg_3,
c.jpg_1,
c.jpg_2,7 1
c.jpg_3,1 3
"""
SEPARATE_TEXT = """\
ImageId,ClassId,EncodedPixels
a.jpg,1,1 2 5 1
c.jpg,2,7 1
c.jpg,3,1 3
"""


@pytest.mark.parametrize(("form", "text"), [("combined", COMBINED_TEXT), ("separate", SEPARATE_TEXT)])
def test_exact_text(tmp_path: Path, form: str, text: str) -> None:
    path = tmp_path / "new" / "submission.csv"
    assert write_submission(path, iter(ROWS), form) == 3
    assert path.read_bytes().decode() == text


@pytest.mark.parametrize("text", [COMBINED_TEXT, SEPARATE_TEXT])
def test_read_by_hand(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(text)
    assert read_submission(path, IDS, 3) == dict(ROWS)


some_names = st.lists(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_ ,\"./é-]{0,10}\.(jpg|png)", fullmatch=True), max_size=4, unique=True
)


@settings(max_examples=60, deadline=None)
@given(some_names, st.integers(1, 3), st.sampled_from(sorted(FORMS)), st.data())
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], num_classes: int, form: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("submission") / "submission.csv"
    bits = st.integers(0, 1)
    masks = {
        name: data.draw(hnp.arrays(np.uint8, (num_classes, 2, 5), elements=bits))
        * data.draw(hnp.arrays(np.uint8, (num_classes, 1, 1), elements=bits))
        for name in names
    }
    write_submission(path, ((name, rle.encode_masks(masks_chw)) for name, masks_chw in masks.items()), form)
    runs = read_submission(path, names, num_classes, pixels=dict.fromkeys(names, 10))
    assert list(runs) == names
    for name, masks_chw in masks.items():
        np.testing.assert_array_equal(np.stack([rle.decode(text, 2, 5) for text in runs[name]]), masks_chw)


def test_nothing_is_left_of_a_submission_that_fails_halfway(tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[str, list[str]]]:
        yield ROWS[0]
        raise RuntimeError("the network broke")

    path = tmp_path / "submission.csv"
    path.write_text("the one of yesterday")
    with pytest.raises(RuntimeError, match="broke"):
        write_submission(path, rows())
    assert [child.name for child in tmp_path.iterdir()] == ["submission.csv"]
    assert path.read_text() == "the one of yesterday"


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    images = 30_000
    size_seen = 0

    def rows() -> Iterator[tuple[str, list[str]]]:
        nonlocal size_seen
        for index in range(images):
            yield f"{index}.jpg", ["1 100", ""]
        size_seen = sum(child.stat().st_size for child in tmp_path.iterdir())
        assert not path.exists()

    write_submission(path, rows())
    assert size_seen > 0.9 * path.stat().st_size


def test_unknown_form(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown form of CSV 'wide'; allowed: combined, separate"):
        write_submission(tmp_path / "submission.csv", ROWS, "wide")
    assert not list(tmp_path.iterdir())


def without(text: str, *lines: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() not in lines)


REFUSED = [
    # name, text, what the error says
    (
        "a pair is missing",
        without(COMBINED_TEXT, "a.jpg_3,"),
        r"has 1 row missing .*: a\.jpg_3$",
    ),
    (
        "an image is missing, and more",
        without(COMBINED_TEXT, "b_2.jpg_1,", "b_2.jpg_2,", "b_2.jpg_3,", "a.jpg_2,"),
        r"has 4 rows missing .*: a\.jpg_2; b_2\.jpg_1; b_2\.jpg_2; and 1 more$",
    ),
    ("an unknown image", COMBINED_TEXT + "z.jpg_1,\nz.jpg_2,\n", r"has 1 image not .*: z\.jpg$"),
    ("an unknown image, separate", SEPARATE_TEXT + "z.jpg,1,1 1\n", r"has 1 image not .*: z\.jpg$"),
    ("a double row", COMBINED_TEXT + "a.jpg_2,4 1\n", r"row 11, image a\.jpg: class 2 .* row 3 already"),
    ("a double row, separate", SEPARATE_TEXT + "c.jpg,3,9 1\n", r"row 5, image c\.jpg: class 3 .* row 4 already"),
    ("a class too many", COMBINED_TEXT + "a.jpg_4,1 1\n", r"row 11, image a\.jpg: class 4 .* 1\.\.3"),
    ("a class too many, separate", SEPARATE_TEXT + "a.jpg,4,1 1\n", r"row 5, image a\.jpg: class 4 .* 1\.\.3"),
    ("class nought", SEPARATE_TEXT + "a.jpg,0,1 1\n", "class 0"),
    ("odd run lengths", SEPARATE_TEXT + "a.jpg,2,1 1 4\n", r"row 5, image a\.jpg: .*odd"),
    ("a run beyond the image", SEPARATE_TEXT + "a.jpg,2,9 4\n", r"row 5, image a\.jpg: .* has 10 pixels"),
    ("another table", "id,label\na.jpg,1\n", "ImageId_ClassId,EncodedPixels"),
]


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_submission(path, IDS, 3, pixels=dict.fromkeys(IDS, 10))
    assert str(path) in str(caught.value)


def test_run_lengths_are_checked_without_sizes_too(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(SEPARATE_TEXT + "a.jpg,2,5 2 4 3\n")
    with pytest.raises(InputError, match=r"has 1 row with wrong run lengths: row 5, image a\.jpg"):
        read_submission(path, IDS, 3)


def test_a_separate_submission_without_rows_is_all_clean(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    write_submission(path, [(name, ["", "", ""]) for name in IDS], "separate")
    assert path.read_text() == "ImageId,ClassId,EncodedPixels\n"
    assert read_submission(path, IDS, 3) == {name: ["", "", ""] for name in IDS}


def test_real_pseudo_labels() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "severstal" / "pseudo_labels_test_1801.csv"
    if not path.exists():
        pytest.skip(f"the real labels are not at {path}")
    lines = path.read_text().splitlines()[1:]
    names = list(dict.fromkeys(line.split(",")[0].rpartition("_")[0] for line in lines))
    runs = read_submission(path, names, 4, pixels=dict.fromkeys(names, 256 * 1600))
    assert len(runs) == 1801
    assert sum(map(len, runs.values())) == len(lines) == 7204
    filled = [line for line in lines if not line.endswith(",")]
    assert sum(text != "" for texts in runs.values() for text in texts) == len(filled)
