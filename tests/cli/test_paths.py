"""`~` in paths: the home folder, wherever a path is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import sever

from sever.cli import app
from sever.cli.paths import PathCommand
from sever.config import parse_config


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


def test_in_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--train", 1, "--test", 1, "--height", 64, "--width", 64, "--workers", 1]
    assert sever("synth", "--output=~/strip", *size) == 0
    assert (home / "strip" / "train.csv").is_file()
    assert sever("evaluate", "-s", "~/nowhere.csv", "--data=~/strip") == 2
    assert f"{home}/nowhere.csv" in capsys.readouterr().err
    assert sever("leaderboard", "show", "--ledger=~/ledger.jsonl") == 0


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
