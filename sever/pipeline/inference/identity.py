"""What a network's answers depend on, as one digest: by it stored maps are known as its own; builds no network."""

from __future__ import annotations

from pathlib import Path

from sever.config import ExperimentConfig, load_config
from sever.pipeline.inference.facts import DatasetFacts
from sever.store import find_run, fingerprint
from sever.store.origin import digest_of

# Raised when the same weights, settings and image file give another map than before, so that old ones are made anew.
WAY_TO_A_MAP = 1


def identity_of_run(path: Path) -> str:
    """The identity that the model of a run or checkpoint has."""
    run, checkpoint = find_run(path)
    return identity_of(load_config(run.config_file), DatasetFacts.read(run.dataset_file), checkpoint or run.best())


def identity_of(config: ExperimentConfig, facts: DatasetFacts, checkpoint: Path) -> str:
    """Of one network: its weights, which hold the normalisation too, and how images go in and answers come out."""
    return digest_of(
        {
            "way": WAY_TO_A_MAP,
            "weights": fingerprint(checkpoint),
            "model": config.model.model_dump(mode="json", exclude={"weights", "start"}),
            "loss": config.loss.name,
            "classes": facts.num_classes,
            "channels": facts.channels,
            "significant_bits": config.data.significant_bits,
            "precision": config.train.precision,
            "predict": config.predict.model_dump(mode="json", exclude={"batch_size"}),
        }
    )
