"""The folder that a command writes its results to, and the list of what was written there; knows not what it means.

FOLDER/.sever-written.jsonl   one line a file, added before the file appears: {"name", "bytes", "sha256"}

What stands on the list, and is still as it was written, is replaced and deleted. Anything else is somebody's own: it
leads to an error that names it, and stays. Killed at any moment, the list never lacks a file that is there.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sever.errors import InputError
from sever.files import atomic_path, content_of, naming, write_json, write_text
from sever.locks import LOCK
from sever.names import fault_of, inside
from sever.seals import NOTES, remove_sealed, sealed_path
from sever.walking import raise_unopened

WRITTEN = ".sever-written.jsonl"
SHOWN = 3  # of many files that are not ours, how many an error names

# Size in bytes and digest.
Content = tuple[int, str]


class OutputFolder:
    """One folder of results; `name` is always a file's path below it, with slashes."""

    def __init__(self, folder: Path, list_name: str = WRITTEN) -> None:
        self.folder, self.list_name = folder, list_name
        self._known: dict[str, set[Content]] | None = None

    @property
    def list_file(self) -> Path:
        return self.folder / self.list_name

    def path(self, name: str) -> Path:
        return inside(self.folder, name, "file name")

    def is_ours(self, name: str) -> bool:
        """Whether the file that is there was written here and has not changed since."""
        path = self.path(name)
        if self._is_linked(path) or not path.is_file():
            return False
        content = content_of(path)
        return content in self._written().get(name, ()) or content in self._written(again=True).get(name, ())

    def has_written(self, name: str) -> bool:
        """Whether a file of that name was ever written here; it may have changed since."""
        return name in self._written()

    def claim(self, names: Iterable[str]) -> None:
        """Raises InputError where one of these files is there and is not ours, or could not be written."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"-o {self.folder} is a file; give a folder")
        foreign = [name for name in names if self._is_there(self.path(name)) and not self.is_ours(name)]
        if foreign:
            more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
            raise InputError(
                f"{self.folder} holds {', '.join(foreign[:SHOWN])}{more}, which sever did not write there, or which "
                "changed since; it would be replaced: move it away, or give another -o"
            )

    @contextmanager
    def new(self, name: str, durable: bool = True) -> Iterator[Path]:
        """A temporary path to write to, which takes the name when the block succeeds. Raises InputError as `claim`.

        Tables get a seal (`sever.seals`); what is not `durable` may be lost with the power, and is made again then.
        """
        self.claim([name])
        path = self.path(name)
        with sealed_path(path) if name.endswith(".csv") else atomic_path(path, durable) as temporary:
            yield temporary
            self._note(name, content_of(temporary))

    def write_text(self, name: str, text: str) -> None:
        with self.new(name) as temporary:
            write_text(temporary, text)

    def write_json(self, name: str, value: Any) -> None:
        with self.new(name) as temporary:
            write_json(temporary, value)

    def remove(self, names: Iterable[str]) -> None:
        """Delete those of these files that are there. Raises InputError, and deletes none, where one is not ours."""
        names = list(names)
        self.claim(names)
        for name in names:
            if name.endswith(".csv"):
                remove_sealed(self.path(name))
            else:
                self.path(name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> Path | None:
        """Rename a file that is not ours to NAME.1, or the next free number; returns where it is now."""
        path = self.path(name)
        if not path.is_file() or self.is_ours(name):
            return None
        free = next(place for number in count(1) if not (place := path.with_name(f"{path.name}.{number}")).exists())
        path.rename(free)
        return free

    def below(self, part: str) -> list[str]:
        """The files of the list in the folder `part` that are still there."""
        names = [name for name in self._written(again=True) if name.startswith(f"{part}/")]
        return sorted(name for name in names if self._is_there(self.path(name)))

    def adopt(self, names: Iterable[str]) -> None:
        """Put files on the list that were written here in another way, and nobody else can have touched yet."""
        for name in names:
            self._note(name, content_of(self.path(name)))

    def everything(self) -> list[str]:
        """All that is in the folder, links too, but for the list itself, notes on tables, and the lock."""
        found = [
            (Path(current) / name).relative_to(self.folder).as_posix()
            for current, folders, names in os.walk(self.folder, onerror=raise_unopened)
            for name in (*names, *(each for each in folders if (Path(current) / each).is_symlink()))
        ]
        return sorted(name for name in set(found) - {self.list_name} if name.rpartition("/")[2] not in (NOTES, LOCK))

    def _is_there(self, path: Path) -> bool:
        return path.exists() or path.is_symlink() or self._is_linked(path)

    def _is_linked(self, path: Path) -> bool:
        """Whether the way from the folder to the file leads through a link, and so perhaps out of it."""
        return any(
            place.is_symlink()
            for place in (path, *path.parents)
            if place != self.folder and self.folder in place.parents
        )

    def _written(self, again: bool = False) -> dict[str, set[Content]]:
        if self._known is None or again:  # other processes add to the list, too
            self._known = read_list(self.list_file)
        return self._known

    def _note(self, name: str, content: Content) -> None:
        if content in self._written().get(name, ()):
            return
        line = json.dumps({"name": name, "bytes": content[0], "sha256": content[1]}, ensure_ascii=False)
        handle = os.open(self.list_file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            torn = size and os.pread(handle, 1, size - 1) != b"\n"  # half a line of a process that was killed
            added = b"\n" * bool(torn) + line.encode() + b"\n"
            with naming(self.list_file):
                if os.write(handle, added) < len(added):  # in one go: others may write at this moment
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the disk took a part, its last
        finally:
            os.close(handle)
        self._written().setdefault(name, set()).add(content)


def read_list(path: Path) -> dict[str, set[Content]]:
    """What was written, by name: each state that a file had. A line that can't be read proves nothing: it is passed."""
    found: dict[str, set[Content]] = {}
    if path.is_symlink() or not path.is_file():
        return found
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
            name, content = str(entry["name"]), (int(entry["bytes"]), str(entry["sha256"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        found.setdefault(name, set()).add(content)
    return found


def written_below(folder: Path) -> frozenset[Path]:
    """The files in and below `folder` that a command wrote there with `folder` as its output, by the list."""
    written = read_list(folder / WRITTEN)
    return frozenset(
        folder / name
        for name, contents in written.items()
        if fault_of(name) is None
        and (folder / name).is_file()
        and (folder / name).stat().st_size in {size for size, _ in contents}
    )
