"""Settings of learning from a trained model."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sever.config.base import Settings


class DistillSettings(Settings):
    """Learn from a trained model's probabilities beside the labels (soft targets; Hinton et al., 2015)."""

    teacher: Path = Field(description="The trained model: a run, a cross-validation, a blend or a bundle.")
    share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the loss that is the cross-entropy to the teacher's probabilities; 1 uses no labels.",
    )
