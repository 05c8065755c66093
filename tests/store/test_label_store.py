"""Label probabilities on disk: exact, one row at a time, and whole again after any kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.errors import InputError
from sever.output import WRITTEN
from sever.store import Evidence, LabelStore

ROWS = {"a.jpg": [0.25, 1.0], 'sub/b, "2".png': [1 / 3, 0.0], "007": [1e-9, 0.5]}


def filled(folder: Path) -> LabelStore:
    store = LabelStore(folder)
    for image_id, probs in ROWS.items():
        store.add(image_id, np.array(probs, np.float32))
    return store


def assert_holds_all(store: LabelStore) -> None:
    found = store.read(2)
    assert found.keys() == ROWS.keys()
    for image_id, probs in ROWS.items():
        assert found[image_id].dtype == np.float32
        np.testing.assert_array_equal(found[image_id], np.array(probs, np.float32))


def test_rows_are_there_at_once_and_after_finishing(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert_holds_all(store)
    assert not store.file.exists()
    order = ["007", *[image_id for image_id in ROWS if image_id != "007"]]
    store.finish(order, 2)
    assert_holds_all(store)
    assert list(store.read(2)) == order
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sever-tables.json", WRITTEN, "labels.csv"]
    assert store.file.read_text().startswith("image_id,1,2,origin\n007,")


def test_what_is_finished_has_the_form_of_evidence(tmp_path: Path) -> None:
    filled(tmp_path).finish(list(ROWS), 2)
    probs_nc = Evidence(tmp_path).read_label_probs(["007", "a.jpg"], 2)
    np.testing.assert_allclose(probs_nc, [ROWS["007"], ROWS["a.jpg"]])


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, 3, elements=st.floats(0, 1, width=32)))
def test_every_probability_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, probs_c: np.ndarray) -> None:
    store = LabelStore(tmp_path_factory.mktemp("exact"))
    store.add("x", probs_c)
    store.finish(["x"], 3)
    np.testing.assert_array_equal(store.read(3)["x"], probs_c)


@pytest.mark.parametrize("kept_bytes", range(1, 20))
def test_a_torn_row_is_passed_over_and_then_overwritten(tmp_path: Path, kept_bytes: int) -> None:
    store = LabelStore(tmp_path)
    store.add("first", np.array([0.5, 0.75], np.float32))
    whole = store.partial_file.read_bytes()
    store.add("second", np.array([0.125, 0.0625], np.float32))
    row = store.partial_file.read_bytes()[len(whole) :]
    # `second,0.125,0.06` has all its fields, and the last one is wrong.
    store.partial_file.write_bytes(whole + row[:kept_bytes])
    assert list(store.read(2)) == ["first"]
    store.add("third", np.array([1, 0], np.float32))
    assert list(store.read(2)) == ["first", "third"]


def test_later_rows_win_over_finished_ones(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.finish(list(ROWS), 2)
    store.add("007", np.array([1, 1], np.float32))
    np.testing.assert_array_equal(store.read(2)["007"], [1, 1])
    store.clear()
    assert store.read(2) == {}
    assert [path.name for path in tmp_path.iterdir()] == [WRITTEN]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "image_id,1,origin\na,0.5,x\n",
        "image_id,1,2\na,0.5,0.5\n",  # as it was before origins
        "image_id,1,2,origin\na,0.5,x\n",
        "image_id,1,2,origin\na,0.5,many,x\n",
        "image_id,1,2,origin\na\n",
        "x\n",
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    store = LabelStore(tmp_path)
    store.file.write_text(content)
    with pytest.raises(InputError, match=r"labels\.csv .*--overwrite"):
        store.read(2)
