"""Whole runs of benchmarks/accuracy on tiny data: a row at the end, once; and what was stopped goes on the same."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made_data import make_neu

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy.budget import Budget, ClockName, Stopwatch
from benchmarks.accuracy.contenders import nnunet, plain, with_sever
from benchmarks.accuracy.protocols import PROTOCOLS
from benchmarks.accuracy.task import Task
from sever.config import load_config
from sever.errors import InputError


def run(folder: Path, *words: str) -> list[dict[str, str]]:
    """As typed, on data, work and results of `folder`; the rows of its table."""
    places = ["--data", str(folder), "--work", str(folder / "work"), "--results", str(folder / "results.csv")]
    accuracy.run(accuracy.make_parser().parse_args([*places, *words]))
    with (folder / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


SMALL_SEVER = ["augment.crop=null", "train.batch_size=4", "train.workers=0", "model.decoder_channels=[8,8,8,4,4]"]


@pytest.mark.parametrize(
    ("contender", "variant"),
    [
        ("plain", ["batch=4", "rate=1e-3"]),
        ("sever", [*SMALL_SEVER, "rules.min_pixels=0"]),
        ("plan", ["train.batch_size=4", "train.workers=0"]),
    ],
)
def test_a_run_gives_one_row_and_is_not_run_again(
    tmp_path: Path, contender: str, variant: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_neu(tmp_path)
    words = ["--contender", contender, "--clock", "epochs", "--epochs", "0.5", "--seed", "3", "--variant", *variant]
    (row,) = run(tmp_path, *words)
    assert (row["contender"], row["seed"], row["clock"], row["budget"]) == (contender, "3", "epochs", "0.5")
    assert row["images_seen"] == "12"  # half of six batches of 4; 24 of 30 images train
    assert 0 <= float(row["mean_iou"]) <= 100
    assert float(row["cpu_seconds"]) > 0
    capsys.readouterr()
    assert run(tmp_path, *words) == [row]
    assert "done on" in capsys.readouterr().out


def test_sever_trains_as_many_steps_as_its_clock_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_neu(tmp_path)
    monkeypatch.setattr(with_sever, "_measure_step", lambda config, clock: 100.0)
    words = ["--contender", "sever", "--clock", "cpu", "--minutes", "5.2", "--variant", *SMALL_SEVER]
    (row,) = run(tmp_path, *words)
    assert row["images_seen"] == "12"  # of 302 s less what went before: three steps of 4 images


def test_the_plan_decides_what_a_planned_training_is(tmp_path: Path) -> None:
    make_neu(tmp_path)
    words = ["--contender", "plan", "--clock", "epochs", "--epochs", "0.5", "--variant", "train.batch_size=4"]
    run(tmp_path, *words)
    (folder,) = (tmp_path / "work").iterdir()
    planned, trained = (load_config(folder / name) for name in ("planned.yml", "run/config.yml"))
    assert trained.train.batch_size == 4
    assert trained.optim == planned.optim
    assert trained.rules == planned.rules
    assert trained.data.root == folder / "data"
    assert trained.train.validate_every is None


def small_task(folder: Path, steps: int = 4) -> Task:
    split = PROTOCOLS["neu-grouped"](folder, 0)
    budget = Budget("epochs", steps * 4 / 24)
    return Task(split, 0, budget, folder / "work", Stopwatch(folder / "work" / "spent.json"), {"batch": "4"})


def test_a_plain_loop_that_was_stopped_goes_on_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "SAVE_EVERY_STEPS", 1)
    answers = []
    for name in ("whole", "stopped"):
        task = small_task(make_neu(tmp_path / name))
        if name == "stopped":
            with monkeypatch.context() as patch:
                patch.setattr(plain.Loop, "train_batch", _stop_after(2, plain.Loop.train_batch))
                with pytest.raises(KeyboardInterrupt):
                    plain.train_plain(task)
            assert torch.load(task.folder / "checkpoint.pt", weights_only=True)["step"] == 2
        trained = plain.train_plain(task)
        weights = torch.load(task.folder / "checkpoint.pt", weights_only=True)["network"]
        answers.append((weights, list(trained.predict(task.split.test))))
    (whole, seen), (stopped, seen_again) = answers
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert all(np.array_equal(one, other) for one, other in zip(seen, seen_again, strict=True))


def _stop_after(steps: int, train_batch):  # type: ignore[no-untyped-def]
    def stopping(loop: plain.Loop, *batch: torch.Tensor) -> None:
        if loop.step == steps:
            raise KeyboardInterrupt
        train_batch(loop, *batch)

    return stopping


def test_padding_and_squashing_give_maps_of_the_images_own_size(tmp_path: Path) -> None:
    split = PROTOCOLS["neu-grouped"](make_neu(tmp_path), 0)
    images = plain.Images(split, plain.PlainSettings())
    image_hw = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
    padded = images.to_input(image_hw)
    assert padded.shape == (64, 64)
    assert (padded[12:52, 7:57] == image_hw).all()
    assert (padded[11, 7:57] == image_hw[1]).all()  # a reflection
    logits = torch.zeros(2, 64, 64)
    logits[1, 12:52, 7:57] = torch.from_numpy(image_hw % 2 * 2.0 - 1)
    assert (images.from_output(logits, 40, 50) == image_hw % 2).all()
    images.squash = 96
    assert images.to_input(image_hw).shape == (96, 96)
    assert images.from_output(torch.zeros(2, 96, 96), 40, 50).shape == (40, 50)


@pytest.mark.parametrize(
    ("variant", "fault"),
    [
        ({"loss": "ce"}, "no setting 'loss'"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"pad": "black"}, "pad is 'black'; allowed: reflect, edge"),
    ],
)
def test_wrong_variants_are_told(variant: dict[str, str], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        plain.read_settings(variant)


def test_nnunet_is_given_the_training_images_with_their_labels(tmp_path: Path) -> None:
    split = PROTOCOLS["neu-grouped"](make_neu(tmp_path), 0)
    nnunet.write_raw(split, tmp_path / "raw")
    about = json.loads((tmp_path / "raw" / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "inclusion": 1, "patches": 2, "scratches": 3}
    assert about["numTraining"] == len(list((tmp_path / "raw" / "imagesTr").iterdir())) == len(split.train)
    for number, sample in enumerate(split.train):
        labels_hw = cv2.imread(str(tmp_path / "raw" / "labelsTr" / f"case_{number:05d}.png"), cv2.IMREAD_UNCHANGED)
        image_hw = cv2.imread(str(tmp_path / "raw" / "imagesTr" / f"case_{number:05d}_0000.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels_hw, sample.read_labels())
        assert np.array_equal(image_hw, sample.read_image())


@pytest.mark.parametrize(
    ("clock", "python", "variant", "fault"),
    [
        ("cpu", None, {}, "needs --nnunet-python"),
        ("epochs", Path("python"), {}, "no passes over the images"),
        ("cpu", Path("python"), {"rate": "1"}, "allowed: memory_gb"),
    ],
)
def test_what_nnunet_can_not_do_is_told(
    tmp_path: Path, clock: ClockName, python: Path | None, variant: dict[str, str], fault: str
) -> None:
    task = replace(small_task(make_neu(tmp_path)), budget=Budget(clock, 1), nnunet_python=python, variant=variant)
    with pytest.raises(InputError, match=fault):
        nnunet.train_nnunet(task)


def test_a_driver_that_fails_is_told_and_leaves_no_row(tmp_path: Path) -> None:
    make_neu(tmp_path)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(InputError, match="prepare ended with code 3"):
        run(tmp_path, "--contender", "nnunet", "--clock", "cpu", "--nnunet-python", str(broken))
    assert not (tmp_path / "results.csv").exists()
