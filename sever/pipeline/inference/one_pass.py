"""Images through a model in one pass: on every thread one image from its file to run lengths, so that reading, network
and decisions of different images overlap and all cores have work; knows no folder of results.

An answer is the same as that of the plain way, image by image: `Model.inspect` and its `run_lengths`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sever.data import rle
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.postprocess import claimed_levels, draw_masks, quantise
from sever.decide.prediction import Prediction
from sever.errors import InputError
from sever.pipeline.inference.model import Model
from sever.prefetch import read_ahead
from sever.store.maps import encode_map
from sever.store.origin import Origin, digest_of, digest_of_content

# Threads beyond the network's streams: while one reads or decides, its stream has another's image.
SPARE_THREADS = 1


@dataclass(frozen=True)
class Row:
    """One image: run lengths, one text a class; `map_file`: its map as a file, where maps are kept. `is_new`: False
    where what was kept of it counts, and nothing else is here."""

    image_id: str
    origin: str
    runs: tuple[str, ...] = ()
    pixels: int = 0
    label_probs_c: np.ndarray | None = None
    map_file: bytes | None = None
    is_new: bool = True


@dataclass(frozen=True)
class OnePass:
    """How to go through images. `knows`: whether what is asked for of an image, by its origin, is there already."""

    model: Model
    read: ImageReader
    knows: Callable[[str, str], bool] = lambda image_id, origin: False
    keep_maps: bool = False

    @cached_property
    def _identity(self) -> str:
        return row_identity(self.model)

    def rows(self, table: ImageTable) -> Iterator[Row]:
        """Every image of the table, in its order; a few images a thread are in memory."""
        threads = (self.model.network.streams or 1) + SPARE_THREADS
        named = zip(table.image_ids, table.paths, strict=True)
        return read_ahead(lambda each: self.row(*each), named, 4 * threads, threads)

    def row(self, image_id: str, path: Path) -> Row:
        """One image, on the caller's thread. Raises InputError for a file that can't be read or decoded."""
        return self.row_of(image_id, _content(path), path)

    def row_of(self, image_id: str, content: bytes, path: Path) -> Row:
        """The same of a file's content, wherever it comes from."""
        digest = digest_of_content(content)
        origin = str(Origin(self._identity, digest))
        if self.knows(image_id, origin):
            return Row(image_id, origin, is_new=False)
        (prediction,) = self.model.network.predict([self.read.decode(content, path)])
        runs, pixels = decide(prediction, self.model)
        map_file = None
        if self.keep_maps and prediction.probs_chw is not None:
            map_file = encode_map(quantise(prediction.probs_chw), map_origin(self.model, digest))
        return Row(image_id, origin, runs, pixels, prediction.label_probs_c, map_file)


def decide(prediction: Prediction, model: Model) -> tuple[tuple[str, ...], int]:
    """Run lengths and pixels of what was found in one image; a map that no rule lets pass is not looked at again."""
    assert prediction.probs_chw is not None
    levels_chw = claimed_levels(prediction.probs_chw, model.rules, prediction.label_probs_c)
    if levels_chw is None:
        return ("",) * len(model.classes), 0
    masks_chw = draw_masks(levels_chw, model.rules, prediction.label_probs_c)
    return tuple(rle.encode_masks(masks_chw)), int(np.count_nonzero(masks_chw))


def row_identity(model: Model) -> str:
    """Digest of all that run lengths depend on: the model, and the rules that they were drawn by."""
    return digest_of([model.identity, repr(model.rules)])


def map_origin(model: Model, image_digest: str) -> str:
    return str(Origin(model.identity, image_digest))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"image {path} can't be read: {error.strerror or error}") from error
