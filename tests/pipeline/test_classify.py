"""Classifiers and label heads through the command line: trained, resumed, averaged, predicted, scored."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import sever
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sever.config import DataSettings, RuleSettings
from sever.data.layouts import read_table
from sever.decide.ensemble import Blend
from sever.decide.postprocess import draw_masks
from sever.decide.rules import resolve_rules
from sever.files import write_json
from sever.output import WRITTEN
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.network import Ensemble
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.resuming import resume
from sever.reading import read_json
from sever.store import LabelStore, Run


def train(folder: Path, data: Path, name: str, **sections: dict[str, Any]) -> Run:
    values: dict[str, Any] = {
        "name": name,
        "data": {"root": str(data)},
        "folds": {"share": 0.25},
        "model": {"encoder": "tu-mobilenetv3_small_050", "weights": "none", "label_dropout": 0.2},
        "augment": {"recipe": "light", "crop": [64, 64]},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0, "keep_best": 2},
        "predict": {"batch_size": 4},
        "rules": {"min_pixels": 0},
    }
    for section, more in sections.items():
        values[section] = values.get(section, {}) | more
    config = folder / f"{name}.yml"
    config.write_text(yaml.safe_dump(values))
    assert sever("train", "-c", config, "--saved", folder / "saved", "--device", "cpu") == 0
    (path,) = (folder / "saved" / name).iterdir()
    return Run(path)


@pytest.fixture(scope="module")
def classifier(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("classify"), strip_root, "gate", model={"task": "classify"})


@pytest.fixture(scope="module")
def segmenter(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With a label head, and rules that veto by it."""
    return train(
        tmp_path_factory.mktemp("head"),
        strip_root,
        "head",
        model={"label_head": True, "decoder_channels": [16, 16, 8, 8, 8]},
        train={"epochs": 1},
        rules={"pixel_threshold": 0.3, "gate": {"kind": "veto", "threshold": 0.5}},
    )


def history(run: Run) -> pd.DataFrame:
    latest = run.latest()
    assert latest is not None
    return pd.DataFrame(read_json(latest / "state.json")["history"]).drop(columns="seconds")


def read_labels(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "labels.csv", dtype={"image_id": str})


# --- a classifier -----------------------------------------------------------------------------------------------------


def test_a_classifier_is_scored_by_labels_as_it_learns(classifier: Run) -> None:
    scores = set(history(classifier).columns)
    assert scores >= {"train_loss", "label_ap", "label_auc", "label_f1", "defect_accuracy", "rate_encoder"}
    assert not any(name.startswith(("dice", "mean_iou")) for name in scores)
    assert "validation label_ap" in (classifier.folder / "train.log").read_text()
    board = EventAccumulator(str(classifier.folder / "tensorboard"))
    board.Reload()
    assert "validation/label_ap" in board.Tags()["scalars"]
    assert board.Tags()["images"] == []


def test_a_classifier_resumes_exactly(classifier: Run, tmp_path: Path) -> None:
    whole = history(classifier)
    copy = Run(tmp_path / "gate" / classifier.folder.name)
    shutil.copytree(classifier.folder, copy.folder)
    shutil.rmtree(copy.epoch_folder(2))
    resume(copy.folder, "cpu")
    pd.testing.assert_frame_equal(history(copy), whole, check_exact=True)
    original, resumed = (load_labels(run, whole) for run in (classifier, copy))
    np.testing.assert_array_equal(original, resumed)


def load_labels(run: Run, whole: pd.DataFrame) -> np.ndarray:
    """What the weights of the last epoch say of every training image."""
    loaded = load_model(run.epoch_folder(len(whole)), InferenceOptions(device="cpu"))
    table, _ = read_table(loaded.config.data)
    return np.stack([found.label_probabilities for _, found in loaded.inspect_table(table)])  # type: ignore[misc]


def test_a_classifiers_checkpoints_are_averaged(classifier: Run, strip_root: Path, tmp_path: Path) -> None:
    run = tmp_path / "gate" / classifier.folder.name
    shutil.copytree(classifier.folder, run)
    assert sever("average", "-r", run, "--best", 2) == 0
    average = run / "checkpoints" / "average-2"
    assert sever("predict", "-r", average, "--data", strip_root, "-o", tmp_path / "out", "--device", "cpu") == 0
    assert len(read_labels(tmp_path / "out")) == 6


def test_a_classifier_predicts_labels_and_no_masks(
    classifier: Run, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    command = ("predict", "-r", classifier.folder, "--data", strip_root, "--device", "cpu")
    assert sever(*command, "-o", output) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("6 images; images with class 1: ")
    assert printed.rstrip().endswith("labels.csv")
    assert {path.name for path in output.glob("[!.]*")} == {"labels.csv", "predict.json"}
    labels = read_labels(output)
    assert labels.columns.tolist() == ["image_id", "1", "2", "3", "4", "origin"]
    table, _ = read_table(DataSettings(root=strip_root), "test")
    assert labels["image_id"].tolist() == table.image_ids
    assert labels[["1", "2", "3", "4"]].to_numpy().min() > 0
    # Interrupted after two images: those are kept to the letter (here: a mark of ours), the others predicted again.
    again = LabelStore(tmp_path / "again")
    (tmp_path / "again").mkdir()
    for name in ("predict.json", WRITTEN):
        shutil.copy(output / name, again.folder)
    marks = np.array([1, 0, 0.25, 0.5], np.float32)
    for image_id in table.image_ids[:2]:
        again.add(image_id, marks, LabelStore(output).read_labels(4)[image_id].origin)
    with again.partial_file.open("a") as file:
        file.write(f"{table.image_ids[2]},0.1,0.2,0.3,0.4,0")  # torn, though it looks whole
    assert sever(*command, "-o", again.folder) == 0
    resumed = read_labels(again.folder)
    assert resumed.iloc[2:].equals(labels.iloc[2:])
    assert (resumed.iloc[:2, 1:5].to_numpy() == marks).all()
    assert sever(*command, "-o", again.folder, "--overwrite") == 0
    assert (again.folder / "labels.csv").read_text() == (output / "labels.csv").read_text()


def test_a_classifier_is_evaluated_by_its_labels(
    classifier: Run, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("evaluate", "-r", classifier.folder, "--device", "cpu")
    assert sever(*command, "--json", "-o", tmp_path / "scores") == 0
    scores = json.loads(capsys.readouterr().out)
    best = read_json(classifier.best() / "state.json")["history"][-1]
    for name in ("label_ap", "label_auc", "label_f1", "defect_accuracy"):  # the same images, the same way
        assert scores[name] == pytest.approx(best[name]), name
    assert scores == read_json(tmp_path / "scores" / "scores.json")
    images = pd.read_csv(tmp_path / "scores" / "images.csv")
    assert images.columns.tolist() == ["image_id", *(f"{kind}_{c}" for kind in ("prob", "shows") for c in (1, 2, 3, 4))]
    assert images[[f"shows_{c}" for c in (1, 2, 3, 4)]].sum().tolist() == scores["positive_images_per_class"]
    assert sever(*command, "--data", strip_root, "--labels", strip_root / "test_labels.csv") == 0
    table = capsys.readouterr().out
    assert "labels of 6 images" in table
    assert "AP: average precision" in table
    assert "Dice" not in table


def test_a_classifier_never_looks_at_maps(classifier: Run) -> None:
    loaded = load_model(classifier.folder, InferenceOptions(device="cpu"))
    assert not loaded.draws_masks
    assert loaded.labels_images
    (seen,) = loaded.network.predict([np.zeros((64, 96, 1), np.uint8)])
    assert seen.probs_chw is None
    assert seen.label_probs_c is not None


# --- a segmenter with a label head ------------------------------------------------------------------------------------


def test_a_label_head_is_scored_beside_the_masks(segmenter: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scores = set(history(segmenter).columns)
    assert scores >= {"train_loss", "train_bce", "train_dice", "train_label_bce", "dice", "label_ap", "defect_accuracy"}
    assert sever("evaluate", "-r", segmenter.folder, "--device", "cpu", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["images"] == found["images"] == 4
    assert sever("evaluate", "-r", segmenter.folder, "--device", "cpu") == 0
    table = capsys.readouterr().out
    assert "Dice" in table
    assert "AP: average precision" in table


@pytest.fixture(scope="module")
def predicted(segmenter: Run, strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("gated")
    assert sever("predict", "-r", segmenter.folder, "--data", strip_root, "-o", output, "--device", "cpu") == 0
    return output


def masks_of(folder: Path) -> dict[str, list[str]]:
    frame = pd.read_csv(folder / "submission.csv", keep_default_na=False)
    image, number = frame.columns[0], frame.columns[1]
    if "ClassId" in frame:
        return {f"{row.ImageId}_{row.ClassId}": [row.EncodedPixels] for row in frame.itertuples()}
    return {str(row[image]): [str(row[number])] for _, row in frame.iterrows()}


def test_masks_are_drawn_with_the_gate_that_is_stored_beside_them(
    segmenter: Run, predicted: Path, strip_root: Path
) -> None:
    loaded = load_model(segmenter.folder, InferenceOptions(device="cpu"))
    table, _ = read_table(DataSettings(root=strip_root), "test")
    stored = LabelStore(predicted).read(4)
    lines = (predicted / "submission.csv").read_text()
    ungated = resolve_rules(RuleSettings(pixel_threshold=0.3, min_pixels=0), 4)
    vetoed = kept = 0
    for _, found in loaded.inspect_table(table):
        np.testing.assert_array_equal(stored[found.name], found.label_probabilities)
        bare = draw_masks(found.probabilities, ungated)
        for index in range(4):
            runs = found.run_lengths[index]
            if runs:
                assert runs in lines
            vetoed += bool(bare[index].any() and not runs)
            kept += bool(runs)
    assert vetoed + kept > 0  # else nothing was put to the test


def test_another_stored_gate_draws_other_masks(
    segmenter: Run, predicted: Path, strip_root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "again"
    shutil.copytree(predicted, output)
    table, _ = read_table(DataSettings(root=strip_root), "test")
    command = ("predict", "-r", segmenter.folder, "--data", strip_root, "-o", output, "--device", "cpu", "--sheet", 0)
    counts = []
    for level in (0.0, 1.0):
        store = LabelStore(output)
        origins = {image_id: label.origin for image_id, label in store.read_labels(4).items()}
        for image_id in table.image_ids:
            store.add(image_id, np.full(4, level, np.float32), origins[image_id])
        assert sever(*command) == 0  # nothing is predicted again: maps and gate are there
        assert (read_labels(output)[["1", "2", "3", "4"]].to_numpy() == level).all()
        counts.append(sum(bool(runs) for (runs,) in masks_of(output).values()))
    assert counts[0] == 0
    assert counts[1] > 0


def test_an_interrupted_prediction_keeps_the_gate_of_finished_images(
    segmenter: Run, predicted: Path, strip_root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "again"
    shutil.copytree(predicted, output)
    labels = LabelStore(output).read_labels(4)
    table, _ = read_table(DataSettings(root=strip_root), "test")
    first, second, third, *rest = table.image_ids
    LabelStore(output).clear()
    store = LabelStore(output)
    for image_id in (first, *rest):
        store.add(image_id, *labels[image_id])
    (output / "probs" / f"{second}.png").unlink()
    stamps = {image_id: (output / "probs" / f"{image_id}.png").stat().st_mtime_ns for image_id in (first, third)}
    command = ("predict", "-r", segmenter.folder, "--data", strip_root, "-o", output, "--device", "cpu", "--sheet", 0)
    assert sever(*command) == 0
    again, before = LabelStore(output).read(4), LabelStore(predicted).read(4)
    assert again.keys() == before.keys()
    for image_id, probs_c in before.items():
        # In full precision a convolution may sum in another order when fewer images come together.
        np.testing.assert_allclose(again[image_id], probs_c, atol=1e-6)
    assert (output / "submission.csv").read_text() == (predicted / "submission.csv").read_text()
    # A map without its gate is not finished; one with it is left alone.
    assert (output / "probs" / f"{first}.png").stat().st_mtime_ns == stamps[first]
    assert (output / "probs" / f"{third}.png").stat().st_mtime_ns != stamps[third]


# --- a blend with a classifier ----------------------------------------------------------------------------------------


def test_a_blend_with_a_classifier_has_its_gate(
    classifier: Run, segmenter: Run, strip_root: Path, tmp_path: Path
) -> None:
    labels_alone, masks_and_labels = (
        load_model(run.folder, InferenceOptions(device="cpu")) for run in (classifier, segmenter)
    )
    both = replace(masks_and_labels, network=Ensemble((labels_alone.network, masks_and_labels.network), Blend()))
    table, _ = read_table(DataSettings(root=strip_root), "test")
    images = [both.reader()(table.path(row)) for row in range(2)]
    for together, one, two in zip(
        both.inspect(images),
        labels_alone.network.predict(images),
        masks_and_labels.network.predict(images),
        strict=True,
    ):
        assert one.label_probs_c is not None
        assert two.label_probs_c is not None
        mean = (one.label_probs_c + two.label_probs_c) / 2
        np.testing.assert_allclose(together.label_probabilities, mean, atol=1e-6)
        np.testing.assert_allclose(together.probabilities, two.probs_chw, atol=1 / 509)


def test_a_large_strip_is_labelled_tile_by_tile(classifier: Run, tmp_path: Path, strip_root: Path) -> None:
    run = tmp_path / "gate" / classifier.folder.name
    shutil.copytree(classifier.folder, run)
    config = yaml.safe_load((run / "config.yml").read_text())
    config["predict"] |= {"tile": [64, 96], "tile_overlap": 0}
    (run / "config.yml").write_text(yaml.safe_dump(config))
    full = InferenceOptions(device="cpu", precision="no")
    tiled, whole = (load_model(path, full) for path in (run, classifier.folder))
    table, _ = read_table(DataSettings(root=strip_root), "test")
    image = whole.reader()(table.path(0))
    assert image.shape[1] == 192
    halves = whole.network.predict([image[:, :96], image[:, 96:]])
    (together,) = tiled.network.predict([image])
    expected = np.maximum(*(half.label_probs_c for half in halves if half.label_probs_c is not None))
    np.testing.assert_allclose(together.label_probs_c, expected, atol=1e-5)


# --- what can not be --------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_task_is_told(
    classifier: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "gate" / classifier.folder.name
    shutil.copytree(classifier.folder, run)
    config = yaml.safe_load((run / "config.yml").read_text())
    config["model"] |= {"task": "segment", "label_dropout": 0.0}
    config["loss"]["name"], config["train"]["monitor"] = "bce_dice", "dice"
    (run / "config.yml").write_text(yaml.safe_dump(config))
    write_json(run / "rules.json", {"min_pixels": [0, 0, 0, 0]})
    assert sever("evaluate", "-r", run, "--device", "cpu") == 2
    assert "belongs to another network" in capsys.readouterr().err
