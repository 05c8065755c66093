"""From pairs to groups: whatever hangs together by pairs is one group."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def group_numbers(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """(count,) int: equal numbers for images that pairs connect, directly or through others; in order of appearance."""
    ends = np.array(list(pairs), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])
