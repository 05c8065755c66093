"""Folds: nothing leaks, nothing is lost, the mix is even; on any data that hypothesis thinks of, and by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import FoldSettings
from sever.data.folds import assign_folds, split
from sever.data.table import ImageTable
from sever.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "severstal"


def make_table(
    has_class: Sequence[Sequence[bool]] | np.ndarray, groups: Sequence[str | None] | None = None
) -> ImageTable:
    shown = np.asarray(has_class, bool)
    frame = pd.DataFrame({"image_id": [f"{index:05}.png" for index in range(len(shown))]})
    frame["group"] = pd.Series(list(groups) if groups else [None] * len(shown), dtype=object)
    for index in range(shown.shape[1]):
        frame[f"runs_{index}"] = np.where(shown[:, index], "1 1", "")
    return ImageTable(frame, tuple(str(index + 1) for index in range(shown.shape[1])))


def group_sizes(table: ImageTable) -> np.ndarray:
    known = table.frame["group"].dropna()
    return np.concatenate([known.value_counts().to_numpy(), np.ones(len(table) - len(known), int)])


IMAGE = st.tuples(st.lists(st.booleans(), min_size=3, max_size=3), st.sampled_from([None, "a", "b", "c", "d", "e"]))
TABLES = st.lists(IMAGE, min_size=1, max_size=60).map(
    lambda rows: make_table([r[0] for r in rows], [r[1] for r in rows])
)


def assert_groups_whole(table: ImageTable, folds: np.ndarray) -> None:
    known = table.frame["group"].notna().to_numpy()
    for group in table.frame["group"].dropna().unique():
        assert len(np.unique(folds[known & (table.frame["group"] == group).to_numpy()])) == 1


@settings(deadline=None)
@given(TABLES, st.integers(2, 6), st.integers(0, 3))
def test_kfold_on_anything(table: ImageTable, count: int, seed: int) -> None:
    choice = FoldSettings(scheme="kfold", count=count, seed=seed)
    if len(group_sizes(table)) < count:
        with pytest.raises(InputError, match=f"{count} parts"):
            assign_folds(table, choice)
        return
    folds = assign_folds(table, choice)
    assert set(folds) == set(range(count))
    assert_groups_whole(table, folds)
    np.testing.assert_array_equal(folds, assign_folds(table, choice))


@settings(deadline=None)
@given(TABLES, st.floats(0.01, 0.99), st.integers(0, 3))
def test_share_on_anything(table: ImageTable, share: float, seed: int) -> None:
    choice = FoldSettings(share=share, seed=seed)
    sizes = group_sizes(table)
    if len(sizes) < 2:
        with pytest.raises(InputError, match="2 parts"):
            assign_folds(table, choice)
        return
    folds = assign_folds(table, choice)
    train, validation = split(table, folds, choice)
    assert sorted([*train, *validation]) == list(range(len(table)))
    assert_groups_whole(table, folds)
    # Within half of the largest group, save where a side has its last group, which it must keep.
    if len(group_sizes(table.take(validation))) > 1 and len(group_sizes(table.take(train))) > 1:
        assert abs(len(validation) - share * len(table)) <= sizes.max() / 2 + 1e-6
    np.testing.assert_array_equal(folds, assign_folds(table, choice))


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=4, max_size=80), st.floats(0.1, 0.9))
def test_share_without_groups_is_exact_and_even(shown: list[list[bool]], share: float) -> None:
    table = make_table(shown)
    choice = FoldSettings(share=share)
    _, validation = split(table, assign_folds(table, choice), choice)
    wanted = share * len(table)
    assert abs(len(validation) - wanted) <= 0.5 + 1e-6 or len(validation) in (1, len(table) - 1)
    combos = [tuple(row) for row in shown]
    for combo in set(combos):
        rows = np.array([index for index, other in enumerate(combos) if other == combo])
        if len(rows) * min(share, 1 - share) >= 1:
            # As many as its share, rounded; one more for what other combinations could not give.
            assert abs(np.isin(rows, validation).sum() - share * len(rows)) < 3


def test_share_by_hand() -> None:
    # 20 clean, 10 with class 1, 10 with both: a fifth of each.
    shown = [[False, False]] * 20 + [[True, False]] * 10 + [[True, True]] * 10
    choice = FoldSettings(share=0.2)
    _, validation = split(make_table(shown), assign_folds(make_table(shown), choice), choice)
    assert np.bincount(np.searchsorted([20, 30], validation, side="right")).tolist() == [4, 2, 2]


def test_kfold_by_hand() -> None:
    shown = [[False, False]] * 20 + [[True, False]] * 10 + [[True, True]] * 10
    folds = assign_folds(make_table(shown), FoldSettings(scheme="kfold", count=5))
    for fold in range(5):
        rows = np.flatnonzero(folds == fold)
        assert np.bincount(np.searchsorted([20, 30], rows, side="right")).tolist() == [4, 2, 2]


def test_rare_combinations_neither_warn_nor_fail() -> None:
    # One image each of three combinations, and all different in a second table; pytest turns warnings into errors.
    few = make_table([[False, False]] * 20 + [[True, False], [False, True], [True, True]])
    odd = make_table([[False, False], [True, False], [False, True], [True, True]])
    for table in (few, odd):
        for choice in (FoldSettings(scheme="kfold", count=4), FoldSettings()):
            train, validation = split(table, assign_folds(table, choice), choice)
            assert len(train) + len(validation) == len(table)


def test_the_seed_decides() -> None:
    table = make_table([[False], [True]] * 40)
    for scheme in ("share", "kfold"):
        one, again, other = (assign_folds(table, FoldSettings(scheme=scheme, seed=seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert (one != other).any()


@pytest.mark.parametrize("scheme", ["share", "kfold"])
def test_groups_that_always_train(scheme: str) -> None:
    groups = ["blend", "blend", "extra"] * 4 + ["g", "g"] + [None] * 20
    table = make_table([[True]] * len(groups), groups)
    choice = FoldSettings.model_validate(
        {"scheme": scheme, "count": 3, "fold": 2, "train_only_groups": ["blend", "extra"]}
    )
    folds = assign_folds(table, choice)
    assert (folds[:12] == -1).all()
    assert (folds[12:] >= 0).all()
    train, validation = split(table, folds, choice)
    assert set(range(12)) <= set(train)
    assert validation.min() >= 12
    assert len(train) + len(validation) == len(table)


def test_a_share_is_of_those_that_may_validate() -> None:
    groups = ["blend"] * 50 + [None] * 50
    choice = FoldSettings(share=0.2, train_only_groups=("blend",))
    table = make_table([[True]] * 100, groups)
    assert len(split(table, assign_folds(table, choice), choice)[1]) == 10


def test_a_misspelt_group_is_told() -> None:
    table = make_table([[True]] * 4, ["composite", "x", "y", None])
    with pytest.raises(InputError, match=r"compsite.*composite, x, y"):
        assign_folds(table, FoldSettings(train_only_groups=("compsite",)))
    with pytest.raises(InputError, match="2 parts"):
        assign_folds(table.take([0]), FoldSettings(train_only_groups=("composite",)))


def test_each_fold_validates_once() -> None:
    table = make_table([[False], [True]] * 15)
    folds = assign_folds(table, FoldSettings(scheme="kfold", count=5))
    held = [split(table, folds, FoldSettings(scheme="kfold", count=5, fold=fold))[1] for fold in range(5)]
    assert sorted(np.concatenate(held)) == list(range(30))


def test_folds_of_another_table() -> None:
    table = make_table([[True]] * 4)
    with pytest.raises(InputError, match="3 images"):
        split(table, np.zeros(3, int), FoldSettings())
    with pytest.raises(InputError, match="0 images to train"):
        split(table, np.zeros(4, int), FoldSettings())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real image-level labels are not at hand")
@pytest.mark.parametrize("scheme", ["share", "kfold"])
def test_real_class_statistics(scheme: str) -> None:
    labels = pd.read_csv(SHARED / "image_level_labels_12568.csv")
    table = make_table(labels.iloc[:, 1:].to_numpy() > 0)
    choice = FoldSettings.model_validate({"scheme": scheme})
    _, validation = split(table, assign_folds(table, choice), choice)
    assert abs(len(validation) - 12568 / 5) <= 1
    # 897, 247, 5,150 and 801 images in all.
    np.testing.assert_allclose(table.has_class()[validation].sum(0), [179.4, 49.4, 1030, 160.2], atol=4)
