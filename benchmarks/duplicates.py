"""How many near-duplicates are found, how many found ones are none, and what that costs; beside other ways, in one run.

    python benchmarks/duplicates.py --strips 12568 --planted 300 --neu data/neu_seg --tiles data/magnetic_tile

Synthetic strip: `--planted` images have a second view, moved 40 pixels along the strip, 10 % lighter or darker, and
compressed at another quality; every fourth view is mirrored or turned by half a turn, too. NEU-Seg, where present:
pairs of one base image by its groups.csv, which the search does not read; composites are left out of the count.
Magnetic tiles, where present: a tile was photographed under up to six exposures within a few frames, so pairs whose
frame numbers lie within 150 stand for true ones. Some of them are other tiles, and some tiles came again later, so that
neither column can reach 100 %.

The others: the correlation of small pictures without light, a plain perceptual hash (8x8 of a discrete cosine
transform, at most 10 bits apart), and two hashes of imagededup where `--imagededup-python` names the Python of an
environment that has it (`uv venv dedup && uv pip install --python dedup/bin/python imagededup`). Claims: at least 98 %
found at 98 % precision on strip, 95 % at 95 % on NEU-Seg.
"""

from __future__ import annotations

import csv
import json
import re
import resource
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from common import Clock, describe_machine, make_parser, parse, print_ratio, print_table

from sever.data.duplicates import find_duplicates
from sever.data.images import image_size, read_image
from sever.data.synthetic import SynthSettings
from sever.data.synthetic.files import draw_image, prepare_worker, write_picture

SHIFT = 40  # pixels along the strip
LIGHT = 0.1
QUALITIES = (95, 80)
OVERLAP = 0.95
HASH_BITS_APART = 10  # imagededup's default, too
IMAGEDEDUP_HASHES = ("PHash", "DHash")
ALIKE = 0.9
NEAR_FRAMES = 150
NO_TRUTH = ("composite", "unmatched")
Pairs = set[tuple[int, int]]


class Images(NamedTuple):
    name: str
    paths: list[Path]
    true: Pairs
    counted: np.ndarray  # which images take part in the count


def planted_strips(folder: Path, count: int, planted: int, height: int, width: int) -> Images:
    """Write strips, the first `planted` of them twice; what is in the folder already stays."""
    settings = SynthSettings(count, 1, height, width + SHIFT, workers=1)
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(initializer=prepare_worker) as pool:
        list(pool.map(partial(write_strip, folder, settings, planted), range(count), chunksize=16))
    firsts = [folder / f"{index:05}.jpg" for index in range(count)]
    seconds = [folder / f"{index:05}-again.jpg" for index in range(planted)]
    true = {(index, count + index) for index in range(planted)}
    return Images("synthetic strip", firsts + seconds, true, np.ones(count + planted, bool))


def write_strip(folder: Path, settings: SynthSettings, planted: int, index: int) -> None:
    paths = [folder / f"{index:05}.jpg", folder / f"{index:05}-again.jpg"][: 2 if index < planted else 1]
    if all(path.is_file() for path in paths):
        return
    broad_hw, _ = draw_image(settings, index)
    light = 1 + LIGHT * (-1) ** index
    again = np.clip(broad_hw[:, SHIFT:] * light, 0, 255).astype(np.uint8)
    if index % 4 == 0:
        again = np.ascontiguousarray((again[:, ::-1], again[::-1], again[::-1, ::-1])[index // 4 % 3])
    for path, view, quality in zip(paths, (broad_hw[:, :-SHIFT], again), QUALITIES, strict=False):
        write_picture(path, np.ascontiguousarray(view), quality)


def neu(root: Path) -> Images:
    with (root / "groups.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups = [row["group"] for row in rows]
    counted = np.array([group not in NO_TRUTH for group in groups])
    members: dict[str, list[int]] = {}
    for at in np.flatnonzero(counted).tolist():
        members.setdefault(groups[at], []).append(at)
    true = {(a, b) for same in members.values() for a in same for b in same if a < b}
    return Images("NEU-Seg", [root / "images" / row["split"] / row["image"] for row in rows], true, counted)


def tiles(root: Path) -> Images:
    paths = sorted((root / "images").iterdir())
    frames = [int(re.search(r"num_(\d+)", path.name)[1]) for path in paths]  # type: ignore[index]
    true = {(a, b) for b in range(len(paths)) for a in range(b) if abs(frames[a] - frames[b]) <= NEAR_FRAMES}
    return Images("Magnetic tiles", paths, true, np.ones(len(paths), bool))


def ours(images: Images) -> Pairs:
    sizes = [image_size(path) for path in images.paths]
    return {(found.first, found.second) for found in find_duplicates(images.paths, sizes, OVERLAP)}


def correlation(images: Images) -> Pairs:
    prints = np.stack([_without_shading(read_image(path, 1)[..., 0]) for path in images.paths])
    return {(int(a), int(b)) for a, b in np.argwhere(np.triu(prints @ prints.T, 1) > ALIKE)}


def _without_shading(image_hw: np.ndarray) -> np.ndarray:
    small = cv2.resize(image_hw, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 6)
    detail -= detail.mean()
    return (detail / (np.linalg.norm(detail) + 1e-9)).ravel()


def plain_hash(images: Images) -> Pairs:
    bits = np.stack([_hash(read_image(path, 1)[..., 0]) for path in images.paths])
    signs = bits.astype(np.float32) * 2 - 1
    pairs: Pairs = set()
    for start in range(0, len(signs), 1024):
        apart = (signs.shape[1] - signs[start : start + 1024] @ signs.T) / 2
        found = np.add(np.argwhere(apart <= HASH_BITS_APART), (start, 0))
        pairs |= {(int(a), int(b)) for a, b in found if a < b}
    return pairs


def _hash(image_hw: np.ndarray) -> np.ndarray:
    coarse = cv2.dct(cv2.resize(image_hw, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8].ravel()[
        1:
    ]
    return coarse > np.median(coarse)


def with_imagededup(python: Path, method: str, images: Images) -> tuple[Pairs, Clock]:
    """Pairs and time by another Python."""
    script = Path(__file__).with_name("imagededup_pairs.py")
    asked = {"paths": list(map(str, images.paths)), "method": method, "bits": HASH_BITS_APART}
    done = subprocess.run([python, script], input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {script} ended with {done.returncode}:\n{done.stderr}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return {(a, b) for a, b in answer["pairs"]}, Clock(answer["wall"], answer["processor"])


def timed(search: Callable[[Images], Pairs], images: Images) -> tuple[Pairs, Clock]:
    start = Clock.now()
    return search(images), start.since()


def measure(images: Images, found: Pairs, took: Clock) -> tuple[list[str], float]:
    counted = {(a, b) for a, b in found if images.counted[a] and images.counted[b]}
    right = len(counted & images.true)
    recall, precision = right / len(images.true), right / max(1, len(counted))
    cells = [str(len(counted)), f"{recall:.1%}", f"{precision:.1%}", f"{took.wall:.0f} s", f"{took.processor:.0f} s"]
    return cells, recall


def compare(images: Images, imagededup_python: Path | None) -> float:
    """Print the table of one set of images; returns how many times as many pairs ours finds as the plain hash."""
    searches: dict[str, Callable[[Images], tuple[Pairs, Clock]]] = {
        "sever data check": partial(timed, ours),
        "correlation of small pictures": partial(timed, correlation),
        "plain perceptual hash": partial(timed, plain_hash),
    }
    if imagededup_python is not None:
        searches |= {
            f"imagededup {method}": partial(with_imagededup, imagededup_python, method) for method in IMAGEDEDUP_HASHES
        }
    results = {name: measure(images, *search(images)) for name, search in searches.items()}
    print(f"\n{images.name}: {len(images.paths)} images, {len(images.true)} true pairs")
    print_table(
        ("", "pairs", "found", "precision", "wall", "processor"),
        [(name, *cells) for name, (cells, _) in results.items()],
    )
    return results["sever data check"][1] / max(1e-9, results["plain perceptual hash"][1])


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--strips", type=int, default=12568)
    parser.add_argument("--planted", type=int, default=300)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--neu", type=Path, help="NEU-Seg with its groups.csv")
    parser.add_argument("--tiles", type=Path, help="magnetic tiles")
    parser.add_argument("--work", type=Path, help="folder to keep the strips in for another run")
    parser.add_argument("--imagededup-python", type=Path, help="Python of a separate environment with imagededup")
    options = parse(parser, {"strips": 12, "planted": 3, "height": 96, "width": 1200})
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        strips = planted_strips(folder, options.strips, options.planted, options.height, options.width)
        ratio = compare(strips, options.imagededup_python)
    if options.neu is not None:
        compare(neu(options.neu), options.imagededup_python)
    if options.tiles is not None:
        compare(tiles(options.tiles), options.imagededup_python)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    print_ratio(ratio, "planted pairs found by sever over those found by the plain hash")


if __name__ == "__main__":
    main()
