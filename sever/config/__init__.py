"""Every setting, with its meaning, unit and range; knows nothing of how a setting is carried out.

Light on purpose: it imports neither torch nor pandas, so that a misspelt key is told within a moment.
"""

from sever.config.base import Settings
from sever.config.data import AugmentSettings, DataSettings, FoldSettings
from sever.config.experiment import ExperimentConfig
from sever.config.loading import dump_config, json_schema, load_config, parse_config, with_overrides
from sever.config.model import (
    SOFTMAX_LOSSES,
    Flip,
    InChannels,
    LossName,
    LossSettings,
    ModelSettings,
    OptimSettings,
    Precision,
    PredictSettings,
    TrainSettings,
)
from sever.config.rules import GateSettings, RuleSettings

__all__ = [
    "SOFTMAX_LOSSES",
    "AugmentSettings",
    "DataSettings",
    "ExperimentConfig",
    "Flip",
    "FoldSettings",
    "GateSettings",
    "InChannels",
    "LossName",
    "LossSettings",
    "ModelSettings",
    "OptimSettings",
    "Precision",
    "PredictSettings",
    "RuleSettings",
    "Settings",
    "TrainSettings",
    "dump_config",
    "json_schema",
    "load_config",
    "parse_config",
    "with_overrides",
]
