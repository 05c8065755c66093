"""`sever data familiar`: a run learns what normal images look like; then how familiar other images are to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sever.counted import counted
from sever.data.layouts import read_images
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.inference.load import fold_checkpoint, load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.prefetch import chunks, read_ahead
from sever.progress import meter
from sever.store import Evidence, Run, find_run
from sever.store.bundle.container import is_bundle

RESULTS = ("familiarity.csv",)
STRANGE = 0.05


def learn_familiarity(path: Path, device: str) -> list[Path]:
    """For a run, and for each fold of a cross-validation: write what its normal images look like; returns the folders.

    Raises InputError for a blend (its members learn, each for itself), and for too few images.
    """
    from sever.pipeline.train.normality import learn_normal

    if is_bundle(path):
        raise InputError(f"{path} is a bundle: it rates images (--images), but only a run learns what is normal")
    if not Evidence.is_at(path):
        run, checkpoint = find_run(path)
        learn_normal(run, checkpoint or run.best(), device)
        return [run.folder]
    evidence = Evidence.find(path)
    if evidence.about().is_blend:
        raise InputError(f"{path} is a blend; let each of its members learn what is normal")
    folds = evidence.about().folds
    for fold in folds:
        learn_normal(Run(evidence.fold_folder(fold)), fold_checkpoint(evidence, fold), device)
    return [evidence.fold_folder(fold) for fold in folds]


@writes_to("output")
def rate_images(path: Path, images: Path, output: Path, options: InferenceOptions) -> dict[str, Any]:
    """Write familiarity.csv (image, familiarity; the strangest first); returns a summary.

    Raises InputError for a model that does not know what is normal.
    """
    home = OutputFolder(output)
    home.claim(RESULTS)
    model = load_model(path, options)
    if model.familiar is None:
        first = (
            "train it anew, or run: sever data familiar RUN, then export it again"
            if is_bundle(path)
            else (f"first run: sever data familiar {path}")
        )
        raise InputError(f"{path} has not learnt what is normal; {first}")
    table, _ = read_images(images, model.classes, max_pixels=model.config.data.max_pixels)
    rated: list[float] = []
    pixels = read_ahead(model.reader(), table.paths, depth=8)
    with meter("rate", len(table)) as progress:
        for part in chunks(pixels, model.config.predict.batch_size):
            rated += model.familiar(part).tolist()
            progress.advance(len(part))
    frame = pd.DataFrame({"image": table.image_ids, "familiarity": np.round(rated, 4)})
    frame = frame.sort_values("familiarity", kind="stable", ignore_index=True)
    with home.new(RESULTS[0]) as temporary:
        frame.to_csv(temporary, index=False)
    strange = frame["familiarity"] <= STRANGE
    return {
        "images": len(frame),
        "median": float(frame["familiarity"].median()),
        "strange": int(strange.sum()),
        "strange_below": STRANGE,
        "first": frame["image"].head(5).tolist(),
    }


def render(numbers: dict[str, Any], folder: Path) -> str:
    images, strange, share = numbers["images"], numbers["strange"], 1 - numbers["strange_below"]
    return (
        f"{counted(images, 'image')}: median familiarity {numbers['median']:.2f} (0.5 is ordinary); "
        f"{strange} are stranger than "
        f"{share:.0%} of normal ones\nstrangest: {', '.join(numbers['first'])}\n{(folder / RESULTS[0]).absolute()}"
    )


def render_learnt(folders: Sequence[Path]) -> str:
    return "\n".join(f"{folder.absolute()} knows its normal images now" for folder in folders)
