"""Claim: reading an image and noticing its damage costs no more than decoding it by OpenCV, which only prints a line.

    python benchmarks/damage.py

Plants faults in the middle of JPEGs of synthetic strip (bytes zeroed, replaced or lost) and counts which of them OpenCV
prints a line about or refuses, and which sever refuses. Damage of which no decoder sees anything is counted, too: a
JPEG has no checksum, and its codes soon make sense again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from common import Clock, describe_machine, make_parser, median_processor, parse, print_ratio, print_table, write_strip

from sever.data.images import read_header, read_image
from sever.errors import InputError

HEIGHT, WIDTH = 256, 1600
LENGTHS = (1, 4, 16, 64, 256, 1024)  # bytes
KINDS = ("zeroed", "replaced", "lost")
REPEATS = 5


def damaged(data: bytes, kind: str, length: int, rng: np.random.Generator) -> bytes:
    """Some bytes changed behind the header, which has 623 bytes here."""
    start = int(rng.integers(700, len(data) - length - 2))
    new = {"zeroed": bytes(length), "replaced": rng.bytes(length), "lost": b""}[kind]
    return data[:start] + new + data[start + length :]


def opencv_says(data: bytes) -> bool:
    """Whether OpenCV gives no pixels, or its JPEG library prints anything."""
    with tempfile.TemporaryFile() as said:
        kept = os.dup(sys.stderr.fileno())
        os.dup2(said.fileno(), sys.stderr.fileno())
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        os.dup2(kept, sys.stderr.fileno())
        os.close(kept)
        return pixels is None or said.tell() > 0 or os.fstat(said.fileno()).st_size > 0


def sever_says(path: Path) -> bool:
    try:
        read_header(path)
    except InputError:
        return True
    return False


def plant(images: list[bytes], faults: int, path: Path) -> dict[int, Counter[str]]:
    """By the number of bytes: how many faults there were, and who noticed."""
    rng = np.random.default_rng(0)
    seen = {length: Counter[str]() for length in LENGTHS}
    for number in range(faults):
        length = LENGTHS[number // len(KINDS) % len(LENGTHS)]
        data = damaged(images[number % len(images)], KINDS[number % len(KINDS)], length, rng)
        path.write_bytes(data)
        theirs, ours = opencv_says(data), sever_says(path)
        seen[length] += Counter(faults=1, opencv=theirs, sever=ours, missed=theirs and not ours)
    return seen


def timed(paths: list[Path], opencv: list[Clock], reading: list[Clock], header: list[Clock]) -> None:
    """One pass over all images in each way, in turn, so that other work hits all alike."""
    for path in paths:
        start = Clock.now()
        cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        opencv.append(start.since())
        start = Clock.now()
        read_image(path, 3)
        reading.append(start.since())
        start = Clock.now()
        read_header(path)
        header.append(start.since())


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--faults", type=int, default=1800)
    options = parse(parser, {"faults": 36})
    print(describe_machine())
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = write_strip(Path(folder) / "data", 10, HEIGHT, WIDTH)
        paths = sorted((root / "train_images").iterdir())
        seen = plant([path.read_bytes() for path in paths], options.faults, Path(folder) / "damaged.jpg")
        clocks: tuple[list[Clock], list[Clock], list[Clock]] = ([], [], [])
        for _ in range(REPEATS):
            timed(paths, *clocks)
    rows = [
        (f"{length} bytes", counts["faults"], counts["opencv"], counts["sever"], counts["missed"])
        for length, counts in seen.items()
    ]
    print_table(("damage", "faults", "OpenCV prints or refuses", "sever refuses", "of those missed"), rows)
    opencv, reading, header = (1e3 * median_processor(clock) for clock in clocks)
    print(
        f"a core decodes by OpenCV in {opencv:.2f} ms, reads and checks in {reading:.2f}, checks alone in {header:.2f}"
    )
    print_ratio(opencv / reading, "OpenCV's decoding over reading with the check", 0.9)


if __name__ == "__main__":
    main()
