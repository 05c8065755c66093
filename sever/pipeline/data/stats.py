"""`sever data stats`: one data set in numbers, or two side by side, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sever import __version__
from sever.config import DataSettings
from sever.counted import counted
from sever.data.faults import images_of
from sever.data.layouts import read_table
from sever.data.stats import QUANTILES, PixelStats, label_stats, pixel_stats, propose
from sever.deliver.stats_page import render_stats_page
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.progress import meter, warn

PIXEL_QUANTILES = tuple(step / 20 for step in range(21))
SIZES_SHOWN = 8
OF_PIXELS = ("brightness", "contrast", "saturated", "black", "margins")


def describe_data(sets: Sequence[DataSettings], most_images: int) -> dict[str, Any]:
    """The numbers of each data set; pixels are looked at in at most `most_images` images of each."""
    return {
        "version": __version__,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quantiles": list(QUANTILES),
        "pixel_quantiles": list(PIXEL_QUANTILES),
        "sets": [
            {"name": name, **_describe(settings, most_images)}
            for name, settings in zip(_names(sets), sets, strict=True)
        ],
    }


@writes_to("page", whole=True)
def write_stats(sets: Sequence[DataSettings], most_images: int, page: Path) -> dict[str, Any]:
    """The same, as a page. Raises InputError where something else has its name."""
    home = OutputFolder(page.parent)
    home.claim([page.name])
    numbers = describe_data(sets, most_images)
    home.write_text(page.name, render_stats_page(numbers))
    return numbers


def _names(sets: Sequence[DataSettings]) -> list[str]:
    """Short names where they differ, else the folders as given."""
    short = [settings.root.resolve().name for settings in sets]
    return short if len(set(short)) == len(short) else [str(settings.root) for settings in sets]


def _describe(settings: DataSettings, most_images: int) -> dict[str, Any]:
    table, skipped = read_table(settings)
    if skipped:
        warn(f"{settings.root}: left out {counted(len(images_of(skipped)), 'image')} (--skip-bad)")
    with meter(f"{settings.root}: labels", len(table)) as progress:
        labels = label_stats(table, progress.advance)
    with meter(f"{settings.root}: pixels", min(most_images, len(table))) as progress:
        pixels = pixel_stats(table, most_images, progress.advance, settings.max_pixels)
    numbers = asdict(labels)
    sizes = numbers.pop("sizes")
    return {
        "root": str(settings.root),
        **numbers,
        "classes_an_image": {str(number): images for number, images in labels.classes_an_image.items()},
        "number_of_sizes": len(sizes),
        "sizes": [{"height": height, "width": width, "images": count} for height, width, count in sizes[:SIZES_SHOWN]],
        "pixels": _of_pixels(pixels),
        "proposals": [{**asdict(each), "text": _as_yaml(each.value)} for each in propose(labels, pixels)],
    }


def _of_pixels(pixels: PixelStats) -> dict[str, Any]:
    """Values of single images become quantiles: there may be thousands."""
    lists = {name: np.quantile(getattr(pixels, name), PIXEL_QUANTILES).round(5).tolist() for name in OF_PIXELS}
    rest = {name: getattr(pixels, name) for name in ("images", "bits_used", "coloured")}
    return {**rest, "bit_depths": {str(depth): images for depth, images in pixels.bit_depths.items()}, **lists}


def _as_yaml(value: Any) -> str:
    """A value as it is written in an experiment."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
