"""How far a story has come, kept in SAVED/stories/NAME/state.json; knows not what the command lines do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sever.locks import one_writer
from sever.store.records import StageRecord, StoryRecord


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
        state.stages = dict(StoryRecord.read(state.file).stages)
        return state

    @staticmethod
    @contextmanager
    def locked(saved: Path, story: str, text_sha256: str) -> Iterator[StoryState]:
        """The state, for as long as no other process may carry the story on. Raises InputError where one does."""
        folder = saved / "stories" / story
        with one_writer(folder, f"another `sever run` is at work on {story}", once=True):
            yield StoryState.read(saved, story, text_sha256)

    def put(self, stage: str, record: StageRecord) -> StageRecord:
        self.stages[stage] = record
        self._write()
        return record

    def note_done(self, stage: str, line: str, seconds: float) -> StageRecord:
        record = self.stages[stage]
        lines, spent = (*record.lines, line), (*record.seconds, round(seconds, 3))
        return self.put(stage, record.model_copy(update={"lines": lines, "seconds": spent, "running": None}))

    def forget(self, stages: set[str]) -> None:
        if stages & set(self.stages):
            self.stages = {name: record for name, record in self.stages.items() if name not in stages}
            self._write()

    def _write(self) -> None:
        StoryRecord(story=self.story, text_sha256=self.text_sha256, stages=self.stages).write(self.file)
