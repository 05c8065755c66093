"""`sever` finds surface defects on steel strip: images in, scored defect masks out.

    import sever

    model = sever.load("saved/mine")
    found = model.inspect("strip.jpg")
    found.masks, found.areas, found.boxes, found.probabilities

Importing it costs nothing: each name is imported where it is first used, and torch where a trained network is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sever.api.data import evaluate, predict, synth
    from sever.api.models import load
    from sever.api.training import blend, crossval, train, tune
    from sever.errors import InputError
    from sever.pipeline.inference.inspection import Inspection
    from sever.pipeline.inference.model import Model

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "Inspection",
    "Model",
    "blend",
    "crossval",
    "evaluate",
    "load",
    "predict",
    "synth",
    "train",
    "tune",
]
_PLACES = {
    "InputError": "sever.errors",
    "Inspection": "sever.pipeline.inference.inspection",
    "Model": "sever.pipeline.inference.model",
    "blend": "sever.api.training",
    "crossval": "sever.api.training",
    "evaluate": "sever.api.data",
    "load": "sever.api.models",
    "predict": "sever.api.data",
    "synth": "sever.api.data",
    "train": "sever.api.training",
    "tune": "sever.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'sever' has no attribute {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
