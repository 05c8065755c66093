"""A trained model, whatever it is made of: images in, inspections out; knows no library that networks run in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np

from sever.config import ExperimentConfig
from sever.data.layouts import read_images
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.ensemble import Blend
from sever.decide.flips import check_flips
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.prediction import Prediction
from sever.decide.rules import Rules
from sever.decide.time_budget import Effort
from sever.deliver.canvas import Colour, palette
from sever.errors import InputError
from sever.pipeline.inference.arrays import as_pixels
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.familiar import Familiarity
from sever.pipeline.inference.inspection import Inspection, Inspections
from sever.pipeline.inference.network import AnyNetwork, Ensemble, combined
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.inference.part_seconds import PartSeconds
from sever.pipeline.pixel_warnings import warn_of_read, warn_of_values
from sever.prefetch import chunks, read_ahead
from sever.progress import meter

# A path of an image, or its pixels: (H, W), (H, W, 1) grey or (H, W, 3) RGB; uint8, or uint16 as 16-bit files are.
Image: TypeAlias = str | Path | np.ndarray


@dataclass(frozen=True)
class Model:
    """One trained network, or several as one, with all that decides what is drawn.

    `folder` is where it was loaded from; `config` and `facts` are those of its first network. `familiar`: how familiar
    images (H, W, channels) uint8 are, (N,) in 0..1; None where `sever data familiar` has not learnt what is normal.
    `source`: what `load_model` was given for it; None of one that lies in no file as it is.
    """

    folder: Path
    network: AnyNetwork
    rules: Rules
    config: ExperimentConfig
    facts: DatasetFacts
    checkpoints: tuple[Path, ...] = ()
    familiar: Familiarity | None = None
    source: tuple[Path, InferenceOptions] | None = None

    def __repr__(self) -> str:
        """What a notebook shows: where it is from, what it finds, and of how many members it is."""
        members = len(self.network.members) if isinstance(self.network, Ensemble) else 1
        return f"Model({str(self.folder)!r}, classes={list(self.classes)}, members={members})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, a model is loaded there from where it lies. Raises InputError for one that was
        changed in memory."""
        if self.source is None:
            raise InputError(
                "this model can't be sent to another process: it is not as it lies in a file; load it there"
            )
        from sever.pipeline.inference.load import load_model

        return load_model, self.source

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """For Ray Data, Spark, Daft and others that map batches of columns: see `columns_of`."""
        from sever.pipeline.inference.columns import columns_of

        return columns_of(self, batch)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of masks and probabilities."""
        return self.facts.class_names

    @property
    def colours(self) -> dict[str, Colour]:
        """By class, its colour in pictures: red, green and blue in 0..255; colour-blind eyes tell them apart."""
        return dict(zip(self.classes, palette(len(self.classes)), strict=True))

    @property
    def draws_masks(self) -> bool:
        """False of image classifiers alone."""
        return self.network.draws_masks

    @property
    def labels_images(self) -> bool:
        """Whether a classifier or a label head takes part, which says of an image as a whole what it shows."""
        return self.network.labels_images

    @property
    def identity(self) -> str:
        """Digest of the weights and of all settings that what the networks say depends on; rules are applied after."""
        return self.network.identity

    @property
    def blend(self) -> Blend:
        """How the members' maps become one."""
        return self.network.blend if isinstance(self.network, Ensemble) else Blend()

    def reader(self) -> ImageReader:
        """Reads an image as this model wants it: (H, W, channels) uint8."""
        return ImageReader.of(self.config.data, self.network.channels)

    @overload
    def inspect(self, images: Image, members: bool = False) -> Inspection: ...  # type: ignore[overload-overlap]

    @overload
    def inspect(self, images: Sequence[Image], members: bool = False) -> Inspections: ...

    def inspect(self, images: Image | Sequence[Image], members: bool = False) -> Inspection | Inspections:
        """What is in an image, or in each of several, in their order; sizes may differ.

        `images`: a path, an array (H, W), (H, W, 1) grey or (H, W, 3) RGB of uint8 or uint16, or a list of such.
        `members`: also keep what each member of an ensemble says for itself (`Inspection.members`).
        Raises InputError for a file that is not an image, and for an array of another shape or type.

        >>> model = sever.load("saved/mine")
        >>> found = model.inspect("strip.png")
        >>> found.masks.shape, found.areas.shape, found.probabilities.dtype
        ((4, 64, 96), (4,), dtype('float32'))
        >>> import numpy as np
        >>> [each.masks.shape for each in model.inspect([np.zeros((32, 64), np.uint8), "strip.png"])]
        [(4, 32, 64), (4, 64, 96)]
        """
        if isinstance(images, str | Path | np.ndarray | bytes) or not isinstance(images, Iterable):
            return self.inspect([images], members)[0]
        read, batch, found = self.reader(), self.config.predict.batch_size, Inspections()
        for part in chunks(images, batch):
            pixels = [read(Path(each)) if isinstance(each, str | Path) else as_pixels(each, read) for each in part]
            names = [str(each) if isinstance(each, str | Path) else "" for each in part]
            found += self.inspect_pixels(pixels, members, names)
        warn_of_read(read, self.facts.mean, str(self.folder))
        return found

    def inspect_pixels(
        self,
        images: Sequence[np.ndarray],
        members: bool = False,
        names: Sequence[str] = (),
        part_seconds: PartSeconds | None = None,
    ) -> list[Inspection]:
        """As `inspect`, of pixels as `reader` gives them; `part_seconds` takes note of each member's time."""
        by_member = list((part_seconds or iter)(self.network.by_member(images)))
        is_one = not isinstance(self.network, Ensemble)
        predictions = by_member[0] if is_one else combined(by_member, self.blend)
        own: Sequence[Sequence[Prediction]] = [()] * len(images)
        if members and not is_one:
            own = list(zip(*by_member, strict=True))
        return [
            Inspection.of(image, prediction, self.classes, self.rules, each, name, self.familiar)
            for image, prediction, each, name in zip(images, predictions, own, names or [""] * len(images), strict=True)
        ]

    def inspect_table(
        self,
        table: ImageTable,
        members: bool = False,
        read: ImageReader | None = None,
        part_seconds: PartSeconds | None = None,
    ) -> Iterator[tuple[int, Inspection]]:
        """(row, what was found) of every image of the table, in its order; at most three batches are in memory.

        `read`: a reader that goes on with more images afterwards; without it what was clipped is told at the end.
        """
        own, batch = read or self.reader(), self.config.predict.batch_size
        images = read_ahead(lambda row: own(table.path(row)), range(len(table)), depth=2 * batch)
        for part in chunks(enumerate(images), batch):
            names = [table.image_id(row) for row, _ in part]
            found = self.inspect_pixels([image for _, image in part], members, names, part_seconds)
            yield from zip((row for row, _ in part), found, strict=True)
        if read is None:
            warn_of_values(own, self.facts.mean)

    def inspect_folder(
        self, folder: str | Path, progress: bool = False, include: Sequence[str] = (), members: bool = False
    ) -> Iterator[Inspection]:
        """Every image below a folder, one after the other, as an iterator: folders may be larger than memory.

        `progress`: show a bar. `include`: only images whose path within the folder matches one of these globs.
        `Inspection.name` is the path within the folder. Raises InputError for a folder without images, or with one
        that can't be read.

        >>> model = sever.load("saved/mine")
        >>> for found in model.inspect_folder("images"):
        ...     print(found.name, found.masks.shape)
        strip.png (4, 64, 96)
        """
        table, _ = read_images(
            Path(folder), self.classes, include=tuple(include), max_pixels=self.config.data.max_pixels
        )
        stream = self._of_folder(table, members)
        return self._with_progress(stream, len(table)) if progress else stream

    def masks(self, levels_chw: np.ndarray, label_probs_c: np.ndarray | None = None) -> np.ndarray:
        """Masks (C, H, W) uint8 by this model's rules, of a stored map: levels (C, H, W) uint8, or probabilities."""
        levels = levels_chw if levels_chw.dtype == np.uint8 else quantise(levels_chw)
        return draw_masks(levels, self.rules, label_probs_c)

    def lighter(
        self, effort: Effort | None = None, *, flips: Sequence[str] = (), members: Sequence[str | Path] = ()
    ) -> Model:
        """The same model without these flips (width, height, both) and members (their folders); nothing is read again.

        `effort`: the same as a time budget has it. Its `identity` is another, since its answers are. Raises InputError
        for an unknown flip or member, and where nothing would be left.
        """
        if effort is None:
            check_flips(flips)
            effort = Effort(tuple(flips), tuple(Path(member) for member in members))
        unknown = [str(path) for path in effort.without if path not in self.network.paths]
        if unknown:
            there = ", ".join(map(str, self.network.paths))
            raise InputError(f"{self.folder} has no member {', '.join(unknown)}; it has {there}")
        lighter = self.network.lighter(effort)
        if lighter is None:
            raise InputError(f"without {', '.join(map(str, effort.without))} nothing would be left of {self.folder}")
        return replace(self, network=lighter, source=None)

    def _of_folder(self, table: ImageTable, members: bool) -> Iterator[Inspection]:
        read = self.reader()
        for _, found in self.inspect_table(table, members, read):
            yield found
        warn_of_read(read, self.facts.mean, str(self.folder))

    @staticmethod
    def _with_progress(stream: Iterator[Inspection], total: int) -> Iterator[Inspection]:
        with meter("inspect", total) as progress:
            for found in stream:
                yield found
                progress.advance()
