"""`sever serve`: introduces models to the service; the only place that knows both. A bundle is served without torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sever.config.serve import ServeSettings
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.server import serve
from sever.errors import InputError
from sever.pipeline.inference.inspection import Inspection
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions


@dataclass(frozen=True)
class ModelInService:
    """A Model as the service knows models."""

    name: str
    model: Model

    @property
    def identity(self) -> str:
        return self.model.identity

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.model.classes

    @property
    def channels(self) -> int:
        return int(self.model.network.channels)

    @property
    def significant_bits(self) -> int:
        return self.model.config.data.significant_bits

    @property
    def rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = json.loads(json.dumps(asdict(self.model.rules)))
        return rules

    def inspect(self, images: Sequence[np.ndarray]) -> Sequence[Inspection]:
        found = self.model.inspect_pixels(images)
        for each in found:
            _ = each.masks  # here, on the thread of the network, and not where the first reader waits
        return found


def load_served(path: Path, device: str = "auto", backend: str | None = None) -> ServedModel:
    """Raises InputError for what can't be loaded, and for what draws no masks."""
    model = load_model(path, InferenceOptions(device, backend=backend))
    if not model.draws_masks:
        raise InputError(f"{path} is a classifier: it draws no masks, so there is nothing to serve; give a segmenter")
    return ModelInService(path.name.removesuffix(".sever"), model)


def serve_models(
    paths: Sequence[Path], settings: ServeSettings, device: str, backend: str | None, say: Callable[[str], None]
) -> None:
    """Serve the first of these models; the others can be put in service while it runs, each under its path."""
    available = {str(path): lambda path=path: load_served(path, device, backend) for path in paths}
    serve(settings, load_served(paths[0], device, backend), available, say)
