"""A folder of images, or a camera's one file, inspected as they come: each content once, and none half-written.

A file is read when its size and time have not changed for a while, and counts only if they are the same after reading.
What was done is noted in the transaction that keeps the answer, so that a kill at any moment neither loses nor repeats.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, select

from sever.config.serve import WatchSettings
from sever.data.images import find_images, is_text
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.answers import Source
from sever.deliver.serve.storage.store import Store
from sever.names import one_line
from sever.reading import read_at_most

LOGGER = logging.getLogger("sever.serve")
# A refusal for want of a place, or of time, says nothing of the file.
LATER = (408, 429, 503)
AT_ONCE = 8
# A file that can't be read or inspected now holds up no other one, and is tried again after so long.
TRY_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Look:
    """A file as it was at one moment."""

    path: Path
    name: str
    size: int
    changed_ns: int

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{_text(self.path)}\0{self.size}\0{self.changed_ns}".encode()).hexdigest()


class Watch:
    """`inspect(data, source, done)` answers, and runs `done(connection, uid)` in the transaction that keeps it."""

    def __init__(
        self,
        settings: WatchSettings,
        store: Store,
        inspect: Callable[[bytes, Source, Callable[[Connection, str], None]], Awaitable[object]],
        most_bytes: int,
    ) -> None:
        self._settings, self._store, self._inspect, self._most_bytes = settings, store, inspect, most_bytes
        self._pattern = re.compile(settings.name_pattern) if settings.name_pattern else None
        self._seen: dict[Path, tuple[Look, float]] = {}
        self._done: dict[Path, Look] = {}
        self._later: dict[Path, tuple[Look, float]] = {}
        self._is_missing = False
        self._closed: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except OSError as error:
                LOGGER.warning("%s can't be watched now: %s", self._settings.path, error)
            except Exception:
                LOGGER.exception("watching %s failed; it is tried again", self._settings.path)
            await asyncio.sleep(self._settings.poll_seconds)

    async def look(self) -> None:
        """Inspect what is new and at rest."""
        looks = await asyncio.to_thread(lambda: list(self._find()))
        self._tell_missing()
        there = {look.path for look in looks}
        self._seen = {path: seen for path, seen in self._seen.items() if path in there}
        self._done = {path: done for path, done in self._done.items() if path in there}
        now = time.monotonic()
        self._later = {path: (look, until) for path, (look, until) in self._later.items() if until > now}
        waiting = {look for look, _ in self._later.values()}
        due = [look for look in looks if self._done.get(look.path) != look and self._is_at_rest(look)]
        due = [look for look in due if look not in waiting]
        due.sort(key=lambda look: look.changed_ns)  # by age: 10.png comes before 9.png by name
        for start in range(0, len(due), AT_ONCE):
            await asyncio.gather(*(self._take_or_leave(look) for look in due[start : start + AT_ONCE]))

    def _find(self) -> Iterator[Look]:
        top, closed = self._settings.path, set[str]()
        paths = [str(top)] if top.is_file() else find_images(top, partial(self._pass_over, closed))
        self._closed = closed
        for path in map(Path, sorted(paths)):
            with suppress(FileNotFoundError):  # taken away meanwhile
                if path.is_file():
                    yield _look(path, top.name if path == top else path.relative_to(top).as_posix())

    def _pass_over(self, closed: set[str], error: OSError) -> None:
        """A folder that can't be opened holds up no other one; said once each time."""
        if isinstance(error, FileNotFoundError):
            return
        folder = os.fsdecode(error.filename)
        closed.add(folder)
        if folder not in self._closed:
            LOGGER.warning("%s is not watched: %s; it is tried again", one_line(_text(folder)), error.strerror)

    def _tell_missing(self) -> None:
        """Once each time: a share that comes later, or a mistyped name."""
        is_missing = not self._settings.path.exists()
        if is_missing and not self._is_missing:
            LOGGER.warning("%s is not there; it is watched as soon as it is", self._settings.path)
        self._is_missing = is_missing

    def _is_at_rest(self, look: Look) -> bool:
        before, since = self._seen.get(look.path, (None, 0.0))
        now = time.monotonic()
        if before != look:
            self._seen[look.path] = (look, now)
            return self._settings.settle_seconds == 0
        return now - since >= self._settings.settle_seconds

    async def _take_or_leave(self, look: Look) -> None:
        """What goes wrong with one file holds up no other."""
        try:
            await self._take(look)
        except OSError as error:
            self._leave(look)
            LOGGER.warning("%s is left for now, and tried again: %s", one_line(look.name), error)
        except Exception:
            self._leave(look)
            LOGGER.exception("%s could not be inspected; it is tried again", one_line(look.name))

    def _leave(self, look: Look) -> None:
        self._later[look.path] = look, time.monotonic() + TRY_AGAIN_SECONDS

    async def _take(self, look: Look) -> None:
        known = await asyncio.to_thread(self._store.read, partial(_read_done, look.key))
        if known is not None:
            self._finish(look, is_answered=known)
            return
        try:
            data = await asyncio.to_thread(_read_unchanged, look, self._most_bytes)
            if data is None:
                return
            await self._inspect(data, self._source(look), partial(_note_done, look))
        except Refusal as refusal:
            if refusal.status in LATER:
                return
            LOGGER.warning("%s: %s", one_line(look.name), refusal.message)
            await self._store.write_soon(partial(_note_fault, look, refusal.message))
            self._finish(look, is_answered=False)
            return
        self._finish(look, is_answered=True)

    def _finish(self, look: Look, is_answered: bool) -> None:
        """What was answered may go; what can't be read stays, for a person to look at."""
        self._done[look.path] = look
        if is_answered and self._settings.after == "delete" and _same(look):
            look.path.unlink(missing_ok=True)

    def _source(self, look: Look) -> Source:
        found = self._pattern.search(look.name) if self._pattern else None
        values = found.groupdict() if found else {}
        along, across = _number(values.get("position_m")), _number(values.get("across_m"))
        return Source("watch", look.name[:200], f"file:{look.key}", values.get("coil"), along, across)


def _look(path: Path, name: str) -> Look:
    about = path.stat()
    return Look(path, _text(name), about.st_size, about.st_mtime_ns)


def _text(name: str | Path) -> str:
    """A file's name as text, which no database takes it for otherwise: Linux allows any bytes."""
    return str(name) if is_text(str(name)) else os.fsencode(name).decode("utf-8", "backslashreplace")


def _same(look: Look) -> bool:
    try:
        return _look(look.path, look.name) == look
    except OSError:
        return False


def _read_unchanged(look: Look, most_bytes: int) -> bytes | None:
    """None where it is another one, or gone, by now. Raises Refusal (413), and OSError where it can't be read."""
    if look.size > most_bytes:
        raise Refusal(413, f"it is larger than {most_bytes:,} bytes (limits.max_bytes)")
    try:
        with look.path.open("rb") as file:
            data = read_at_most(file, look.size + 1)
    except FileNotFoundError:
        return None
    return data if _same(look) and len(data) == look.size else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read_done(key: str, connection: Connection) -> bool | None:
    """Whether a file that was done was answered; None for one that was not."""
    row = connection.execute(select(tables.files.c.answer).where(tables.files.c.key == key)).first()
    return None if row is None else row.answer is not None


def _note_done(look: Look, connection: Connection, uid: str) -> None:
    values = {"key": look.key, "path": _text(look.path), "answer": uid, "done": time.time()}
    connection.execute(tables.files.insert().values(values))


def _note_fault(look: Look, fault: str, connection: Connection) -> None:
    values = {"key": look.key, "path": _text(look.path), "fault": fault, "done": time.time()}
    connection.execute(tables.files.insert().values(values))
