"""How to compute, as a person says it for one command or call; knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class InferenceOptions:
    """How to compute, as said on the command line; what is None stays as the run was configured."""

    device: str = "auto"
    precision: str | None = None
    flips: tuple[str, ...] | None = None
    batch_size: int | None = None
    max_pixels: int | None = None
    # Of a bundle alone: what it is to run in.
    backend: str | None = None
    # Of a bundle alone: so many cores work on an image each, as many images are done soonest; 0: all on one image.
    streams: int = 0

    def overrides(self) -> dict[str, Any]:
        precision = str(self.precision) if self.precision is not None else None
        flips = list(self.flips) if self.flips is not None else None
        return {
            "train.precision": precision,
            "predict.flips": flips,
            "predict.batch_size": self.batch_size,
            "data.max_pixels": self.max_pixels,
        }
