"""The file of a bundle: a zip of stored parts with a seal over every byte before it; knows not what the parts say.

    PK...       one entry a part, manifest.json first: stored, never compressed, so that no part is larger than the file
    PK...       the zip's directory
    sever-bundle-1 sha256:<64 hexadecimal digits>      the zip's comment: the digest of all bytes before it

Any zip program unpacks it, and the unpacked folder is a bundle too. A file may be of any origin: it is refused, with
one sentence, before anything is taken out of it. The digests find damage; they don't tell who made the file.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from sever.errors import InputError
from sever.files import atomic_path
from sever.names import fault_of, inside
from sever.near_names import unreadable

MANIFEST = "manifest.json"
# A zip without its extension for large files ends at 4 GiB.
MOST_BYTES, MOST_PARTS, MOST_MANIFEST_BYTES = (1 << 32) - 1, 4096, 16 << 20
_SEAL = re.compile(rb"sever-bundle-1 sha256:([0-9a-f]{64})")
_SEAL_BYTES = len("sever-bundle-1 sha256:") + 64
_START = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same parts make the same file, whenever it is written
_AGAIN = "copy it again from where it came from, or export it again"
# What zipfile raises for a directory that makes no sense; the seal has been compared by then.
_BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OverflowError, EOFError, OSError)


class Parts(Protocol):
    """Where parts are read from."""

    place: Path

    def sizes(self) -> dict[str, int]:
        """Bytes of every part that is there, the manifest among them."""
        ...

    def read(self, name: str) -> bytes: ...


def open_parts(place: Path) -> Parts:
    """The parts of a bundle: a file, or a folder that it was unpacked to. Raises InputError for any fault."""
    if place.is_dir():
        return FolderParts(place)
    return ZipParts(place)


def write_parts(path: Path, parts: Mapping[str, bytes | Path]) -> None:
    """Write the file whole or not at all; `parts` are contents, or files that hold them, the manifest first."""
    assert next(iter(parts)) == MANIFEST
    total = sum(_length(part) for part in parts.values())
    if total > MOST_BYTES or len(parts) > MOST_PARTS:
        raise InputError(
            f"{path} would have {len(parts)} parts of {total:,} bytes; a bundle has at most {MOST_PARTS} parts and "
            f"{MOST_BYTES:,} bytes: leave members or backends out"
        )
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            for name, part in parts.items():
                assert fault_of(name) is None, name
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, part if isinstance(part, bytes) else part.read_bytes())
            archive.comment = b"-" * _SEAL_BYTES  # its length is part of what is sealed
        with temporary.open("r+b") as file:
            file.seek(-_SEAL_BYTES, 2)
            file.truncate()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0, 2)
            file.write(f"sever-bundle-1 sha256:{digest}".encode("ascii"))


class ZipParts:
    """The parts of a sealed file."""

    def __init__(self, place: Path) -> None:
        """Raises InputError for what is not a bundle, is cut short or damaged, or claims what can't be."""
        self.place = place
        try:
            with place.open("rb") as file:
                _raise_unless_sealed(place, file)
            with zipfile.ZipFile(place) as archive:
                self._entries = archive.infolist()
        except InputError:
            raise
        except OSError as error:
            raise InputError(unreadable(place, error)) from error
        except _BAD_ZIP as error:
            raise InputError(
                f"{place} is not a bundle: its directory of parts is damaged ({error}); {_AGAIN}"
            ) from error
        self._check_entries()

    def sizes(self) -> dict[str, int]:
        return {entry.filename: entry.file_size for entry in self._entries}

    def read(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self.place) as archive:
                return archive.read(name)
        except (*_BAD_ZIP, KeyError) as error:
            raise InputError(f"{self.place} is damaged: {name} can't be read ({error}); {_AGAIN}") from error

    def _check_entries(self) -> None:
        raise_unless_good_names(self.place, [entry.filename for entry in self._entries])
        for entry in self._entries:
            # zipfile cuts a name at a zero byte: what the file says is in orig_filename.
            if entry.orig_filename != entry.filename or entry.flag_bits & 0x1 or entry.is_dir():
                raise InputError(f"{self.place} is not a bundle: {entry.orig_filename!r} is not a plain part; {_AGAIN}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise InputError(
                    f"{self.place} is not a bundle: {entry.filename} is compressed, and could be of any size; "
                    f"the parts of a bundle are stored: {_AGAIN}"
                )
        end = 0
        for entry in self._entries:
            # One behind the other, with nothing between: parts that lie over each other are a bomb, too.
            if entry.header_offset != end or entry.extra or entry.comment:
                raise InputError(
                    f"{self.place} is not a bundle: {entry.filename} does not begin where the part before it "
                    f"ends; {_AGAIN}"
                )
            end += _LOCAL_HEADER_BYTES + len(entry.filename.encode()) + entry.file_size


class FolderParts:
    """The parts of a bundle that was unpacked, as Kaggle does with archives: no seal, but every part has its digest."""

    def __init__(self, place: Path) -> None:
        if not (place / MANIFEST).is_file():
            raise InputError(f"{place.absolute()} is not a bundle: it has no {MANIFEST}")
        self.place = place

    def sizes(self) -> dict[str, int]:
        return {
            path.relative_to(self.place).as_posix(): path.stat().st_size
            for path in sorted(self.place.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }

    def read(self, name: str) -> bytes:
        path = inside(self.place, name, "part")
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(unreadable(path, error)) from error


def is_bundle(place: Path) -> bool:
    """Whether a path means a bundle and nothing else of ours: such a file, or the folder that it was unpacked to."""
    return (place.is_file() and _starts_as_zip(place)) or (place / MANIFEST).is_file()


def raise_unless_good_names(place: Path, names: list[str]) -> None:
    """No name leads out of a folder, none is there twice, on whatever system it is unpacked."""
    if len(names) > MOST_PARTS:
        raise InputError(f"{place} is not a bundle: it has {len(names):,} parts, at most {MOST_PARTS:,} are allowed")
    for name in names:
        if fault := fault_of(name):
            raise InputError(f"{place} is not a bundle: the part {name[:80]!r} can't be unpacked: {fault}")
    seen = set[str]()
    for name in names:
        if name.casefold() in seen:
            raise InputError(f"{place} is not a bundle: the part {name} appears twice; {_AGAIN}")
        seen.add(name.casefold())
    if MANIFEST not in names:
        raise InputError(f"{place} is not a bundle: it has no {MANIFEST}; `sever export` makes one")


def _raise_unless_sealed(place: Path, file: BinaryIO) -> None:
    if file.read(len(_START)) != _START:
        raise InputError(f"{place} is not a bundle of sever; `sever export` makes one of a trained model")
    size = file.seek(0, 2)
    if size > MOST_BYTES + _SEAL_BYTES:
        raise InputError(f"{place} is not a bundle: it has {size:,} bytes, at most {MOST_BYTES:,} are allowed")
    file.seek(max(0, size - _SEAL_BYTES))
    seal = _SEAL.fullmatch(file.read(_SEAL_BYTES))
    if seal is None:
        raise InputError(f"{place} is cut short, damaged or no bundle: it does not end with its seal; {_AGAIN}")
    if _digest(file, size - _SEAL_BYTES).encode() != seal[1]:
        raise InputError(f"{place} is damaged: its content does not match its seal (SHA-256); {_AGAIN}")


def _digest(file: BinaryIO, count: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while count > 0 and (block := file.read(min(count, 1 << 20))):
        digest.update(block)
        count -= len(block)
    return digest.hexdigest()


def _length(part: bytes | Path) -> int:
    return len(part) if isinstance(part, bytes) else part.stat().st_size


def _starts_as_zip(place: Path) -> bool:
    with place.open("rb") as file:
        return file.read(len(_START)) == _START
