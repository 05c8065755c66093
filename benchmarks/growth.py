"""What `benchmarks/inference.py` asks of time: does a long job grow, and how long does one strip take on a line?"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from common import print_ratio, print_table

from sever.data.synthetic import make_strip
from sever.pipeline.inference.load import load_model

MEGA = 2**20
# Different pictures; beyond them names alone differ.
PICTURES = 100
_CHILD = """
import resource, sys, time
from sever.cli import main
start = time.perf_counter()
try:
    main()
except SystemExit as end:
    if end.code:
        raise
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"GROWTH {time.perf_counter() - start:.3f} {peak}")
"""


def tell_growth(path: Path, folder: Path, most: int, size: Sequence[int]) -> None:
    """`sever predict` in a process of its own, of 100 images and more: seconds an image, and the most memory held."""
    counts = sorted({min(100, most), *(count for count in (1000, 10_000) if count < most), most})
    rows, peaks = [], []
    for count in counts:
        images = _many_images(folder / f"images-{count}", count, size)
        seconds, peak = _predict(path, images, folder / f"out-{count}")
        peaks.append(peak)
        rows.append((count, f"{seconds:.1f}", f"{1e3 * seconds / count:.2f}", f"{peak / MEGA:.0f}"))
    print_table(["images", "seconds", "ms an image", "MB at most"], rows)
    print_ratio(peaks[0] / peaks[-1], f"memory of {counts[0]} images over that of {counts[-1]}", 0.95)


def _many_images(folder: Path, count: int, size: Sequence[int]) -> Path:
    folder.mkdir()
    for number in range(min(count, PICTURES)):
        strip_hw, _ = make_strip(0, number, size[0], size[1], (number % 4,) if number % 2 else ())
        cv2.imwrite(str(folder / f"{number:06}.jpg"), strip_hw, [cv2.IMWRITE_JPEG_QUALITY, 95])
    for number in range(PICTURES, count):
        os.link(folder / f"{number % PICTURES:06}.jpg", folder / f"{number:06}.jpg")
    return folder


def _predict(path: Path, images: Path, output: Path) -> tuple[float, int]:
    """Seconds of the command, and the most bytes that its process held."""
    words = ["predict", "--model", path, "--images", images, "-o", output, "--sheet", 0]
    done = subprocess.run([sys.executable, "-c", _CHILD, *map(str, words)], capture_output=True, text=True, check=False)
    (line,) = (
        (line for line in done.stdout.splitlines() if line.startswith("GROWTH")) if done.returncode == 0 else ("",)
    )
    assert line, done.stderr
    seconds, kilobytes = line.split()[1:]
    return float(seconds), int(kilobytes) * 1024


def tell_latency(path: Path, frames: int, size: Sequence[int]) -> None:
    """One strip at a time, from pixels in memory to masks, on all cores; the first tenth beside the last."""
    model = load_model(path)
    strips = [
        make_strip(0, number, size[0], size[1], (number % 4,) if number % 2 else ())[0][..., None]
        for number in range(16)
    ]
    for strip in strips[:3]:
        model.inspect_pixels([strip])
    times, held = np.zeros(frames), [_held()]
    for frame in range(frames):
        start = time.perf_counter()
        (found,) = model.inspect_pixels([strips[frame % len(strips)]])
        assert found.masks.shape[1:] == tuple(size)
        times[frame] = time.perf_counter() - start
        if frame == max(frames // 10, 1) - 1:
            held.append(_held())
    held.append(_held())
    tenth = max(frames // 10, 1)
    rows = [
        (name, *(f"{1e3 * value:.2f}" for value in (*np.percentile(part, (50, 99)), part.max())))
        for name, part in (("all frames", times), ("first tenth", times[:tenth]), ("last tenth", times[-tenth:]))
    ]
    print_table([f"{frames} frames of {size[0]}x{size[1]}", "p50 ms", "p99 ms", "longest"], rows)
    print(f"memory {held[0] / MEGA:.0f} MB before, {held[1] / MEGA:.0f} after a tenth, {held[2] / MEGA:.0f} at the end")
    print_ratio(held[1] / held[2], "memory after a tenth of the frames over that at the end", 0.95)


def _held() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.is_file() else 1
