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
    command = ("train", "-c", tiny_experiment, "-o", out, "--device", "cpu", "--set", "train.epochs=1")
    assert sever(*command) == 0
    shutil.rmtree(Run(out).checkpoints)
    Run(out).config_file.unlink()  # the last of what is there before the first epoch
    for file in (Run(out).history_file, out / "train.log"):
        file.unlink()
    shutil.rmtree(out / "tensorboard", ignore_errors=True)
    assert sever(*command) == 0
    assert Run(out).epochs() == [1]


OWN = ("rules.json", "folds.csv", "dataset.json", "environment.json", "evidence.json", "pseudo.csv", "config.yml")


@pytest.mark.parametrize("name", OWN)
def test_somebodys_own_files_are_no_run(
    name: str, tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds only a file of a name that sever uses, too: a settings file that is trained from, say."""
    out = tmp_path / "out"
    out.mkdir()
    content = tiny_experiment.read_text() if name == "config.yml" else "{}"
    (out / name).write_text(content)
    for command in ("train", "crossval"):
        assert sever(command, "-c", tiny_experiment, "-o", out) == 2
        said = capsys.readouterr().err
        assert "-o " in said
        assert "give another folder" in said
        assert {path.name: path.read_text() for path in out.iterdir()} == {name: content}


def test_a_training_and_a_cross_validation_keep_out_of_each_others_folders(
    tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_once = ("--device", "cpu", "--set", "train.epochs=1", "--set", "folds.count=2", "--set", "folds.scheme=kfold")
    one, folds = tmp_path / "one", tmp_path / "folds"
    assert sever("train", "-c", tiny_experiment, "-o", one, *at_once) == 0
    assert sever("crossval", "-c", tiny_experiment, "-o", folds, *at_once, "--jobs", 1) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert sever("crossval", "-c", tiny_experiment, "-o", one, *at_once) == 2
    assert "holds a training, not a cross-validation" in capsys.readouterr().err
    assert sever("train", "-c", tiny_experiment, "-o", folds, *at_once) == 2
    assert "holds a cross-validation, not a training" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


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
