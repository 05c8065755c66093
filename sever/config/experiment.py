"""One experiment: all sections together."""

from __future__ import annotations

from pydantic import Field

from sever.config.base import Settings
from sever.config.data import AugmentSettings, DataSettings, FoldSettings
from sever.config.model import LossSettings, ModelSettings, OptimSettings, PredictSettings, TrainSettings
from sever.config.rules import RuleSettings


class ExperimentConfig(Settings):
    """One experiment: a data set, a model, how it is trained, and how its masks are drawn."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the folder under saved/.")
    data: DataSettings
    folds: FoldSettings = FoldSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    predict: PredictSettings = PredictSettings()
    rules: RuleSettings = RuleSettings()
