"""Claim: run lengths of four masks of 256x1600 are written and read back in under 4 ms, far faster than by loops.

The loops are the way most people first write it: pixel after pixel to write, run after run to read. Both ways run in
turn in this one process, over the same masks: blobs that cover about 6 % of the image, as on real strip.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from common import describe_machine, make_parser, parse, print_ratio

from sever.data import rle

CLASSES, HEIGHT, WIDTH = 4, 256, 1600


def encode_by_loop(mask_hw: np.ndarray) -> str:
    """One step of Python for every pixel."""
    runs: list[int] = []
    before = 0
    for place, value in enumerate(mask_hw.T.flatten(), start=1):
        if value and not before:
            runs += [place, 0]
        if value:
            runs[-1] += 1
        before = value
    return " ".join(map(str, runs))


def decode_by_loop(runs: str, height: int, width: int) -> np.ndarray:
    """One step of Python for every pixel of a run."""
    flat = np.zeros(height * width, np.uint8)
    numbers = [int(text) for text in runs.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for place in range(start - 1, start - 1 + length):
            flat[place] = 1
    return flat.reshape(width, height).T


def make_masks(seed: int = 0, covered: float = 0.06) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)), (0, 0), 24) for _ in range(CLASSES)]
    return np.stack([(field > np.quantile(field, 1 - covered)).astype(np.uint8) for field in fields])


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The median of several goes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parse(parser, {"repeats": 1})
    print(describe_machine())
    masks = make_masks()
    runs = rle.encode_masks(masks)
    assert runs == [encode_by_loop(mask) for mask in masks]
    assert all((decode_by_loop(text, HEIGHT, WIDTH) == rle.decode(text, HEIGHT, WIDTH)).all() for text in runs)

    def ours() -> None:
        for text in rle.encode_masks(masks):
            rle.decode(text, HEIGHT, WIDTH)

    def loops() -> None:
        for mask in masks:
            decode_by_loop(encode_by_loop(mask), HEIGHT, WIDTH)

    fast, slow = seconds(ours, options.repeats), seconds(loops, min(3, options.repeats))
    print(
        f"{CLASSES} masks of {HEIGHT}x{WIDTH}, {sum(len(text.split()) // 2 for text in runs)} runs, write and read back"
    )
    print(f"sever   {fast * 1e3:8.2f} ms")
    print(f"loops   {slow * 1e3:8.2f} ms")
    print_ratio(slow / fast, "loops over sever")


if __name__ == "__main__":
    main()
