"""A Model of made-up networks, without torch and without a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sever.config import RuleSettings, parse_config
from sever.decide.ensemble import Blend
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import AnyNetwork, Ensemble, Network

# Pixels (N, H, W, channels) in 0..1 to maps (N, C, H, W), and to labels (N, C).
Maps = Callable[[np.ndarray], np.ndarray]


def make_network(
    maps: Maps | None = None, labels: Maps | None = None, path: str = "", flips: tuple[str, ...] = (), channels: int = 1
) -> Network:
    def forward(pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        scaled = pixels_nhwc.astype(np.float32) / 255
        answers = (None if ask is None else np.asarray(ask(scaled), np.float32) for ask in (maps, labels))
        return next(answers), next(answers)

    windows = Windows(tile=(64, 64), tile_overlap=8, size_multiple=1, flips=flips)
    return Network(forward, windows, channels, maps is not None, labels is not None, Path(path), path)  # type: ignore[arg-type]


def constant(*values: float) -> Maps:
    """One probability a class, for images of any size."""
    return lambda pixels: np.broadcast_to(
        np.array(values, np.float32)[None, :, None, None], (len(pixels), len(values), *pixels.shape[1:3])
    )


def always(*values: float) -> Maps:
    """One label probability a class."""
    return lambda pixels: np.tile(np.array(values, np.float32), (len(pixels), 1))


def make_model(
    networks: Sequence[AnyNetwork], num_classes: int, blend: Blend | None = None, batch_size: int = 2, **rules: object
) -> Model:
    network = networks[0] if len(networks) == 1 else Ensemble(tuple(networks), blend or Blend(), Path("all"))
    settings = {"name": "made", "data": {"root": "nowhere"}, "predict": {"batch_size": batch_size}}
    config = parse_config(settings, "make_model")
    facts = DatasetFacts(tuple(str(number + 1) for number in range(num_classes)), (0.5,), (0.2,))
    return Model(Path(), network, resolve_rules(RuleSettings.model_validate(rules), num_classes), config, facts)
