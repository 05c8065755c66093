"""`train -o` and `crossval -o`: typed again, they resume or are done already, as the other commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from command_line import sever

from sever.store import Evidence, Run


def hashes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_training_that_was_stopped_goes_on_and_a_finished_one_stays(tiny_experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("train", "-c", tiny_experiment, "-o", out, "--device", "cpu")
    assert sever(*command) == 0
    assert Run(out).epochs()[-1] == 2
    whole = (Run(out).epoch_folder(2) / "model.safetensors").read_bytes()
    before = hashes(out)
    assert sever(*command) == 0
    assert hashes(out) == before
    shutil.rmtree(Run(out).epoch_folder(2))
    shutil.rmtree(Run(out).epoch_folder(1), ignore_errors=True)
    assert sever(*command) == 0
    assert (Run(out).epoch_folder(2) / "model.safetensors").read_bytes() == whole


def test_what_was_killed_before_its_settings_were_written_starts_there(tiny_experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "rules.json").write_text("half")
    assert sever("train", "-c", tiny_experiment, "-o", out, "--device", "cpu", "--set", "train.epochs=1") == 0
    assert Run(out).epochs() == [1]


def test_a_folder_of_something_else_is_refused(
    tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    for command in ("train", "crossval"):
        assert sever(command, "-c", tiny_experiment, "-o", out) == 2
        assert "holds something else (thesis.tex)" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    assert sever("train", "-c", tiny_experiment, "-c", tiny_experiment, "-o", tmp_path / "new") == 2
    assert "is the folder of one experiment" in capsys.readouterr().err


def test_a_cross_validation_goes_on_and_other_settings_are_named(
    tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load(tiny_experiment.read_text())
    values["train"]["epochs"], values["folds"] = 1, {"count": 2}
    tiny_experiment.write_text(yaml.safe_dump(values))
    out = tmp_path / "folds"
    command = ("crossval", "-c", tiny_experiment, "-o", out, "--device", "cpu", "--jobs", 1)
    assert sever(*command) == 0
    before = hashes(out)
    assert len(list(Evidence(out).maps)) == 16
    assert sever(*command) == 0
    assert hashes(out) == before
    assert sever(*command, "--seed", 7) == 2
    assert "begun with other settings (train.seed was 0 and is 7)" in capsys.readouterr().err
    assert sever("crossval", "-r", out, "-o", out) == 2
    assert "and -o out" in capsys.readouterr().err
