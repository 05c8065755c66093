"""What a prediction is asked for, and what it says in the end; knows no networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sever.config import DataSettings
from sever.counted import counted
from sever.data.layouts import Skipped, passed_over, read_images, read_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.pipeline.inference.model import Model
from sever.pipeline.rating import Rated, unfamiliar_in_words
from sever.pipeline.skipped import warn_of


@dataclass(frozen=True)
class ImageSource:
    """Which images: a plain folder, or a part of a data set in a known layout."""

    images: Path | None
    data: Path | None
    split: str = "test"
    include: tuple[str, ...] = ()
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if (self.images is None) == (self.data is None):
            raise InputError("give either --images FOLDER (or one image) or --data ROOT")

    def describe(self) -> str:
        """The place of the images, whatever folder the command is typed in."""
        return str(self.images.resolve()) if self.images else f"{self.split} of {self.data and self.data.resolve()}"

    def read(self, model: Model) -> tuple[ImageTable, list[Skipped]]:
        max_pixels = model.config.data.max_pixels
        if self.images is not None:
            if self.images.is_dir():
                warn_of(passed_over(self.images))
            return read_images(self.images, model.classes, self.skip_bad, self.include, max_pixels)
        assert self.data is not None
        settings = DataSettings(
            root=self.data,
            include=self.include,
            skip_bad=self.skip_bad,
            num_classes=model.facts.num_classes,
            significant_bits=model.config.data.significant_bits,
            max_pixels=max_pixels,
        )
        return read_table(settings.meant_as(model.config.data), self.split)


@dataclass(frozen=True)
class PredictedImages:
    """What `predict` left on disk, and how often it found each class (images).

    `unfamiliar`: how many images are stranger to the model than 95 % of normal ones; None where that was not asked for.
    """

    folder: Path
    images: int
    found_per_class: dict[str, int]
    result: Path
    left_out: tuple[str, ...] = ()
    unfamiliar: int | None = None
    least_familiarity: float | None = None

    def with_ratings(self, rated: Rated) -> PredictedImages:
        return replace(self, unfamiliar=rated.unfamiliar, least_familiarity=rated.least)

    def __str__(self) -> str:
        found = ", ".join(f"{name}: {count}" for name, count in self.found_per_class.items())
        left_out = f"left out to end in time: {', '.join(self.left_out)}\n" if self.left_out else ""
        unfamiliar = ""
        if self.unfamiliar is not None and self.least_familiarity is not None:
            unfamiliar = unfamiliar_in_words(self.unfamiliar, self.least_familiarity) + "\n"
        head = f"{counted(self.images, 'image')}; images with class {found}"
        return f"{head}\n{left_out}{unfamiliar}{self.result.absolute()}"
