"""A data set in numbers, for people: labels, pixels, and the settings that follow; knows no networks or pages."""

from sever.data.stats.label_stats import QUANTILES, ClassStats, LabelStats, label_stats
from sever.data.stats.pixel_stats import FEATURES, PixelStats, image_features, pixel_stats
from sever.data.stats.proposals import Proposal, propose

__all__ = [
    "FEATURES",
    "QUANTILES",
    "ClassStats",
    "LabelStats",
    "PixelStats",
    "Proposal",
    "image_features",
    "label_stats",
    "pixel_stats",
    "propose",
]
