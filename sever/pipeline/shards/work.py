"""One shard on one worker: its images, from wherever they are, to rows; knows no engine and no folder of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sever.errors import InputError
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.one_pass import OnePass
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.rating import known_familiarity
from sever.pipeline.shards.listing import ListedImage, content_of_url
from sever.pipeline.shards.store import ShardRow
from sever.prefetch import read_ahead

Answer = TypeVar("Answer")
ATTEMPTS, WAIT_SECONDS = 3, 0.5


class Worker:
    """Loads the bundle once, then takes one shard after another. `rates`: it also says how familiar images are."""

    def __init__(self, path: str, options: InferenceOptions, rates: bool = False) -> None:
        model = load_model(Path(path), options)
        self._pass, self._threads = OnePass(model, model.reader()), options.streams + 1
        self._familiar = known_familiarity(model) if rates else None

    def run(self, images: Sequence[ListedImage]) -> list[ShardRow]:
        """The row of each image, in their order; of one that fails again and again, why."""
        return list(read_ahead(self._row, images, 4 * self._threads, self._threads))

    def _row(self, image: ListedImage) -> ShardRow:
        try:
            return patiently(lambda: self._row_of(image, content_of_url(image.url)))
        except InputError as error:
            return ShardRow(image.image_id, "", str(error), [], 0)

    def _row_of(self, image: ListedImage, content: bytes) -> ShardRow:
        row = self._pass.row_of(image.image_id, content, Path(image.url))
        known = ShardRow(image.image_id, row.origin, "", list(row.runs), row.pixels)
        if self._familiar is None:
            return known
        pixels = self._pass.read.decode(content, Path(image.url))
        return known._replace(familiarity=float(self._familiar([pixels])[0]))


def patiently(work: Callable[[], Answer]) -> Answer:
    """The answer of the first attempt that succeeds. Raises the last one's InputError."""
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except InputError:
            time.sleep(WAIT_SECONDS * attempt)
    return work()
