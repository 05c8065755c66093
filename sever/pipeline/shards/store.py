"""The shards of one job: each a file that is there whole or not at all, and at the end one table of all.

shards/000012-<digest>.parquet   image_id, origin, error ("" where it was read), runs (one a class), pixels; and
                                 familiarity, where that was asked for

The digest is of the images' names, places and stamps, and of the model with its rules: a shard of another job, or whose
images changed, is as good as not there. Knows no engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sever.errors import InputError
from sever.output import OutputFolder
from sever.pipeline.shards.listing import ListedImage, digest_of_list
from sever.store.origin import digest_of

RESULTS, FAILED = "results.parquet", "failed.csv"


class ShardRow(NamedTuple):
    """What one image gave: run lengths, or why there are none."""

    image_id: str
    origin: str
    error: str
    runs: list[str]
    pixels: int
    familiarity: float = math.nan


@dataclass(frozen=True)
class Shards:
    """A job's images, cut into shards of `size`; `identity` is of the model and its rules.

    `familiarity`: that of what says how familiar images are; "" where nobody asked for it.
    """

    home: OutputFolder
    images: Sequence[ListedImage]
    size: int
    identity: str
    familiarity: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return ShardRow._fields if self.familiarity else ShardRow._fields[:-1]

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.size)

    def of(self, shard: int) -> Sequence[ListedImage]:
        return self.images[shard * self.size : (shard + 1) * self.size]

    def name(self, shard: int) -> str:
        asked = [self.familiarity] if self.familiarity else []
        digest = digest_of([self.identity, digest_of_list(self.of(shard)), *asked])
        return f"shards/{shard:06}-{digest[:16]}.parquet"

    def todo(self, shard: int) -> list[ListedImage]:
        """Its images without a result: all of a shard that is not there, or those that failed."""
        if not self.home.is_ours(self.name(shard)):
            return list(self.of(shard))
        failed = {row.image_id for row in self.read(shard) if row.error}
        return [each for each in self.of(shard) if each.image_id in failed]

    def commit(self, shard: int, rows: Sequence[ShardRow]) -> None:
        """Write the shard whole: `rows` in place of what was there of these images."""
        name = self.name(shard)
        known = {row.image_id: row for row in self.read(shard)} if self.home.is_ours(name) else {}
        known |= {row.image_id: row for row in rows}
        whole = [known[each.image_id] for each in self.of(shard)]
        with self.home.new(name) as temporary:
            frame = _pandas().DataFrame(whole, columns=list(ShardRow._fields))[list(self.columns)]
            frame.to_parquet(temporary, index=False)

    def read(self, shard: int) -> list[ShardRow]:
        """Raises InputError for a file that is damaged."""
        path = self.home.path(self.name(shard))
        try:
            frame = _pandas().read_parquet(path)
            columns = [frame[name].tolist() for name in self.columns]
            return [
                ShardRow(str(name), str(origin), str(fault), list(map(str, runs)), int(pixels), *map(float, rest))
                for name, origin, fault, runs, pixels, *rest in zip(*columns, strict=True)
            ]
        except Exception as error:  # readers of Parquet have errors of their own
            raise InputError(f"{path} is damaged; delete it, and run the command again") from error

    def rows(self) -> Iterator[ShardRow]:
        """All images, in the order of the job."""
        for shard in range(len(self)):
            yield from self.read(shard)

    def write_results(self) -> None:
        """results.parquet: all shards behind each other, one in memory at a time."""
        parquet = _parquet()
        with self.home.new(RESULTS) as temporary:
            writer: Any = None
            for shard in range(len(self)):
                table = parquet.read_table(self.home.path(self.name(shard)))
                writer = writer or parquet.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
            writer.close()


def _pandas() -> Any:
    import pandas

    _parquet()
    return pandas


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("shards are Parquet files: pip install 'sever[ray]'") from error
    return pyarrow.parquet
