"""Claim: `sever data shift` calls a set and itself alike, and finds a change of light, sharpness or steel.

    python benchmarks/shift.py
    python benchmarks/shift.py --data data/neu_seg --other tiles=data/magnetic_tile --most 500

A set is halved at random, by groups where it has any, and the halves are told apart: by chance alone one time in forty
the interval lies above 0.5. Then one half is changed (light, noise, blur, a darker edge) and told from the other, and
last from other sets. Every row is what the command prints: the area under the ROC curve with its 95 % interval.
Without --data the set is synthetic strip, and the other one strip of another seed, which is no other kind of strip.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from common import describe_machine, make_parser, parse, print_ratio, print_table, write_strip

from sever.config import DataSettings
from sever.data.images import read_image
from sever.data.layouts import has_format, read_images, read_table
from sever.data.table import ImageTable
from sever.pipeline.data.shift import compare_sets

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def dark_edge(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """The left eighth at 85 % of its light."""
    changed = pixels.astype(np.float32)
    changed[:, : pixels.shape[1] // 8] *= 0.85
    return changed


CHANGES: dict[str, Change] = {
    "nothing": lambda pixels, _: pixels,
    "2 % more light": lambda pixels, _: pixels * np.float32(1.02),
    "10 % more light": lambda pixels, _: pixels * np.float32(1.10),
    "noise of 2 levels": lambda pixels, random: pixels + random.normal(0, 2, pixels.shape),
    "a blur of 0.7 pixels": lambda pixels, _: cv2.GaussianBlur(pixels, (0, 0), 0.7),
    "a darker edge": dark_edge,
}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="a data set in any layout")
    parser.add_argument("--other", nargs="*", default=[], metavar="NAME=FOLDER", help="sets to tell the first one from")
    parser.add_argument("--most", type=int, default=400, help="images of a set, drawn at random")
    parser.add_argument("--halvings", type=int, default=5, help="random halvings of the set")
    parser.add_argument("--draws", type=int, default=500, help="of the interval")
    options = parse(parser, {"most": 40, "halvings": 2, "draws": 20})
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = options.data or write_strip(work / "strip", options.most, 128, 400)
        table = sample(data, options.most, 0)
        rows = [
            (
                f"{'nothing' if not seed else 'nothing, halved anew'}",
                *told(work, table, CHANGES["nothing"], seed, options),
            )
            for seed in range(options.halvings)
        ]
        rows += [
            (name, *told(work, table, change, 0, options)) for name, change in CHANGES.items() if name != "nothing"
        ]
        named = dict(each.split("=", 1) for each in options.other)
        others = {name: Path(path) for name, path in named.items()}
        if options.data is None:
            others["other strip"] = write_strip(work / "other", options.most, 128, 400, seed=1)
        for name, root in others.items():
            copy(table, range(len(table)), work / name / "a", CHANGES["nothing"])
            other = sample(root, options.most, 0)
            copy(other, range(len(other)), work / name / "b", CHANGES["nothing"])
            rows.append((name, *shift(work / name, options.draws)))
    print_table(
        ("what differs", "area", "interval", "told apart"),
        [
            (name, f"{area:.3f}", f"{low:.3f} to {high:.3f}", "yes" if low > 0.5 else "no")
            for name, area, low, high in rows
        ],
    )
    same = [row for row in rows if row[0].startswith("nothing")]
    print(f"halves of one set told apart: {sum(row[2] > 0.5 for row in same)} of {len(same)}")
    light = next(row for row in rows if row[0] == "10 % more light")
    print_ratio(light[1] / float(np.mean([row[1] for row in same])), "area for 10 % more light over that for nothing")


def sample(root: Path, most: int, seed: int) -> ImageTable:
    settings = DataSettings(root=root)
    table = (
        read_table(settings, thorough=False)[0]
        if has_format(settings)
        else read_images(root, ("defect",), False, settings.include, settings.max_pixels)[0]
    )
    chosen = np.random.default_rng(seed).permutation(len(table))[:most]
    return table.take(sorted(chosen.tolist()))


def told(work: Path, table: ImageTable, change: Change, seed: int, options: object) -> tuple[float, float, float]:
    """One half of the groups as it is, the other changed."""
    groups = [group if isinstance(group, str) and group else str(row) for row, group in enumerate(table.frame["group"])]
    random = np.random.default_rng(seed)
    names = random.permutation(sorted(set(groups)))
    second = set(names[len(names) // 2 :].tolist())
    place = Path(tempfile.mkdtemp(dir=work))
    copy(table, [row for row, group in enumerate(groups) if group not in second], place / "a", CHANGES["nothing"])
    copy(table, [row for row, group in enumerate(groups) if group in second], place / "b", change)
    return shift(place, options.draws)  # type: ignore[attr-defined]


def copy(table: ImageTable, rows: object, folder: Path, change: Change) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for row in rows:  # type: ignore[attr-defined]
        pixels = read_image(table.paths[row], 1)[..., 0]
        changed = np.clip(np.round(np.asarray(change(pixels, random))), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row:05}.png"), changed)


def shift(place: Path, draws: int) -> tuple[float, float, float]:
    roots = DataSettings(root=place / "a"), DataSettings(root=place / "b")
    area = compare_sets(roots, place / "out", False, draws, 4)["area"]
    return area["mean"], area["low"], area["high"]


if __name__ == "__main__":
    main()
