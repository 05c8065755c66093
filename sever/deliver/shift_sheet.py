"""Where in the image two sets differ, and the images that show it best, as one picture; knows no classifier."""

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
    blank,
    heading_line,
    resize_image,
    save_png,
    stack,
    write,
)

SHEET_WIDTH = 1600  # pixels
COLUMNS = 4
BROAD = 4  # images this many times as broad as high get a whole line
CELL = 90
# From "can't be told apart" to "always told apart", each legible on the other.
PALE, DEEP = np.array((245, 245, 245)), np.array((204, 51, 17))


@dataclass(frozen=True)
class ShiftGallery:
    """Images (H, W) uint8, and a line about each, under one heading."""

    heading: str
    images: Sequence[tuple[str, np.ndarray]]


def shift_sheet(path: Path, areas_rc: np.ndarray, galleries: Sequence[ShiftGallery]) -> None:
    """Write one PNG: the map of regions (rows, columns; 0.5 to 1), then the galleries."""
    rows = [heading_line("How well each region alone tells A from B (0.5: not at all, 1: always)", SHEET_WIDTH)]
    rows.append(_map(areas_rc))
    for gallery in galleries:
        if gallery.images:
            rows += [heading_line(gallery.heading, SHEET_WIDTH), _panels(gallery)]
    save_png(path, stack(rows, gap=GAP))


def _map(areas_rc: np.ndarray) -> np.ndarray:
    lines = []
    for areas_c in areas_rc:
        cells = []
        for area in areas_c:
            strength = float(np.clip(2 * area - 1, 0, 1))
            cell = np.empty((CELL, CELL, 3), np.uint8)
            cell[:] = PALE + strength * (DEEP - PALE)
            write(cell[CELL // 3 :], f"{area:.2f}", CELL // 4, SMALL, INK if strength < 0.5 else (255, 255, 255))
            cells.append(cell)
        lines.append(np.hstack(cells))
    return np.vstack(lines)


def _panels(gallery: ShiftGallery) -> np.ndarray:
    height, width = gallery.images[0][1].shape
    columns = 1 if width >= BROAD * height else COLUMNS
    panel_width = (SHEET_WIDTH - (columns - 1) * GAP) // columns
    panels = [_panel(title, image_hw, panel_width) for title, image_hw in gallery.images]
    return stack([_beside(panels[at : at + columns]) for at in range(0, len(panels), columns)], gap=GAP)


def _panel(title: str, image_hw: np.ndarray, width: int) -> np.ndarray:
    line = blank(20, width)
    write(line, title, 0, SMALL, FAINT_INK)
    scale = width / image_hw.shape[1]
    return stack([line, resize_image(image_hw[..., None], scale if scale < 1 else max(1, int(scale)))], gap=0)


def _beside(panels: Sequence[np.ndarray]) -> np.ndarray:
    height = max(len(panel) for panel in panels)
    filled = [np.vstack([panel, blank(height - len(panel), panel.shape[1])]) for panel in panels]
    return np.hstack([part for panel in filled for part in (panel, blank(height, GAP))][:-1])
