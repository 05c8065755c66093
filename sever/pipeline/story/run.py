"""`sever run`: a story's command lines, stage after stage; goes on where it stopped. Knows not what a command does.

The commands themselves come from the command line's side (`Shell`), since this room lies below it.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from sever.config import (
    ExperimentConfig,
    StageSettings,
    load_config,
    load_ensemble,
    read_assignments,
)
from sever.errors import InputError
from sever.pipeline.story.plan import Plan, join_words
from sever.pipeline.story.state import StoryState
from sever.progress import info
from sever.store.order import highest_number, in_order, number_of
from sever.store.records import StageRecord

# Commands that make a folder saved/NAME/TIMESTAMP, and the file with which it can be gone on with by -r.
MAKES_RUN = {"crossval": "evidence.json", "train": "config.yml"}
# A command line that was begun, when, and the number of the newest run by then.
Running: TypeAlias = tuple[str, str, int]
KEPT_OPTIONS = ("device", "jobs")  # of the command that began it; all others stand in the folder


@dataclass(frozen=True)
class Parsed:
    """A command line as the parser understands it: the command's name, and its options by their Python names."""

    command: str
    options: Mapping[str, Any]


class Shell(Protocol):
    """Who carries out command lines; `words` is what is typed after `sever`."""

    def parse(self, words: Sequence[str]) -> Parsed:
        """Raises InputError for words that are no command."""

    def run(self, words: Sequence[str]) -> None:
        """Returns when the command is done, raises when it is not."""


def run_story(plan: Plan, shell: Shell, start_at: str | None = None, only: str | None = None) -> None:
    """Carry the story on to its end.

    Every command line, experiment and recipe of the story is checked before the first is run. `start_at`: from this
    stage on everything is done again; `only`: this stage alone is, even if it is done. Raises InputError, and what a
    command raises.
    """
    chosen = _choose(plan, start_at, only)
    _check(plan, shell, chosen)
    with StoryState.locked(plan.saved, plan.story.name, plan.text_sha256) as state:
        _forget(plan, state, start_at, only)
        for stage in chosen:
            if not plan.left_out(stage):
                plan.is_done(stage, state.stages.get(stage.name))  # told before the first of them runs
        for stage in chosen:
            title = f"stage {plan.position(stage.name) + 1} of {len(plan.story.stages)}, {stage.name}"
            if why := plan.left_out(stage):
                info(f"{title}: {why}")
            elif plan.is_done(stage, state.stages.get(stage.name)):
                info(f"{title}: done {state.stages[stage.name].ended}")
            else:
                info(f"{title}: {stage.about.strip()}")
                if only is None:  # what follows was made from what this stage left before
                    state.forget(set(plan.names()[plan.position(stage.name) + 1 :]))
                _run_stage(plan, state, stage, shell, title)


def _choose(plan: Plan, start_at: str | None, only: str | None) -> tuple[StageSettings, ...]:
    if start_at is not None and only is not None:
        raise InputError("give either --from or --only, not both")
    if only is not None:
        return (plan.story.stages[plan.position(only)],)
    return plan.story.stages[plan.position(start_at) if start_at is not None else 0 :]


def _forget(plan: Plan, state: StoryState, start_at: str | None, only: str | None) -> None:
    if start_at is not None:
        state.forget(set(plan.names()[plan.position(start_at) :]))
    if only is not None and only in state.stages and state.stages[only].is_done:
        state.forget({only})


def _check(plan: Plan, shell: Shell, stages: Sequence[StageSettings]) -> None:
    """A misspelt option or setting is told now, and not after the hours before it."""
    faults = []
    for stage in stages:
        for line in plan.lines(stage, "BEGUN"):
            try:
                parsed = shell.parse(shlex.split(line)[1:])
                for path in parsed.options.get("config") or () if parsed.command in MAKES_RUN else ():
                    _experiment(path, parsed)
                if parsed.command == "blend" and parsed.options["recipe"] is not None:
                    load_ensemble(parsed.options["recipe"])
            except InputError as error:
                faults.append(f"stage {stage.name}, {line}: {error}")
    if faults:
        raise InputError("\n".join(faults))


def _run_stage(plan: Plan, state: StoryState, stage: StageSettings, shell: Shell, title: str) -> None:
    record = state.stages.get(stage.name) or state.put(stage.name, StageRecord.begin(_stamp()))
    lines = plan.lines(stage, record.begun)
    for number, line in enumerate(lines[len(record.lines) :], start=len(record.lines) + 1):
        start = time.monotonic()
        try:
            words = plan.words(line)
            record = state.stages[stage.name]
            if record.running is not None and record.running[0] == line:
                words = _go_on(words, shell.parse(words), record.running)
            else:
                state.put(stage.name, record.model_copy(update={"running": _running(line, shell.parse(words))}))
            info(f"{title}, command {number} of {len(lines)}: sever {join_words(words)}")
            shell.run(words)
        except InputError as error:
            raise InputError(f"{error}\n{_stopped(title, line)}") from error
        except BaseException:
            info(_stopped(title, line))
            raise
        state.note_done(stage.name, line, time.monotonic() - start)
    ended = datetime.now().astimezone().isoformat(timespec="seconds")
    record = state.put(stage.name, state.stages[stage.name].model_copy(update={"ended": ended}))
    info(f"{title}: done in {sum(record.seconds) / 3600:.2f} h")


def _running(line: str, parsed: Parsed) -> Running:
    folder = _folder_of_runs(parsed)
    return line, _stamp(), 0 if folder is None else highest_number(folder)


def _go_on(words: list[str], parsed: Parsed, running: Running | tuple[str, str]) -> list[str]:
    """The command that goes on with the folder which this one began before it was stopped; itself where there is none.

    Other commands take up by themselves what they left.
    """
    folder = _folder_of_runs(parsed)
    if folder is None:
        return words
    # Nobody else makes folders of this experiment meanwhile.
    made = [each for each in in_order(folder, MAKES_RUN[parsed.command]) if _was_made_since(each, running)]
    if not made:
        return words
    kept = [
        word for name in KEPT_OPTIONS if name in parsed.options for word in (f"--{name}", str(parsed.options[name]))
    ]
    return [parsed.command, "-r", str(made[-1]), *kept]


def _folder_of_runs(parsed: Parsed) -> Path | None:
    """Where a command makes its run; None of a command that makes none."""
    configs: Sequence[Path] = parsed.options.get("config") or ()
    if parsed.command not in MAKES_RUN or len(configs) != 1:
        return None
    return Path(parsed.options["saved"]) / _experiment(configs[0], parsed).name


def _was_made_since(folder: Path, running: Running | tuple[str, str]) -> bool:
    """By its number; by its name, which is a time, where it has none, or the story was begun before runs had them."""
    number = number_of(folder)
    return number > running[2] if len(running) == 3 and number else folder.name >= running[1]


def _experiment(path: Path, parsed: Parsed) -> ExperimentConfig:
    """As the command will read it: --set may change its name, too."""
    return load_config(path, {"data.root": parsed.options.get("data")}, read_assignments(parsed.options["set_"] or ()))


def _stopped(title: str, line: str) -> str:
    return (
        f"{title} stopped at: {line}\nfix the error above, then repeat the same `sever run`: it resumes at this command"
    )


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")
