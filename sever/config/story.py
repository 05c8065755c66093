"""Settings of a story: command lines in named stages, in order, with what they may be told anew (`sever run`)."""

from __future__ import annotations

import string

from pydantic import ConfigDict, Field, NonNegativeFloat, model_validator

from sever.config.base import Settings

# Always there, without standing in the story: the folder of all runs, and when the stage was begun.
SAVED, BEGUN = "saved", "begun"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ReadSettings(Settings):
    """A variable whose value comes from an earlier stage."""

    file: str = Field(description="JSON that an earlier stage writes.")
    key: str = Field(description="Where the value is in it, e.g. `chosen.0` for the first item of the list `chosen`.")


class StageSettings(Settings):
    """Commands that belong together."""

    name: str = Field(pattern=NAME, description="Name of the stage, for --from and --only.")
    about: str = Field(description="What the stage does and what it writes.")
    hours: dict[str, NonNegativeFloat] = Field({}, description="Expected hours, by GPU (or CPU).")
    unless: str | None = Field(None, description="Skip the stage if this file or folder exists.")
    only_when: dict[str, str] = Field({}, description="Skip the stage unless these variables have these values.")
    commands: tuple[str, ...] = Field(
        min_length=1, description="Command lines as a user would type them, each beginning with `sever`."
    )

    @model_validator(mode="after")
    def _are_ours(self) -> StageSettings:
        foreign = next((line for line in self.commands if line.split()[:1] != ["sever"]), None)
        if foreign is not None:
            raise ValueError(f"the command {foreign!r} of stage {self.name} does not begin with `sever`")
        return self


class PublishedScore(Settings):
    """A score to show beside ours."""

    name: str
    public: float | None = None
    private: float | None = None


class PublishedSettings(Settings):
    """Scores that somebody published, with the source; printed beside the leaderboard's at the end."""

    source: str
    scores: tuple[PublishedScore, ...]


class StorySettings(Settings):
    """A story for `sever run`. `{name}` in a command, path or variable is the value of the variable `name`."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    name: str = Field(
        pattern=NAME, max_length=100, description="Name of the story; its state is in SAVED/stories/NAME/."
    )
    about: str = Field(description="What it is.")
    hours_from: str = Field("", description="How the expected hours were estimated or measured.")
    variables: dict[str, str] = Field(
        {}, description="Variables and their values, which may use those above them; `saved` is `saved` by default."
    )
    reads: dict[str, ReadSettings] = Field({}, description="Variables read from files when a command needs them.")
    ledger: str | None = Field(None, description="The leaderboard's file, printed when the story ends.")
    published: PublishedSettings | None = Field(None, description="Scores to print beside it.")
    stages: tuple[StageSettings, ...] = Field(min_length=1, description="The stages, in the order in which they run.")

    @model_validator(mode="after")
    def _stages_stand_once(self) -> StorySettings:
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the stage {', '.join(twice)} appears twice; give each its own name")
        return self

    @model_validator(mode="after")
    def _variables_are_known(self) -> StorySettings:
        known = {SAVED}
        for name, value in self.variables.items():
            _raise_unless_known(value, known, f"variables.{name}")
            known.add(name)
        for name, read in self.reads.items():
            _raise_unless_known(read.file, known, f"reads.{name}.file")
        if self.ledger is not None:
            _raise_unless_known(self.ledger, known, "ledger")
        for stage in self.stages:
            for line in stage.commands:
                _raise_unless_known(line, known | {*self.reads, BEGUN}, f"stage {stage.name}")
            _raise_unless_known(stage.unless or "", known, f"stage {stage.name}, unless")
            if strange := sorted(set(stage.only_when) - known):
                raise ValueError(f"stage {stage.name}, only_when: there is no variable {', '.join(strange)}")
        return self


def variables_in(text: str) -> set[str]:
    """The names in curly brackets. Raises ValueError for brackets that are no variable's, and for `{name:>9}`, a form:
    a width of a billion would be a small file that fills the memory."""
    found = [part for part in string.Formatter().parse(text) if part[1] is not None]
    formatted = next((name for _, name, form, conversion in found if form or conversion), None)
    if formatted is not None:
        raise ValueError(f"{{{formatted}}} takes no format")
    return {str(name) for _, name, _, _ in found}


def _raise_unless_known(text: str, known: set[str], where: str) -> None:
    try:
        strange = sorted(variables_in(text) - known)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} has a curly bracket that belongs to no variable ({error})") from error
    if strange:
        raise ValueError(
            f"{where}: {text!r} names {', '.join(f'{{{name}}}' for name in strange)}; variables known there: "
            f"{', '.join(sorted(known))}"
        )
