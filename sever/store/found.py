"""What was found in each image, as run lengths: kept as it comes, so that a prediction goes on where it stopped.

found.jsonl            an object a line: image, origin, runs (one a class, "" where it is absent), pixels (of all masks)
.sever-found.partial   the same while a prediction is under way: each line is added as it comes

Only where each line stands is held in memory, so that a folder of any length takes no more. Knows not whose they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sever.errors import InputError
from sever.files import naming
from sever.output import OutputFolder

FOUND = "found.jsonl"


class FoundImage(NamedTuple):
    """One image: its run lengths, one text a class, and how many pixels they cover."""

    image_id: str
    origin: str
    runs: list[str]
    pixels: int

    def line(self) -> bytes:
        values = {"image": self.image_id, "origin": self.origin, "runs": self.runs, "pixels": self.pixels}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> FoundImage:
        """Raises ValueError, KeyError, TypeError or OverflowError for what is no such line."""
        values = json.loads(line)
        runs = [str(text) for text in values["runs"]]
        return FoundImage(str(values["image"]), str(values["origin"]), runs, int(values["pixels"]))


class FoundStore:
    """The lines of one output folder; one writer at a time."""

    def __init__(self, home: OutputFolder) -> None:
        self.home = home
        # Of each image: which file, and where in it its newest line begins.
        self._places: dict[str, tuple[Path, int]] = {}
        self._origins: dict[str, str] = {}
        for path in (self.file, self.partial_file):
            self._scan(path)

    @property
    def file(self) -> Path:
        return self.home.path(FOUND)

    @property
    def partial_file(self) -> Path:
        return self.home.folder / ".sever-found.partial"

    def holds(self, image_id: str, origin: str) -> bool:
        return self._origins.get(image_id) == origin

    def add(self, found: FoundImage) -> None:
        """Keep one image at once."""
        self.home.folder.mkdir(parents=True, exist_ok=True)
        with naming(self.file), self.partial_file.open("ab") as file:
            place = file.seek(0, os.SEEK_END)
            file.write(found.line())
        self._note(found, self.partial_file, place)

    def read(self, image_ids: Iterable[str]) -> Iterator[FoundImage]:
        """These images, which must be there, in this order."""
        open_files: dict[Path, BinaryIO] = {}
        try:
            for image_id in image_ids:
                path, place = self._places[image_id]
                file = open_files.setdefault(path, open_files.get(path) or path.open("rb"))
                file.seek(place)
                yield FoundImage.parse(file.readline())
        finally:
            for file in open_files.values():
                file.close()

    def finish(self, image_ids: Iterable[str]) -> None:
        """Write found.jsonl with these images, in this order, and forget all others."""
        with self.home.new(FOUND) as temporary, temporary.open("wb") as file:
            file.writelines(found.line() for found in self.read(image_ids))
        self.partial_file.unlink(missing_ok=True)
        self._places.clear()
        self._scan(self.file)

    def clear(self) -> None:
        """Raises InputError, and deletes nothing, where found.jsonl is not ours."""
        self.home.remove([FOUND])
        self.partial_file.unlink(missing_ok=True)
        self._places.clear()
        self._origins.clear()

    def _scan(self, path: Path) -> None:
        """Take note of every line; half a line of a process that was killed is cut off."""
        if not path.is_file():
            return
        place = 0
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    self._note(self._parse(line, path), path, place)
                    place += len(line)
        if path == self.partial_file and path.stat().st_size != place:
            os.truncate(path, place)

    def _note(self, found: FoundImage, path: Path, place: int) -> None:
        self._places[found.image_id], self._origins[found.image_id] = (path, place), found.origin

    @staticmethod
    def _parse(line: bytes, path: Path) -> FoundImage:
        try:
            return FoundImage.parse(line)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(
                f"{path} is damaged ({type(error).__name__}); give --overwrite to predict again"
            ) from error
