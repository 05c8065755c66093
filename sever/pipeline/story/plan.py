"""A story with its variables filled in: the command lines of every stage, and which stages have a part at all."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sever.config import StageSettings, StorySettings, load_story
from sever.config.loading import shorten
from sever.config.story import BEGUN, SAVED
from sever.errors import InputError
from sever.names import expand_home
from sever.pipeline.story.state import StoryState
from sever.store.outcomes import read_outcome
from sever.store.records import StageRecord

# Of a command line; a shell takes a few megabytes.
LONGEST_LINE = 100_000


@dataclass(frozen=True)
class Plan:
    """A story and the values of its variables; those that a file decides are filled in last, command by command."""

    story: StorySettings
    values: dict[str, str]
    text_sha256: str

    @staticmethod
    def make(path: Path, given: Mapping[str, str]) -> Plan:
        """`given`: variables that win over the story's. Raises InputError for one that it doesn't know."""
        story = load_story(path)
        defaults = {SAVED: "saved"} | story.variables
        strange = sorted(set(given) - set(defaults) - set(story.reads))
        if strange:
            raise InputError(f"{path} has no variable {', '.join(strange)} to set; it has {', '.join(defaults)}")
        values: dict[str, str] = {}
        for name, default in defaults.items():
            values[name] = os.path.expanduser(given.get(name) or _fill(default, values))  # noqa: PTH111
        values |= {name: value for name, value in given.items() if name in story.reads}
        return Plan(story, values, hashlib.sha256(path.read_bytes()).hexdigest())

    @property
    def saved(self) -> Path:
        return Path(self.values[SAVED])

    @property
    def ledger(self) -> Path | None:
        return None if self.story.ledger is None else self._path(self.story.ledger)

    def names(self) -> list[str]:
        return [stage.name for stage in self.story.stages]

    def position(self, name: str) -> int:
        if name not in self.names():
            raise InputError(f"{self.story.name} has no stage {name!r}; its stages are {', '.join(self.names())}")
        return self.names().index(name)

    def lines(self, stage: StageSettings, begun: str) -> tuple[str, ...]:
        """The stage's command lines; `{name}` stays for what a file decides."""
        values = self.values | {BEGUN: begun}
        values |= {name: f"{{{name}}}" for name in self.story.reads if name not in self.values}
        return tuple(join_words(_fill(word, values) for word in shlex.split(line)) for line in stage.commands)

    def words(self, line: str) -> list[str]:
        """What is typed after `sever`, complete. Raises InputError where a file does not say what it should."""
        words = shlex.split(line)[1:]
        for name in self.story.reads:
            if any(f"{{{name}}}" in word for word in words):
                value = self._read(name)
                words = [word.replace(f"{{{name}}}", value) for word in words]
        return words

    def left_out(self, stage: StageSettings) -> str | None:
        """Why the stage has no part; None where it has one."""
        for name, value in stage.only_when.items():
            if self.values[name] != value:
                return f"left out: {name} is {self.values[name]}; it runs with --set {name}={value}"
        if stage.unless is not None and (path := self._path(stage.unless)).exists():
            return f"left out: {path} exists"
        return None

    def is_done(self, stage: StageSettings, record: StageRecord | None) -> bool:
        """Raises InputError where what was done so far was something else than what is asked for now."""
        if record is None:
            return False
        lines = self.lines(stage, record.begun)
        if record.lines != lines[: len(record.lines)] or (record.is_done and len(record.lines) < len(lines)):
            raise InputError(
                f"stage {stage.name} was carried out with other commands than it has now"
                f"{_first_difference(record.lines, lines)}\n"
                f"give --from {stage.name} to do it and what follows again, or --set the variables as they were"
            )
        return record.is_done

    def _path(self, text: str) -> Path:
        return expand_home(_fill(text, self.values))

    def _read(self, name: str) -> str:
        read = self.story.reads[name]
        file = self._path(read.file)
        value: Any = read_outcome(file)
        for key in read.key.split("."):
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise InputError(f"{file} has no {read.key}, which would be {{{name}}}: {error!r}") from error
        return str(value)


def join_words(words: Iterable[str]) -> str:
    """As typed: quoted where a shell needs it, but for the curly brackets of a variable that a file decides."""
    return " ".join(
        word if shlex.quote(bare := re.sub(r"[{}]", "", word)) == bare else shlex.quote(word) for word in words
    )


def render_plan(plan: Plan, state: StoryState) -> str:
    """All stages with their commands, expected hours and what is done, for a person."""
    story = plan.story
    lines = [f"{story.name}: {story.about.strip()}", ""]
    for number, stage in enumerate(story.stages, start=1):
        record = state.stages.get(stage.name)
        lines.append(f"{number}. {stage.name}: {_standing(plan, stage, record)}")
        lines.append(f"   {stage.about.strip()}")
        lines += [f"   $ {line}" for line in plan.lines(stage, record.begun if record else f"{{{BEGUN}}}")]
        lines.append("")
    to_do = [stage for stage in story.stages if _is_to_do(plan, stage, state)]
    if hours := _hours(_total(to_do)):
        lines.append(f"Expected for all that is to do: {hours}. {story.hours_from.strip()}")
    return "\n".join(lines).rstrip()


def _standing(plan: Plan, stage: StageSettings, record: StageRecord | None) -> str:
    if why := plan.left_out(stage):
        return why
    if plan.is_done(stage, record):
        assert record is not None
        return f"done {record.ended}, took {sum(record.seconds) / 3600:.2f} h"
    expected = f"to do, expected {_hours(stage.hours)}" if stage.hours else "to do"
    return f"{expected}; {len(record.lines)} of {len(stage.commands)} commands are done" if record else expected


def _is_to_do(plan: Plan, stage: StageSettings, state: StoryState) -> bool:
    return plan.left_out(stage) is None and not plan.is_done(stage, state.stages.get(stage.name))


def _total(stages: Sequence[StageSettings]) -> dict[str, float]:
    total: dict[str, float] = {}
    for stage in stages:
        for device, hours in stage.hours.items():
            total[device] = total.get(device, 0.0) + hours
    return total


def _hours(hours: Mapping[str, float]) -> str:
    return ", ".join(f"{value:g} h on {device}" for device, value in hours.items())


def _first_difference(done: Sequence[str], now: Sequence[str]) -> str:
    for before, after in zip(done, now, strict=False):
        if before != after:
            return f":\n  done: {before}\n  now:  {after}"
    return f": {len(done)} were done, now it has {len(now)}"


def _fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its variables. Raises InputError where it grows beyond all measure, since each may hold several of
    those above it."""
    parts = [(before, name) for before, name, _, _ in string.Formatter().parse(text)]
    length = sum(len(before) + len(values[name] if name is not None else "") for before, name in parts)
    if length > LONGEST_LINE:
        raise InputError(f"{shorten(text)!r} is longer than {LONGEST_LINE:,} characters with its variables filled in")
    return text.format_map(values)
