"""How far a story has come, kept in SAVED/stories/NAME/state.json; knows not what the command lines do."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sever.errors import InputError
from sever.files import write_json
from sever.store import read_json

VERSION = 1


@dataclass(frozen=True)
class StageRecord:
    """One stage: when it was begun (as the folders of runs are named), which of its command lines are done, and the
    seconds that each took. `running` is the line that was begun last, with its time; None once it is done."""

    begun: str
    lines: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    running: tuple[str, str] | None = None
    ended: str | None = None

    @property
    def is_done(self) -> bool:
        return self.ended is not None


@dataclass
class StoryState:
    """The records of all stages that were begun; every change is on disk before it is acted upon."""

    file: Path
    story: str
    text_sha256: str
    stages: dict[str, StageRecord] = field(default_factory=dict)

    @staticmethod
    def read(saved: Path, story: str, text_sha256: str) -> StoryState:
        """Raises InputError for a file that is damaged, or of another version."""
        state = StoryState(saved / "stories" / story / "state.json", story, text_sha256)
        if not state.file.exists():
            return state
        values = read_json(state.file)
        try:
            if values["version"] != VERSION:
                raise InputError(f"{state.file} was written by another release of sever; delete it to start anew")
            for name, record in values["stages"].items():
                running = record["running"]
                lists = {key: tuple(record[key]) for key in ("lines", "seconds")}
                state.stages[name] = StageRecord(**record | lists | {"running": running and tuple(running)})
        except (KeyError, TypeError) as error:
            raise InputError(f"{state.file} is damaged ({error!r}); delete it to start anew") from error
        return state

    @staticmethod
    @contextmanager
    def locked(saved: Path, story: str, text_sha256: str) -> Iterator[StoryState]:
        """The state, for as long as no other process may carry the story on. Raises InputError where one does."""
        folder = saved / "stories" / story
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go when the process ends, however it does
            except BlockingIOError as error:
                raise InputError(f"another `sever run` is at work on {story} ({folder}); wait for it") from error
            yield StoryState.read(saved, story, text_sha256)
        finally:
            os.close(handle)

    def put(self, stage: str, record: StageRecord) -> StageRecord:
        self.stages[stage] = record
        self._write()
        return record

    def note_done(self, stage: str, line: str, seconds: float) -> StageRecord:
        record = self.stages[stage]
        lines, spent = (*record.lines, line), (*record.seconds, round(seconds, 3))
        return self.put(stage, replace(record, lines=lines, seconds=spent, running=None))

    def forget(self, stages: set[str]) -> None:
        if stages & set(self.stages):
            self.stages = {name: record for name, record in self.stages.items() if name not in stages}
            self._write()

    def _write(self) -> None:
        stages = {name: asdict(record) for name, record in self.stages.items()}
        write_json(
            self.file, {"version": VERSION, "story": self.story, "text_sha256": self.text_sha256, "stages": stages}
        )
