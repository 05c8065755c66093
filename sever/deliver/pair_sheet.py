"""Pairs of images beside each other, with contours around their labels, for a person to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.deliver.canvas import (
    FAINT_INK,
    GAP,
    INK,
    SMALL,
    Colour,
    blank,
    draw_contours,
    legend,
    palette,
    resize_image,
    resize_masks,
    save_png,
    stack,
    write,
)

SHEET_WIDTH = 1600  # pixels
HALF_WIDTH = (SHEET_WIDTH - 4 * GAP) // 2
LONGEST = (HALF_WIDTH - GAP) // 2  # of an image that stands beside its twin
BROAD = 2  # images this many times as broad as high stand below each other, over the whole sheet


@dataclass(frozen=True)
class Pair:
    """Two images (H, W, 1 or 3) uint8 of one size, and their masks (C, H, W)."""

    title: str
    about: str
    images: tuple[np.ndarray, np.ndarray]
    masks: tuple[np.ndarray, np.ndarray]


def pair_sheet(path: Path, pairs: Sequence[Pair], class_names: Sequence[str]) -> None:
    """Write one PNG: a legend, then of each pair two lines of text and both images."""
    assert pairs, "a sheet needs at least one pair"
    colours = palette(len(class_names))
    blocks = [_block(pair, colours) for pair in pairs]
    broad = [block for block in blocks if block.shape[1] > HALF_WIDTH]
    narrow = [block for block in blocks if block.shape[1] <= HALF_WIDTH]
    rows = [_beside(narrow[at : at + 2]) for at in range(0, len(narrow), 2)]
    save_png(path, stack([legend(class_names, colours, SHEET_WIDTH), *broad, *rows], gap=20))


def _beside(blocks: Sequence[np.ndarray]) -> np.ndarray:
    row = blank(max(len(block) for block in blocks), SHEET_WIDTH)
    for at, block in enumerate(blocks):
        left = at * (SHEET_WIDTH - HALF_WIDTH)
        row[: len(block), left : left + block.shape[1]] = block
    return row


def _block(pair: Pair, colours: Sequence[Colour]) -> np.ndarray:
    height, width = pair.images[0].shape[:2]
    is_broad = width > BROAD * height
    room, longest = SHEET_WIDTH if is_broad else LONGEST, max(height, width)
    scale = room / longest if longest > room else room // longest
    panels = [_panel(image, masks, scale, colours) for image, masks in zip(pair.images, pair.masks, strict=True)]
    lines = [blank(20, SHEET_WIDTH if is_broad else HALF_WIDTH) for _ in range(2)]
    write(lines[0], pair.title, 0, SMALL, INK)
    write(lines[1], pair.about, 0, SMALL, FAINT_INK)
    both = panels if is_broad else [np.hstack([panels[0], blank(len(panels[0]), GAP), panels[1]])]
    return stack([np.vstack(lines), *both], gap=GAP)


def _panel(image_hwc: np.ndarray, masks_chw: np.ndarray, scale: float, colours: Sequence[Colour]) -> np.ndarray:
    shown = resize_image(image_hwc, scale)
    return draw_contours(shown, resize_masks(masks_chw, *shown.shape[:2]), colours)
