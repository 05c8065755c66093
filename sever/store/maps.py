"""Probability maps on disk, each with its origin; knows not whose they are."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sever.errors import InputError
from sever.names import inside
from sever.output import OutputFolder
from sever.store.origin import UNKNOWN

# Maps are plains with slopes around defects: to match runs alone is smaller, and faster, than what zlib does else.
_SMALL_AND_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
# The origin stands in a chunk of text right behind the header: signature 8 bytes, length, kind, 13 bytes, checksum.
_CHUNK_AT = 8 + 4 + 4 + 13 + 4
_KEYWORD = b"tEXtsever-origin\0"
_MOST_CHUNK_BYTES = 512


@dataclass(frozen=True)
class ProbabilityStore:
    """Probability maps as 8-bit grey PNGs, the classes of an image stacked from top to bottom.

    One file an image, written atomically, so that an interrupted prediction goes on where it stopped; a person can
    open them. A value q stands for the probability q / 255: the error is at most 1/510. `output` is the folder, this
    one or one above it, on whose list the maps stand.
    """

    folder: Path
    output: OutputFolder | None = None

    @property
    def home(self) -> OutputFolder:
        return self.output or OutputFolder(self.folder)

    def path(self, image_id: str) -> Path:
        return inside(self.folder, f"{image_id}.png", "image id")

    def name(self, image_id: str) -> str:
        """The map's file as seen from the output folder."""
        return self.path(image_id).relative_to(self.home.folder).as_posix()

    def __contains__(self, image_id: str) -> bool:
        path = self.path(image_id)
        return path.is_file() and path.stat().st_size > 0  # a power cut may leave a name without its content

    def holds(self, image_id: str, origin: str) -> bool:
        """Whether the image's map is there, and of that origin."""
        return image_id in self and self.origin(image_id) == origin

    def missing(self, image_ids: Iterable[str]) -> list[str]:
        """Those without a map, in their order."""
        return [image_id for image_id in image_ids if image_id not in self]

    def write(self, image_id: str, levels_chw: np.ndarray, origin: str = UNKNOWN) -> None:
        """`levels_chw`: (C, H, W) uint8. Raises InputError where a file of that name is there that is not ours."""
        self.write_encoded(image_id, encode_map(levels_chw, origin))

    def write_encoded(self, image_id: str, content: bytes) -> None:
        """What `encode_map` gave, on whatever thread."""
        # Thousands of them, each made again where it is lost: not brought to the disk one by one.
        with self.home.new(self.name(image_id), durable=False) as temporary:
            temporary.write_bytes(content)

    def read(self, image_id: str, num_classes: int) -> np.ndarray:
        """(C, H, W) uint8. Raises InputError for a missing or damaged map."""
        path = self.path(image_id)
        content = path.read_bytes() if path.is_file() else b""
        whole = bool(content) and _is_whole(content)
        stacked = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
        if stacked is None or stacked.ndim != 2 or len(stacked) % num_classes:
            raise InputError(
                f"no usable map of {num_classes} classes at {path}; delete it, and type the command that made it again"
            )
        return stacked.reshape(num_classes, -1, stacked.shape[1])

    def origin(self, image_id: str) -> str:
        """What the map says of its origin; UNKNOWN where it says nothing, or is not there."""
        path = self.path(image_id)
        if not path.is_file():
            return UNKNOWN
        with path.open("rb") as file:
            return _said(file.read(_CHUNK_AT + _MOST_CHUNK_BYTES))[0]

    def __iter__(self) -> Iterator[str]:
        for path in sorted(self.folder.rglob("*.png")):
            if not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix().removesuffix(".png")


def encode_map(levels_chw: np.ndarray, origin: str = UNKNOWN) -> bytes:
    """The file of a map (C, H, W) uint8."""
    classes, height, width = levels_chw.shape
    stacked = levels_chw.reshape(classes * height, width)
    encoded, buffer = cv2.imencode(".png", stacked, _SMALL_AND_FAST)
    assert encoded
    return _with_origin(buffer.tobytes(), origin)


def _with_origin(png: bytes, origin: str) -> bytes:
    """The PNG with a chunk that says where it comes from, and the checksum of all the rest."""
    body = _KEYWORD + f"{origin} {zlib.crc32(png):08x}".encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_CHUNK_AT] + chunk + png[_CHUNK_AT:]


def _said(start: bytes) -> tuple[str, str, int]:
    """Origin, checksum and length of the chunk, of a file that starts so; nothing where there is no such chunk."""
    nothing = (UNKNOWN, "", 0)
    if start[_CHUNK_AT + 4 : _CHUNK_AT + 4 + len(_KEYWORD)] != _KEYWORD:
        return nothing
    (length,) = struct.unpack_from(">I", start, _CHUNK_AT)
    body, end = start[_CHUNK_AT + 4 : _CHUNK_AT + 8 + length], _CHUNK_AT + 12 + length
    if len(start) < end or zlib.crc32(body) != int.from_bytes(start[end - 4 : end], "big"):
        return nothing
    origin, _, checksum = body[len(_KEYWORD) :].decode("ascii", "replace").rpartition(" ")
    return origin, checksum, length + 12


def _is_whole(content: bytes) -> bool:
    """Whether it is as it was written; of a map that says nothing, the decoder has to judge."""
    _, checksum, length = _said(content)
    rest = content[:_CHUNK_AT] + content[_CHUNK_AT + length :]
    return not checksum or f"{zlib.crc32(rest):08x}" == checksum
