"""A network with the pretrained encoder that its settings ask for, whatever the network's other parts."""

from __future__ import annotations

from typing import Any

from sever.models.blueprint import Buildable
from sever.models.hub import build_from_hub
from sever.models.pretrained import load_and_recycle
from sever.models.stem import recycle_stem
from sever.models.strip_weights import load_strip_weights


def build_with_weights(blueprint: Buildable) -> Any:
    """Three-channel weights first, then the grey stem made from them. Raises InputError where they can't be had."""
    settings = blueprint.settings
    if settings.weights == "hub":
        network = build_from_hub(blueprint)
        recycle_stem(network.encoder, settings.in_channels)
    elif settings.weights == "strip":
        network = blueprint.build()
        recycle_stem(network.encoder, settings.in_channels)
        load_strip_weights(network, blueprint.encoder_name)
    else:
        network = blueprint.build()
        load_and_recycle(network.encoder, blueprint.encoder_name, settings.weights, settings.in_channels)
    return network
