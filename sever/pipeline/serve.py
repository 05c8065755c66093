"""`sever serve`: introduces trained models to the service; the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from sever.store import read_rules
from sever.store.evidence import Evidence


class ModelInService:
    """A run, checkpoint, cross-validation or blend as the service knows models."""

    def __init__(self, name: str, loaded: Model, rules: Mapping[str, Any]) -> None:
        self.name, self._loaded, self.rules = name, loaded, dict(rules)
        self.identity = loaded.identity
        self.class_names = loaded.classes
        self.channels = int(loaded.network.channels)
        self.significant_bits = loaded.config.data.significant_bits

    def inspect(self, images: Sequence[np.ndarray]) -> Sequence[Inspection]:
        found = self._loaded.inspect_pixels(images)
        for each in found:
            _ = each.masks  # here, on the thread of the network, and not where the first reader waits
        return found


def load_served(path: Path, device: str = "auto") -> ServedModel:
    """Raises InputError for what can't be loaded, and for what draws no masks."""
    loaded = load_model(path, InferenceOptions(device))
    if not loaded.draws_masks:
        raise InputError(f"{path} is a classifier: it draws no masks, so there is nothing to serve; give a segmenter")
    rules = read_rules(Evidence.find(path).rules_file if Evidence.is_at(path) else loaded.folder / "rules.json")
    return ModelInService(path.name, loaded, rules.model_dump(mode="json"))


def serve_models(paths: Sequence[Path], settings: ServeSettings, device: str, say: Callable[[str], None]) -> None:
    """Serve the first of these models; the others can be put in service while it runs, each under its path."""
    named = {str(path): path for path in paths}
    available = {name: lambda path=path: load_served(path, device) for name, path in named.items()}
    serve(settings, load_served(paths[0], device), available, say)
