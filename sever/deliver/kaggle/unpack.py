"""A zip archive into a folder, as a whole or not at all; knows not where it comes from."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sever.deliver.kaggle.patience import PatienceMeter
from sever.errors import FULL, InputError
from sever.files import atomic_folder
from sever.names import fault_of

MIB = 1 << 20
# What zipfile raises for archives that are damaged or not of the kind that it reads (encrypted ones: RuntimeError).
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


class BrokenArchive(InputError):
    """What came is no whole zip archive; whoever fetched it can fetch it again."""


def unpack(
    archive: Path,
    folder: Path,
    progress: Callable[[str, int, int], AbstractContextManager[PatienceMeter]],
    finish: Callable[[Path], None] = lambda folder: None,
) -> int:
    """Extract into `folder`, which appears only when complete and after `finish` was given it; returns how many files.

    Every file is checked against the archive's own checksum. Raises InputError for a broken archive, for one with
    paths that lead out of the folder, and for a disk that is too small.
    """
    try:
        with zipfile.ZipFile(archive) as source, atomic_folder(folder) as temporary:
            members = [member for member in source.infolist() if not (member.filename and member.is_dir())]
            _raise_unless_inside(archive, members)
            _raise_without_room(archive, temporary, sum(member.file_size for member in members))
            with progress(f"unpack {archive.name}", len(members), 0) as meter:
                for member in members:
                    source.extract(member, temporary)
                    meter.advance()
            finish(temporary)
    except _BROKEN as error:
        raise BrokenArchive(f"{archive} is a broken zip archive ({error})") from error
    except OSError as error:
        if error.errno in FULL:
            raise InputError(f"the disk of {folder.parent} is full; make room and run the same command again") from None
        if error.filename is None:  # zipfile's own: an offset that the file does not have
            raise BrokenArchive(f"{archive} is a broken zip archive ({error})") from error
        raise
    return len(members)


def _raise_unless_inside(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        # zipfile cuts names at a NUL and turns backslashes to slashes on Windows alone: judge what stands in the file.
        name = getattr(member, "orig_filename", member.filename)
        if fault := fault_of(name.removeprefix("./")):
            raise InputError(
                f"{archive} holds {name!r}, which leads out of the folder, or would elsewhere ({fault}); nothing was "
                "unpacked"
            )


def _raise_without_room(archive: Path, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"the disk of {folder.parent} is full: unpacking {archive.name} needs {-(-size // MIB)} MiB, "
            f"{free // MIB} MiB are free; make room and run the same command again"
        )
