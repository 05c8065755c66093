"""A network learns from another's probabilities; the settings that a network for the line needs do what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from run_maker import FACTS, make_run
from torch.nn import functional as F

from sever.config import DistillSettings, ModelSettings, parse_config
from sever.deliver.runtime.onnx import onnx_forward
from sever.errors import InputError
from sever.models.distill import SoftTargets
from sever.models.graph import onnx_graph
from sever.models.network import Outputs
from sever.models.segmenter import build_segmenter
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.starting import train_experiment
from sever.pipeline.train.teacher import soft_targets

NARROW = ModelSettings(encoder="mobilenet_v2", weights="none", decoder_channels=(8, 8, 8, 4, 4), shrink=2)


def test_the_joined_loss_is_what_one_reckons_by_hand() -> None:
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    probs = torch.tensor([[[[1.0, 0.0], [0.25, 0.5]]]])
    joined = SoftTargets(lambda pixels: probs, 0.25).join(
        {"loss": logits.sum() + 8.0}, Outputs(logits), torch.zeros(1, 1, 2, 2)
    )
    # At logits of 0 every cross-entropy is ln 2, whatever the target.
    assert joined["loss"].item() == pytest.approx(0.75 * 8 + 0.25 * np.log(2))
    assert joined["distill"].item() == pytest.approx(np.log(2))
    joined["loss"].backward()
    # Of the mean over four pixels the gradient is (sigmoid - target) / 4.
    expected = 0.75 + 0.25 * (0.5 - probs) / 4
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, expected)


def test_shrink_is_the_network_between_a_mean_and_an_enlargement() -> None:
    torch.manual_seed(0)
    network = build_segmenter(NARROW, 3, [0.4], [0.2], pretrained=False).eval()
    assert network.size_multiple == 64
    pixels = torch.randint(0, 256, (1, 1, 64, 128), dtype=torch.uint8)
    with torch.inference_mode():
        found = network(pixels).mask_logits
        small = pixels.float().reshape(1, 1, 32, 2, 64, 2).mean(dim=(3, 5))
        inner = network.network((small / 255 - 0.4) / 0.2)
        expected = F.interpolate(inner, size=(64, 128), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    graph = onnx_forward(onnx_graph(network, "bce_dice", True, False), 3, threads=1)
    maps, _ = graph(pixels.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(maps, torch.sigmoid(expected).numpy(), atol=1e-4)


def test_a_teacher_says_what_the_model_says(tmp_path: Path, strip_root: Path) -> None:
    run = make_run(tmp_path / "saved" / "teacher" / "20260101-000000", strip_root)
    soft = soft_targets(DistillSettings(teacher=run), FACTS, "cpu")
    assert soft is not None
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 1), np.uint8)
    said = soft.teacher(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    expected = load_model(run, InferenceOptions("cpu")).network.predict(list(pixels))
    np.testing.assert_array_equal(said.numpy(), np.stack([each.probs_chw for each in expected]))  # type: ignore[misc]
    other = DatasetFacts(("1", "2"), (0.35,), (0.15,))
    with pytest.raises(InputError, match="give a segmenter of the same data"):
        soft_targets(DistillSettings(teacher=run), other, "cpu")
    assert soft_targets(None, FACTS, "cpu") is None


def test_the_line_speed_preset_learns_from_a_teacher_alone(tmp_path: Path, strip_root: Path) -> None:
    """With share 1 no label counts; the student moves towards the teacher."""
    teacher = make_run(tmp_path / "saved" / "teacher" / "20260101-000000", strip_root)
    values = {
        "name": "student",
        "data": {"root": str(strip_root)},
        "folds": {"share": 0.25},
        "model": NARROW.model_dump(mode="json"),
        "distill": {"teacher": str(teacher), "share": 1.0},
        "augment": {"recipe": "light", "crop": [64, 64]},
        "train": {"epochs": 3, "batch_size": 4, "workers": 0, "precision": "no", "validate_every": None},
    }
    done = train_experiment(parse_config(values, "test"), tmp_path / "saved", "cpu")
    losses = pd.read_csv(done.history_file)["train_distill"].tolist()
    assert losses[-1] < losses[0]
    assert load_model(done.folder, InferenceOptions("cpu")).draws_masks


@pytest.mark.parametrize(
    "wrong", [{"loss": {"name": "ce_dice"}}, {"model": {"task": "classify"}}, {"distill": {"teacher": "x", "share": 0}}]
)
def test_what_can_not_be_distilled_is_refused(wrong: dict[str, object]) -> None:
    values = {"name": "x", "data": {"root": "x"}, "distill": {"teacher": "x"}} | wrong
    with pytest.raises(InputError, match="distill"):
        parse_config(values, "test")
