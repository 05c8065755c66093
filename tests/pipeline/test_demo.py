"""`sever demo`: the whole story on a handful of strips, with what it leaves; and it removes nobody's files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import kill_at
import numpy as np
import pytest
import yaml
from command_line import sever
from lock_holder import another

from sever.cli.tables.found_in_words import found_in_words
from sever.config import load_config
from sever.data.synthetic import SynthSettings
from sever.decide.metrics import ScoreSheet, pair_counts
from sever.errors import InputError
from sever.pipeline import demo
from sever.pipeline.leaderboard import course
from sever.pipeline.plan.candidates import PlannedNetwork
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
    scores = json.loads((out / "scores.json").read_text())
    assert found_in_words(scores) in said
    (recorded,) = course(out / "saved" / "leaderboard.jsonl")
    assert recorded.private == json.loads((out / "scores.json").read_text())["dice"]
    assert recorded.cv is not None


def test_it_plans_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "STRIP", TINY)
    machine = tmp_path / "machine.json"
    machine.write_text(json.dumps({PlannedNetwork(2).name: 8}))  # so slow that the time is for a step or two
    out = tmp_path / "demo"
    words = ["--machine", machine, "--device", "cpu", "--set", "train.workers=0", "--set", "train.seed=7"]
    assert sever("demo", "-o", out, *words) == 0
    plan = load_config(out / "plan.yml")
    assert plan.model.weights == "strip"
    folds = [load_config(path) for path in sorted((out / "saved").glob("demo-*/*/fold-*/config.yml"))]
    assert [config.name for config in folds] == ["demo-first"] * 2 + ["demo-second"] * 2
    assert [config.model.label_head for config in folds] == [True, True, False, False]
    assert {config.train.seed for config in folds} == {7}  # what the user sets comes over what the demo says
    assert {config.augment for config in folds} == {plan.augment}
    assert "sever plan data/mine" in capsys.readouterr().out


def test_files_of_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert sever("demo", "-o", tmp_path) == 2
    assert "no demo made" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def _left_of_a_demo(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a demo that came to its end leaves, without its hours."""

    def work(configs: object, output: Path, *more: object) -> str:
        for name in ("a.txt", "data/b.txt", ".sever-tables.json"):
            (output / name).parent.mkdir(exist_ok=True)
            (output / name).write_text(name)
        return ""

    monkeypatch.setattr(demo, "_run", work)
    demo.run_demo([], out, "cpu")


def test_a_demo_killed_at_any_change_can_be_typed_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the one before is deleted, while it works, and while what it made is listed."""
    for at in range(1, 60):
        out = tmp_path / str(at) / "demo"
        _left_of_a_demo(out, monkeypatch)
        child = os.fork()
        if child == 0:
            sys.addaudithook(kill_at.Counter(str(out), at, group=False))
            _left_of_a_demo(out, monkeypatch)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        _left_of_a_demo(out, monkeypatch)
        assert {path.name for path in out.iterdir()} == {"a.txt", "data", ".sever-tables.json", demo.MARKER}
        (out / "a.txt").write_text("mine now")
        with pytest.raises(InputError, match="which sever did not write there"):
            demo.run_demo([], out, "cpu")
        if status == 0:
            break
    assert 10 < at < 59


def test_two_demos_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with another(tmp_path / "demo", "file") as (process, _):
        assert sever("demo", "-o", tmp_path / "demo") == 2
    assert f"process {process.pid}" in capsys.readouterr().err


def masks(*shown: int) -> np.ndarray:
    """Two classes in 2x2 pixels; those shown fill the image."""
    masks_chw = np.zeros((2, 2, 2), np.uint8)
    masks_chw[list(shown)] = 1
    return masks_chw


def test_found_and_missed_in_words() -> None:
    # Five images by hand: pit found, pit missed, scab found with a false pit, clean called clean, clean called scab.
    cases = [((0,), (0,)), ((0,), ()), ((1,), (0, 1)), ((), ()), ((), (1,))]
    sheet = ScoreSheet(2)
    for number, (true, called) in enumerate(cases):
        sheet.add(str(number), pair_counts(masks(*called), masks(*true)))
    said = found_in_words({"classes": ["pit", "scab"]} | sheet.as_dict()).splitlines()
    assert said[:3] == [
        "Of 3 defective images 2 were found and 1 missed; of 2 clean images 1 was called clean and 1 was called "
        "defective.",
        "  class pit: found in 1 of the 2 images with it, 1 false alarm in 3 other images",
        "  class scab: found in 1 of the 1 image with it, 1 false alarm in 4 other images",
    ]
    # Ten pairs: 1 and 1; 0 and 1; 0 and 1; 1 and 1; 1 and 0. Empty would score the 7 pairs that are.
    assert "Mean Dice 0.7000" in said[3]
    assert "without any mask scores 0.7000, and so does this one" in said[3]
    assert "a Dice of 0.6667 on average" in said[3]


def test_nothing_to_find_in_words() -> None:
    sheet = ScoreSheet(1)
    sheet.add("a", pair_counts(masks()[:1], masks()[:1]))
    said = found_in_words({"classes": ["pit"]} | sheet.as_dict())
    assert "Of 0 defective images 0 were found and 0 missed; of 1 clean image 1 was called clean" in said
    assert "no image shows it, 0 false alarms in 1 other image" in said
    assert "Where a class is present" not in said
