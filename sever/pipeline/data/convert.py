"""`sever data convert`: labels, or what a model predicted, as another tool's files; read back to say what was lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import DataSettings
from sever.config.mask_values import IGNORED
from sever.counted import counted
from sever.data.class_names import CLASSES_FILE, numbered, stated_class_names
from sever.data.faults import Skipped, images_of
from sever.data.formats.export import Exported, Wish
from sever.data.formats.label_studio import read_label_studio
from sever.data.formats.registry import FORMATS
from sever.data.formats.writers import WRITERS, LabelWriter
from sever.data.layouts import raise_unless_masks, read_images, read_table
from sever.data.listed import select_listed
from sever.data.listing import with_runs
from sever.data.run_table import read_run_table
from sever.data.table import ImageTable
from sever.deliver.submission import read_submission
from sever.errors import InputError
from sever.files import new_folder, raise_unless_new, write_text
from sever.locks import writes_to
from sever.names import inside
from sever.near_names import missing
from sever.output import OutputFolder
from sever.pipeline.skipped import report_skipped
from sever.progress import meter, warn
from sever.store import Evidence, find_run
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.container import is_bundle
from sever.store.maps import ProbabilityStore
from sever.store.origin import Origin, image_digests
from sever.store.records import DatasetRecord


@dataclass(frozen=True)
class Predicted:
    """A folder of `sever predict`, and the model whose classes it has; else classes.txt or numbers name them."""

    folder: Path
    model: Path | None = None


@dataclass(frozen=True)
class Listed:
    """Only the images that a CSV names, such as doubts.csv, in its order; the `first` of them, or all."""

    file: Path
    first: int | None = None


@writes_to("output", whole=True)
def convert(
    settings: DataSettings,
    split: str,
    to: str,
    output: Path,
    tolerance: float | None = None,
    link: bool = False,
    predicted: Predicted | None = None,
    listed: Listed | None = None,
) -> dict[str, Any]:
    """Write the data set, or with `predicted` what a model found in its images, to a new folder; returns what was lost.

    `tolerance`: polygons, at most so many pixels off. `link`: links to the images in place of copies. `listed`: some
    images only, so that the most urgent ones come first in the tool.
    """
    writer = _writer(to)
    if tolerance is not None and not writer.has_polygons:
        able = ", ".join(name for name, each in WRITERS.items() if each.has_polygons)
        raise InputError(f"--tolerance is about polygons, and {to} has none: leave it out, or convert to {able}")
    raise_unless_new(output, "-o ")
    if output.resolve().is_relative_to(settings.root.resolve()):
        raise InputError(f"-o {output} lies in {settings.root}, whose images would be doubled; name a folder elsewhere")
    table, skipped = _labelled(settings, split) if predicted is None else _predicted(settings, predicted)
    if listed is not None:
        table = select_listed(table, listed.file, listed.first)
    maps = None if predicted is None else ProbabilityStore(predicted.folder / "probs")
    if maps is not None:
        _raise_unless_of_these(maps, table)
        bare = sum(image_id not in maps for image_id in table.image_ids)
        if bare and writer.has_scores:
            warn(
                f"{counted(bare, 'image')} without a probability map in {maps.folder}, so their masks get no scores; a "
                "bundle's maps are kept by sever predict --keep-maps"
            )
    wish = Wish(tolerance, predicted=predicted is not None)
    with new_folder(output, "-o ") as folder:
        _place_images(table, folder / writer.images, link)
        write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in table.class_names))
        writer.write(folder, _exported(table, maps if writer.has_scores else None), table.class_names, wish)
        losses = measure_losses(table, _read_back(writer, folder, table, wish))
    report_skipped(skipped, OutputFolder(output), table)
    return {"images": len(table), "to": to, "layout": writer.layout, "output": str(output)} | losses


def _writer(to: str) -> LabelWriter:
    if to not in WRITERS:
        raise InputError(f"unknown format --to {to!r}; allowed: {', '.join(WRITERS)}")
    return WRITERS[to]


def _labelled(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    raise_unless_masks(settings)
    return read_table(settings, split)


def _predicted(settings: DataSettings, predicted: Predicted) -> tuple[ImageTable, list[Skipped]]:
    """The images of a folder with the masks that submission.csv has for them."""
    path = predicted.folder / "submission.csv"
    if not path.is_file():
        raise InputError(f"{missing(path, 'file')}; give the folder that `sever predict` wrote to")
    class_names = _class_names(settings, predicted, path)
    named = set(read_run_table(path)["image_id"])
    table, skipped = read_images(settings.root, class_names, settings.skip_bad)
    known = table.take([row for row, image_id in enumerate(table.image_ids) if image_id in named])
    if strange := sorted(named - set(known.image_ids) - images_of(skipped)):
        raise InputError(
            f"{counted(len(strange), 'image')} of {path} can't be found in {settings.root} "
            f"({', '.join(strange[:3])}); give the very "
            "folder that was predicted, such as DATA/test_images or DATA/images"
        )
    runs = read_submission(path, known.image_ids, known.num_classes, known.pixels())
    columns = [[runs[image_id][index] for image_id in known.image_ids] for index in range(known.num_classes)]
    bare = ImageTable(known.frame.drop(columns=known.run_columns), ())
    return with_runs(bare, columns, class_names).include(settings.include), skipped


def _class_names(settings: DataSettings, predicted: Predicted, path: Path) -> tuple[str, ...]:
    if (model := predicted.model) is not None:
        if is_bundle(model):
            return Bundle.open(model).manifest.class_names
        if Evidence.is_at(model):
            return Evidence.find(model).about().class_names
        return DatasetRecord.read(find_run(model)[0].dataset_file).class_names
    stated = stated_class_names(settings.root, settings.num_classes)
    return stated[0] if stated else numbered(int(read_run_table(path)["class_index"].max()) + 1)


def _place_images(table: ImageTable, folder: Path, link: bool) -> None:
    for row, image_id in enumerate(table.image_ids):
        path = inside(folder, image_id, "image id")
        path.parent.mkdir(parents=True, exist_ok=True)
        if link:
            path.symlink_to(table.path(row).resolve())
        else:
            shutil.copyfile(table.path(row), path)


def _raise_unless_of_these(maps: ProbabilityStore, table: ImageTable) -> None:
    """Scores come from stored maps, so these must be one model's, of the images as they are now."""
    rows = [row for row, image_id in enumerate(table.image_ids) if image_id in maps]
    said = {table.image_ids[row]: Origin.parse(maps.origin(table.image_ids[row])) for row in rows}
    digests = image_digests(table.path(row) for row in rows)
    other = [name for (name, origin), digest in zip(said.items(), digests, strict=True) if origin.image != digest]
    if other:
        raise InputError(
            f"{maps.folder}: {len(other)} maps are of other images, or of images that have changed since "
            f"({', '.join(other[:3])}); run the `sever predict` that made them again"
        )
    if len({origin.model for origin in said.values()}) > 1:
        raise InputError(f"{maps.folder} holds maps of several models; predict again with --overwrite")


def _exported(table: ImageTable, maps: ProbabilityStore | None) -> Iterator[Exported]:
    with meter("convert", len(table)) as progress:
        for row, image_id in enumerate(table.image_ids):
            has_map = maps is not None and image_id in maps
            levels_chw = maps.read(image_id, table.num_classes) if maps is not None and has_map else None
            yield Exported(image_id, table.mask(row), levels_chw)
            progress.advance()


def _read_back(writer: LabelWriter, folder: Path, table: ImageTable, wish: Wish) -> ImageTable:
    """What our own reader makes of the files, which is what a later training would see."""
    ignores = str(IGNORED) if writer.layout == "mask_folder" else None
    settings = DataSettings(root=folder, layout=writer.layout, ignore_value=ignores)
    read = FORMATS[writer.layout].read
    if writer.layout == "label_studio" and wish.predicted:
        read = partial(read_label_studio, part="predictions")
    return read(settings, "train")[0].select(table.image_ids)


def measure_losses(before: ImageTable, after: ImageTable) -> dict[str, Any]:
    """Pixels of each class before and after, those that differ, and IoU; and ignored pixels that are not kept."""
    counts = np.zeros((before.num_classes, 4), np.int64)  # before, after, both, either
    ignored = 0
    for row in range(len(before)):
        masks = before.mask(row), after.mask(row)
        ignored += int(((masks[0] == IGNORED) & (masks[1] != IGNORED)).any(axis=0).sum())
        old, new = (each == 1 for each in masks)
        counts += np.stack([np.count_nonzero(each, axis=(1, 2)) for each in (old, new, old & new, old | new)], axis=1)
    classes = {
        name: {
            "pixels": int(old),
            "pixels_after": int(new),
            "pixels_that_differ": int(either - both),
            "iou": float(both / either) if either else None,
        }
        for name, (old, new, both, either) in zip(before.class_names, counts.tolist(), strict=True)
    }
    return {"classes": classes, "ignored_pixels_lost": ignored}
