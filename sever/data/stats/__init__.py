"""A data set in numbers, for people: labels, pixels, and the settings that follow; knows no networks or pages."""

from sever.data.stats.descriptors import (
    CELL_FEATURES,
    DESCRIPTORS,
    Description,
    describe,
    feature_names,
    fitting_grid,
)
from sever.data.stats.label_stats import QUANTILES, ClassStats, LabelStats, label_stats
from sever.data.stats.pixel_stats import FEATURES, PixelStats, image_features, pixel_stats
from sever.data.stats.proposals import Proposal, propose

__all__ = [
    "CELL_FEATURES",
    "DESCRIPTORS",
    "FEATURES",
    "QUANTILES",
    "ClassStats",
    "Description",
    "LabelStats",
    "PixelStats",
    "Proposal",
    "describe",
    "feature_names",
    "fitting_grid",
    "image_features",
    "label_stats",
    "pixel_stats",
    "propose",
]
