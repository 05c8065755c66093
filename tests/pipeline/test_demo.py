"""`sever demo`: the whole story on a handful of strips, with what it leaves; and it removes nobody's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from command_line import sever

from sever.data.synthetic import SynthSettings
from sever.pipeline import demo
from sever.pipeline.leaderboard import course
from sever.store import Evidence

TINY = SynthSettings(train=12, test=4, height=64, width=192, frequencies="balanced", seed=7, workers=1)


def tiny(tmp_path: Path, architecture: str) -> Path:
    settings = {
        "name": f"demo-{architecture.lower()}",
        "data": {"root": "anywhere"},
        "folds": {"count": 2},
        "model": {"architecture": architecture, "encoder": "resnet18", "weights": "none"},
        "augment": {"recipe": "light", "crop": [64, 64]},
        "train": {"epochs": 1, "batch_size": 4, "workers": 0},
        "rules": {"min_pixels": 0},
    }
    path = tmp_path / f"{architecture}.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_the_whole_story_and_what_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "STRIP", TINY)
    out = tmp_path / "demo"
    for _ in range(2):  # an earlier demo makes way
        assert (
            sever("demo", "-o", out, "-c", tiny(tmp_path, "Unet"), "-c", tiny(tmp_path, "FPN"), "--device", "cpu") == 0
        )
    for name in ("submission.csv", "sheet.png", "scores.json", "images.csv", "report.html", "pseudo.csv"):
        assert (out / name).is_file(), name
    blend = Evidence.find(out / "saved" / "demo-blend")
    assert [member.parent.name for member in blend.members()] == ["demo-unet", "demo-fpn"]
    said = capsys.readouterr().out
    assert said.count("Choose ") == 2
    assert "an empty submission scores" in said
    (recorded,) = course(out / "saved" / "leaderboard.jsonl")
    assert recorded.private == json.loads((out / "scores.json").read_text())["dice"]
    assert recorded.cv is not None


def test_files_of_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert sever("demo", "-o", tmp_path) == 2
    assert "no demo made" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"
