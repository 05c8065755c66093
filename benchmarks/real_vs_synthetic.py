"""Puts real strip images beside synthetic ones in one picture, to see how alike they look.

    python benchmarks/real_vs_synthetic.py FOLDER_OF_REAL_IMAGES -o side_by_side.png
    python benchmarks/real_vs_synthetic.py FOLDER_OF_REAL_IMAGES -o quiz.png --shuffle

Labelled: real ones in the left column, synthetic ones in the right. Shuffled: all in random order and without a word;
the solution is printed. It also prints what one can measure: brightness, contrast, grain, JPEG size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sever.data.images import read_image
from sever.data.synthetic import make_strip

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
GAP = 6  # pixels of white between pictures


def read_real(folder: Path, count: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Up to `count` random images of a folder, grey, as (name, image)."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"no images in {folder}")
    chosen = sorted(rng.choice(len(paths), min(count, len(paths)), replace=False))
    return [(paths[index].name, read_image(paths[index], 1)[..., 0]) for index in chosen]


def draw_synthetic(count: int, height: int, width: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """Synthetic images of the same size, through the same JPEG. Every second one is defective at least."""
    pictures = []
    for index in range(count):
        image_hw, masks_chw = make_strip(seed, index, height, width)
        if index % 2 and not masks_chw.any():
            classes = ((2,), (3,), (0,), (2,), (1,))[index // 2 % 5]
            image_hw, masks_chw = make_strip(seed, index, height, width, classes)
        data = cv2.imencode(".jpg", image_hw, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        shown = "".join(str(number + 1) for number in np.flatnonzero(masks_chw.any(axis=(1, 2))))
        pictures.append((f"synthetic {index} {shown}".strip(), np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))))
    return pictures


def measure(images_hw: Sequence[np.ndarray]) -> dict[str, float]:
    """Medians over images: grey mean and deviation, mean step between neighbours, their correlation, JPEG size."""
    rows = []
    for image_hw in images_hw:
        strip = image_hw[:, image_hw.mean(axis=0) > 15].astype(np.float32)
        if strip.shape[1] < 16:
            continue
        fine = strip - cv2.GaussianBlur(strip, (0, 0), 8)
        size = len(cv2.imencode(".jpg", image_hw, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
        rows.append(
            {
                "mean": float(strip.mean()),
                "deviation": float(strip.std()),
                "deviation of column means": float(strip.mean(axis=0).std()),
                "deviation of row means": float(strip.mean(axis=1).std()),
                "step across": float(np.abs(np.diff(strip, axis=1)).mean()),
                "step along": float(np.abs(np.diff(strip, axis=0)).mean()),
                "correlation across": float((fine[:, 1:] * fine[:, :-1]).mean() / fine.var()),
                "correlation along": float((fine[1:] * fine[:-1]).mean() / fine.var()),
                "bytes a pixel, JPEG 90": size / image_hw.size,
            }
        )
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def label(image_hw: np.ndarray, text: str, width: int) -> np.ndarray:
    """The image at the sheet's width, its name in the corner."""
    height = round(image_hw.shape[0] * width / image_hw.shape[1])
    picture = cv2.cvtColor(cv2.resize(image_hw, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    if text:
        cv2.putText(picture, text, (5, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(picture, text, (5, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 255, 255), 1, cv2.LINE_AA)
    return picture


def stack(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures one below (0) or beside (1) the other with a gap; shorter ones are filled up with white."""
    other = 1 - axis
    longest = max(picture.shape[other] for picture in pictures)
    padded = []
    for picture in pictures:
        space = [(0, 0), (0, 0), (0, 0)]
        space[other] = (0, longest - picture.shape[other])
        space[axis] = (0, GAP)
        padded.append(np.pad(picture, space, constant_values=255))
    return np.concatenate(padded, axis=axis)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="real images")
    parser.add_argument("-o", "--output", type=Path, default=Path("side_by_side.png"))
    parser.add_argument("--count", type=int, default=12, help="images of each kind")
    parser.add_argument("--width", type=int, default=1000, help="pixels of an image in the picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffle", action="store_true", help="hide which is which")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    real = read_real(options.folder, options.count, rng)
    height, width = real[0][1].shape
    synthetic = draw_synthetic(len(real), height, width, options.seed)
    if options.shuffle:
        mixed = [*real, *synthetic]
        mixed = [mixed[index] for index in rng.permutation(len(mixed))]
        print("\n".join(f"{place + 1:3} {name}" for place, (name, _) in enumerate(mixed)))
        columns = [mixed[::2], mixed[1::2]]
    else:
        columns = [real, synthetic]
    sheets = [
        stack([label(image, "" if options.shuffle else name, options.width) for name, image in column], 0)
        for column in columns
    ]
    if not cv2.imwrite(str(options.output), stack(sheets, 1)):
        raise SystemExit(f"could not write {options.output}")
    print(f"{'median of':26} {'real':>8} {'synthetic':>10}")
    ours = measure([image for _, image in synthetic])
    for name, value in measure([image for _, image in real]).items():
        print(f"{name:26} {value:8.2f} {ours[name]:10.2f}")


if __name__ == "__main__":
    main()
