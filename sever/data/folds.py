"""Who validates and who trains: a random share or K folds, by class and by group; knows no pixels and no models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from sever.config import FoldSettings
from sever.counted import counted
from sever.data.table import ImageTable
from sever.errors import InputError

ALWAYS_TRAIN = -1
# The numbers that the scheme `share` gives.
VALIDATION, TRAIN = 0, 1


def assign_folds(table: ImageTable, settings: FoldSettings) -> np.ndarray:
    """A fold for each image, (N,) int: 0..count-1, or for the scheme `share` 0 for validation and 1 for training.

    -1 stands for images that always train (settings.train_only_groups); the share is of all others. Every
    combination of classes is spread evenly, and no group is split; an image without group is a group by itself.
    Raises InputError where there are fewer groups than parts, or a group of train_only_groups does not exist.
    """
    free = np.flatnonzero(~_always_train(table, settings.train_only_groups))
    part = table.take(free)
    labels, groups = _combinations(part), _group_numbers(part)
    folds = np.full(len(table), ALWAYS_TRAIN)
    folds[free] = _SCHEMES[settings.scheme](labels, groups, settings)
    return folds


def split(table: ImageTable, folds: np.ndarray, settings: FoldSettings) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the table that train and rows that validate. Raises InputError where either is empty."""
    if len(folds) != len(table):
        raise InputError(f"there are folds for {counted(len(folds), 'image')}, but the data set has {len(table)}")
    held_out = VALIDATION if settings.scheme == "share" else settings.fold
    train, validation = np.flatnonzero(folds != held_out), np.flatnonzero(folds == held_out)
    if not len(train) or not len(validation):
        raise InputError(f"the split leaves {counted(len(train), 'image')} to train and {len(validation)} to validate")
    return train, validation


def _always_train(table: ImageTable, names: tuple[str, ...]) -> np.ndarray:
    groups = table.frame["group"]
    unknown = [name for name in names if name not in set(groups.dropna())]
    if unknown:
        first = ", ".join(sorted(set(groups.dropna()))[:5]) or "none"
        raise InputError(f"train_only_groups names {', '.join(unknown)}, but the groups here are {first} ...")
    return groups.isin(names).to_numpy(dtype=bool)


def _combinations(table: ImageTable) -> np.ndarray:
    """A number for each image that says which combination of classes it shows."""
    return np.unique(table.has_class(), axis=0, return_inverse=True)[1].reshape(-1)


def _group_numbers(table: ImageTable) -> np.ndarray:
    codes = pd.factorize(table.frame["group"].replace("", None))[0]
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def _check_enough(groups: np.ndarray, needed: int) -> None:
    there = len(np.unique(groups))
    if there < needed:
        raise InputError(f"{needed} parts need at least {needed} images or groups that may validate; there are {there}")


def _assign_kfold(labels: np.ndarray, groups: np.ndarray, settings: FoldSettings) -> np.ndarray:
    _check_enough(groups, settings.count)
    labels = _pool_rare(labels, settings.count)
    grouped = len(np.unique(groups)) < len(groups)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    splitter = kind(n_splits=settings.count, shuffle=True, random_state=settings.seed)
    folds = np.empty(len(labels), int)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups if grouped else None)):
        folds[held_out] = fold
    return folds


def _pool_rare(labels: np.ndarray, count: int) -> np.ndarray:
    """The same, with all combinations of fewer than `count` images as one, or else with the commonest."""
    sizes = np.bincount(labels, minlength=1)
    rare = sizes[labels] < count
    if not rare.any():
        return labels
    pooled = np.where(rare, len(sizes), labels)
    return np.where(rare, sizes.argmax(), labels) if rare.sum() < count else pooled


def _assign_share(labels: np.ndarray, groups: np.ndarray, settings: FoldSettings) -> np.ndarray:
    """The held-out part is nearer to the share than half of the largest group, and evenly made up."""
    _check_enough(groups, 2)
    groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
    labels = _pool_rare(labels, int(np.ceil(1 / settings.share)))
    counts = np.zeros((groups.max() + 1, labels.max() + 1))  # images of each group and label
    np.add.at(counts, (groups, labels), 1)
    held_out = _choose_groups(counts, settings.share, np.random.default_rng(settings.seed))
    return np.where(held_out[groups], VALIDATION, TRAIN)


def _choose_groups(counts: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """(G,) bool: the groups to hold out, by their images of each label (G, L)."""
    sizes, totals = counts.sum(1), counts.sum(0)
    target = sizes.sum() * share
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large ones first, while there is room to make up for them
    chosen = np.zeros(len(sizes), bool)
    held = np.zeros(counts.shape[1])

    def unevenness(held_labels: np.ndarray) -> np.ndarray:
        return ((held_labels - totals * share) ** 2 / np.maximum(totals, 1)).sum(-1)

    def brings_nearer(size: np.ndarray) -> np.ndarray:
        return abs(held.sum() + size - target) < abs(held.sum() - target)

    for group in order:
        if (held + counts[group] <= totals * share).all():
            chosen[group] = True
            held += counts[group]
    # What is still missing: the groups that disturb the mix least, until the share is met.
    while True:
        rest = order[~chosen[order]]
        fits = rest[brings_nearer(sizes[rest])]
        if len(fits) == 0:
            break
        best = fits[np.argmin(unevenness(held + counts[fits]))]
        chosen[best] = True
        held += counts[best]
    if chosen.all() or not chosen.any():
        smallest = order[-1]
        chosen[smallest] = not chosen[smallest]
    return chosen


_SCHEMES = {"share": _assign_share, "kfold": _assign_kfold}
