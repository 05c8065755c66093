"""What a run learned from its training images, and every later stage must share with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sever.data.images import Channels
from sever.store.records import DatasetRecord


@dataclass(frozen=True)
class DatasetFacts:
    """Class names in their order; mean and deviation of the pixels, one a channel, in 0..1."""

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def channels(self) -> Channels:
        return 3 if len(self.mean) == 3 else 1

    @staticmethod
    def read(path: Path) -> DatasetFacts:
        """Raises InputError for a damaged file."""
        record = DatasetRecord.read(path)
        return DatasetFacts(record.class_names, record.mean, record.std)

    def as_record(self) -> DatasetRecord:
        return DatasetRecord(class_names=self.class_names, mean=self.mean, std=self.std)

    def write(self, path: Path) -> None:
        self.as_record().write(path)
