"""One experiment: all sections together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from sever.config.augment import AugmentSettings
from sever.config.base import Settings
from sever.config.data import DataSettings, FoldSettings, PseudoSettings, SamplingSettings
from sever.config.distill import DistillSettings
from sever.config.log import LogSettings
from sever.config.model import (
    LABEL_LOSSES,
    SOFTMAX_LOSSES,
    LossSettings,
    ModelSettings,
    PredictSettings,
)
from sever.config.rules import RuleSettings
from sever.config.train import LABEL_MONITORS, MASK_MONITORS, Monitor, OptimSettings, TrainSettings

# What a classifier has in place of the defaults of a segmenter, where nothing else is said.
CLASSIFIER_DEFAULTS = {"loss": {"name": "bce"}, "train": {"monitor": "label_ap"}}


class ExperimentConfig(Settings):
    """One experiment: a data set, a model, how it is trained, and how its masks are drawn."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="Name of the folder under saved/."
    )
    data: DataSettings
    folds: FoldSettings = FoldSettings()
    augment: AugmentSettings = AugmentSettings()
    sampling: SamplingSettings = SamplingSettings()
    pseudo: PseudoSettings | None = Field(None, description="Pseudo-labelled images to train with; null: none.")
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    distill: DistillSettings | None = Field(None, description="A trained model to learn from; null: labels alone.")
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    predict: PredictSettings = PredictSettings()
    rules: RuleSettings = RuleSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, values: Any) -> Any:
        if not isinstance(values, dict) or _given(values.get("model")).get("task") != "classify":
            return values
        defaults = {
            section: default | _given(values.get(section))
            for section, default in CLASSIFIER_DEFAULTS.items()
            if isinstance(values.get(section, {}), (Mapping, Settings))
        }
        return values | defaults

    @model_validator(mode="after")
    def _distills_masks(self) -> ExperimentConfig:
        if self.distill is not None and (self.model.task == "classify" or self.loss.name in SOFTMAX_LOSSES):
            raise ValueError(
                "distill is for masks with one probability a class: leave it out, or take model.task segment and a "
                f"loss.name other than {', '.join(SOFTMAX_LOSSES)}"
            )
        return self

    @model_validator(mode="after")
    def _task_allows(self) -> ExperimentConfig:
        classifies = self.model.task == "classify"
        if classifies and self.loss.name not in LABEL_LOSSES:
            raise ValueError(f"loss.name {self.loss.name} is for masks; a classifier takes {', '.join(LABEL_LOSSES)}")
        if not classifies and self.loss.name == "bce":
            raise ValueError(
                "loss.name bce is for classifiers (model.task: classify); for masks take bce_dice, whose dice_weight "
                "may be 0"
            )
        if self.rules.gate.kind != "none" and not (classifies or self.model.label_head):
            raise ValueError(
                f"rules.gate.kind is {self.rules.gate.kind}, but nothing in this model gates its masks: set "
                "model.label_head: true, or blend it with a classifier, whose rules may have a gate (`sever blend`)"
            )
        allowed: tuple[Monitor, ...] = () if classifies else MASK_MONITORS
        allowed += LABEL_MONITORS if classifies or self.model.label_head else ()
        if self.train.monitor not in allowed:
            raise ValueError(
                f"train.monitor {self.train.monitor} is not a score of this model; allowed with model.task "
                f"{self.model.task}{'' if classifies or self.model.label_head else ' and no model.label_head'}: "
                f"{', '.join(allowed)}"
            )
        return self


def _given(section: Any) -> dict[str, Any]:
    """What was said in one section, which may be read already."""
    if isinstance(section, Settings):
        return {name: getattr(section, name) for name in section.model_fields_set}
    return dict(section) if isinstance(section, Mapping) else {}
