"""A trained model into the manifest of its bundle: all but what running it shows; knows no graph and no runtime."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from sever import __version__
from sever.data.table import ImageTable
from sever.decide.bootstrap import Interval, column_intervals, mean_interval
from sever.deliver.canvas import palette
from sever.store import Evidence
from sever.store.bundle.manifest import (
    FORMAT,
    BundleRecord,
    ClassStatistics,
    LicenceRecord,
    NetworkRecord,
    ScoresRecord,
    StatisticsRecord,
)
from sever.store.records import IntervalRecord

if TYPE_CHECKING:
    # Which knows torch: a bundle is verified without it.
    from sever.pipeline.export.trained import TrainedModel

MOST_SIZES = 5
# Images whose brightness is measured.
SAMPLE_IMAGES = 200


def manifest_of(
    trained: TrainedModel, networks: Sequence[NetworkRecord], torch: str | None, licence: str
) -> BundleRecord:
    """Without statistics, scores and certificate."""
    data = trained.first.config.data
    return BundleRecord(
        format=FORMAT,
        name=trained.name,
        kind=trained.kind,
        sever=__version__,
        class_names=trained.class_names,
        class_colours=tuple("#" + bytes(colour).hex() for colour in palette(len(trained.class_names))),
        significant_bits=data.significant_bits,
        max_pixels=data.max_pixels,
        networks=tuple(networks),
        model=trained.node,
        rules=trained.rules,
        torch=torch,
        licences=licences_of(trained, licence),
        parts={},
    )


def licences_of(trained: TrainedModel, licence: str) -> tuple[LicenceRecord, ...]:
    """Of the trained weights as their owner says, and of what they grew from."""
    found = [LicenceRecord(of="the trained weights", licence=licence)]
    for network in trained.networks:
        model = network.config.model
        if model.weights != "none":
            of = f"the pretrained encoder {model.encoder}"
            known = "as its page on the model hub says" if model.weights == "hub" else "Apache-2.0"
            found.append(LicenceRecord(of=of, licence=known))
    found.append(LicenceRecord(of="sever, which wrote this file", licence="Apache-2.0"))
    return tuple(dict.fromkeys(found))


def statistics_of(table: ImageTable, brightness: Sequence[float]) -> StatisticsRecord:
    """Of the training images; `brightness`: mean of some of them, 0..255."""
    present = table.has_class()
    sizes: dict[tuple[int, int], int] = {}
    pixels = np.zeros(table.num_classes, np.int64)
    for row in range(len(table)):
        sizes[table.size(row)] = sizes.get(table.size(row), 0) + 1
        pixels += table.mask(row).astype(bool).sum(axis=(1, 2)) if present[row].any() else 0
    common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:MOST_SIZES]
    classes = [
        ClassStatistics(images=int(images), pixels=int(count))
        for images, count in zip(present.sum(0), pixels, strict=True)
    ]
    quantiles = (
        np.quantile(np.asarray(brightness, np.float64), (0.01, 0.5, 0.99)).round(2).tolist() if brightness else None
    )
    return StatisticsRecord(
        images=len(table),
        clean_images=int((~present.any(axis=1)).sum()),
        classes=tuple(classes),
        sizes=tuple((height, width, count) for (height, width), count in common),
        brightness=None if quantiles is None else tuple(quantiles),
    )


def scores_of(
    of: str, dice_nc: np.ndarray, empty_share: float, groups: Sequence[object] | np.ndarray | None
) -> ScoresRecord:
    """Mean Dice with its interval, and that of each class."""
    return ScoresRecord(
        of=of,
        images=len(dice_nc),
        dice=as_record(mean_interval(dice_nc, groups)),
        dice_per_class=tuple(map(as_record, column_intervals(dice_nc, groups))),
        dice_all_empty=empty_share,
    )


def evidence_scores(evidence: Evidence) -> ScoresRecord:
    """Out of fold, as the score table of a cross-validation or a blend has it."""
    pairs = evidence.read_pairs()
    table = pairs.pivot(index="image_id", columns="class_id", values="dice")
    groups = pairs.drop_duplicates("image_id").set_index("image_id").loc[table.index, "group"].to_numpy()
    empty = float((pairs["true_pixels"] == 0).mean())
    return scores_of("out of fold", table.to_numpy(np.float64), empty, groups)


def as_record(interval: Interval) -> IntervalRecord:
    return IntervalRecord(mean=interval.mean, low=interval.low, high=interval.high)


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
