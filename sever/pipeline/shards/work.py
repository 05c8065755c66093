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
from sever.pipeline.shards.listing import ListedImage, content_of_url
from sever.pipeline.shards.store import ShardRow
from sever.prefetch import read_ahead

Answer = TypeVar("Answer")
ATTEMPTS, WAIT_SECONDS = 3, 0.5


class Worker:
    """Loads the bundle once, then takes one shard after another."""

    def __init__(self, path: str, options: InferenceOptions) -> None:
        model = load_model(Path(path), options)
        self._pass, self._threads = OnePass(model, model.reader()), options.streams + 1

    def run(self, images: Sequence[ListedImage]) -> list[ShardRow]:
        """The row of each image, in their order; of one that fails again and again, why."""
        return list(read_ahead(self._row, images, 4 * self._threads, self._threads))

    def _row(self, image: ListedImage) -> ShardRow:
        try:
            row = patiently(lambda: self._pass.row_of(image.image_id, content_of_url(image.url), Path(image.url)))
        except InputError as error:
            return ShardRow(image.image_id, "", str(error), [], 0)
        return ShardRow(image.image_id, row.origin, "", list(row.runs), row.pixels)


def patiently(work: Callable[[], Answer]) -> Answer:
    """The answer of the first attempt that succeeds. Raises the last one's InputError."""
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except InputError:
            time.sleep(WAIT_SECONDS * attempt)
    return work()
