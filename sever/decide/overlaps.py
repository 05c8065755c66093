"""Who keeps a pixel that several classes claim; knows nothing of thresholds and smallest areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import cv2
import numpy as np

from sever.decide.layers import Layer


def _by_probability(layers: Sequence[Layer]) -> None:
    """A contested pixel stays with the claiming class of the highest probability there."""
    _keep_highest(layers, Layer.probs_at)


def _by_size(layers: Sequence[Layer]) -> None:
    """A contested pixel stays with the class whose component there is the largest, as the code of 2019 did.

    Sizes are those before any overlap is cut, all at once: a component that loses pixels doesn't shrink meanwhile.
    """
    _keep_highest(layers, Layer.sizes_at)


def _dominate(layers: Sequence[Layer]) -> None:
    """From the largest component down, each that is still there removes every smaller one that it overlaps.

    That order makes the outcome the same whatever order components are found in, and a component that has itself been
    removed removes nothing. Of equal sizes the first class counts as larger; components of one class never overlap.
    """
    places = _contested(layers)
    if not len(places):
        return
    counts = [len(layer.components.sizes) for layer in layers]
    firsts = np.cumsum([0, *counts])
    sizes = np.concatenate([layer.components.sizes for layer in layers])
    pairs = _overlapping(layers, places, firsts)
    # 0 is the largest; sorting is stable, so that equals stay in the order of classes.
    ranks = np.empty(len(sizes), np.int64)
    ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    swapped = ranks[pairs[:, 0]] > ranks[pairs[:, 1]]
    pairs[swapped] = pairs[swapped, ::-1]
    is_gone = np.zeros(len(sizes), bool)
    # By the larger one's rank: once it is a pair's turn to remove, all that could have removed it had theirs.
    for larger, smaller in pairs[np.argsort(ranks[pairs[:, 0]])].tolist():
        if not is_gone[larger]:
            is_gone[smaller] = True
    for layer, first, count in zip(layers, firsts, counts, strict=False):
        layer.remove(is_gone[first : first + count])


def _keep_all(layers: Sequence[Layer]) -> None:
    """Let a pixel belong to several classes."""


OVERLAPS: dict[str, Callable[[Sequence[Layer]], None]] = {
    "highest_probability": _by_probability,
    "larger_component": _by_size,
    "component_domination": _dominate,
    "allow": _keep_all,
}


def _contested(layers: Sequence[Layer]) -> np.ndarray:
    """Flat indices of the pixels that more than one class claims."""
    if len(layers) < 2:
        return np.zeros(0, np.int64)
    claims_hw = layers[0].mask_hw.copy()
    for layer in layers[1:]:
        cv2.add(claims_hw, layer.mask_hw, dst=claims_hw)
    return np.flatnonzero(claims_hw > 1) if claims_hw.max() > 1 else np.zeros(0, np.int64)


def _keep_highest(layers: Sequence[Layer], measure: Callable[[Layer, np.ndarray], np.ndarray]) -> None:
    places = _contested(layers)
    if not len(places):
        return
    claimed_cn = np.stack([layer.claims_at(places) for layer in layers])
    measures_cn = np.stack([measure(layer, places) for layer in layers])
    # What is measured is never below 0, and of equals argmax takes the first.
    winners_n = np.where(claimed_cn, measures_cn, -1).argmax(axis=0)
    for index, (layer, claimed_n) in enumerate(zip(layers, claimed_cn, strict=True)):
        layer.clean(places[claimed_n & (winners_n != index)])


def _overlapping(layers: Sequence[Layer], places: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Pairs (N, 2) of components of two classes that share a pixel, each once, as number + its layer's `firsts`."""
    total = int(firsts[-1])
    keys = []
    for one, other in combinations(range(len(layers)), 2):
        shared = places[layers[one].claims_at(places) & layers[other].claims_at(places)]
        left, right = (layers[at].numbers_at(shared) + firsts[at] for at in (one, other))
        key = left * total + right
        # Neighbours along a row mostly are the same pair; sorting all of them would take longer.
        keys.append(key[np.flatnonzero(np.diff(key, prepend=-1))])
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), total), axis=1)
