"""`sever serve`: introduces models to the service; the only place that knows both. A bundle is served without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sever.config.loading import parse_rules
from sever.config.serve import ServeSettings
from sever.decide.rules import resolve_rules, settings_of
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.server import serve
from sever.errors import InputError
from sever.near_names import missing
from sever.pipeline.inference.inspection import Inspection
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.store.bundle.bundle import TRAINED_ON, TRAINED_ON_DIGITS, Bundle
from sever.store.bundle.container import is_bundle


@dataclass(frozen=True)
class ModelInService:
    """A Model as the service knows models. `seen`: digests of its training images; None where they are not known."""

    name: str
    model: Model
    background: dict[str, Any] = field(default_factory=dict)
    seen: frozenset[str] | None = None

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
        """As rules.json has them."""
        return settings_of(self.model.rules).model_dump(mode="json")

    def with_rules(self, rules: Mapping[str, Any]) -> ModelInService:
        settings = parse_rules(dict(rules), "these rules")
        resolved = resolve_rules(settings, len(self.class_names))
        return replace(self, model=replace(self.model, rules=resolved))

    def draw(self, levels_chw: np.ndarray, label_probs_c: np.ndarray | None) -> np.ndarray:
        return self.model.masks(levels_chw, label_probs_c)

    def has_seen(self, sha256: str) -> bool | None:
        return None if self.seen is None else sha256[:TRAINED_ON_DIGITS] in self.seen

    def inspect(self, images: Sequence[np.ndarray]) -> Sequence[Inspection]:
        found = self.model.inspect_pixels(images)
        for each in found:
            _ = each.masks, each.familiarity  # here, on the thread of the network, not where the first reader waits
        return found


class Offered(Mapping[str, Callable[[], ServedModel]]):
    """What may be put in service: the models that were named, and the bundles that lie in a folder by now.

    Each goes by its file's name, with as many folders before it as tell it from the others: whoever may look at the
    list of models learns nothing of where they lie.
    """

    def __init__(self, paths: Sequence[Path], folder: Path | None, load: Callable[[Path], ServedModel]) -> None:
        self._paths, self._folder, self._load = paths, folder, load

    def _there(self) -> dict[str, Path]:
        lying = sorted(self._folder.glob("*.sever")) if self._folder is not None else []
        return short_names([*self._paths, *lying])

    def __getitem__(self, name: str) -> Callable[[], ServedModel]:
        path = self._there()[name]
        return lambda: self._load(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._there())

    def __len__(self) -> int:
        return len(self._there())


def short_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Each path under the shortest end of it that no other one shares. The same file named twice is one of them."""
    whole = list(dict.fromkeys(path.absolute() for path in paths))
    return {_shortest_end(path, [each for each in whole if each != path]): path for path in whole}


def _shortest_end(path: Path, others: Sequence[Path]) -> str:
    counts = range(1, len(path.parts))
    ends = (count for count in counts if all(path.parts[-count:] != other.parts[-count:] for other in others))
    return Path(*path.parts[-next(ends, len(path.parts)) :]).as_posix()


def load_served(path: Path, device: str = "auto", backend: str | None = None) -> ModelInService:
    """Raises InputError for what can't be loaded, and for what draws no masks."""
    model = load_model(path, InferenceOptions(device, backend=backend))
    if not model.draws_masks:
        raise InputError(f"{path} is a classifier: it draws no masks, so there is nothing to serve; give a segmenter")
    name = path.name.removesuffix(".sever")
    background: dict[str, Any] = {"familiarity": model.familiar is not None}
    if not is_bundle(path):
        return ModelInService(name, model, background)
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    statistics, evidence = manifest.statistics, manifest.rule_evidence
    background["brightness"] = None if statistics is None else statistics.brightness
    background["rule_evidence"] = None if evidence is None else [each.model_dump(mode="json") for each in evidence]
    seen = bundle.read(TRAINED_ON).decode().split() if TRAINED_ON in manifest.parts else None
    return ModelInService(name, model, background, None if seen is None else frozenset(seen))


def serve_models(
    paths: Sequence[Path], settings: ServeSettings, device: str, backend: str | None, say: Callable[[str], None]
) -> None:
    """Serve the first of these models; the others, and the bundles of `settings.models`, can be put in service while
    it runs, each under its file's name. Raises InputError for a folder of models that is none."""
    if settings.models is not None and not settings.models.is_dir():
        raise InputError(
            f"--models: {missing(settings.models, 'folder')}; name the one that new bundles will be put into"
        )
    offered = Offered(paths, settings.models, lambda path: load_served(path, device, backend))
    serve(settings, load_served(paths[0], device, backend), offered, say)
