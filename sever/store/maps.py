"""Probability maps on disk; knows not whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sever.errors import InputError
from sever.files import atomic_path

# Maps are plains with slopes around defects: to match runs alone is smaller, and faster, than what zlib does else.
_SMALL_AND_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


@dataclass(frozen=True)
class ProbabilityStore:
    """Probability maps as 8-bit grey PNGs, the classes of an image stacked from top to bottom.

    One file an image, written atomically, so that an interrupted prediction goes on where it stopped; a person can
    open them. A value q stands for the probability q / 255: the error is at most 1/510.
    """

    folder: Path

    def path(self, image_id: str) -> Path:
        return self.folder / f"{image_id}.png"

    def __contains__(self, image_id: str) -> bool:
        return self.path(image_id).is_file()

    def missing(self, image_ids: Iterable[str]) -> list[str]:
        """Those without a map, in their order."""
        return [image_id for image_id in image_ids if image_id not in self]

    def write(self, image_id: str, levels_chw: np.ndarray) -> None:
        """`levels_chw`: (C, H, W) uint8."""
        classes, height, width = levels_chw.shape
        stacked = levels_chw.reshape(classes * height, width)
        encoded, buffer = cv2.imencode(".png", stacked, _SMALL_AND_FAST)
        assert encoded
        with atomic_path(self.path(image_id)) as temporary:
            temporary.write_bytes(buffer.tobytes())

    def read(self, image_id: str, num_classes: int) -> np.ndarray:
        """(C, H, W) uint8. Raises InputError for a missing or damaged map."""
        path = self.path(image_id)
        content = path.read_bytes() if path.is_file() else b""
        stacked = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
        if stacked is None or stacked.ndim != 2 or len(stacked) % num_classes:
            raise InputError(
                f"no usable map of {num_classes} classes at {path}; delete it, and type the command that made it again"
            )
        return stacked.reshape(num_classes, -1, stacked.shape[1])

    def __iter__(self) -> Iterator[str]:
        for path in sorted(self.folder.rglob("*.png")):
            if not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix().removesuffix(".png")
