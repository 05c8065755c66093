"""Claim: 12,568 images and as many rows of labels become a checked table in under 2 s, faster than row by row.

The other reader goes through the rows with pandas, checks each run length in a loop and opens each image with OpenCV
to learn its size. It finds fewer faults than ours, and the time it takes is told for images and rows apart. Both read
the same temporary folder in this one process, in turn, with warm file caches. The images are hard links to one JPEG
of 1600x256.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from common import describe_machine, make_parser, parse, print_ratio

from sever.config import DataSettings
from sever.data.layouts import read_table

CLASSES, HEIGHT, WIDTH = 4, 256, 1600
MEAN_RUNS = 120
REPEATS = 5


def random_runs(rng: np.random.Generator) -> str:
    """Ascending runs, about as many and as long as those of a real mask."""
    count = int(np.clip(rng.exponential(MEAN_RUNS), 1, 1500))
    starts = np.sort(rng.choice(HEIGHT * WIDTH // 300, count, replace=False)) * 300 + 1
    lengths = rng.integers(1, 250, count)
    return " ".join(map(str, np.stack([starts, lengths], 1).ravel().tolist()))


def write_data(root: Path, count: int, seed: int = 0) -> None:
    """As many rows as images; like in the real labels, a part of the images has several and a part none."""
    rng = np.random.default_rng(seed)
    folder = root / "train_images"
    folder.mkdir()
    names = [f"{index:08x}.jpg" for index in range(count)]
    first = folder / names[0]
    texture = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8), (0, 0), 2)
    cv2.imwrite(str(first), cv2.cvtColor(texture, cv2.COLOR_GRAY2BGR))
    for name in names[1:]:
        os.link(first, folder / name)
    pairs = np.sort(rng.choice(count * CLASSES, count, replace=False))
    lines = [f"{names[pair // CLASSES]},{pair % CLASSES + 1},{random_runs(rng)}" for pair in pairs.tolist()]
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n" + "\n".join(lines) + "\n")


def sizes_by_decoding(folder: Path) -> dict[str, int]:
    """Pixels of each image."""
    sizes = {}
    for path in sorted(folder.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image is not None
        sizes[path.name] = image.shape[0] * image.shape[1]
    return sizes


def labels_row_by_row(path: Path, sizes: dict[str, int]) -> dict[str, list[str]]:
    table = {name: [""] * CLASSES for name in sizes}
    for _, row in pd.read_csv(path).iterrows():
        numbers = [int(text) for text in row["EncodedPixels"].split()]
        end = 0
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            if start <= end or length < 1 or start + length - 1 > sizes[row["ImageId"]]:
                raise ValueError(f"bad run lengths of {row['ImageId']}")
            end = start + length - 1
        table[row["ImageId"]][row["ClassId"] - 1] = row["EncodedPixels"]
    return table


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=12_568, help="images, and rows of labels")
    options = parse(parser, {"rows": 200})
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_data(root, options.rows)
        megabytes = (root / "train.csv").stat().st_size / 1e6
        times = []
        for _ in range(REPEATS):
            start, start_cpu = time.perf_counter(), time.process_time()
            table, _ = read_table(DataSettings(root=root), thorough=False)
            times.append((time.perf_counter() - start, time.process_time() - start_cpu))
        start = time.perf_counter()
        sizes = sizes_by_decoding(root / "train_images")
        images = time.perf_counter() - start
        other = labels_row_by_row(root / "train.csv", sizes)
        slow = time.perf_counter() - start
        ours = table.frame.set_index("image_id")[table.run_columns].to_numpy().tolist()
        assert ours == [other[name] for name in table.image_ids]
    fast, fast_cpu = min(times)
    print(f"{options.rows} images of {HEIGHT}x{WIDTH} and {options.rows} rows of labels ({megabytes:.1f} MB)")
    print(f"sever        {fast:8.2f} s  ({fast_cpu:.2f} s of one core; the best of {REPEATS})")
    print(f"row by row   {slow:8.2f} s  ({images:.2f} s for the images, {slow - images:.2f} s for the rows)")
    print_ratio(slow / fast, "row by row over sever, both with the sizes of the images")


if __name__ == "__main__":
    main()
