"""Claim: a network that has only seen drawn strip tells defects of genuine strip better than chance.

    python benchmarks/genuine_strip.py --images data/severstal/train_images --labels data/severstal/image_labels.csv

The network is the one that comes with sever (`model.weights: strip`), with its label head, on images of half the size,
as it learnt them. What is ranked are images, by how probable the label head holds each class, and by the mean of the
500 most probable pixels of a class: average precision of `any defect` and of each class, beside that of random order,
which is the share of images that show it, with a bootstrap interval over images of the gain. Without --images strip
that the program draws, which is enough to see that it runs. --labels: a CSV ImageId, c1, c2, c3, c4 of zeros and ones.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch
from common import describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import ModelSettings
from sever.data.images import read_image
from sever.data.synthetic import make_strip
from sever.decide.label_metrics import average_precision
from sever.models.losses import probabilities
from sever.models.segmenter import build_segmenter

CLASSES, PIXELS, LEVEL = 4, 500, 0.95
# Of the strip that these weights learnt (experiments/strip-weights.yml), of a largest value of 1.
MEAN, STD = 0.3407, 0.1703


def network() -> torch.nn.Module:
    settings = ModelSettings.model_validate(
        {
            "encoder": "tf_efficientnet_lite0",
            "weights": "strip",
            "in_channels": "sum",
            "decoder_channels": (96, 64, 32, 24),
            "label_head": True,
        }
    )
    return build_segmenter(settings, CLASSES + 1, [MEAN], [STD], True, num_labels=CLASSES).eval()


def scores_of(net: torch.nn.Module, image_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """By label head and by pixels, (C,) each; and how many pixels are called."""
    half_hw = cv2.resize(image_hw, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        found = net(torch.from_numpy(half_hw)[None, None])
    probs_chw = probabilities(found.mask_logits, "ce_dice")[0].numpy()
    highest = np.sort(probs_chw.reshape(CLASSES, -1), axis=1)[:, -PIXELS:].mean(axis=1)
    return found.label_logits.sigmoid()[0].numpy(), highest, int((probs_chw > 0.5).sum())


def genuine(images: Path, labels: Path) -> tuple[list[np.ndarray], np.ndarray]:
    with labels.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = np.array([[int(row[f"c{k}"]) for k in range(1, CLASSES + 1)] for row in rows], dtype=bool)
    return [read_image(images / row["ImageId"], 1)[..., 0] for row in rows], shown


def drawn(count: int) -> tuple[list[np.ndarray], np.ndarray]:
    kinds = [(), (0,), (1,), (2,), (3,), (2, 3)]
    wanted = [kinds[index % len(kinds)] for index in range(count)]
    images = [make_strip(5, index, 256, 512, classes)[0] for index, classes in enumerate(wanted)]
    return images, np.array([[k in classes for k in range(CLASSES)] for classes in wanted])


def gain(scores_n: np.ndarray, shown_n: np.ndarray, draws: int) -> tuple[float, float, float, float]:
    """Average precision, that of chance, and the interval of their difference."""
    rng, gains = np.random.default_rng(0), []
    for _ in range(draws):
        rows = rng.integers(0, len(shown_n), len(shown_n))
        if 0 < shown_n[rows].sum() < len(rows):
            gains.append(average_precision(scores_n[rows], shown_n[rows]) - shown_n[rows].mean())
    low, high = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return average_precision(scores_n, shown_n), float(shown_n.mean()), float(low), float(high)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=Path, help="folder of genuine strip, of the competition's size")
    parser.add_argument("--labels", type=Path, help="CSV ImageId, c1, c2, c3, c4")
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--drawn", type=int, default=24, help="strips to draw, without --images")
    options = parse(parser, {"draws": 50, "drawn": 12})
    images, shown_nc = genuine(options.images, options.labels) if options.images else drawn(options.drawn)
    net = network()
    found = [scores_of(net, image_hw) for image_hw in images]
    rows, chances = [], []
    for way, at in (("label head", 0), ("pixels", 1)):
        scores_nc = np.stack([each[at] for each in found])
        asked = [("any defect", scores_nc.max(axis=1), np.asarray(shown_nc.any(axis=1)))]
        asked += [(f"class {k + 1}", scores_nc[:, k], shown_nc[:, k]) for k in range(CLASSES)]
        for what, scores_n, shown_n in asked:
            if 0 < shown_n.sum() < len(shown_n):
                precision, chance, low, high = gain(scores_n, shown_n, options.draws)
                rows.append((f"{what}, {way}", f"{precision:.3f}", f"{chance:.3f}", f"[{low:+.3f}, {high:+.3f}]"))
                chances.append(precision / chance)
    print(describe_machine())
    print_table(("image-level average precision", "it", "chance", f"gain, {LEVEL:.0%}"), rows)
    clean_n = ~shown_nc.any(axis=1)
    called_n = np.array([pixels > PIXELS for *_, pixels in found])
    print(f"more than {PIXELS} pixels drawn: {(called_n & clean_n).sum()} of {clean_n.sum()} clean images")
    print(f"and {(called_n & ~clean_n).sum()} of {(~clean_n).sum()} defective ones")
    print_ratio(chances[0], "average precision of any defect by the label head, over chance")


if __name__ == "__main__":
    main()
