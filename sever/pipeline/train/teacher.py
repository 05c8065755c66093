"""A trained model as the teacher of another: pixels to probabilities; knows no loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sever.config import DistillSettings
from sever.errors import InputError
from sever.models.distill import SoftTargets
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions


def soft_targets(settings: DistillSettings | None, facts: DatasetFacts, device: str) -> SoftTargets | None:
    """None where nothing is distilled. Raises InputError for a teacher that can't be read, or of other classes."""
    if settings is None:
        return None
    teacher = load_model(Path(settings.teacher), InferenceOptions(device))
    if not teacher.draws_masks or teacher.classes != facts.class_names or teacher.network.channels > facts.channels:
        raise InputError(
            f"distill.teacher {settings.teacher} draws masks of {', '.join(teacher.classes)} on "
            f"{teacher.network.channels} channels, but this model learns {', '.join(facts.class_names)} on "
            f"{facts.channels}; give a segmenter of the same data"
        )

    def probabilities(pixels: Tensor) -> Tensor:
        images = list(np.ascontiguousarray(pixels.cpu().numpy().transpose(0, 2, 3, 1)))
        maps = [each.probs_chw for each in teacher.network.predict(images)]
        return torch.from_numpy(np.stack([each for each in maps if each is not None])).clamp(0, 1)

    return SoftTargets(probabilities, settings.share)
