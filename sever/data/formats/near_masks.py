"""Which file a missing mask may be, by names that pairing does not take: case, JPEG, other endings; reads none."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from sever.data.faults import Skipped
from sever.data.formats.files import files_below
from sever.near_names import NearNames

_WORDS = "masks?|gt|ground[-_ ]?truth|labels?|labelids|seg|segmentation|annotations?|defects?"
_DECORATION = re.compile(rf"^(?:{_WORDS})[-_ .]+|[-_ .]*(?:{_WORDS})$", re.IGNORECASE)
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


def with_near_images(faults: Iterable[Skipped], image_ids: Iterable[str]) -> list[Skipped]:
    """The faults, those of masks without an image with the images of near names, which they may belong to."""
    by_bare: dict[str, list[str]] = defaultdict(list)
    for image_id in image_ids:
        by_bare[_bare(image_id)].append(image_id)
    near = NearNames(by_bare)
    return [
        fault
        if fault.images
        else replace(fault, may_mean=tuple(name for key in near.find(_bare(fault.image_id)) for name in by_bare[key]))
        for fault in faults
    ]


class NearMasks:
    """What a folder of masks holds, but for the masks that have found their images; looked at where one is missing."""

    def __init__(self, folder: Path, taken: Iterable[Path]) -> None:
        self.folder, self.taken = folder, taken

    def expected(self, image_id: str) -> str:
        """Where the mask of an image should be, and what is there that may be meant."""
        name = f"{PurePosixPath(image_id).with_suffix('')}.png"
        return f"{self.folder / name}{self._hint(image_id)}"

    def _hint(self, image_id: str) -> str:
        near, files = self._files
        bare = _bare(image_id)
        found = [name for key in near.find(bare) for name in files[key]]
        if not found:
            return ""
        told = " and ".join(found[:2]) + (" are" if len(found) > 1 else " is")
        if PurePosixPath(found[0]).suffix.lower() in _JPEG:
            return f"; {told} there, but JPEG changes the numbers of a mask: save it as PNG"
        return f"; {told} there: give it the image's path and name, case included"

    @cached_property
    def _files(self) -> tuple[NearNames, dict[str, list[str]]]:
        files: dict[str, list[str]] = defaultdict(list)
        for name in _names(self.folder, set(self.taken)):
            files[_bare(name)].append(name)
        return NearNames(files), files


def _bare(name: str) -> str:
    """The path without suffix and without what says "mask"."""
    path = PurePosixPath(name)
    stem = PurePosixPath(path.stem).stem if PurePosixPath(path.stem).suffix.lower() in _JPEG else path.stem
    return str(path.with_name(_DECORATION.sub("", stem) or stem))


def _names(folder: Path, taken: set[Path]) -> Iterable[str]:
    paths = (path for path in files_below(folder) if path.is_file() and path not in taken)
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    return [name for name in names if not any(part.startswith((".", "@")) for part in name.split("/"))]
