"""Labels of other tools in whole runs: training, scoring, and what is refused; the networks learn nothing here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import quick_run, sever

EMPTY = [0, 0, 32, 0, 32, 8, 0, 8]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen images of 32 x 64, every second with a defect, as COCO."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    images = []
    for at in range(16):
        save(root / "images" / f"{at:02}.png", rng.integers(0, 255, (32, 64), dtype=np.uint8))
        images.append({"id": at, "file_name": f"{at:02}.png", "height": 32, "width": 64})
    marks = [{"id": at, "image_id": at, "category_id": 1, "segmentation": [EMPTY]} for at in range(0, 16, 2)]
    content = {"images": images, "categories": [{"id": 1, "name": "pit"}], "annotations": marks}
    (root / "annotations").mkdir()
    (root / "annotations" / "a.json").write_text(json.dumps(content))
    return root


def test_a_run_learns_from_coco_and_is_scored_by_masks_with_ignored_pixels(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = quick_run(tmp_path, "mine", data)
    assert f"{data} is read as coco" in capsys.readouterr().err
    other = tmp_path / "other"
    (other / "images").mkdir(parents=True)
    (other / "classes.txt").write_text("pit\n")
    for path in sorted((data / "images").iterdir()):
        (other / "images" / path.name).write_bytes(path.read_bytes())
        save(other / "masks" / path.name, np.full((32, 64), 255, np.uint8))
    # Nobody judged anything: whatever the network says is neither right nor wrong.
    config = run / "config.yml"
    config.write_text(config.read_text().replace("ignore_value: null", "ignore_value: '255'"))
    assert "ignore_value: '255'" in config.read_text()
    assert sever("evaluate", "-r", run, "--data", other, "--device", "cpu", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["dice"] == 1.0
    assert scores["dice_positive"] is None
    assert scores["has_defect"] == {"tp": 0, "fp": 0, "fn": 0, "tn": 16}


def test_segmenters_refuse_labels_of_whole_images(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "annotations" / "a.json").unlink()
    rows = [f"{at:02}.png,{'pit' if at % 2 else ''}" for at in range(16)]
    (data / "labels.csv").write_text("image,classes\n" + "\n".join(rows) + "\n")
    experiment = tmp_path / "x.yml"
    network = "model: {encoder: resnet18, weights: none, task: TASK}\n"
    rest = "augment: {recipe: none, crop: [32, 64]}\ntrain: {epochs: 1, batch_size: 4, workers: 0, precision: no}\n"
    text = f"name: x\ndata: {{root: {data}}}\nfolds: {{share: 0.25}}\n{network}{rest}"
    experiment.write_text(text.replace("TASK", "segment"))
    command = ("train", "-c", experiment, "--saved", tmp_path / "saved", "--device", "cpu")
    assert sever(*command) == 2
    assert "model.task: classify" in capsys.readouterr().err
    experiment.write_text(text.replace("TASK", "classify") + "loss: {name: bce}\n")
    assert sever(*command) == 0
