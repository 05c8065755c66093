"""What an experiment needs besides its images, checked before a large data set is read; builds no network."""

from __future__ import annotations

from sever.config import ExperimentConfig
from sever.data.layouts import raise_unless_masks
from sever.data.mixing import check_there
from sever.data.samplers import pseudo_a_batch
from sever.errors import InputError
from sever.models.architectures import check_settings, find_architecture, find_encoder
from sever.models.pretrained import check_source
from sever.pipeline.inference.load import draws_masks
from sever.pipeline.train.tuning_from import check_start


def check_before_data(config: ExperimentConfig) -> None:
    """Raises InputError where the network can't be built as it is set, or a model, weights or labels are not there."""
    if config.model.task == "segment":
        check_settings(find_architecture(config.model.architecture), config.model)
    find_encoder(config.model.encoder)
    if config.model.start is not None:
        check_start(config.model.start)
    else:
        check_source(config.model.weights)
    if config.distill is not None:
        try:
            draws_masks(config.distill.teacher)
        except InputError as error:
            raise InputError(f"distill.teacher: {error}") from error
    if config.pseudo is not None:
        check_there(config.pseudo)
        pseudo_a_batch(config.pseudo, config.train.batch_size)
    if config.model.task == "segment":
        raise_unless_masks(config.data)
