"""The images that train, as the network gets them; the one way to them for training and for a look at them."""

from __future__ import annotations

from sever.config import ExperimentConfig
from sever.data.dataset import Channels, StripDataset
from sever.data.mixing import join
from sever.data.table import ImageTable
from sever.data.transforms import build_augmentation


def channels_of(config: ExperimentConfig) -> Channels:
    """Three colours, or one grey channel."""
    return 3 if config.model.in_channels == "rgb" else 1


def training_dataset(config: ExperimentConfig, training: ImageTable, pseudo: ImageTable | None = None) -> StripDataset:
    """The labelled images, then the pseudo-labelled ones, with the changes that the experiment draws for them."""
    images = training if pseudo is None else join(training, pseudo)
    augmentation = build_augmentation(config.augment)
    bits, most = config.data.significant_bits, config.data.max_pixels
    return StripDataset(images, channels_of(config), augmentation, config.train.seed, bits, most)
