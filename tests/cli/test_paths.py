"""`~` in paths: the home folder, wherever a path is taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import typer
from command_line import sever
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from sever.cli import app
from sever.cli.paths import PathCommand
from sever.config import ExperimentConfig, parse_config
from sever.config.model import ModelSettings
from sever.config.overrides import section_of
from sever.config.serve import ServeSettings
from sever.pipeline.story.plan import Plan


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def every_command(group: Any) -> list[Any]:
    return [
        leaf
        for command in group.commands.values()
        for leaf in (every_command(command) if hasattr(command, "commands") else [command])
    ]


def every_field(settings: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    found = []
    for name, field in settings.model_fields.items():
        section = section_of(field.annotation)
        found += [(name, field)] if section is None else every_field(section)
    return found


def validated(field: FieldInfo, value: str) -> Any:
    return TypeAdapter(Annotated[(field.annotation, *field.metadata)]).validate_python(value)  # type: ignore[var-annotated]


def test_every_command_expands_its_paths() -> None:
    commands = every_command(typer.main.get_command(app))
    assert len(commands) > 20
    assert [command.name for command in commands if not isinstance(command, PathCommand)] == []


def test_in_settings(home: Path) -> None:
    values = {
        "name": "x",
        "data": {"root": "~/strip", "groups": "~/groups.csv", "test_labels": "~nobody-here/labels.csv"},
        "pseudo": {"labels": "~/p.csv", "images": "~/images"},
    }
    config = parse_config(values, "test")
    assert config.data.root == home / "strip"
    assert config.data.groups == home / "groups.csv"
    assert config.data.test_labels == Path("~nobody-here/labels.csv")  # nobody's home: left as it is
    assert config.pseudo is not None
    assert (config.pseudo.labels, config.pseudo.images) == (home / "p.csv", home / "images")


def test_in_settings_that_may_be_a_path_or_another_word(home: Path) -> None:
    settings = ServeSettings.model_validate({"images": "~/pictures", "database": "sqlite:///~/served.db"})
    assert settings.images == str(home / "pictures")
    assert settings.database == f"sqlite:///{home}/served.db"
    addresses = {"images": "s3://bucket/~x", "database": "postgresql://me@host/~x"}
    assert ServeSettings.model_validate(addresses).model_dump(include=set(addresses)) == addresses
    assert ModelSettings(weights="~/mine.pth").weights == str(home / "mine.pth")
    assert ModelSettings(weights="hub").weights == "hub"


@pytest.mark.parametrize("settings", [ExperimentConfig, ServeSettings])
def test_no_text_of_settings_that_names_a_file_or_folder_keeps_its_tilde(settings: type[BaseModel]) -> None:
    kept = [
        name
        for name, field in every_field(settings)
        if re.search(r"\b(file|folder)\b", field.description or "", re.IGNORECASE)
        and str in (field.annotation, *get_args(field.annotation))
        and name not in ("name_pattern", "name")  # of what lies in a folder
        and validated(field, "~/x") == "~/x"
    ]
    assert kept == []


def test_in_the_options_of_the_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert sever("--log-file=~/by-option.log", "config", "schema") == 0
    monkeypatch.setenv("SEVER_LOG_FILE", "~/by-environment.log")
    assert sever("config", "schema") == 0
    assert {path.name for path in home.iterdir()} == {"by-option.log", "by-environment.log"}


def test_in_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--train", 1, "--test", 1, "--height", 64, "--width", 64, "--workers", 1]
    assert sever("synth", "--output=~/strip", *size) == 0
    assert (home / "strip" / "train.csv").is_file()
    assert sever("evaluate", "-s", "~/nowhere.csv", "--data=~/strip") == 2
    assert f"{home}/nowhere.csv" in capsys.readouterr().err
    assert sever("leaderboard", "show", "--ledger=~/ledger.jsonl") == 2
    assert f"there is no file {home}/ledger.jsonl" in capsys.readouterr().err


def test_in_stories(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "story.yml").write_text(
        "name: s\nabout: Strip.\nhours_from: Nothing.\n"
        "variables: {data: ~/strip}\n"
        "stages:\n  - name: strip\n    about: Makes it.\n    unless: '{data}/train.csv'\n    commands:\n"
        "      - sever synth -o {data} --train 1 --test 1 --height 64 --width 64 --workers 1\n"
    )
    assert sever("run", "~/story.yml", "--set", "saved=~/saved") == 0
    assert (home / "strip" / "train.csv").is_file()
    assert (home / "saved").is_dir()
    assert sever("run", "~/story.yml", "--set", "saved=~/elsewhere", "--dry-run") == 0
    assert f"left out: {home}/strip/train.csv exists" in capsys.readouterr().out


def test_in_paths_of_a_story_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "story.yml").write_text(
        "name: s\nabout: Strip.\nhours_from: Nothing.\nledger: ~/ledger.jsonl\n"
        "stages:\n  - name: strip\n    about: Makes it.\n    unless: ~/strip\n    commands: [sever synth -o ~/strip]\n"
    )
    (home / "strip").mkdir()
    assert sever("run", "~/story.yml", "--dry-run") == 0
    assert f"left out: {home}/strip exists" in capsys.readouterr().out
    assert Plan.make(home / "story.yml", {}).ledger == home / "ledger.jsonl"
