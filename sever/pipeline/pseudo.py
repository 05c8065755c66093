"""`sever pseudo`: what a model says of unlabelled images, and of that the images that are sure enough to learn from.

It predicts as `sever predict` does, into the same files, and goes on where it was stopped; trying other limits on the
same images runs no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sever.data import rle
from sever.data.mixing import write_pseudo_labels
from sever.data.table import ImageTable
from sever.decide.postprocess import dequantise, quantise
from sever.decide.pseudo_labels import Guess, ImageVerdict, Sureness
from sever.deliver.pictures import Sample, picture_sheet
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline import pixel_warnings
from sever.pipeline.inference.inspection import Inspection
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import Ensemble
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.pixel_warnings import warn_of_headers
from sever.pipeline.predict import Gate, ImageSource, claim, fill_maps, manifest_of, origins_of, read_levels
from sever.pipeline.skipped import report_skipped
from sever.prefetch import read_ahead
from sever.progress import info, meter
from sever.store import LabelStore, ProbabilityStore

CLEAN = "clean"
RESULTS = ("skipped.csv", "pseudo.csv", "pseudo.json", "sheet.png")


@dataclass(frozen=True)
class JudgedImage:
    """One image of the table with its masks as run lengths, one a class."""

    row: int
    image_id: str
    runs: tuple[str, ...]
    verdict: ImageVerdict


@dataclass(frozen=True)
class MapsWithMembers(ProbabilityStore):
    """Maps of several networks as one, kept together with each network's own, so that none runs twice.

    The blend's map is written last: where it is, the others are.
    """

    members: tuple[ProbabilityStore, ...] = ()

    @staticmethod
    def of(home: OutputFolder, num_members: int) -> MapsWithMembers:
        folders = (home.folder / "members" / str(index) for index in range(num_members))
        return MapsWithMembers(home.folder / "probs", home, tuple(ProbabilityStore(folder, home) for folder in folders))

    def __contains__(self, image_id: str) -> bool:
        return super().__contains__(image_id) and all(image_id in member for member in self.members)

    def holds(self, image_id: str, origin: str) -> bool:
        own = (member.holds(image_id, _own(origin, index)) for index, member in enumerate(self.members))
        return super().holds(image_id, origin) and all(own)

    def keep(self, found: Inspection, origin: str) -> None:
        maps = (each.probs_chw for each in found.members if each.probs_chw is not None)
        for index, (member, probs_chw) in enumerate(zip(self.members, maps, strict=True)):
            member.write(found.name, quantise(probs_chw), _own(origin, index))
        assert found.levels is not None, "several members draw"
        self.write(found.name, found.levels, origin)


def _own(origin: str, index: int) -> str:
    """The origin of one network's own map."""
    return f"{origin}.{index}"


@writes_to("output")
def label_images(
    path: Path,
    source: ImageSource,
    output: Path,
    sureness: Sureness,
    how: InferenceOptions,
    sheet_images: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write pseudo.csv, pseudo.json and sheet.png of the images of `source` that are sure; returns the report.

    Raises InputError for a model that can't tell how sure it is by the measure that is asked for.
    """
    pixel_warnings.begin()
    model = load_model(path, how)
    _raise_unless_it_can_tell(model, sureness)
    table, skipped = source.read(model)
    warn_of_headers(table)
    home = OutputFolder(output)
    maps = _maps_of(home, model, sureness)
    stores = [maps, *(maps.members if isinstance(maps, MapsWithMembers) else ())]
    names = [store.name(image_id) for store in stores for image_id in table.image_ids]
    claim(home, manifest_of(model, source), overwrite, RESULTS, names)
    report_skipped(skipped, home)
    origins = origins_of(table, model.identity)
    if isinstance(maps, MapsWithMembers):
        inspect = partial(model.inspect_table, members=True)
        gate = fill_maps(maps, LabelStore(output), model, table, origins, inspect, maps.keep)
    else:
        gate = fill_maps(maps, LabelStore(output), model, table, origins)
    judged = list(_judge(maps, gate, model, table, sureness))
    kept = [image for image in judged if image.verdict.keep]
    with home.new("pseudo.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        write_pseudo_labels(file, ((image.image_id, image.runs, image.verdict.confidence_c.tolist()) for image in kept))
    report = {"model": str(model.folder), "images_from": source.describe()}
    report |= _summarise(judged, model.classes, sureness)
    home.write_json("pseudo.json", report)
    if not kept:
        info(_nothing_kept(judged, sureness))
    elif sheet_images:
        _draw_sheet(home, kept, model, table, sheet_images)
    return report


def _raise_unless_it_can_tell(model: Model, sureness: Sureness) -> None:
    """Told before any image is predicted."""
    if not model.draws_masks:
        raise InputError(f"{model.folder} is an image classifier, which draws no masks; give a segmenter or a blend")
    if sureness.by == "gate" and not model.labels_images:
        raise InputError(
            f"--by gate needs an image classifier, but {model.folder} has none; give a blend with one, a segmenter "
            "with model.label_head, or choose --by confidence"
        )


def _maps_of(home: OutputFolder, model: Model, sureness: Sureness) -> ProbabilityStore:
    """Where the maps go: by agreement, beside those of every member that draws."""
    if sureness.by != "agreement":
        return ProbabilityStore(home.folder / "probs", home)
    members = model.network.members if isinstance(model.network, Ensemble) else (model.network,)
    drawing = sum(member.draws_masks for member in members)
    if drawing < 2:
        raise InputError(
            f"--by agreement needs several networks that draw masks, but {model.folder} has {drawing}; give a "
            "blend or a cross-validation, or choose --by confidence"
        )
    return MapsWithMembers.of(home, drawing)


def _judge(
    maps: ProbabilityStore, gate: Gate, model: Model, table: ImageTable, sureness: Sureness
) -> Iterator[JudgedImage]:
    classes, image_ids = len(model.classes), table.image_ids
    members = maps.members if isinstance(maps, MapsWithMembers) else ()

    def judge(row: int) -> JudgedImage:
        image_id = image_ids[row]
        gate_probs_c = gate.get(image_id)
        levels_chw = read_levels(maps, table, row, classes)
        masks_chw = model.masks(levels_chw, gate_probs_c)
        own = [model.masks(read_levels(member, table, row, classes), gate_probs_c) for member in members]
        verdict = sureness.judge(Guess(dequantise(levels_chw), masks_chw, gate_probs_c, own))
        return JudgedImage(row, image_id, tuple(rle.encode_masks(masks_chw)), verdict)

    with meter("judge", len(table)) as progress:
        for judged in read_ahead(judge, range(len(table)), depth=8):
            yield judged
            progress.advance()


def _summarise(judged: Sequence[JudgedImage], class_names: Sequence[str], sureness: Sureness) -> dict[str, Any]:
    """How many were given and kept, of each class and clean, and how sure those kept are."""
    verdicts = [image.verdict for image in judged]
    kept = [verdict for verdict in verdicts if verdict.keep]
    rows = []
    for index, name in enumerate(class_names):
        sure = [float(verdict.confidence_c[index]) for verdict in kept if verdict.shown_c[index]]
        given = sum(bool(verdict.shown_c[index]) for verdict in verdicts)
        in_doubt = sum(not verdict.sure_c[index] for verdict in verdicts)
        rows.append(_row(name, given, sure, in_doubt))
    sure = [verdict.confidence for verdict in kept if verdict.is_clean]
    rows.append(_row(CLEAN, sum(verdict.is_clean for verdict in verdicts), sure, None))
    min_present, min_empty = sureness.limits
    return {
        "by": sureness.by,
        "min_present": min_present,
        "min_empty": min_empty,
        "given": len(verdicts),
        "kept": len(kept),
        "mean_confidence": _mean([verdict.confidence for verdict in kept]),
        "per_class": rows,
    }


def _row(name: str, given: int, sure: Sequence[float], in_doubt: int | None) -> dict[str, Any]:
    return {"name": name, "given": given, "kept": len(sure), "mean_confidence": _mean(sure), "in_doubt": in_doubt}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _nothing_kept(judged: Sequence[JudgedImage], sureness: Sureness) -> str:
    best = max(judged, key=lambda image: image.verdict.confidence)
    min_present, min_empty = sureness.limits
    return (
        f"warning: no image is sure enough by {sureness.by} (drawn classes {min_present:g}, empty ones {min_empty:g}); "
        f"the surest is {best.image_id} with {best.verdict.confidence:.3f}; lower --min-present or --min-empty, or use "
        "a better model"
    )


def _draw_sheet(
    home: OutputFolder, kept: Sequence[JudgedImage], model: Model, table: ImageTable, sheet_images: int
) -> None:
    """Of each class, and of clean images, a few of those kept, from the least to the most sure; none twice."""
    read, samples, drawn = model.reader(), [], set[int]()
    groups = {name: group for name, group in _groups(kept, model.classes).items() if group}
    for name, group in groups.items():
        fresh = sorted((sure, image.image_id, image.row) for sure, image in group if image.row not in drawn)
        number = min(len(fresh), max(1, sheet_images // len(groups)))
        for at in np.linspace(0, len(fresh) - 1, number).round().astype(int):
            sure, image_id, row = fresh[at]
            drawn.add(row)
            runs, (height, width) = next(image.runs for _, image in group if image.row == row), table.size(row)
            masks_chw = np.stack([rle.decode(text, height, width) for text in runs])
            title, heading = f"{image_id}  {sure:.3f} sure", f"{name}: {len(group)} kept, the least sure first"
            samples.append(Sample(title, read(table.path(row)), None, masks_chw, heading))
    with home.new("sheet.png") as temporary:
        picture_sheet(temporary, samples, model.classes)


def _groups(kept: Sequence[JudgedImage], class_names: Sequence[str]) -> dict[str, list[tuple[float, JudgedImage]]]:
    """The images that show each class, with how sure that class is; last the clean ones."""
    groups = {
        f"class {name}" if name.isdecimal() else name: [
            (float(image.verdict.confidence_c[at]), image) for image in kept if image.verdict.shown_c[at]
        ]
        for at, name in enumerate(class_names)
    }
    return groups | {CLEAN: [(image.verdict.confidence, image) for image in kept if image.verdict.is_clean]}
