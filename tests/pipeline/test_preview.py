"""`sever data preview`: what is drawn is what a training gets, pixel for pixel; every kind of image is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from command_line import sever, train

from sever.config import load_config
from sever.data.folds import assign_folds, split
from sever.data.layouts import read_table
from sever.deliver.canvas import palette
from sever.deliver.preview_sheet import Labelled, Preview, preview_sheet
from sever.pipeline.data import preview


def test_the_pictures_are_the_batches_of_the_training(
    tiny_experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted between loop and network: every image of the first two epochs must be among the previews' pictures."""
    from sever.models.segmenter import Segmenter

    batches: list[torch.Tensor] = []
    forward = Segmenter.forward

    def spy(self: Segmenter, pixels: torch.Tensor) -> Any:
        if self.training and pixels.shape[0] > 1:
            batches.append(pixels.clone())
        return forward(self, pixels)

    monkeypatch.setattr(Segmenter, "forward", spy)
    assert train(tiny_experiment) == 0
    trained = {image.numpy().tobytes() for batch in batches for image in batch if batch.shape[-1] == 64}

    drawn: list[Preview] = []

    def draw(path: Path, previews: list[Preview], names: object) -> None:
        drawn.extend(previews)
        path.touch()

    monkeypatch.setattr(preview, "preview_sheet", draw)
    preview.preview_data(load_config(tiny_experiment), tmp_path / "p.png", count=12, seed=0)
    assert len(drawn) == 12
    shown = [
        np.ascontiguousarray(variant.image_hwc.transpose(2, 0, 1)).tobytes()
        for one in drawn
        for variant in one.variants[:2]
    ]
    assert len(set(shown)) == 24
    assert set(shown) == trained
    for one in drawn:
        assert [variant.caption for variant in one.variants] == [f"epoch {number}" for number in range(1, 9)]


def test_every_class_and_clean_images_are_shown(tiny_experiment: Path) -> None:
    config = load_config(tiny_experiment)
    table, _ = read_table(config.data)
    training = table.take(split(table, assign_folds(table, config.folds), config.folds)[0])
    for seed in range(5):
        rows = preview.choose_rows(training, 5, np.random.default_rng(seed))
        assert len(set(rows)) == 5
        assert (training.take(rows).has_class().any(axis=0) == training.has_class().any(axis=0)).all()
        assert (~training.take(rows).has_class().any(axis=1)).any()
        assert sorted(preview.choose_rows(training, 12, np.random.default_rng(seed))) == list(range(12))


def test_contours_stand_around_the_labels_of_each_picture(tmp_path: Path) -> None:
    grey = np.full((8, 8, 1), 90, np.uint8)
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[1, 2:6, 3:7] = 1
    clean = Labelled("epoch 1", grey, np.zeros_like(masks))
    preview_sheet(
        tmp_path / "p.png", [Preview(Labelled("a", grey, masks), [Labelled("epoch 1", grey, masks)] * 3)], "xy"
    )
    preview_sheet(tmp_path / "q.png", [Preview(clean, [clean] * 3)], "xy")
    counts = []
    for name in ("p.png", "q.png"):
        sheet = cv2.cvtColor(cv2.imread(str(tmp_path / name)), cv2.COLOR_BGR2RGB)
        coloured = (sheet == palette(2)[1]).all(axis=2).astype(np.uint8)
        counts.append(cv2.connectedComponents(coloured)[0] - 1)
    assert counts == [5, 1]  # the legend's square, and four pictures


def test_the_command(tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "p.png"
    assert sever("data", "preview", "-c", tiny_experiment, "-o", output, "--set", "augment.crop=null") == 0
    assert cv2.imread(str(output)).shape[1] == 1648
    assert capsys.readouterr().out == f"{output}\n"
    assert sever("data", "preview", "-c", tiny_experiment, "-o", tmp_path / "p.jpg") == 2
    assert "name it so, e.g." in capsys.readouterr().err
    assert sever("data", "preview", "-c", tiny_experiment, "-o", output, "--data", tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
