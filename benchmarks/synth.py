"""How fast synthetic strip is made: images a second on one core, by part, and what all cores gain, in one run.

    python benchmarks/synth.py --images 200

Claim: at least 20 images of 1600x256 a second and core, drawing, masks, JPEG and run lengths included.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
from common import describe_machine, make_parser, parse, print_ratio

from sever.data import rle
from sever.data.synthetic import SynthSettings, write_dataset
from sever.data.synthetic.files import draw_image, prepare_worker, write_picture


def time_parts(settings: SynthSettings, images: int, folder: Path) -> dict[str, float]:
    """Processor seconds an image for each part of the work, in this process and on one thread: a busy machine's other
    work doesn't count."""
    parts = {"generate": 0.0, "write JPEG": 0.0, "run lengths": 0.0}
    draw_image(settings, 0)
    for index in range(images):
        start = time.process_time()
        image_hw, masks_chw = draw_image(settings, index)
        drawn = time.process_time()
        write_picture(folder / "strip.jpg", image_hw, settings.jpeg_quality)
        written = time.process_time()
        rle.encode_masks(masks_chw)
        parts["generate"] += (drawn - start) / images
        parts["write JPEG"] += (written - drawn) / images
        parts["run lengths"] += (time.process_time() - written) / images
    return parts


def time_dataset(settings: SynthSettings, root: Path) -> float:
    """Images a second of the whole command, starting the processes included."""
    start = time.perf_counter()
    write_dataset(root, settings)
    return (settings.train + settings.test) / (time.perf_counter() - start)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parse(parser, {"images": 4})
    print(describe_machine())
    cv2.setNumThreads(1)
    settings = SynthSettings(train=max(1, options.images - 1), test=1, workers=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = time_dataset(settings, folder / "alone")
        together = time_dataset(replace(settings, workers=options.workers), folder / "together")
        prepare_worker()
        parts = time_parts(settings, options.images, folder)
    for part, seconds in parts.items():
        print(f"{part:12} {1e3 * seconds:7.1f} ms an image")
    print(f"one core     {1 / sum(parts.values()):7.1f} images/s")
    print(f"command      {alone:7.1f} images/s with 1 process")
    print(f"command      {together:7.1f} images/s with {options.workers}")
    print_ratio(together / alone, f"{options.workers} processes over 1, starting them included")


if __name__ == "__main__":
    main()
