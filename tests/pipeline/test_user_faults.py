"""What a person may do wrong, or a disk: told in a line with exit code 2, and nothing false is computed silently."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest
import yaml
from command_line import quick_run, sever, train

from sever.cli import application
from sever.cli.tables.evaluation import render_evaluation
from sever.models.train import Trainer
from sever.pipeline.training_log import TrainingLog
from sever.store import ProbabilityStore, Run


def edit(experiment: Path, section: str, **settings: object) -> Path:
    values = yaml.safe_load(experiment.read_text())
    values[section] = values.get(section, {}) | settings
    experiment.write_text(yaml.safe_dump(values))
    return experiment


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, quickly."""
    return quick_run(tmp_path_factory.mktemp("faults"), "quick", strip_root)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/some/out"), 2, "error: /some/out: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), 2, "error: Input/output error"),
        (OSError(errno.EINVAL, "Invalid argument"), 1, "our fault"),
        (ZeroDivisionError("division by zero"), 1, "our fault"),
    ],
)
def test_disks_are_the_users_and_the_rest_is_ours(
    error: Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(application, "app", fail)
    assert sever() == code
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == (code == 1)


def test_a_folder_that_cannot_be_made(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    size = ["--train", 1, "--test", 1, "--height", 64, "--width", 64, "--workers", 1]
    assert sever("synth", "-o", file / "new", *size) == 2
    assert sever("evaluate", "-r", run, "-o", file, "--device", "cpu") == 2
    shown = capsys.readouterr()
    assert shown.err.count(str(file)) == 2
    assert "Traceback" not in shown.err
    assert "evaluate: " not in shown.err  # told before the work


def test_every_bad_configuration_is_told(tmp_path: Path, tiny_experiment: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bad.yml").write_text("nam: x\n")
    configs = [tmp_path / "bad.yml", tmp_path / "nowhere.yml", tiny_experiment]
    assert sever("config", "check", *(word for path in configs for word in ("-c", path))) == 2
    shown = capsys.readouterr()
    assert "bad.yml" in shown.err
    assert "nowhere.yml" in shown.err
    assert shown.out == f"{tiny_experiment}: good\n"


def test_options_about_labels_need_a_data_set(run: Path, strip_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--labels", strip_root / "test_labels.csv"], ["--include", "*"]):
        assert sever("evaluate", "-r", run, *option) == 2
        assert "--data ROOT" in capsys.readouterr().err


def test_labels_that_happen_to_show_fewer_classes(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "few"
    shutil.copytree(strip_root, root)
    (root / "sample_submission.csv").unlink()
    first = min(path.name for path in (root / "test_images").iterdir())
    labels = root / "few.csv"
    labels.write_text(f"ImageId,ClassId,EncodedPixels\n{first},1,1 5\n{first},3,9 5\n")
    about = ["--data", root, "--labels", labels, "--json"]
    assert sever("evaluate", "-r", run, "--device", "cpu", *about) == 0  # the run knows that there are four
    assert json.loads(capsys.readouterr().out)["positive_images_per_class"] == [1, 0, 1, 0]
    submission = tmp_path / "s.csv"
    submission.write_text(f"ImageId,ClassId,EncodedPixels\n{first},4,1 5\n")
    assert sever("evaluate", "-s", submission, *about) == 0  # train.csv shows that there are four
    assert len(json.loads(capsys.readouterr().out)["classes"]) == 4
    (root / "train.csv").unlink()
    assert sever("evaluate", "-s", submission, *about) == 2
    assert "--num-classes" in capsys.readouterr().err
    assert sever("evaluate", "-s", submission, *about, "--num-classes", 4) == 0
    assert len(json.loads(capsys.readouterr().out)["classes"]) == 4


def test_maps_of_other_images_are_never_taken_for_these(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there, output = tmp_path / "here", tmp_path / "there", tmp_path / "out"
    for folder in (here, there):
        shutil.copytree(strip_root / "test_images", folder)
    arguments = ["predict", "-r", run, "-o", output, "--device", "cpu", "--sheet", 0]
    assert sever(*arguments, "--images", here) == 0
    assert sever(*arguments, "--images", there) == 2
    assert "other images" in capsys.readouterr().err
    assert sever(*arguments, "--images", here) == 0
    victim = min(here.iterdir())
    cv2.imwrite(str(victim), cv2.imread(str(victim))[:32])
    assert sever(*arguments, "--images", here) == 0  # its map was another image's, so it was made again
    assert ProbabilityStore(output / "probs").read(victim.name, 4).shape[1] == 32


def test_an_image_that_is_not_included_may_be_bad(run: Path, strip_root: Path, tmp_path: Path) -> None:
    shutil.copytree(strip_root / "test_images", tmp_path / "images")
    good, bad, *_ = sorted((tmp_path / "images").iterdir())
    bad.write_bytes(b"no image")
    arguments = ["predict", "-r", run, "--images", tmp_path / "images", "--device", "cpu"]
    assert sever(*arguments, "-o", tmp_path / "all") == 2
    assert not (tmp_path / "all").exists()
    assert sever(*arguments, "-o", tmp_path / "some", "--include", good.name) == 0


def test_an_earlier_list_of_bad_images_does_not_outlive_them(run: Path, strip_root: Path, tmp_path: Path) -> None:
    shutil.copytree(strip_root / "test_images", tmp_path / "images")
    bad = min((tmp_path / "images").iterdir())
    whole = bad.read_bytes()
    bad.write_bytes(whole[:300])
    arguments = ["predict", "-r", run, "--images", tmp_path / "images", "-o", tmp_path / "out", "--device", "cpu"]
    assert sever(*arguments, "--skip-bad") == 0
    assert pd.read_csv(tmp_path / "out" / "skipped.csv")["image_id"].tolist() == [bad.name]
    bad.write_bytes(whole)
    assert sever(*arguments) == 0
    assert not (tmp_path / "out" / "skipped.csv").exists()


def test_labels_without_any_defect_are_refused(
    strip_root: Path, tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "clean"
    shutil.copytree(strip_root, root)
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    assert train(edit(tiny_experiment, "data", root=str(root))) == 2
    assert "no training image shows a defect" in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()


def test_a_batch_that_is_too_small_to_normalise(tiny_experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(tiny_experiment, "augment", crop=[32, 32])
    assert train(edit(tiny_experiment, "train", batch_size=1)) == 2
    assert "train.batch_size to 2 or more" in capsys.readouterr().err


def test_wrong_rules_leave_no_run_behind(tiny_experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(edit(tiny_experiment, "rules", min_pixels=[1, 2])) == 2
    assert "rules.min_pixels has 2 entries" in capsys.readouterr().err
    assert not (tiny_experiment.parent / "saved").exists()


def test_a_finished_run_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("train", "-r", run, "--device", "cpu") == 0
    assert "nothing is left to train" in capsys.readouterr().err


def test_classes_that_changed_since_are_told(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, again = tmp_path / "renamed", tmp_path / "again"
    shutil.copytree(strip_root, root)
    (root / "classes.txt").write_text("a\nb\nc\nd\n")
    shutil.copytree(run, again)
    edit(again / "config.yml", "data", root=str(root))
    assert sever("train", "-r", again, "--device", "cpu") == 2
    assert "has the classes a, b, c, d now, but had 1, 2, 3, 4" in capsys.readouterr().err


def test_an_image_that_is_gone_before_a_resume(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, again = tmp_path / "moved", tmp_path / "again"
    shutil.copytree(strip_root, root)
    shutil.copytree(run, again)
    edit(again / "config.yml", "data", root=str(root))
    name = Run(again).part("train")[0]
    (root / "train_images" / name).rename(root / "train_images" / name.upper())
    (root / "train.csv").write_text((root / "train.csv").read_text().replace(name, name.upper()))
    assert sever("train", "-r", again, "--device", "cpu") == 2
    told = capsys.readouterr().err
    for words in (
        f"1 image is not in the data set: {name}; {name.upper()} is there, which differs in case",
        f"{again} began with them: put them back",
        "or start again without them",
    ):
        assert words in told


@pytest.mark.parametrize("damage", ["gone", "cut", "no data"])
@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
def test_images_that_a_run_began_with_say_the_way_out(
    damage: str, command: str, run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of these commands takes --skip-bad, so that it would be no way out."""
    root, again = tmp_path / "moved", tmp_path / "again"
    shutil.copytree(strip_root, root)
    shutil.copytree(run, again)
    edit(again / "config.yml", "data", root=str(root))
    image = root / "train_images" / Run(again).part("validation")[0]
    if damage == "gone":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(image.read_bytes()[:200])
    else:
        shutil.rmtree(root)
    words: dict[str, list[object]] = {
        "train": ["-r", again, "--epochs", 2],
        "evaluate": ["-r", again],
        "report": [again, "-o", tmp_path / "report.html"],
    }
    assert sever(command, *words[command], "--device", "cpu") == 2
    told = capsys.readouterr().err
    assert f"{again} began with these images: put them back" in told
    assert "skip" not in told
    assert told.count("can't be read") == 0


def test_a_single_image_and_a_data_set_are_predicted_as_such(
    run: Path, strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = sorted((strip_root / "test_images").iterdir())
    (tmp_path / "set" / "images" / "@eaDir").mkdir(parents=True)
    (tmp_path / "set" / "masks").mkdir()
    shutil.copy(first, tmp_path / "set" / "images")
    shutil.copy(second, tmp_path / "set" / "images" / "@eaDir")
    cv2.imwrite(str(tmp_path / "set" / "masks" / f"{first.stem}.png"), cv2.imread(str(first))[..., 0] * 0)
    (tmp_path / "set" / "images" / "x.heic").touch()
    monkeypatch.chdir(tmp_path)
    common = ["--device", "cpu", "--sheet", 0, "--form", "separate"]
    assert sever("predict", "-r", run, "--images", f"set/images/{first.name}", "-o", "one", *common) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 image; ")
    assert said.splitlines()[-1] == str(tmp_path / "one" / "submission.csv")
    assert sever("predict", "-r", run, "--images", "set", "-o", "all", *common) == 0
    told = capsys.readouterr()
    assert told.out.startswith("1 image; ")
    assert "skipped among the images: 1 .heic (not read here" in told.err
    assert "the folders images/@eaDir, masks" in told.err
    assert [path.name for path in (tmp_path / "all" / "probs").rglob("*.png")] == [f"{first.name}.png"]


def test_class_names_are_shown_as_they_are(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("evaluate", "-r", run, "--device", "cpu", "--json") == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert "[red]" in render_evaluation(evaluation | {"classes": ["[red]", "b", "c", "d"]})


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_vanishes_while_training(
    workers: int,
    strip_root: Path,
    tiny_experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(strip_root, tmp_path / "data")

    def vanish(self: TrainingLog, *rest: object) -> dict[str, float]:
        training = set(self.run.part("train"))
        for path in (tmp_path / "data" / "train_images").iterdir():
            if path.name in training:
                path.unlink()
        return {"dice": 0.5}

    monkeypatch.setattr(TrainingLog, "validate", vanish)
    edit(tiny_experiment, "train", workers=workers, epochs=3)
    assert train(edit(tiny_experiment, "data", root=str(tmp_path / "data"))) == 2
    shown = capsys.readouterr().err
    assert [line for line in shown.splitlines() if "error" in line and "can't be read" in line]
    assert "Traceback" not in shown


def test_an_interrupted_training_says_how_to_go_on(
    tiny_experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: Trainer, watcher: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupt)
    assert train(tiny_experiment) == 130
    (run,) = (tiny_experiment.parent / "saved" / "tiny").iterdir()
    assert f"sever train -r {run}" in capsys.readouterr().err
