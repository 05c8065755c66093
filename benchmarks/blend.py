"""Claim: blending eight models' stored maps takes the memory of two images, however many images there are.

    python benchmarks/blend.py
    python benchmarks/blend.py --kind median --images 400 --height 256 --width 1600

Blends the same maps of one folder in two ways in turn: image by image as `sever blend` does, and by loading all maps of
all models first, as a notebook does. Both write the same files. Memory is the peak of what arrays take.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from common import Clock, describe_machine, make_parser, parse, print_ratio, print_table

from sever.decide.ensemble import BLENDS, Blend
from sever.decide.postprocess import dequantise, quantise
from sever.decide.ranks import count_levels, ranks_of
from sever.pipeline.blend.combine import fill_maps
from sever.pipeline.blend.members import Member
from sever.store import Evidence, ProbabilityStore

CLASSES = 4
AT_LEAST = 10


def draw_map(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Levels (C, H, W) uint8: a few soft blobs on mostly zeros, as a network's map has them."""
    levels_chw = np.empty((CLASSES, height, width), np.uint8)
    for levels_hw in levels_chw:
        field_hw = cv2.GaussianBlur(generator.standard_normal((height, width), dtype=np.float32), (0, 0), 8)
        levels_hw[:] = np.clip(255 * (field_hw / field_hw.std() - 1.5), 0, 255)
    return levels_chw


def write_members(root: Path, models: int, images: int, height: int, width: int) -> list[Member]:
    generator = np.random.default_rng(0)
    names = tuple(str(number + 1) for number in range(CLASSES))
    folds = pd.DataFrame({"image_id": [f"{index:05d}.jpg" for index in range(images)], "fold": 0})
    members = [Member(Evidence(root / f"model-{index}"), names, folds, has_maps=True) for index in range(models)]
    for member in members:
        for image_id in member.image_ids:
            member.evidence.maps.write(image_id, draw_map(generator, height, width))
    return members


def blend_everything_at_once(maps: ProbabilityStore, members: Sequence[Member], blend: Blend) -> None:
    loaded = [[member.read(image_id) for image_id in member.image_ids] for member in members]
    for index, image_id in enumerate(members[0].image_ids):
        maps.write(image_id, quantise(blend([dequantise(levels[index]) for levels in loaded])))


def blend_of(kind: str, members: Sequence[Member]) -> Blend:
    """For ranks, the tables of the first image are good enough to time with."""
    if kind != "rank":
        return Blend(kind)
    firsts = [member.read(member.image_ids[0]) for member in members]
    return Blend(kind, ranks=tuple(tuple(map(tuple, ranks_of(count_levels(first)).tolist())) for first in firsts))


@dataclass(frozen=True)
class Cost:
    time: Clock
    peak_bytes: int


def measure(work: Callable[[Path], None], root: Path) -> Cost:
    """Time without, then memory with, the bookkeeping that memory needs."""
    start = Clock.now()
    work(root / "timed")
    time = start.since()
    tracemalloc.start()
    work(root / "traced")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(time, peak)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--kind", choices=list(BLENDS), default="mean")
    options = parse(parser, {"images": 12, "height": 32, "width": 64})
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        members = write_members(root, options.models, options.images, options.height, options.width)
        blend = blend_of(options.kind, members)
        streamed = measure(lambda at: fill_maps(ProbabilityStore(at), members, blend), root / "streamed")
        loaded = measure(lambda at: blend_everything_at_once(ProbabilityStore(at), members, blend), root / "loaded")
        for image_id in members[0].image_ids:
            files = [root / way / "timed" / f"{image_id}.png" for way in ("streamed", "loaded")]
            assert files[0].read_bytes() == files[1].read_bytes()
    print(f"{options.kind} of {options.models} models, {options.images} images of {options.height}x{options.width}")
    rows = [
        [name, f"{cost.peak_bytes / 2**20:.1f}", *(f"{value:.2f}" for value in (cost.time.wall, cost.time.processor))]
        for name, cost in (("image by image", streamed), ("all maps loaded first", loaded))
    ]
    print_table(["", "peak, MiB", "seconds", "seconds of a core"], rows)
    claim = AT_LEAST if options.images >= 200 else None
    print_ratio(loaded.peak_bytes / streamed.peak_bytes, "peak memory, loaded over streamed", claim)


if __name__ == "__main__":
    main()
