"""Models that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sever.api.arguments import as_path
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions


def load(
    path: str | Path,
    *,
    device: str = "auto",
    precision: str | None = None,
    flips: Sequence[str] | None = None,
    batch_size: int | None = None,
    backend: str | None = None,
) -> Model:
    """A trained model, ready to inspect images.

    `path`: a run's folder (its best checkpoint), a checkpoint's, saved/NAME (its newest), the folder of a
    cross-validation (its folds answer as one) or of a blend, or a bundle of `sever export`.
    `device`: auto, cpu, or what torch calls an accelerator. `precision`: bf16, fp16 or no (full). `flips`: averaged
    with the plain image, of width, height and both; [] for none. `batch_size`: images, or tiles, that go through the
    network together. `backend`: what a bundle runs in: onnx, openvino-f32, openvino-bf16, openvino-int8 or torch. What
    is None stays as the model was configured.

    Raises InputError for what is no model, is damaged, or can't be computed here.

    >>> model = sever.load("saved/mine")
    >>> model.classes
    ('1', '2', '3', '4')
    >>> found = model.inspect("strip.png")
    >>> found.masks.shape, found.masks.dtype
    ((4, 64, 96), dtype('uint8'))
    >>> sever.load("saved/yours")
    Traceback (most recent call last):
    ...
    sever.errors.InputError: there is no file or folder ...saved/yours; give a run's folder ...
    """
    chosen = None if flips is None else tuple(flips)
    return load_model(as_path(path, "path"), InferenceOptions(device, precision, chosen, batch_size, backend=backend))
