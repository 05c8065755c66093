"""The whole story through the command line: strip is made, a model trains, masks are predicted, scored and drawn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sever.data import rle
from sever.store import ProbabilityStore, Run


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A trained run: two epochs of a small network."""
    folder = tmp_path_factory.mktemp("story")
    config = folder / "story.yml"
    config.write_text(
        f"""
name: story
data: {{root: {strip_root}}}
folds: {{share: 0.25}}
model: {{encoder: resnet18, weights: none, decoder_channels: [16, 16, 8, 8, 8]}}
augment: {{recipe: strip, crop: [64, 96]}}
train: {{epochs: 2, batch_size: 4, workers: 0, keep_best: 2}}
rules: {{min_pixels: 0, pixel_threshold: 0.3}}
"""
    )
    assert sever("train", "-c", config, "--saved", folder / "saved", "--device", "cpu") == 0
    (path,) = (folder / "saved" / "story").iterdir()
    return Run(path)


@pytest.fixture(scope="module")
def predicted(run: Run, strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("predicted")
    assert sever("predict", "-r", run.folder, "--data", strip_root, "-o", output, "--device", "cpu") == 0
    return output


def test_a_run_holds_all_that_is_needed_to_repeat_it(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {"config.yml", "dataset.json", "rules.json", "environment.json", "folds.csv", "history.csv"}
    assert names >= {"train.log", "tensorboard", "checkpoints"}
    assert run.epochs() == [1, 2]
    weights = load_file(run.epoch_folder(2) / "model.safetensors")
    assert {"mean", "std"} <= weights.keys()
    folds = pd.read_csv(run.folds_file)
    assert sorted(folds["part"].value_counts().to_dict().items()) == [("train", 12), ("validation", 4)]
    assert len((run.folder / "train.log").read_text().splitlines()) == 2


def test_tensorboard_has_losses_scores_rates_and_pictures(run: Run) -> None:
    board = EventAccumulator(str(run.folder / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    wanted = {"step/loss", "step/bce", "step/dice", "step/images_per_second", "train/loss", "validation/dice"}
    wanted |= {"validation/dice_1", "learning_rate/encoder", "learning_rate/decoder"}
    assert wanted <= set(tags["scalars"])
    assert tags["images"]
    assert len(board.Scalars("step/loss")) == 6


def test_the_submission_is_what_the_rules_make_of_the_stored_maps(predicted: Path, strip_root: Path) -> None:
    rows = pd.read_csv(predicted / "submission.csv", keep_default_na=False)
    ids = sorted(path.name for path in (strip_root / "test_images").iterdir())
    assert rows["ImageId_ClassId"].tolist() == [f"{image_id}_{number}" for image_id in ids for number in range(1, 5)]
    runs = dict(zip(rows["ImageId_ClassId"], rows["EncodedPixels"], strict=True))
    for image_id in ids:
        levels = ProbabilityStore(predicted / "probs").read(image_id, 4)
        # By hand: above 0.3 of 255 is 77 and more, and the most probable class keeps the pixel.
        wins = levels == levels.max(axis=0)
        first = np.cumsum(wins, axis=0) == 1
        expected = (levels > 0.3 * 255) & wins & first
        for index in range(4):
            assert runs[f"{image_id}_{index + 1}"] == rle.encode(expected[index].astype(np.uint8))
    assert (predicted / "sheet.png").is_file() == any(runs.values())


def test_an_interrupted_prediction_goes_on_and_gives_the_same(
    predicted: Path, run: Run, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "again"
    shutil.copytree(predicted, output)
    (output / "submission.csv").unlink()
    maps = sorted((output / "probs").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in maps[2:]}
    for path in maps[:2]:
        path.unlink()
    assert sever("predict", "-r", run.folder, "--data", strip_root, "-o", output, "--device", "cpu") == 0
    assert (output / "submission.csv").read_text() == (predicted / "submission.csv").read_text()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "predict: 6/6" in capsys.readouterr().err


def test_maps_of_another_checkpoint_are_not_mixed_in(
    predicted: Path, run: Run, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "other"
    shutil.copytree(predicted, output)
    arguments = ["predict", "-r", run.epoch_folder(1), "--images", strip_root / "test_images", "-o", output]
    arguments += ["--device", "cpu", "--flip", "width"]
    assert sever(*arguments) == 2
    assert "another checkpoint or other settings" in capsys.readouterr().err
    assert sever(*arguments, "--overwrite") == 0
    assert json.loads((output / "predict.json").read_text())["predict"]["flips"] == ["width"]


def test_the_separate_form_has_rows_for_defects_only(predicted: Path, run: Run, strip_root: Path) -> None:
    combined = pd.read_csv(predicted / "submission.csv", keep_default_na=False)
    arguments = ["predict", "-r", run.folder, "--data", strip_root, "-o", predicted, "--form", "separate"]
    assert sever(*arguments, "--device", "cpu") == 0
    separate = pd.read_csv(predicted / "submission.csv", keep_default_na=False)
    joined = separate["ImageId"] + "_" + separate["ClassId"].astype(str)
    defects = combined[combined["EncodedPixels"] != ""]
    assert joined.tolist() == defects["ImageId_ClassId"].tolist()
    assert separate["EncodedPixels"].tolist() == defects["EncodedPixels"].tolist()
    assert sever(*arguments[:-1], "combined", "--device", "cpu") == 0


def test_scores_of_a_submission_and_of_its_run_are_the_same(
    predicted: Path, run: Run, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["--data", strip_root, "--labels", strip_root / "test_labels.csv", "--json"]
    capsys.readouterr()
    assert sever("evaluate", *labels, "-s", predicted / "submission.csv", "-o", tmp_path) == 0
    by_submission = json.loads(capsys.readouterr().out)
    assert sever("evaluate", *labels, "-r", run.folder, "--device", "cpu") == 0
    by_run = json.loads(capsys.readouterr().out)
    for key in ("submission", "checkpoint"):
        by_submission.pop(key, None), by_run.pop(key, None)
    assert by_submission == by_run
    assert json.loads((tmp_path / "scores.json").read_text())["dice"] == by_run["dice"]
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert len(pd.read_csv(tmp_path / "images.csv")) == 6


def test_the_last_validation_score_is_what_evaluate_says(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert sever("evaluate", "-r", run.epoch_folder(2), "--json", "--device", "cpu") == 0
    evaluation = json.loads(capsys.readouterr().out)
    history = json.loads((run.epoch_folder(2) / "state.json").read_text())["history"]
    assert evaluation["images"] == 4
    assert evaluation["dice"] == history[-1]["dice"]


def test_averaged_weights_predict_but_do_not_train_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert sever("average", "-r", run.folder, "--best", 2) == 0
    folder = Path(capsys.readouterr().out.strip())
    weights = [load_file(path / "model.safetensors") for path in (folder, run.epoch_folder(1), run.epoch_folder(2))]
    name = next(name for name, value in weights[0].items() if value.ndim == 4)
    np.testing.assert_allclose(weights[0][name], (weights[1][name] + weights[2][name]) / 2, atol=1e-7)
    assert sever("evaluate", "-r", folder, "--device", "cpu") == 0
    capsys.readouterr()
    assert sever("train", "-r", folder, "--device", "cpu") == 2
    assert "averaged weights" in capsys.readouterr().err
    assert sever("average", "-r", run.folder, "--best", 9) == 2
    assert "2 scored checkpoints, but 9" in capsys.readouterr().err


BAD_COMMANDS = [
    # arguments, what the message must say
    (["train"], "-c CONFIG"),
    (["train", "-c", "nowhere.yml"], "nowhere.yml"),
    (["train", "-r", "nowhere"], "/nowhere; give a run's folder"),
    (["predict", "-r", "nowhere", "-o", "x", "--images", "y"], "/nowhere; give a run's folder"),
    (["evaluate"], "-s SUBMISSION or -r RUN"),
    (["evaluate", "-s", "x.csv"], "--data ROOT"),
    (["synth", "-o", "x", "--height", 8], "8"),
    (["config", "check", "-c", "nowhere.yml"], "nowhere.yml"),
    (["tain"], "train"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_COMMANDS, ids=lambda value: str(value)[:40])
def test_what_the_user_can_mend_is_one_message_and_exit_code_2(
    arguments: list[object],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sever(*arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_bad_images_are_told_and_can_be_left_out_with_a_list(
    strip_root: Path, tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "damaged"
    shutil.copytree(strip_root, root)
    victim = sorted((root / "train_images").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:700])
    tiny_experiment.write_text(tiny_experiment.read_text().replace(str(strip_root), str(root)))
    arguments = ["train", "-c", tiny_experiment, "--saved", tmp_path / "saved", "--device", "cpu"]
    assert sever(*arguments) == 2
    assert victim.name in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()
    assert sever(*arguments, "--skip-bad") == 0
    (run,) = (tmp_path / "saved" / "tiny").iterdir()
    assert pd.read_csv(run / "skipped.csv")["image_id"].tolist() == [victim.name]
    assert victim.name not in pd.read_csv(run / "folds.csv")["image_id"].tolist()
