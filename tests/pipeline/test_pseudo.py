"""`sever pseudo` and training with what it labels: a round trip, exact resumption, and every way to get it wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import quick_run, sever, train
from model_maker import always, make_model, make_network

from sever.cli.pseudo import By
from sever.config import DataSettings, PseudoSettings
from sever.data import mixing
from sever.data.images import read_image
from sever.data.layouts import read_table
from sever.data.mixing import join, read_pseudo_labelled
from sever.data.table import ImageTable
from sever.decide.prediction import Prediction
from sever.decide.pseudo_labels import MEASURES
from sever.errors import InputError
from sever.pipeline import pseudo
from sever.pipeline.inference.network import Network
from sever.store import ProbabilityStore, Run

HEAD = "ImageId,ClassId,EncodedPixels,Confidence\n"


def edit(experiment: Path, **sections: dict[str, Any]) -> Path:
    values = yaml.safe_load(experiment.read_text())
    for section, settings in sections.items():
        values[section] = values.get(section, {}) | settings
    experiment.write_text(yaml.safe_dump(values))
    return experiment


def newest(experiment: Path) -> Run:
    return Run(max((experiment.parent / "saved" / "tiny").iterdir()))


def losses(run: Run) -> list[float]:
    rows = json.loads((run.epoch_folder(run.epochs()[-1]) / "state.json").read_text())["history"]
    return [row["train_loss"] for row in rows]


@pytest.fixture(scope="module")
def teacher(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch."""
    return quick_run(tmp_path_factory.mktemp("teacher"), "teacher", strip_root)


@pytest.fixture
def labels(strip_root: Path, tmp_path: Path) -> Path:
    """Labels for the six test images: class 1 in the first two, class 3 in the next two, the last two clean."""
    ids = sorted(path.name for path in (strip_root / "test_images").iterdir())
    shown = [0, 0, 2, 2, None, None]
    rows = [
        f"{image_id},{index + 1},{'1 2000' if index == own else ''},{0.9 - 0.1 * at:.4f}"
        for at, (image_id, own) in enumerate(zip(ids, shown, strict=True))
        for index in range(4)
    ]
    path = tmp_path / "pseudo.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return path


def section(labels: Path, strip_root: Path, **more: object) -> dict[str, object]:
    return {"labels": str(labels), "images": str(strip_root / "test_images"), "share": 0.25, **more}


def test_the_words_for_being_sure_are_those_there_are() -> None:
    assert [by.value for by in By] == list(MEASURES)


def test_round_trip_from_a_model_to_pseudo_labels_to_training(
    teacher: Path, strip_root: Path, tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "sure"
    command = ["pseudo", "-r", teacher, "--images", strip_root / "test_images", "-o", output, "--device", "cpu"]
    assert sever(*command, "--min-present", 0, "--min-empty", 0) == 0
    shown = capsys.readouterr().out
    assert "6 of 6 images kept by confidence" in shown
    assert shown.rstrip().endswith(str(output / "pseudo.csv"))
    report = json.loads((output / "pseudo.json").read_text())
    assert (report["given"], report["kept"]) == (6, 6)
    assert [row["name"] for row in report["per_class"]] == ["1", "2", "3", "4", "clean"]
    assert cv2.imread(str(output / "sheet.png")) is not None
    written = pd.read_csv(output / "pseudo.csv", keep_default_na=False)
    assert written.columns.tolist() == ["ImageId", "ClassId", "EncodedPixels", "Confidence"]
    assert len(written) == 24  # clean ones have their rows too
    assert written["Confidence"].between(0, 1).all()

    edit(tiny_experiment, pseudo=section(output / "pseudo.csv", strip_root, keep=1.0), train={"epochs": 1})
    assert train(tiny_experiment) == 0
    assert "beside 6 pseudo-labelled ones" in capsys.readouterr().err
    run = newest(tiny_experiment)
    assert sorted(run.part("pseudo")) == sorted(path.name for path in (strip_root / "test_images").iterdir())
    assert not set(run.part("pseudo")) & set(run.part("validation") + run.part("train"))
    assert (run.folder / "pseudo.csv").read_bytes() == (output / "pseudo.csv").read_bytes()
    # Mean and deviation of the pixels are those of a run without pseudo-labels on the same labelled images.
    values = yaml.safe_load(tiny_experiment.read_text())
    del values["pseudo"]
    tiny_experiment.write_text(yaml.safe_dump(values))
    assert train(tiny_experiment) == 0
    plain = newest(tiny_experiment)
    assert plain.folder != run.folder
    assert plain.dataset_file.read_text() == run.dataset_file.read_text()


def test_other_limits_run_no_network_and_an_empty_result_says_so(
    teacher: Path,
    strip_root: Path,
    tiny_experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "sure"
    command = ["pseudo", "-r", teacher, "--images", strip_root / "test_images", "-o", output, "--device", "cpu"]
    assert sever(*command, "--min-present", 0, "--min-empty", 0) == 0

    def never(self: Network, images: object) -> list[Prediction]:
        raise AssertionError("a network ran")

    monkeypatch.setattr(Network, "predict", never)
    capsys.readouterr()
    assert sever(*command, "--min-present", 1, "--min-empty", 1, "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["kept"] == 0
    assert "no image is sure enough by confidence" in shown.err
    assert "--min-present" in shown.err
    assert (output / "pseudo.csv").read_text() == HEAD
    assert not (output / "sheet.png").exists()  # the earlier one's
    edit(tiny_experiment, pseudo=section(output / "pseudo.csv", strip_root))
    assert train(tiny_experiment) == 2
    assert "has no image of a confidence of at least 0" in capsys.readouterr().err


def bright(level: int) -> Network:
    """Says 0.9 wherever an image is brighter than a level, 0.1 elsewhere, in class 1 of 2."""

    def maps(pixels_nhwc: np.ndarray) -> np.ndarray:
        probs = np.where(pixels_nhwc[..., 0] > level / 255, 0.9, 0.1)
        return np.stack([probs, np.full(probs.shape, 0.05)], axis=1)

    return make_network(maps)


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Two images of 8x8 pixels: a bright half (200) on black, and one whose second half (100) is between."""
    folder = tmp_path / "squares"
    folder.mkdir()
    for name, level in (("clear", 0), ("vague", 100)):
        image_hw = np.full((8, 8), level, np.uint8)
        image_hw[:4] = 200
        assert cv2.imwrite(str(folder / f"{name}.png"), image_hw)
    return folder


def fake(monkeypatch: pytest.MonkeyPatch, *networks: Network) -> None:
    """Let `sever pseudo` load a model of these networks, with two classes, in place of what it is given."""
    model = make_model(networks, 2, min_pixels=0)
    monkeypatch.setattr(pseudo, "load_model", lambda path, options: model)


def test_by_agreement_the_members_draw_their_own_masks(
    teacher: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the vague image one network takes the whole, the others half: Dice 2/3, 2/3, 1; of the clear one all agree.
    # The fourth only labels images.
    networks = [bright(150), bright(50), bright(150), make_network(labels=always(0.5, 0.5))]
    fake(monkeypatch, *networks)
    output = tmp_path / "out"
    command = ["pseudo", "-r", teacher, "--images", squares, "-o", output, "--by", "agreement"]
    assert sever(*command) == 0
    written = pd.read_csv(output / "pseudo.csv", keep_default_na=False)
    rows = written[["ImageId", "ClassId", "EncodedPixels", "Confidence"]].values.tolist()
    half = " ".join(f"{start} 4" for start in range(1, 65, 8))  # the upper four of eight rows, column by column
    assert rows == [["clear.png", 1, half, 1.0], ["clear.png", 2, "", 1.0]]
    assert [len(list(ProbabilityStore(output / "members" / str(index)))) for index in range(3)] == [2, 2, 2]
    assert not (output / "members" / "3").exists()
    assert sever(*command, "--min-present", 0.77) == 0
    written = pd.read_csv(output / "pseudo.csv", keep_default_na=False).set_index(["ImageId", "ClassId"])
    assert written.loc[("vague.png", 1), "Confidence"] == pytest.approx(7 / 9, abs=1e-4)  # (2/3 + 2/3 + 1) / 3
    assert written.loc[("vague.png", 1), "EncodedPixels"] == half  # by their mean: 0.1, 0.9, 0.1 below one half


def test_members_maps_that_are_missing_are_made_though_the_blends_are_there(
    teacher: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, bright(150), bright(50))
    output = tmp_path / "out"
    command = ["pseudo", "-r", teacher, "--images", squares, "-o", output, "--by"]
    assert sever(*command, "confidence") == 0
    assert not (output / "members").exists()
    assert sever(*command, "agreement") == 0
    (output / "members" / "1" / "clear.png.png").unlink()
    assert sever(*command, "agreement") == 0
    assert sorted(ProbabilityStore(output / "members" / "1")) == ["clear.png", "vague.png"]
    clear, vague = (ProbabilityStore(output / "members" / "1").read(f"{name}.png", 2) for name in ("clear", "vague"))
    assert (clear[0, 4:] < 100).all()
    assert (vague[0, 4:] > 100).all()  # each image has its own map, in whatever batch it came


@pytest.mark.parametrize(("label_probs", "kept"), [((0.9, 0.1), 2), ((0.9, 0.5), 0), ((0.4, 0.1), 0)])
def test_by_gate_classifier_and_segmenter_must_agree(
    label_probs: tuple[float, float],
    kept: int,
    teacher: Path,
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, bright(150), make_network(labels=always(*label_probs)))
    assert sever("pseudo", "-r", teacher, "--images", squares, "-o", tmp_path / "out", "--by", "gate") == 0
    assert json.loads((tmp_path / "out" / "pseudo.json").read_text())["kept"] == kept


@pytest.mark.parametrize(
    ("networks", "by", "said"),
    [
        ([bright(150)], "gate", "--by gate needs an image classifier"),
        ([bright(150)], "agreement", "needs several networks"),
        ([bright(150), make_network(labels=always(0.5, 0.5))], "agreement", "has 1"),
        ([make_network(labels=always(0.5, 0.5))], "confidence", "draws no masks"),
    ],
)
def test_what_a_model_cannot_tell_is_told_before_it_predicts(
    networks: list[Network],
    by: str,
    said: str,
    teacher: Path,
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake(monkeypatch, *networks)
    assert sever("pseudo", "-r", teacher, "--images", squares, "-o", tmp_path / "out", "--by", by) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_resumed_run_has_the_same_images_and_losses(
    labels: Path, strip_root: Path, tiny_experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(
        tiny_experiment,
        pseudo=section(labels, strip_root),
        sampling={"balance": "class"},
        train={"epochs": 3, "checkpoint_steps": 1, "keep_every": 1},
    )
    assert train(tiny_experiment) == 0
    run = newest(tiny_experiment)
    whole = losses(run)
    assert len(whole) == 3
    assert run.epochs() == [1, 2, 3]
    labels.unlink()  # the run has a copy
    for epoch in (2, 3):
        shutil.rmtree(run.epoch_folder(epoch))
    assert sever("train", "-r", run.folder, "--device", "cpu") == 0
    assert losses(run) == whole
    shutil.rmtree(run.epoch_folder(3))
    (run.folder / ".sever-tables.json").unlink()  # else it would be told that the file has changed
    (run.folder / "pseudo.csv").write_text(HEAD + f"{run.part('pseudo')[0]},1,,0.9\n")
    capsys.readouterr()
    assert sever("train", "-r", run.folder, "--device", "cpu") == 2
    assert "5 images are not in the data set" in capsys.readouterr().err


def test_a_run_killed_in_mid_epoch_goes_on_with_the_same_batches(
    labels: Path, strip_root: Path, tiny_experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sever.pipeline.training_log import TrainingLog

    edit(tiny_experiment, pseudo=section(labels, strip_root), train={"epochs": 2, "checkpoint_steps": 1})
    assert train(tiny_experiment) == 0
    whole = losses(newest(tiny_experiment))
    plain = TrainingLog.within_epoch

    def stop_after(self: TrainingLog, snapshot: Any, position: Any) -> None:
        plain(self, snapshot, position)
        if position.epoch == 1 and position.batch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingLog, "within_epoch", stop_after)
    values = yaml.safe_load(tiny_experiment.read_text())
    tiny_experiment.write_text(yaml.safe_dump(values | {"name": "stopped"}))
    assert train(tiny_experiment) == 130
    monkeypatch.undo()
    (folder,) = (tiny_experiment.parent / "saved" / "stopped").iterdir()
    assert list((folder / "checkpoints").glob("step-*"))
    assert sever("train", "-r", folder, "--device", "cpu") == 0
    assert losses(Run(folder)) == whole


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": "nowhere.csv"}, f"pseudo.labels: there is no file {Path.cwd() / 'nowhere.csv'}"),
        ({"images": "nowhere"}, "pseudo.images: there is no folder"),
        ({"share": 0.01}, "pseudo.share 0.01 of a batch of 4 is 0 images"),
        ({"share": 1.5}, "`pseudo.share` is 1.5"),
        ({"keep": 0}, "`pseudo.keep` is 0"),
        ({"min_confidence": 0.95}, "has no image of a confidence of at least 0.95"),
        ({"shares": 0.1}, "unknown setting `pseudo.shares`; did you mean `share`"),
    ],
)
def test_what_is_wrong_with_the_section_is_told_at_the_start(
    change: dict[str, object],
    said: str,
    labels: Path,
    strip_root: Path,
    tiny_experiment: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(tiny_experiment, pseudo=section(labels, strip_root) | change)
    assert train(tiny_experiment) == 2
    assert said in capsys.readouterr().err
    assert not (tiny_experiment.parent / "saved").exists()


def labelled_table(strip_root: Path) -> ImageTable:
    return read_table(DataSettings(root=strip_root))[0]


def read(labels: Path, strip_root: Path, images: Path | None = None, least: float = 0.0) -> ImageTable:
    folder = images or strip_root / "test_images"
    settings = PseudoSettings(labels=labels, images=folder, min_confidence=least)
    return read_pseudo_labelled(settings, labelled_table(strip_root))


def test_labels_come_as_they_were_written_clean_images_too(labels: Path, strip_root: Path) -> None:
    table = read(labels, strip_root)
    shown = [[True, False, False, False]] * 2 + [[False, False, True, False]] * 2 + [[False] * 4] * 2
    assert table.has_class().tolist() == shown
    assert table.mask(0).sum() == 2000
    labelled = labelled_table(strip_root)
    both = join(labelled, table)
    assert both.image_ids == labelled.image_ids + table.image_ids
    assert (both.mask(len(labelled) + 3) == table.mask(3)).all()
    assert read_image(both.path(len(both) - 1), 1).shape[:2] == both.size(len(both) - 1)


def test_an_image_is_as_sure_as_its_least_certain_class(labels: Path, strip_root: Path) -> None:
    assert len(read(labels, strip_root, least=0.55)) == 4  # 0.9, 0.8, 0.7, 0.6
    text = labels.read_text().splitlines()
    text[2] = text[2].removesuffix("0.9000") + "0.5000"  # class 2 of the first image
    labels.write_text("\n".join(text) + "\n")
    table = read(labels, strip_root, least=0.55)
    assert len(table) == 3
    assert table.has_class()[:, 0].tolist() == [True, False, False]


def test_labels_of_another_hand_need_no_confidence_until_one_is_asked_for(strip_root: Path, tmp_path: Path) -> None:
    first = min(path.name for path in (strip_root / "test_images").iterdir())
    labels = tmp_path / "theirs.csv"
    labels.write_text(f"ImageId_ClassId,EncodedPixels\n{first}_1,1 5\n{first}_2,\n")
    assert read(labels, strip_root).has_class().tolist() == [[True, False, False, False]]
    with pytest.raises(InputError, match="Confidence is needed"):
        read(labels, strip_root, least=0.5)


def test_images_that_have_true_labels_are_refused_by_id_and_by_file(
    labels: Path, strip_root: Path, tmp_path: Path
) -> None:
    train_images = strip_root / "train_images"
    own = min(path.name for path in train_images.iterdir())
    labels.write_text(HEAD + f"{own},1,1 5,0.9\n")
    with pytest.raises(InputError, match=rf"1 image that the labelled data set has too.*{own}"):
        read(labels, strip_root, train_images)
    other = tmp_path / "other"
    other.mkdir()
    (other / "renamed.png").symlink_to((train_images / own).resolve())
    labels.write_text(HEAD + "renamed.png,1,1 5,0.9\n")
    with pytest.raises(InputError, match=r"labelled data set has too.*renamed\.png"):
        read(labels, strip_root, other)


@pytest.mark.parametrize(
    ("rows", "least", "said"),
    [
        ("nowhere.png,1,1 5,0.9\n", 0.0, "1 image that is missing in pseudo.images"),
        ("{first},9,1 5,0.9\n", 0.0, "class 9 is out of range"),
        ("{first},1,1 5 x,0.9\n", 0.0, "1 fault:"),
        ("{first},1,1 99999999,0.9\n", 0.0, "1 fault:"),
        ("{first},1,1 5,0.9\n{first},1,9 5,0.9\n", 0.0, "was in row 2 already"),
        ("{first},1,1 5,high\n", 0.5, "row 2: Confidence must be a number from 0 to 1"),
        ("{first},1,1 5,1.5\n", 0.5, "row 2: Confidence must be a number from 0 to 1"),
    ],
)
def test_faults_of_the_labels(rows: str, least: float, said: str, strip_root: Path, tmp_path: Path) -> None:
    first = min(path.name for path in (strip_root / "test_images").iterdir())
    labels = tmp_path / "bad.csv"
    labels.write_text(HEAD + rows.format(first=first))
    with pytest.raises(InputError, match=said):
        read(labels, strip_root, least=least)


def test_what_is_written_is_read_as_it_was(tmp_path: Path, strip_root: Path) -> None:
    ids = sorted(path.name for path in (strip_root / "test_images").iterdir())[:2]
    rows = [(ids[0], ("1 5", "", "", "9 2"), (0.9, 1.0, 0.75, 0.8)), (ids[1], ("",) * 4, (1.0,) * 4)]
    with (tmp_path / "p.csv").open("w", newline="") as file:
        mixing.write_pseudo_labels(file, rows)
    table = read(tmp_path / "p.csv", strip_root)
    assert [tuple(row) for row in table.frame[table.run_columns].values.tolist()] == [runs for _, runs, _ in rows]
    assert len(read(tmp_path / "p.csv", strip_root, least=0.75)) == 2
    assert len(read(tmp_path / "p.csv", strip_root, least=0.76)) == 1


def test_a_cross_validation_trains_with_them_and_keeps_them_out_of_its_maps(
    labels: Path, strip_root: Path, tiny_experiment: Path
) -> None:
    edit(tiny_experiment, pseudo=section(labels, strip_root), train={"epochs": 1}, folds={"count": 2})
    saved = tiny_experiment.parent / "saved"
    assert sever("crossval", "-c", tiny_experiment, "--saved", saved, "--device", "cpu", "--jobs", 1) == 0
    (folder,) = (saved / "tiny").iterdir()
    assert sorted(ProbabilityStore(folder / "probs")) == labelled_table(strip_root).image_ids
    assert [len(Run(folder / f"fold-{fold}").part("pseudo")) for fold in (0, 1)] == [6, 6]
    assert len(pd.read_csv(folder / "folds.csv")) == len(labelled_table(strip_root))
