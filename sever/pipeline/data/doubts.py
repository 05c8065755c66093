"""`sever data doubts`: labels that networks which have not seen them contradict, as a list and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from sever.counted import counted
from sever.data import rle
from sever.data.reader import ImageReader
from sever.decide.label_doubts import KINDS, Doubt, compared, find_doubts, worst_of_each_kind
from sever.deliver.pictures import Sample, picture_sheet
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.report.write import ReportSource, open_source
from sever.progress import meter
from sever.store import Evidence, find_run
from sever.store.findings import DOUBTS

RESULTS = ("doubts.csv", "doubts.json", "doubts.png")
COLUMNS = ("image", "kind", "class", "instead", "score", "left", "top", "width", "height", "pixels")
HEADINGS = {
    "missing": "Missing: the model finds a region where nothing is labelled",
    "extra": "Extra: the model finds next to nothing in a labelled region",
    "moved": "Moved: the outline would fit better elsewhere, larger or smaller",
    "swapped": "Swapped: the model finds another class there",
}
# Of the line around a doubtful region, white on black, so that it shows on any steel.
BOX_MARGIN = 4
SHOWN = 5


@dataclass(frozen=True)
class _Doubted:
    """A doubt and its image, by its row; `drawn_runs`: the model's masks."""

    row: int
    image_id: str
    doubt: Doubt
    drawn_runs: list[str]


def default_folder(path: Path) -> Path:
    """Where a report looks for them: doubts/ in the folder that `path` means."""
    return (Evidence.find(path).folder if Evidence.is_at(path) else find_run(path)[0].folder) / DOUBTS


@writes_to("output")
def doubt_labels(path: Path, output: Path, options: InferenceOptions, num_shown: int) -> dict[str, Any]:
    """Rank the labels of evidence, or of a run's validation images; writes RESULTS, returns doubts.json's content.

    Raises InputError for what can't be read, and for classifiers, which draw no masks.
    """
    home = OutputFolder(output)
    home.claim(RESULTS)
    source = open_source(path, options)
    found = _find(source)
    ranked = {kind: sorted((each for each in found if each.doubt.kind == kind), key=_worst_first) for kind in KINDS}
    frame = _table(source, [each for kind in KINDS for each in ranked[kind]])
    numbers = _numbers(source, frame)
    with home.new("doubts.csv") as temporary:
        frame.to_csv(temporary, index=False)
    home.write_json("doubts.json", numbers)
    samples = [_sample(source, each) for kind in KINDS for each in ranked[kind][:num_shown]]
    if samples:
        with home.new("doubts.png") as temporary:
            picture_sheet(temporary, samples, source.table.class_names)
    return numbers


def render(numbers: dict[str, Any], output: Path) -> str:
    """The findings in words, with what to do next."""
    lines = [f"{numbers['images']} labels of {numbers['name']}, each held against a network that has not seen it:"]
    for kind in KINDS:
        each = numbers["kinds"][kind]
        first = ", ".join(each["first"]) or "none"
        lines.append(f"  {kind}: {counted(each['images'], 'image')}; first {first}")
    lines += [
        f"The worst are drawn in {output / 'doubts.png'}; all are in {output / 'doubts.csv'}, worst first.",
        "To correct the first 50 in CVAT: sever data convert "
        f"{numbers['data']} -o task --to cvat --listed {output / 'doubts.csv'} --first 50",
    ]
    return "\n".join(lines)


def _find(source: ReportSource) -> list[_Doubted]:
    """The worst doubt of each kind about each image."""
    seen_n = []
    with meter("doubts", len(source.table)) as progress:
        for seen in source.seen():
            worst = worst_of_each_kind(find_doubts(seen.levels_chw, seen.true_chw))
            seen_n.append((seen.image_id, worst, rle.encode_masks(seen.masks_chw) if worst else []))
            progress.advance()
    scored = compared([worst for _, worst, _ in seen_n])
    return [
        _Doubted(row, image_id, doubt, runs)
        for row, ((image_id, _, runs), doubts) in enumerate(zip(seen_n, scored, strict=True))
        for doubt in doubts
    ]


def _worst_first(each: _Doubted) -> tuple[float, int]:
    return -each.doubt.score, each.row


def _table(source: ReportSource, doubted: Sequence[_Doubted]) -> pd.DataFrame:
    """COLUMNS, by score over all kinds, so that the first rows are worth the most whatever is wrong with them."""
    names = source.table.class_names
    rows = [
        (
            each.image_id,
            each.doubt.kind,
            names[each.doubt.class_index],
            "" if each.doubt.other is None else names[each.doubt.other],
            round(each.doubt.score, 3),
            *each.doubt.box,
            each.doubt.pixels,
        )
        for each in sorted(doubted, key=_worst_first)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(source: ReportSource, frame: pd.DataFrame) -> dict[str, Any]:
    by_kind = {kind: frame[frame["kind"] == kind] for kind in KINDS}
    return {
        "form": "doubts",
        "name": source.name,
        "source": str(source.folder),
        "data": str(source.data.root),
        "images": len(source.table),
        "kinds": {
            kind: {"images": len(rows), "first": rows["image"].head(SHOWN).tolist()} for kind, rows in by_kind.items()
        },
        "worst": frame.head(SHOWN * len(KINDS)).to_dict("records"),
    }


def _sample(source: ReportSource, each: _Doubted) -> Sample:
    table, doubt = source.table, each.doubt
    image_hwc = ImageReader.of(source.data, 3)(table.path(each.row)).copy()
    drawn_chw = np.stack([rle.decode(runs, *table.size(each.row)) for runs in each.drawn_runs])
    told = table.class_names[doubt.class_index]
    told += "" if doubt.other is None else f", rather {table.class_names[doubt.other]}"
    title = f"{each.image_id}: {told}, {doubt.score:.1f} times the usual doubt"
    return Sample(title, _with_box(image_hwc, doubt.box), table.mask(each.row), drawn_chw, HEADINGS[doubt.kind])


def _with_box(image_hwc: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, width, height = box
    corners = (left - BOX_MARGIN, top - BOX_MARGIN), (left + width + BOX_MARGIN, top + height + BOX_MARGIN)
    for colour, thickness in ((0, 3), (255, 1)):
        cv2.rectangle(image_hwc, *corners, (colour,) * 3, thickness)
    return image_hwc
