"""`sever data familiar`: a run learns what normal images look like; then how familiar other images are to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sever.config import load_config
from sever.data.layouts import read_images, read_table
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.familiarity import learn_normality
from sever.errors import InputError
from sever.locks import one_writer, writes_to
from sever.models.checkpoint import load_weights
from sever.models.device import pick_device
from sever.models.features import features_of_images
from sever.output import OutputFolder
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.inference.trained import new_network
from sever.prefetch import chunks, read_ahead
from sever.progress import meter
from sever.store import Evidence, Run, find_run, fingerprint
from sever.store.checkpoints import load_weights_file
from sever.store.normality import write_normality

RESULTS = ("familiarity.csv",)
# Of training and of validation images, spread evenly, so that learning takes a minute and not an epoch.
MOST_IMAGES = 500
STRANGE = 0.05


def learn_familiarity(path: Path, options: InferenceOptions) -> list[Path]:
    """For a run, and for each fold of a cross-validation: write what its normal images look like; returns the folders.

    Raises InputError for a blend (its members learn, each for itself), and for too few images.
    """
    if not Evidence.is_at(path):
        return [_learn(*find_run(path), options)]
    evidence = Evidence.find(path)
    if evidence.about().is_blend:
        raise InputError(f"{path} is a blend; let each of its members learn what is normal")
    runs = [Run(evidence.fold_folder(fold)) for fold in evidence.about().folds]
    return [_learn(run, run.latest(), options) for run in runs]


def _learn(run: Run, checkpoint: Path | None, options: InferenceOptions) -> Path:
    config, facts = load_config(run.config_file, options.overrides()), DatasetFacts.read(run.dataset_file)
    checkpoint = checkpoint or run.best()
    network = new_network(config, facts, pretrained=False)
    load_weights(network, load_weights_file(checkpoint))
    device = pick_device(options.device, config.train.precision)
    network = network.to(device)
    table, _ = read_table(config.data, thorough=False)
    read = ImageReader.of(config.data, facts.channels)

    def features(part: str) -> np.ndarray:
        images = _spread(table.select(run.part(part), run.folder))
        rows = []
        with meter(f"{part} images", len(images)) as progress:
            for image_hwc in read_ahead(read, images.paths, depth=8):
                rows.append(features_of_images(network, [image_hwc], device))
                progress.advance()
        return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)

    normality = learn_normality(features("train"), features("validation"))
    with one_writer(run.folder):
        write_normality(run.folder, normality, fingerprint(checkpoint))
    return run.folder


def _spread(table: ImageTable) -> ImageTable:
    rows = np.unique(np.linspace(0, len(table) - 1, min(MOST_IMAGES, len(table))).round().astype(int))
    return table.take(rows) if len(table) else table


@writes_to("output")
def rate_images(path: Path, images: Path, output: Path, options: InferenceOptions) -> dict[str, Any]:
    """Write familiarity.csv (image, familiarity; the strangest first); returns a summary.

    Raises InputError for a model that does not know what is normal.
    """
    home = OutputFolder(output)
    home.claim(RESULTS)
    model = load_model(path, options)
    if model.familiar is None:
        raise InputError(f"{path} has not learnt what is normal; first type: sever data familiar {path}")
    table, _ = read_images(images, model.classes, max_pixels=model.config.data.max_pixels)
    rated: list[float] = []
    pixels = read_ahead(model.reader(), table.paths, depth=8)
    with meter("rate", len(table)) as progress:
        for part in chunks(pixels, model.config.predict.batch_size):
            rated += model.familiar(part).tolist()
            progress.advance(len(part))
    frame = pd.DataFrame({"image": table.image_ids, "familiarity": np.round(rated, 4)})
    frame = frame.sort_values("familiarity", kind="stable", ignore_index=True)
    with home.new(RESULTS[0]) as temporary:
        frame.to_csv(temporary, index=False)
    strange = frame["familiarity"] <= STRANGE
    return {
        "images": len(frame),
        "median": float(frame["familiarity"].median()),
        "strange": int(strange.sum()),
        "strange_below": STRANGE,
        "first": frame["image"].head(5).tolist(),
    }


def render(numbers: dict[str, Any], folder: Path) -> str:
    images, strange, share = numbers["images"], numbers["strange"], 1 - numbers["strange_below"]
    return (
        f"{images} images: median familiarity {numbers['median']:.2f} (0.5 is ordinary); {strange} are stranger than "
        f"{share:.0%} of normal ones\nstrangest: {', '.join(numbers['first'])}\n{(folder / RESULTS[0]).absolute()}"
    )


def render_learnt(folders: Sequence[Path]) -> str:
    return "\n".join(f"{folder.absolute()} knows its normal images now" for folder in folders)
