"""Which unlabelled images to label next: uncertain ones that differ from each other; knows no files.

The most uncertain images of a pool are often copies of one difficulty. So a few times as many as are wanted are taken
by uncertainty, put into clusters by their features, each weighted by its uncertainty, and of each cluster the most
uncertain image is chosen (Zhdanov 2019, "Diverse mini-batch active learning").
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

# How many images are looked at for each that is chosen.
SHORTLIST = 5
LEAST_WEIGHT = 1e-3


def choose_next(uncertainties_n: np.ndarray, features_nf: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """(M,) rows of the chosen images, M at most `count`, the most uncertain first; a shorter pool is chosen whole."""
    order = np.argsort(-uncertainties_n, kind="stable")
    if len(order) <= count:
        return order
    shortlist = order[: SHORTLIST * count]
    clusters = _clusters(uncertainties_n[shortlist], features_nf[shortlist], count, seed)
    # The shortlist is in the order of uncertainty, so that the first of a cluster is its most uncertain.
    chosen = shortlist[np.unique(clusters, return_index=True)[1]]
    rest = [row for row in order if row not in set(chosen.tolist())]
    filled = np.concatenate([chosen, np.array(rest[: count - len(chosen)], dtype=int)])  # equal images share a cluster
    return filled[np.argsort(-uncertainties_n[filled], kind="stable")]


def _clusters(uncertainties_n: np.ndarray, features_nf: np.ndarray, count: int, seed: int) -> np.ndarray:
    scaled_nf = StandardScaler().fit_transform(features_nf)
    distinct = len(np.unique(scaled_nf, axis=0))
    means = KMeans(min(count, distinct), n_init=1, random_state=seed)
    return np.asarray(means.fit_predict(scaled_nf, sample_weight=uncertainties_n + LEAST_WEIGHT))
