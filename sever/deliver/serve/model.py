"""What the service must know of a model: what it takes, what it says of images, and who it is; knows no network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class InspectionLike(Protocol):
    """What was found in one image."""

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities (C, H, W) float32."""

    @property
    def masks(self) -> np.ndarray:
        """Masks (C, H, W) uint8 of 0 and 1."""

    @property
    def label_probabilities(self) -> np.ndarray | None:
        """Probabilities (C,) of the image as a whole, where a network has an opinion of it."""


class ServedModel(Protocol):
    """A model that can be served; it is called from one thread at a time."""

    @property
    def name(self) -> str:
        """What people call it; may change without the answers changing."""

    @property
    def identity(self) -> str:
        """A digest of the weights, and of every setting that its probabilities depend on."""

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""

    @property
    def significant_bits(self) -> int:
        """How many bits of a 16-bit image carry the signal."""

    @property
    def rules(self) -> dict[str, Any]:
        """The decision rules as JSON."""

    @property
    def background(self) -> dict[str, Any]:
        """What it brings of its training, each as JSON or None: `brightness` (1 %, 50 % and 99 % quantiles of the
        training images' means), `familiarity` (whether its answers tell it), `rule_evidence` (docs/bundle.md)."""

    def with_rules(self, rules: Mapping[str, Any]) -> ServedModel:
        """The same network with other decision rules. Raises InputError for rules that are none for its classes."""

    def draw(self, levels_chw: np.ndarray, label_probs_c: np.ndarray | None) -> np.ndarray:
        """Masks (C, H, W) uint8 by its rules, of probabilities as levels (C, H, W) uint8."""

    def has_seen(self, sha256: str) -> bool | None:
        """Whether the image file with this digest was trained on; None where that is not known."""

    def inspect(self, images: Sequence[np.ndarray]) -> Sequence[InspectionLike]:
        """What it finds in images (H, W, channels) uint8 of any sizes, in their order."""


def rules_identity(model: ServedModel) -> str:
    """A digest of the decision rules: the same probabilities give the same masks where it is equal."""
    text = json.dumps([model.rules, list(model.class_names)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Who answered, as it stands in every answer."""
    return {"name": model.name, "identity": model.identity, "rules": rules_identity(model)}
