"""What a run's normal images look like: learnt from those that trained it and those that it held out, kept with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sever.config import load_config
from sever.data.layouts import read_again
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.familiarity import IMAGES_A_DIRECTION, LEAST_IMAGES, MOST_DIRECTIONS, learn_normality
from sever.locks import one_writer
from sever.models.checkpoint import load_weights
from sever.models.device import pick_device
from sever.models.features import TorchFeatures
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.familiar import Sight
from sever.pipeline.inference.trained import new_network
from sever.prefetch import read_ahead
from sever.progress import detail, is_main, meter
from sever.store import Run, fingerprint
from sever.store.checkpoints import load_weights_file
from sever.store.normality import read_normality, write_normality

# Of training and of validation images, spread evenly, so that learning takes minutes and not an epoch.
MOST_IMAGES = 500
# After a training, where nobody asked for it, from a share of the images that it went through in all epochs, so that it
# takes a few per cent of its time; at most from what the main directions need.
SHARE_AFTER_TRAINING, LEAST_AFTER_TRAINING = 20, 2 * LEAST_IMAGES
MOST_AFTER_TRAINING = MOST_DIRECTIONS * IMAGES_A_DIRECTION


def learn_after_training(run: Run, checkpoint: Path, device: str) -> None:
    """Learn it for a checkpoint unless it is known, or the run has too few images for it."""
    if not is_main() or read_normality(run.folder, fingerprint(checkpoint)) is not None:
        return
    config, training = load_config(run.config_file), len(run.part("train"))
    if min(training, len(run.part("validation"))) < LEAST_IMAGES:
        detail(f"what is normal is not learnt: that takes {LEAST_IMAGES} training and as many validation images")
        return
    trained = config.train.last_epoch * (config.sampling.epoch_images or training)
    most = min(max(trained // SHARE_AFTER_TRAINING, LEAST_AFTER_TRAINING), MOST_AFTER_TRAINING)
    learn_normal(run, checkpoint, device, most)


def learn_normal(run: Run, checkpoint: Path, device: str, most_images: int = MOST_IMAGES) -> None:
    """Write normality.npz into the run's folder. Raises InputError for too few images, and damaged weights."""
    config, facts = load_config(run.config_file), DatasetFacts.read(run.dataset_file)
    network = new_network(config, facts, pretrained=False)
    load_weights(network, load_weights_file(checkpoint))
    target = pick_device(device, config.train.precision)
    sight = Sight(TorchFeatures(network.to(target), target), facts.channels, network.size_multiple)
    read = ImageReader.of(config.data, facts.channels)
    table = read_again(config.data, run.folder, thorough=False)

    def features(part: str) -> np.ndarray:
        images = _spread(table.select(run.part(part), run.folder), most_images)
        rows = []
        with meter(f"what is normal: {part} images", len(images)) as progress:
            for image_hwc in read_ahead(read, images.paths, depth=8):
                rows.append(sight([image_hwc]))
                progress.advance()
        return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)

    normality = learn_normality(features("train"), features("validation"))
    with one_writer(run.folder):
        write_normality(run.folder, normality, fingerprint(checkpoint))


def _spread(table: ImageTable, most: int) -> ImageTable:
    rows = np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int))
    return table.take(rows) if len(table) else table
