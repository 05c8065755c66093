"""Which real images an export looks at: unseen ones for the proof, training images for statistics and int8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sever.config import DataSettings
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.pipeline.evidence import open_evidence
from sever.store import Evidence

if TYPE_CHECKING:
    # Which knows torch: a bundle is verified without it.
    from sever.pipeline.export.trained import TrainedModel, TrainedNetwork

SEED = 0


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels, and what they are in words."""

    table: ImageTable
    of: str

    def sample(self, most: int) -> LabelledImages:
        """At most so many, drawn evenly, in the table's order."""
        if len(self.table) <= most:
            return self
        rows = np.sort(np.random.default_rng(SEED).permutation(len(self.table))[:most])
        return LabelledImages(self.table.take(rows), f"a sample of the {self.of}")


def proof_images(trained: TrainedModel, data: Path | None) -> LabelledImages:
    """Of `data`, or else the images that a run held out, or those of the out-of-fold evidence. Raises InputError."""
    if data is not None:
        settings = DataSettings(root=data, num_classes=len(trained.class_names))
        table = read_table(settings.meant_as(trained.first.config.data), "train")[0]
        return _fitting(trained, LabelledImages(table, f"images of {data.name}"))
    if trained.kind == "run":
        run = trained.first.run
        table = trained.first.labelled.select(run.part("validation"), run.folder)
        return _fitting(trained, LabelledImages(table, "images that the run held out"))
    evidence = Evidence.find(trained.path)
    return _fitting(trained, LabelledImages(open_evidence(evidence.folder).table, "images of the folds"))


def training_images(network: TrainedNetwork) -> ImageTable:
    """The labelled images that one network was trained on."""
    return network.labelled.select(network.run.part("train"), network.run.folder)


def _fitting(trained: TrainedModel, images: LabelledImages) -> LabelledImages:
    if images.table.class_names != trained.class_names:
        raise InputError(
            f"the model knows the classes {', '.join(trained.class_names)}, but the labels have "
            f"{', '.join(images.table.class_names)}"
        )
    if not len(images.table):
        raise InputError("there is no image to prove the bundle on; give --data ROOT, labelled images")
    return images
