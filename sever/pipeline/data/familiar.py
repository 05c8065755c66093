"""`sever data familiar`: a run learns what normal images look like; then how familiar other images are to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sever.counted import counted
from sever.data.layouts import read_images
from sever.decide.familiarity import STRANGE
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.inference.load import fold_checkpoint, load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.rating import FAMILIARITY, known_familiarity, rate_table, unfamiliar_in_words
from sever.store import Evidence, Run, find_run
from sever.store.bundle.container import is_bundle


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
    home.remove([FAMILIARITY])
    model = load_model(path, options)
    known_familiarity(model)
    table, _ = read_images(images, model.classes, max_pixels=model.config.data.max_pixels)
    rated = rate_table(home, model, table)
    return {
        "images": len(rated.by_image),
        "median": rated.median,
        "strange": rated.unfamiliar,
        "strange_below": STRANGE,
        "least_possible": rated.least,
        "first": list(rated.by_image)[:5],
    }


def render(numbers: dict[str, Any], folder: Path) -> str:
    unfamiliar = unfamiliar_in_words(numbers["strange"], numbers["least_possible"])
    return (
        f"{counted(numbers['images'], 'image')}: median familiarity {numbers['median']:.2f} (0.5 is ordinary)\n"
        f"{unfamiliar}\nstrangest: {', '.join(numbers['first'])}\n{(folder / FAMILIARITY).absolute()}"
    )


def render_learnt(folders: Sequence[Path]) -> str:
    return "\n".join(f"{folder.absolute()} knows its normal images now" for folder in folders)
