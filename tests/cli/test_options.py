"""The same words everywhere: -r for a model, -o for what is written, --json for machines; old words stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import sever

from sever.cli import app
from sever.cli.output import give

# They print a document of their own (settings, a plan, a schema), begin others that print, or only count or obey.
WITHOUT_JSON = {
    *("config show", "config check", "config schema", "config reference", "plan", "run", "demo"),
    *("serve run", "serve demo", "serve backup", "serve restore", "serve export", "serve password"),
}
# Their first word is a model, and -r says the same.
MODEL_FIRST = ("export", "inspect", "verify", "report", "data doubts", "data next", "data familiar")
# Where --images is a number.
NUMBERS = (("export", "--images"), ("report", "--images"))


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def words(command: Any) -> list[set[str]]:
    """Of each option, its spellings."""
    return [{*option.opts, *option.secondary_opts} for option in command.params if option.param_type_name == "option"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_spelt_the_same_everywhere(name: str) -> None:
    for spellings in words(COMMANDS[name]):
        for long, short in (("--output", "-o"), ("--run", "-r"), ("--config", "-c"), ("--submission", "-s")):
            assert (long in spellings) == (short in spellings), f"{name}: {spellings}"
        assert not spellings & {"--out", "--as-json", "--checkpoint"}, name


@pytest.mark.parametrize("name", COMMANDS)
def test_what_gives_a_result_gives_it_as_json(name: str) -> None:
    assert ({"--json"} in words(COMMANDS[name])) == (name not in WITHOUT_JSON)


@pytest.mark.parametrize("name", MODEL_FIRST)
def test_a_model_is_the_first_word_or_r(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    needed = {"-o": tmp_path / "out", "--images": tmp_path}
    spelt = set().union(*words(COMMANDS[name]))
    fitting = [option for option in needed if option in spelt and (name, option) not in NUMBERS]
    rest = [word for option in fitting for word in (option, needed[option])]
    for given, said in (([], "is missing"), ([here, "-r", there], "is given twice"), (["-r", here], "here")):
        assert sever(*name.split(), *given, *rest) == 2
        assert said in " ".join(capsys.readouterr().err.split()), given


def test_a_result_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    give(tmp_path / "a", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "a")}
    give(Path("b"))
    assert capsys.readouterr().out == f"{Path('b').absolute()}\n"
