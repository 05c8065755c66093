"""`sever report`: one HTML page about out-of-fold evidence or a run's validation images, and its numbers.

Every map is looked at once; what is kept of an image are counts and run lengths, so that memory hardly grows.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import sever
from sever.config import DataSettings, RuleSettings
from sever.data import rle
from sever.data.layouts import read_again
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.report.changes import changes, shows_the_same
from sever.decide.report.counts import ReportCounts, ReportedImage
from sever.decide.report.images import choose_images, gallery_numbers
from sever.decide.report.numbers import Numbers, report_numbers
from sever.decide.rules import resolve_rules
from sever.deliver.canvas import palette
from sever.deliver.report import (
    FORM,
    Picture,
    draw_picture,
    read_numbers,
    render_page,
    rules_in_words,
    verdict_in_words,
)
from sever.errors import InputError
from sever.locks import one_writer_of
from sever.near_names import missing
from sever.output import OutputFolder
from sever.pipeline.evidence import open_evidence
from sever.pipeline.inference.load import load_model
from sever.progress import meter
from sever.store import Evidence, Run, find_run, fingerprint, read_rules
from sever.store.findings import read_findings

if TYPE_CHECKING:
    from sever.pipeline.inference.options import InferenceOptions

PICTURE_BYTES = 3_600_000  # that all pictures together may take, of the page's 5 MB
KINDS = {
    "crossval": "Out-of-fold evidence of a cross-validation",
    "blend": "Out-of-fold evidence of a blend",
    "run": "Validation images of a training run",
}


@dataclass(frozen=True)
class Report:
    """What was written: the page, and `numbers` (also in the .json beside it)."""

    page: Path
    numbers: Numbers


@dataclass(frozen=True)
class ReportSource:
    """Where a report's images come from; `seen` goes over them once, in the order of `table`.

    `made_from`: the files whose times tell of when what it shows is, so that a report holds no time of its own: the
    same evidence makes the same page.
    """

    folder: Path
    kind: str
    name: str
    data: DataSettings
    table: ImageTable
    folds_n: np.ndarray | None
    rules: RuleSettings
    is_tuned: bool
    checkpoints: tuple[Path, ...]
    members: tuple[str, ...]
    made_from: tuple[Path, ...]
    seen: Callable[[], Iterator[ReportedImage]]


def write_report(
    path: Path,
    output: Path | None,
    against: Path | None,
    how: InferenceOptions,
    images: int = 4,
    findings: tuple[Path, ...] = (),
) -> Report:
    """Write the page and its numbers; by default report.html in the folder that `path` means.

    `against`: an older report, by default the one that is about to be replaced; where that shows the same numbers, what
    it was compared with itself. `images`: how many a gallery shows. `findings`: folders of `sever data check`,
    `doubts` or `shift`; doubts/ of the evidence is shown by itself.
    Raises InputError for what can't be read, before anything is computed.
    """
    source = open_source(path, how)
    page = output or source.folder / "report.html"
    if page.is_dir():
        raise InputError(f"-o {page} is a folder; give a file that ends in .html")
    if page.suffix != ".html":
        raise InputError(f"-o {page} can't be a page; give a file that ends in .html")
    home = OutputFolder(page.parent)
    home.claim([page.name, page.with_suffix(".json").name])
    older = against or (page if page.exists() else None)
    before = read_numbers(older) if older else None
    of_data = read_findings(source.folder, findings)
    with one_writer_of(page):
        return _write(source, page, of_data, before, against is None, images)


def _write(
    source: ReportSource, page: Path, of_data: Numbers, before: Numbers | None, is_replaced: bool, images: int
) -> Report:
    counted = ReportCounts(resolve_rules(source.rules, source.table.num_classes))
    drawn: list[list[str]] = []  # run lengths of every image, so that memory hardly grows
    with meter("report", len(source.table)) as progress:
        for seen in source.seen():
            counted.add(seen)
            drawn.append(rle.encode_masks(seen.masks_chw))
            progress.advance()
    numbers = _numbers(source, counted, images) | {"data": of_data}
    numbers["changes"] = _changes(source, numbers, before, is_replaced)
    text = render_page(numbers, _pictures(source, dict(zip(counted.sheet.image_ids, drawn, strict=True)), numbers))
    home = OutputFolder(page.parent)
    home.write_json(page.with_suffix(".json").name, numbers)
    home.write_text(page.name, text)
    return Report(page, numbers)


def summary(numbers: Numbers) -> Numbers:
    """The numbers without the long list of every image's scores."""
    return {name: value for name, value in numbers.items() if name != "pairs"}


def open_source(path: Path, how: InferenceOptions) -> ReportSource:
    """Evidence, or a run with its validation images. Raises InputError for anything else."""
    if not path.exists():
        raise InputError(
            f"{missing(path, 'file or folder')}; give a run, or the folder of a cross-validation or a blend"
        )
    return _from_evidence(path) if Evidence.is_at(path) else _from_run(path, how)


def _from_evidence(path: Path) -> ReportSource:
    opened = open_evidence(path)
    evidence, table, about = opened.evidence, opened.table, opened.evidence.about()
    opened.raise_unless_mapped()

    def seen() -> Iterator[ReportedImage]:
        for row, levels_chw, masks_chw in opened.masks():
            yield ReportedImage(table.image_id(row), levels_chw, masks_chw, table.mask(row), opened.gate(row))

    return ReportSource(
        folder=evidence.folder,
        kind=about.kind,
        name=opened.name,
        data=opened.data,
        table=table,
        folds_n=opened.folds_n,
        rules=opened.rules,
        is_tuned=evidence.is_tuned,
        checkpoints=tuple(_checkpoints(evidence)),
        members=about.members,
        made_from=(evidence.about_file, evidence.pairs_file, evidence.rules_file, evidence.labels_file),
        seen=seen,
    )


def _checkpoints(path: Evidence) -> Iterator[Path]:
    """Those that are still there: evidence can be looked at without its weights."""
    if path.about().is_blend:
        for member in path.members():
            if Evidence.is_at(member):
                yield from _checkpoints(Evidence.find(member))
    else:
        latest = [Run(path.fold_folder(fold)).latest() for fold in path.about().folds]
        yield from (checkpoint for checkpoint in latest if checkpoint is not None)


def _from_run(path: Path, how: InferenceOptions) -> ReportSource:
    run, _ = find_run(path)
    model = load_model(path, how)
    if not model.draws_masks:
        raise InputError(
            f"{path} is an image classifier, which draws no masks; score it with: sever evaluate -r {path}"
        )
    everything = read_again(model.config.data, run.folder)
    table = everything.select(run.part("validation"), run.folder)

    def seen() -> Iterator[ReportedImage]:
        for row, found in model.inspect_table(table):
            assert found.levels is not None, "what draws no masks was refused"
            yield ReportedImage(found.name, found.levels, found.masks, table.mask(row), found.label_probabilities)

    return ReportSource(
        folder=run.folder,
        kind="run",
        name=model.config.name,
        data=model.config.data,
        table=table,
        folds_n=None,
        rules=read_rules(run.rules_file),
        is_tuned=False,
        checkpoints=model.checkpoints,
        members=(),
        made_from=(*(checkpoint / "state.json" for checkpoint in model.checkpoints), run.rules_file),
        seen=seen,
    )


def _numbers(source: ReportSource, counted: ReportCounts, images: int) -> Numbers:
    table, groups = source.table, source.table.frame["group"].tolist()
    numbers: Numbers = {"form": FORM, "about": _about(source)}
    numbers |= report_numbers(counted, table.class_names, groups, source.folds_n)
    numbers["galleries"] = gallery_numbers(choose_images(counted, images), counted, table.class_names)
    numbers["pairs"] = {"image_ids": counted.sheet.image_ids, "dice": counted.sheet.dice().round(6).tolist()}
    numbers["about"]["verdict"] = verdict_in_words(numbers)
    return numbers


def _changes(source: ReportSource, numbers: Numbers, before: Numbers | None, is_replaced: bool) -> Numbers | None:
    if before is None:
        return None
    if is_replaced and shows_the_same(before, numbers):  # typed again: it stays as it is
        return before["changes"]
    return changes(before, numbers, source.table.frame["group"].tolist())


def _about(source: ReportSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": KINDS[source.kind],
        "source": str(source.folder),
        "members": list(source.members),
        "data": str(source.data.root),
        "made": _last_change(source.made_from),
        "rules": source.rules.model_dump(mode="json"),
        "tuned_on_these_images": source.is_tuned,
        "rules_in_words": rules_in_words(source.rules, source.table.class_names),
        "weights": [{"checkpoint": str(path), "sha256": fingerprint(path)} for path in source.checkpoints],
        "versions": {
            "sever": sever.__version__,
            "Python": platform.python_version(),
            "torch": _version("torch"),
            "numpy": np.__version__,
            "OpenCV": cv2.__version__,
        },
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not there"


def _last_change(files: tuple[Path, ...]) -> str:
    newest = max(file.stat().st_mtime for file in files if file.is_file())
    return f"{datetime.fromtimestamp(newest).astimezone():%Y-%m-%d %H:%M}"


def _pictures(source: ReportSource, drawn: dict[str, list[str]], numbers: Numbers) -> dict[str, Picture]:
    """Every image of the galleries, with as many bytes as each may take. `drawn`: run lengths a class, by image."""
    wanted = [image["image_id"] for gallery in numbers["galleries"] for image in gallery["images"]]
    rows = {image_id: row for row, image_id in enumerate(drawn)}
    colours, most_bytes = palette(source.table.num_classes), PICTURE_BYTES // (2 * max(1, len(wanted)))
    read, pictures = ImageReader.of(source.data, 3), {}
    for image_id in wanted:
        row = rows[image_id]
        image_hwc = read(source.table.path(row))
        drawn_chw = np.stack([rle.decode(runs, *source.table.size(row)) for runs in drawn[image_id]])
        pictures[image_id] = draw_picture(image_hwc, source.table.mask(row), drawn_chw, colours, most_bytes)
    return pictures
