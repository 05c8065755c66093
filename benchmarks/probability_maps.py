"""Claim: a stored probability map takes at most a fiftieth of the space of its float32 numbers.

    python benchmarks/probability_maps.py
    python benchmarks/probability_maps.py --maps out/probs --classes 4

Writes and reads the same maps in every way in turn: raw float32, numpy's compressed file of 8-bit levels, PNG at
several compression levels, and `sever.store.ProbabilityStore`, as it is used. --maps takes those of a real `sever
predict`. Without it they are drawn: the masks of synthetic strip with borders as soft, and values as unsure, as a
network's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from common import Clock, describe_machine, make_parser, median_processor, parse, print_ratio, print_table

from sever.data.synthetic import make_strip
from sever.store import ProbabilityStore

AT_LEAST = 50
STORE = "sever's store"
PNG_LEVELS = (1, 2, 4, 6, 9)
# Which classes an image shows, in turn; in the competition, too, about half of the images are clean.
SHOWN_CLASSES = ((2,), (), (3,), (), (2,), (), (0,), (), (2, 3), ())
# Chosen so that levels are spread, and neighbours differ, as in the maps of a network trained by `sever demo`.
BORDER_PIXELS = 5.0
CLEAN_LOGIT, SURE_LOGIT = -8.7, 4.0
DOUBT_PIXELS, DOUBT_LOGITS = 12.0, 1.8
RESTLESS_PIXELS, RESTLESS_LOGITS = 1.5, 0.4


@dataclass(frozen=True)
class Format:
    """A way to keep the levels (C, H, W) uint8 of one image in a file."""

    write: Callable[[Path, np.ndarray], object]
    read: Callable[[Path], np.ndarray]


def draw_map(seed: int, index: int, height: int, width: int) -> np.ndarray:
    """Levels (C, H, W) uint8 as a network might give them: soft borders, and doubt that varies slowly."""
    rng = np.random.default_rng([seed, index])
    _, masks_chw = make_strip(seed, index, height, width, SHOWN_CLASSES[index % len(SHOWN_CLASSES)])
    levels = []
    for mask_hw in masks_chw:
        soft_hw = cv2.GaussianBlur(mask_hw.astype(np.float32), (0, 0), BORDER_PIXELS)
        doubt_hw = smooth_noise(rng, mask_hw.shape, DOUBT_PIXELS, DOUBT_LOGITS)
        restless_hw = smooth_noise(rng, mask_hw.shape, RESTLESS_PIXELS, RESTLESS_LOGITS)
        logits_hw = CLEAN_LOGIT + (SURE_LOGIT - CLEAN_LOGIT) * soft_hw + doubt_hw + restless_hw
        levels.append(np.rint(255 / (1 + np.exp(-logits_hw))).astype(np.uint8))
    return np.stack(levels)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], pixels: float, deviation: float) -> np.ndarray:
    """Noise (H, W) that is alike over some pixels."""
    noise_hw = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), pixels)
    return noise_hw * np.float32(deviation / noise_hw.std())


def read_maps(folder: Path, classes: int, count: int) -> list[np.ndarray]:
    store = ProbabilityStore(folder)
    maps = [store.read(image_id, classes) for image_id, _ in zip(store, range(count), strict=False)]
    if not maps:
        raise SystemExit(f"no probability maps in {folder}; sever predict leaves them in OUTPUT/probs")
    return maps


def write_raw(path: Path, levels_chw: np.ndarray) -> None:
    path.write_bytes((levels_chw / np.float32(255)).tobytes())


def read_raw(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    return np.rint(np.fromfile(path, np.float32).reshape(shape) * 255).astype(np.uint8)


def read_npz(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["levels"]


def write_png(path: Path, levels_chw: np.ndarray, level: int) -> None:
    done, data = cv2.imencode(".png", levels_chw.reshape(-1, levels_chw.shape[2]), [cv2.IMWRITE_PNG_COMPRESSION, level])
    assert done
    path.write_bytes(data.tobytes())


def read_png(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    stacked = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert stacked is not None
    return stacked.reshape(shape)


def make_formats(shape: tuple[int, ...]) -> dict[str, Format]:
    formats = {
        "raw float32": Format(write_raw, partial(read_raw, shape=shape)),
        "npz, 8 bit": Format(lambda path, levels: np.savez_compressed(path, levels=levels), read_npz),
    }
    for level in PNG_LEVELS:
        formats[f"PNG, level {level}"] = Format(partial(write_png, level=level), partial(read_png, shape=shape))
    formats[STORE] = Format(
        lambda path, levels: ProbabilityStore(path.parent).write(path.stem, levels),
        lambda path: ProbabilityStore(path.parent).read(path.stem, shape[0]),
    )
    return formats


@dataclass(frozen=True)
class Cost:
    """Of one image's maps, in one format."""

    bytes: int
    write: Clock
    read: Clock


def measure(way: Format, path: Path, levels_chw: np.ndarray) -> Cost:
    start = Clock.now()
    way.write(path, levels_chw)
    written = start.since()
    start = Clock.now()
    again = way.read(path)
    read = start.since()
    assert (again == levels_chw).all()
    return Cost(path.stat().st_size, written, read)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--maps", type=Path, help="the folder of a real prediction's maps")
    parser.add_argument("--classes", type=int, default=4, help="how many classes those have")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, {"images": 2, "height": 64, "width": 200})
    print(describe_machine())
    if options.maps:
        maps = read_maps(options.maps, options.classes, options.images)
    else:
        maps = [draw_map(options.seed, index, options.height, options.width) for index in range(options.images)]
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for index, levels_chw in enumerate(maps):
            for name, way in make_formats(levels_chw.shape).items():
                suffix = ".npz" if name.startswith("npz") else ".png"
                own = Path(folder) / name.replace(" ", "-")
                own.mkdir(exist_ok=True)
                costs.setdefault(name, []).append(measure(way, own / f"{index}{suffix}", levels_chw))
    sizes = {name: float(np.mean([cost.bytes for cost in found])) for name, found in costs.items()}
    raw = sizes["raw float32"]
    filled = float(np.mean([(levels > 0).mean() for levels in maps]))
    print(f"maps of {len(maps)} images, {raw / 1e6:.2f} MB each in float32, {filled:.1%} of their values above 0")
    rows = []
    for name, found in costs.items():
        write, read = ([getattr(cost, what) for cost in found] for what in ("write", "read"))
        milliseconds = [f"{1e3 * median_processor(times):.1f}" for times in (write, read)]
        rows.append([name, f"{sizes[name] / 1e3:.1f}", f"{raw / sizes[name]:.0f}", *milliseconds])
    print_table(["an image", "kB", "times smaller", "write, ms of a core", "read"], rows)
    print_ratio(raw / sizes[STORE], "float32 over what the store keeps, in bytes", AT_LEAST)


if __name__ == "__main__":
    main()
