"""`sever data next`: which images of a pool a person should label next, by what a model says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sever.counted import counted
from sever.data.layouts import read_images, read_table
from sever.data.stats import describe
from sever.data.table import ImageTable
from sever.decide.evidence_curves import certainty
from sever.decide.next_images import choose_next
from sever.deliver.pictures import Sample, picture_sheet
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.progress import meter, warn
from sever.store.origin import image_digests

RESULTS = ("next.csv", "next.json", "next.png")
ONE_CELL = (1, 1)
SHOWN = 5


@dataclass(frozen=True)
class _Looks:
    """Of each image of the pool: 1 less the Dice that the model may expect of its masks, and what it looks like."""

    uncertainties_n: np.ndarray
    features_nf: np.ndarray


@writes_to("output")
def choose_images(
    run: Path, pool: Path, output: Path, count: int, options: InferenceOptions, num_shown: int, seed: int
) -> dict[str, Any]:
    """Choose `count` images of a folder; writes RESULTS, returns next.json's content.

    Images whose file the model's data set holds already are left out. Raises InputError for what can't be read, for
    classifiers, and where nothing is left.
    """
    home = OutputFolder(output)
    home.claim(RESULTS)
    loaded = load_model(run, options)
    if not loaded.draws_masks:
        raise InputError(f"{run} is an image classifier, which draws no masks; images are chosen by a segmenter")
    everything, _ = read_images(pool, loaded.classes, max_pixels=loaded.config.data.max_pixels)
    table = _unlabelled(loaded, everything)
    looks = _look(loaded, table)
    rows = choose_next(looks.uncertainties_n, looks.features_nf, count, seed)
    frame = pd.DataFrame(
        {
            "image": [table.image_id(row) for row in rows],
            "uncertainty": looks.uncertainties_n[rows].round(4),
        }
    )
    numbers = _numbers(loaded, pool, everything, table, looks, frame)
    with home.new("next.csv") as temporary:
        frame.to_csv(temporary, index=False)
    home.write_json("next.json", numbers)
    if num_shown:
        with home.new("next.png") as temporary:
            picture_sheet(temporary, _samples(loaded, table.take(rows[:num_shown])), table.class_names)
    return numbers


def render(numbers: dict[str, Any], output: Path) -> str:
    """What was chosen, and what to do with it."""
    chosen, of_all = numbers["uncertainty_chosen"], numbers["uncertainty_pool"]
    images, run = numbers["images"], numbers["run"]
    return "\n".join(
        [
            f"{numbers['chosen']} of {numbers['pool']} images are chosen "
            f"({counted(numbers['known'], 'more is', 'more are')} labelled already); "
            f"their mean uncertainty is {chosen:.3f}, that of the pool {of_all:.3f}.",
            f"First: {', '.join(numbers['first'])}",
            f"To correct the model's masks: sever predict -r {run} --images {images} -o predicted, then",
            f"sever data convert {images} -o task --to cvat --predictions predicted -r {run} "
            f"--listed {output / 'next.csv'}",
        ]
    )


def _unlabelled(loaded: Model, pool: ImageTable) -> ImageTable:
    """The pool without files that the model's data set holds, as far as that is still there."""
    known = _known_digests(loaded)
    digests = image_digests(pool.paths)
    table = pool.take([row for row, digest in enumerate(digests) if digest not in known])
    if not len(table):
        raise InputError("every image of the pool is in the model's data set already: nothing is left to label")
    return table


def _known_digests(loaded: Model) -> set[str]:
    if not loaded.config.data.root.is_dir():
        warn(f"{loaded.config.data.root} is not there, so images that are labelled already may be chosen again")
        return set()
    labelled, _ = read_table(loaded.config.data, thorough=False)
    return set(image_digests(labelled.paths))


def _look(loaded: Model, table: ImageTable) -> _Looks:
    rules = loaded.rules
    uncertainties, features = [], []
    with meter("look at the pool", len(table)) as progress:
        for _, found in loaded.inspect_table(table):
            assert found.levels is not None, "it draws masks"
            certain_c = certainty(found.levels, found.masks, rules, found.label_probabilities)
            uncertainties.append(1 - float(certain_c.mean()))
            looks_like = describe(found.image[..., 0], ONE_CELL).whole
            features.append(np.concatenate([looks_like, _drawn(found.probabilities)]))
            progress.advance()
    return _Looks(np.array(uncertainties), np.stack(features))


def _drawn(probs_chw: np.ndarray) -> np.ndarray:
    """(2C,) how much of each class the model sees, and how surely: images with the same defect are alike."""
    flat_cp = probs_chw.reshape(len(probs_chw), -1)
    return np.concatenate([np.sqrt(flat_cp.mean(axis=1)), flat_cp.max(axis=1)])


def _numbers(
    loaded: Model, pool: Path, everything: ImageTable, table: ImageTable, looks: _Looks, frame: pd.DataFrame
) -> dict[str, Any]:
    return {
        "form": "next",
        "run": str(loaded.folder),
        "images": str(pool),
        "pool": len(table),
        "known": len(everything) - len(table),
        "chosen": len(frame),
        "uncertainty_chosen": float(frame["uncertainty"].mean()),
        "uncertainty_pool": float(looks.uncertainties_n.mean()),
        "first": frame["image"].head(SHOWN).tolist(),
    }


def _samples(loaded: Model, table: ImageTable) -> list[Sample]:
    return [Sample(found.name, found.image, None, found.masks) for _, found in loaded.inspect_table(table)]
