"""`sever data shift`: whether one set of images is like another, by what it is told apart, and weights against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sever.config import DataSettings
from sever.counted import counted
from sever.data.duplicates import find_duplicates, group_numbers
from sever.data.faults import images_of
from sever.data.layouts import has_format, read_images, read_table
from sever.data.reader import ImageReader
from sever.data.stats import CELL_FEATURES, Description, describe, feature_names, fitting_grid
from sever.data.table import ImageTable
from sever.decide.two_samples import Apart, effective_number, feature_areas, stand_in_weights, tell_apart
from sever.deliver.shift_sheet import ShiftGallery, shift_sheet
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.prefetch import read_ahead
from sever.progress import Stages, info, meter
from sever.store.origin import image_digests

RESULTS = ("shift.json", "shift.png", "weights.csv")
LEAST_OVERLAP = 0.5
STATISTICS = 10
SIZES_SHOWN = 3
NAMES = ("A", "B")
NO_CLASSES = ("defect",)  # a table has at least one class; what plain images show is asked nowhere here


class _Set(NamedTuple):
    root: Path
    table: ImageTable
    read: ImageReader


@dataclass(frozen=True)
class _Both:
    """All images of A, then those of B, and which belong together."""

    sets: tuple[_Set, _Set]
    groups_n: np.ndarray

    @property
    def is_b_n(self) -> np.ndarray:
        return np.repeat([0, 1], [len(each.table) for each in self.sets])

    @property
    def paths(self) -> list[Path]:
        return [path for each in self.sets for path in each.table.paths]

    def image_id(self, at: int) -> str:
        first = len(self.sets[0].table)
        return self.sets[0].table.image_id(at) if at < first else self.sets[1].table.image_id(at - first)

    def image(self, at: int) -> np.ndarray:
        return self.sets[int(self.is_b_n[at])].read(self.paths[at])[..., 0]


@writes_to("output")
def compare_sets(
    roots: tuple[DataSettings, DataSettings], output: Path, copies: bool, draws: int, num_shown: int
) -> dict[str, Any]:
    """Tell the images of two data sets, or plain folders, apart; writes RESULTS, returns shift.json's content.

    `copies`: look for near-duplicates first, so that both views of one piece of steel lie in the same fold.
    """
    home = OutputFolder(output)
    home.claim(RESULTS)
    both = _read(roots, copies)
    grid = fitting_grid(both.sets[0].table.size(0))
    described = _describe(both, grid)
    features_nf = np.stack([each.features() for each in described])
    cells_nrcf = np.stack([each.cells for each in described])
    apart = tell_apart(features_nf, both.is_b_n, both.groups_n, draws)
    regions_rc = _regions(cells_nrcf, both) if apart.area.low > 0.5 else np.full(grid, 0.5)
    numbers = _numbers(both, features_nf, apart, regions_rc, num_shown)
    with home.new("weights.csv") as temporary:
        ids, weights_n = both.sets[0].table.image_ids, _weights(both, apart)
        pd.DataFrame({"image_id": ids, "weight": weights_n.round(5)}).to_csv(temporary, index=False)
    home.write_json("shift.json", numbers)
    with home.new("shift.png") as temporary:
        shift_sheet(temporary, regions_rc, _galleries(both, numbers))
    return numbers


def render(numbers: dict[str, Any], output: Path) -> str:
    """The findings in words, with what to do next."""
    counts = " and ".join(
        f"{each['images']} of {name} ({each['root']})" for name, each in zip(NAMES, numbers["sets"], strict=True)
    )
    lines = [f"Images: {counts}, in {numbers['groups']} groups.", numbers["verdict"]]
    if not numbers["differs"]:
        return "\n".join(lines)
    lines += ["What tells them apart, each number alone (0.5: nothing; 1: B is always higher; 0: always lower):"]
    for each in numbers["statistics"]:
        lines.append(
            f"  {each['name']}: {each['area']:.2f}; median {each['median_a']:.4g} in A, {each['median_b']:.4g} in B"
        )
    images, effective = numbers["sets"][0]["images"], numbers["effective_images"]
    lines += [
        f"Weighted to be like B, the {images} images of A count as {effective:.0f}.",
        f"Choose for a test set like B: sever select ... --weights {output / 'weights.csv'}, and sever tune likewise.",
        f"Images that show it best: {output / 'shift.png'}",
    ]
    return "\n".join(lines)


def _read(roots: tuple[DataSettings, DataSettings], copies: bool) -> _Both:
    sets = (_read_one(roots[0]), _read_one(roots[1]))
    both = _Both(sets, np.zeros(0))
    count = len(both.paths)
    names = [group for each in sets for group in each.table.frame["group"].tolist()]
    pairs = [*_equal(names), *_equal(image_digests(both.paths))]
    pairs += _copies(both) if copies else []
    return _Both(sets, group_numbers(count, pairs))


def _read_one(settings: DataSettings) -> _Set:
    """A data set in a known layout, or any other folder as plain images. Raises InputError for one without any."""
    if has_format(settings):
        table, skipped = read_table(settings, thorough=False)
    else:
        table, skipped = read_images(
            settings.root, NO_CLASSES, settings.skip_bad, settings.include, settings.max_pixels
        )
    if skipped:
        info(f"{settings.root}: left out {counted(len(images_of(skipped)), 'image')}")
    return _Set(settings.root, table, ImageReader.of(settings, 1))


def _equal(keys: Iterable[Any]) -> list[tuple[int, int]]:
    """Pairs that link all with the same key; what has none is linked to nothing."""
    first: dict[str, int] = {}
    return [(first.setdefault(key, at), at) for at, key in enumerate(keys) if isinstance(key, str) and key]


def _copies(both: _Both) -> list[tuple[int, int]]:
    sizes = [each.table.size(row) for each in both.sets for row in range(len(each.table))]
    with Stages() as stages:
        found = find_duplicates(
            both.paths,
            sizes,
            LEAST_OVERLAP,
            both.sets[0].read.significant_bits,
            lambda stage, done, total: stages.advance(f"copies: {stage}", done, total),
        )
    return [(each.first, each.second) for each in found]


def _describe(both: _Both, grid: tuple[int, int]) -> list[Description]:
    described = []
    with meter("look at images", len(both.paths)) as progress:
        for each in read_ahead(lambda at: describe(both.image(at), grid), range(len(both.paths)), depth=8):
            described.append(each)
            progress.advance()
    return described


def _regions(cells_nrcf: np.ndarray, both: _Both) -> np.ndarray:
    """(rows, columns) area under the ROC curve of telling A from B by one cell of the image alone, out of fold."""
    rows, columns = cells_nrcf.shape[1:3]
    areas = [
        [
            tell_apart(cells_nrcf[:, row, column], both.is_b_n, both.groups_n, draws=2).area.mean
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    return np.array(areas)


def _weights(both: _Both, apart: Apart) -> np.ndarray:
    """Of the images of A; all 1 where nothing tells them from B, since odds are noise then."""
    probs_a_n = apart.probs_n[both.is_b_n == 0]
    return stand_in_weights(probs_a_n) if apart.area.low > 0.5 else np.ones(len(probs_a_n))


def _numbers(
    both: _Both, features_nf: np.ndarray, apart: Apart, regions_rc: np.ndarray, num_shown: int
) -> dict[str, Any]:
    is_b_n, order = both.is_b_n, np.argsort(-apart.probs_n, kind="stable")
    of_b, of_a = order[is_b_n[order] == 1].tolist(), order[is_b_n[order] == 0].tolist()
    return {
        "form": "shift",
        "sets": [_of_set(each) for each in both.sets],
        "groups": len(np.unique(both.groups_n)),
        "area": asdict(apart.area),
        "differs": apart.area.low > 0.5,
        "verdict": _verdict(apart),
        "statistics": _statistics(features_nf, feature_names(regions_rc.shape), is_b_n),
        "regions": regions_rc.round(3).tolist(),
        "region_features": list(CELL_FEATURES),
        "effective_images": effective_number(_weights(both, apart)),
        "images": {
            name: [
                {"image": both.image_id(at), "at": at, "prob_b": round(float(apart.probs_n[at]), 3)} for at in chosen
            ]
            for name, chosen in {
                "of B, least like A": of_b[:num_shown],
                "of A, least like B": of_a[::-1][:num_shown],
                "of A, most like B": of_a[:num_shown],
            }.items()
        },
    }


def _of_set(each: _Set) -> dict[str, Any]:
    sizes = Counter(each.table.size(row) for row in range(len(each.table))).most_common(SIZES_SHOWN)
    most = [{"height": height, "width": width, "images": count} for (height, width), count in sizes]
    return {"root": str(each.root), "images": len(each.table), "sizes": most}


def _verdict(apart: Apart) -> str:
    area = apart.area
    said = f"area under the ROC curve {area.mean:.3f}, 95 % interval {area.low:.3f} to {area.high:.3f}"
    if apart.area.low <= 0.5:
        return f"Nothing tells A from B ({said}; 0.5 is a guess). All weights are 1."
    return (
        f"A and B differ: given an image of each that it has not seen, a classifier names the one of B in "
        f"{area.mean:.0%} of cases ({said}; 0.5 is a guess)."
    )


def _statistics(features_nf: np.ndarray, names: Sequence[str], is_b_n: np.ndarray) -> list[dict[str, Any]]:
    """The numbers that tell most by themselves, best first."""
    areas_f = feature_areas(features_nf, is_b_n)
    medians = [np.median(features_nf[is_b_n == part], axis=0) for part in (0, 1)]
    best = np.argsort(-np.abs(areas_f - 0.5), kind="stable")[:STATISTICS]
    return [
        {
            "name": names[at],
            "area": round(float(areas_f[at]), 4),
            "median_a": round(float(medians[0][at]), 5),
            "median_b": round(float(medians[1][at]), 5),
        }
        for at in best.tolist()
    ]


def _galleries(both: _Both, numbers: dict[str, Any]) -> list[ShiftGallery]:
    return [
        ShiftGallery(
            heading[0].upper() + heading[1:],
            [(f"{each['image']}: B by {each['prob_b']:.0%}", both.image(each["at"])) for each in images],
        )
        for heading, images in numbers["images"].items()
    ]
