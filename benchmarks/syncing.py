"""What it costs to bring maps to the disk one by one (fsync), against leaving that to the kernel; prints a ratio."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from common import describe_machine, make_parser, parse, print_ratio

from sever.files import atomic_path


def seconds(folder: Path, content: bytes, count: int, durable: bool) -> float:
    start = time.perf_counter()
    for number in range(count):
        with atomic_path(folder / f"{number}.png", durable) as temporary:
            temporary.write_bytes(content)
    return time.perf_counter() - start


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=30, help="a map of 4 x 256 x 1600 has about as many")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parse(parser, {"maps": 20})
    print(describe_machine())
    content = np.random.default_rng(0).bytes(1000 * options.kilobytes)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        plain = seconds(Path(temporary) / "plain", content, options.maps, durable=False)
        synced = seconds(Path(temporary) / "synced", content, options.maps, durable=True)
    each = 1000 * (synced - plain) / options.maps
    print(f"{options.maps} maps: {plain:.2f} s, synced {synced:.2f} s; {each:.2f} ms a map more")
    print_ratio(synced / plain, "writing maps with a sync each over leaving that to the kernel")


if __name__ == "__main__":
    main()
