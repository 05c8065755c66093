"""Every setting, with its meaning, unit and range; knows nothing of how a setting is carried out.

Light on purpose: it imports neither torch nor pandas, so that a misspelt key is told within a moment.
"""

from sever.config.augment import AugmentSettings, EnhanceWeights, FlipWeights
from sever.config.base import Settings
from sever.config.data import MAX_PIXELS, DataSettings, FoldSettings, PseudoSettings, SamplingSettings
from sever.config.distill import DistillSettings
from sever.config.ensemble import BlendSettings, EnsembleSettings, MemberSettings
from sever.config.experiment import ExperimentConfig
from sever.config.kaggle import KaggleSettings
from sever.config.loading import (
    dump_config,
    json_schema,
    load_config,
    load_ensemble,
    load_kaggle,
    load_story,
    looks_like_2019,
    parse_config,
    parse_rules,
)
from sever.config.log import LogLevel, LogSettings
from sever.config.model import (
    LABEL_LOSSES,
    SOFTMAX_LOSSES,
    Flip,
    InChannels,
    LossName,
    LossSettings,
    ModelSettings,
    PredictSettings,
)
from sever.config.overrides import known_keys, read_assignments, with_overrides
from sever.config.rules import GateSettings, RuleSettings
from sever.config.story import PublishedSettings, StageSettings, StorySettings
from sever.config.train import OptimSettings, Precision, TrainSettings

__all__ = [
    "LABEL_LOSSES",
    "MAX_PIXELS",
    "SOFTMAX_LOSSES",
    "AugmentSettings",
    "BlendSettings",
    "DataSettings",
    "DistillSettings",
    "EnhanceWeights",
    "EnsembleSettings",
    "ExperimentConfig",
    "Flip",
    "FlipWeights",
    "FoldSettings",
    "GateSettings",
    "InChannels",
    "KaggleSettings",
    "LogLevel",
    "LogSettings",
    "LossName",
    "LossSettings",
    "MemberSettings",
    "ModelSettings",
    "OptimSettings",
    "Precision",
    "PredictSettings",
    "PseudoSettings",
    "PublishedSettings",
    "RuleSettings",
    "SamplingSettings",
    "Settings",
    "StageSettings",
    "StorySettings",
    "TrainSettings",
    "dump_config",
    "json_schema",
    "known_keys",
    "load_config",
    "load_ensemble",
    "load_kaggle",
    "load_story",
    "looks_like_2019",
    "parse_config",
    "parse_rules",
    "read_assignments",
    "with_overrides",
]
