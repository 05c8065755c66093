"""A few plain numbers an image, to tell kinds of images apart and train from test; knows no labels and no networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sever.data.reader import ImageReader
from sever.data.stats import image_features
from sever.decide.two_samples import stand_in_weights
from sever.prefetch import read_ahead
from sever.progress import meter


def folder_features(paths: Sequence[Path], read: ImageReader) -> np.ndarray:
    """(N, 8) FEATURES of image files, a few in memory at a time."""

    rows = []
    with meter("look at images", len(paths)) as progress:
        for row in read_ahead(lambda path: image_features(read(path)[..., 0]), paths, depth=8):
            rows.append(row)
            progress.advance()
    return np.stack(rows)


def clusters(features_nf: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """(N,) the cluster, 0.., of each image by k-means of its standardised features."""
    scaled_nf = StandardScaler().fit_transform(features_nf)
    count = min(count, len(np.unique(scaled_nf, axis=0)))
    return KMeans(count, n_init=4, random_state=seed).fit_predict(scaled_nf)


def likeness_to_test(train_nf: np.ndarray, test_nf: np.ndarray) -> tuple[np.ndarray, float]:
    """(N,) weights, mean 1, that make training images look like test images, and how well the two are told apart.

    The weight is the odds of "test" by a logistic regression, times train over test images (density ratio by
    classification: Bickel, Brueckner and Scheffer 2009). The second value is its area under the ROC curve: 0.5 says
    that train and test look alike.
    """
    features_nf = np.concatenate([train_nf, test_nf])
    is_test_n = np.repeat([0, 1], [len(train_nf), len(test_nf)])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    test_probs_n = model.fit(features_nf, is_test_n).predict_proba(features_nf)[:, 1]
    return stand_in_weights(test_probs_n[: len(train_nf)]), float(roc_auc_score(is_test_n, test_probs_n))
