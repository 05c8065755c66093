"""How familiar each image of a table is to a model, kept as it comes in familiarity.csv, the strangest first.

An interrupted rating goes on where it stopped. Images are seen one at a time, so that no batch changes an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sever.counted import counted
from sever.data.table import ImageTable
from sever.decide.familiarity import STRANGE
from sever.errors import InputError
from sever.output import OutputFolder
from sever.pipeline.inference.familiar import Familiarity
from sever.pipeline.inference.model import Model
from sever.prefetch import read_ahead
from sever.progress import meter
from sever.store import LabelStore
from sever.store.bundle.container import is_bundle
from sever.store.labels import Label
from sever.store.origin import Origin, image_digests

FAMILIARITY = "familiarity.csv"
_DIGITS = 4


@dataclass(frozen=True)
class Rated:
    """Familiarities by image id, the lowest first; `least`: the lowest that the model could say."""

    by_image: Mapping[str, float]
    least: float

    @property
    def unfamiliar(self) -> int:
        """How many images are as strange as `STRANGE` says, or stranger."""
        return sum(value <= STRANGE for value in self.by_image.values())

    @property
    def median(self) -> float:
        return float(np.median(list(self.by_image.values())))


def unfamiliar_in_words(unfamiliar: int, least: float) -> str:
    if least > STRANGE:
        return f"none can be called unfamiliar: too few validation images (the least familiarity is {least:.2f})"
    count, share = counted(unfamiliar, "image"), 1 - STRANGE
    return f"unfamiliar: {count}, stranger than {share:.0%} of normal ones (familiarity of {STRANGE:g} or less)"


def familiarity_store(home: OutputFolder) -> LabelStore:
    return LabelStore(home.folder, FAMILIARITY, ("image", "familiarity"), _DIGITS)


def known_familiarity(model: Model) -> Familiarity:
    """The model's. Raises InputError for one that has not learnt what is normal."""
    if model.familiar is not None:
        return model.familiar
    place = model.source[0] if model.source else model.folder
    if is_bundle(place):
        first = "train it again, or run: sever data familiar RUN, then export it again"
    else:
        first = f"first run: sever data familiar {place}"
    raise InputError(f"{place} has not learnt what is normal; {first}")


def rate_table(home: OutputFolder, model: Model, table: ImageTable) -> Rated:
    """Rate what is not rated yet, by this model and of these very files, and write familiarity.csv."""
    familiar, store, digests = known_familiarity(model), familiarity_store(home), image_digests(table.paths)
    origins = [str(Origin(familiar.identity, digest)) for digest in digests]
    home.folder.mkdir(parents=True, exist_ok=True)
    known = store.read(1, dict(zip(table.image_ids, origins, strict=True)))
    todo = [row for row, name in enumerate(table.image_ids) if name not in known]
    read, threads = model.reader(), model.network.streams or 1

    def rate(row: int) -> tuple[int, np.ndarray]:
        return row, familiar([read(table.path(row))])

    with meter("rate", len(table), done=len(known)) as progress:
        for row, value_1 in read_ahead(rate, todo, 4 * threads, threads):
            store.add(table.image_id(row), value_1.astype(np.float32), origins[row])
            progress.advance()
    labels = store.read_labels(1)
    rated = write_ratings(store, {name: labels[name] for name in table.image_ids}, familiar.least)
    store.partial_file.unlink(missing_ok=True)
    return rated


def write_ratings(store: LabelStore, rows: Mapping[str, Label], least: float) -> Rated:
    """Write the whole table: the strangest first, equal ones in their order."""
    # As many digits as the file has: what it says is 0.05 is no more than that.
    values = {name: float(f"{row.probs_c[0]:.{_DIGITS}g}") for name, row in rows.items()}
    order = sorted(values, key=lambda name: values[name])
    store.write({name: rows[name] for name in order}, 1)
    return Rated({name: values[name] for name in order}, least)
