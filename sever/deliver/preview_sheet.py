"""A sheet of training images: each with its labels, and below it what is made of it; knows not how that is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.deliver.canvas import (
    FAINT_INK,
    FONT_BOLD,
    GAP,
    INK,
    NORMAL,
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
COLUMNS = 4
BROAD = 4  # panels this many times as broad as high stand in half as many columns
LARGEST_ENLARGEMENT = 4
ENLARGED_HEIGHT = 400  # pixels that a small stored image may grow to


@dataclass(frozen=True)
class Labelled:
    """One picture (H, W, 1 or 3) uint8 with its masks (C, H, W)."""

    caption: str
    image_hwc: np.ndarray
    masks_chw: np.ndarray


@dataclass(frozen=True)
class Preview:
    """A stored image, and what training makes of it."""

    stored: Labelled
    variants: Sequence[Labelled]


def preview_sheet(path: Path, previews: Sequence[Preview], class_names: Sequence[str]) -> None:
    """Write one PNG: a legend, then each stored image with contours around its labels, and its variants below it."""
    assert previews, "a sheet needs at least one image"
    colours = palette(len(class_names))
    rows = [legend(class_names, colours, SHEET_WIDTH)]
    save_png(path, stack([*rows, *(_block(preview, class_names, colours) for preview in previews)], gap=20))


def _block(preview: Preview, class_names: Sequence[str], colours: Sequence[Colour]) -> np.ndarray:
    title = blank(26, SHEET_WIDTH)
    end = write(title, preview.stored.caption, 0, NORMAL, INK, FONT_BOLD)
    write(title, _shown(preview.stored, class_names), end + 16, SMALL, FAINT_INK)
    height, width = preview.stored.image_hwc.shape[:2]
    scale = min(_scale(width, SHEET_WIDTH), max(1, ENLARGED_HEIGHT // height))
    rows = [title, _panel(preview.stored, scale, colours)]
    height, width = (max(one.image_hwc.shape[axis] for one in preview.variants) for axis in (0, 1))
    columns = COLUMNS // 2 if width >= BROAD * height else COLUMNS
    scale = _scale(width, (SHEET_WIDTH - (columns - 1) * GAP) // columns)
    panels = [_captioned(variant, scale, class_names, colours) for variant in preview.variants]
    rows += [_beside(panels[start : start + columns]) for start in range(0, len(panels), columns)]
    return stack(rows, gap=GAP)


def _captioned(variant: Labelled, scale: float, class_names: Sequence[str], colours: Sequence[Colour]) -> np.ndarray:
    panel = _panel(variant, scale, colours)
    line = blank(20, panel.shape[1])
    write(line, f"{variant.caption}: {_shown(variant, class_names)}", 0, SMALL, FAINT_INK)
    return np.vstack([line, panel])


def _panel(picture: Labelled, scale: float, colours: Sequence[Colour]) -> np.ndarray:
    image = resize_image(picture.image_hwc, scale)
    return draw_contours(image, resize_masks(picture.masks_chw, *image.shape[:2]), colours)


def _beside(panels: Sequence[np.ndarray]) -> np.ndarray:
    height = max(panel.shape[0] for panel in panels)
    filled = [np.vstack([panel, blank(height - panel.shape[0], panel.shape[1])]) for panel in panels]
    parts = [part for panel in filled for part in (panel, blank(height, GAP))]
    return np.hstack(parts[:-1])


def _shown(picture: Labelled, class_names: Sequence[str]) -> str:
    shown = [name for name, mask in zip(class_names, picture.masks_chw, strict=True) if mask.any()]
    return ", ".join(shown) or "no defect"


def _scale(width: int, room: int) -> float:
    """Smaller so that it fits; larger by whole numbers, which keep the pixels of a small crop sharp."""
    return room / width if width > room else min(LARGEST_ENLARGEMENT, room // width)
