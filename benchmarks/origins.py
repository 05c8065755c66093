"""What it costs to know an image by its content: hashing the whole file beside decoding it, and beside head and tail.

    python benchmarks/origins.py

The ratio is that of decoding a JPEG to hashing it. Synthetic strips of 256x1600, as JPEG (as in 2019), PNG and BMP.
Hashing is timed on files that were just read, so that the disk has no part in it; decoding is `read_image`, as
prediction does it. What head and tail alone would miss is a change in the midst of a BMP, or of a PNG whose size stays.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
from common import describe_machine, make_parser, parse, print_ratio

from sever.data.images import read_image
from sever.data.synthetic.strip import make_strip
from sever.store.origin import image_digest

IMAGES_OF_2019 = 12_568
ENDS = 64 << 10  # bytes of head and of tail


def blake2b(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def head_and_tail(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.blake2b(file.read(ENDS), digest_size=16)
        file.seek(max(0, path.stat().st_size - ENDS))
        digest.update(file.read())
    return digest.hexdigest()


WAYS: dict[str, Callable[[Path], object]] = {
    "decode": lambda path: read_image(path, 1),
    "sha256, whole file": image_digest,
    "blake2b, whole file": blake2b,
    "blake2b, head and tail": head_and_tail,
}


def milliseconds(way: Callable[[Path], object], files: list[Path], rounds: int) -> float:
    """The median over the rounds of the mean time a file, by the clock of this process: others do not count."""
    means = []
    for _ in range(rounds):
        start = time.process_time()
        for file in files:
            way(file)
        means.append(1000 * (time.process_time() - start) / len(files))
    return statistics.median(means)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parse(parser, {"images": 2, "rounds": 1})
    print(describe_machine())
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        ratio = 0.0
        strips = [make_strip(0, index, 256, 1600)[0] for index in range(options.images)]
        for suffix in (".jpg", ".png", ".bmp"):
            files = [Path(folder) / f"{index}{suffix}" for index in range(options.images)]
            for file, strip_hw in zip(files, strips, strict=True):
                assert cv2.imwrite(str(file), cv2.cvtColor(strip_hw, cv2.COLOR_GRAY2BGR))
            kib = statistics.mean(file.stat().st_size for file in files) / 1024
            times = {name: milliseconds(way, files, options.rounds) for name, way in WAYS.items()}
            ratio = ratio or times["decode"] / times["sha256, whole file"]
            print(f"{suffix}, {kib:.0f} KiB")
            for name, took in times.items():
                share = f"{took / times['decode']:.1%} of decoding" if name != "decode" else ""
                print(
                    f"  {name:24} {took:6.3f} ms, {took * IMAGES_OF_2019 / 1000:6.1f} s for {IMAGES_OF_2019:,}  {share}"
                )
    print_ratio(ratio, "decoding a JPEG over hashing it")


if __name__ == "__main__":
    main()
