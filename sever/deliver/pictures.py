"""Pictures of images with true and predicted contours, for a person to judge; knows no networks or rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from sever.decide.metrics import dice_pairs, judged, pair_counts
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
    heading_line,
    heading_width,
    legend,
    palette,
    resize_image,
    resize_masks,
    save_png,
    stack,
    write,
)

SHEET_LEAST_WIDTH = 600
SHEET_HEIGHT = 6000  # pixels that all samples share, as far as each keeps LEAST_HEIGHT
LEAST_HEIGHT = 240
TITLE_HEIGHT, CAPTION_HEIGHT = 26, 20
SHEET_WIDTH = 1600  # pixels that the panels of one sample share
BROAD_PANEL = 800  # pixels; broader ones are looked at from further away and get lines of 2 pixels
SMALL_SIDE = 300  # an image whose longer side is below this is shown twice as large, or more
CAPTION_WIDTH = 88  # to the left of stacked panels
MOST_WIDTH = SHEET_WIDTH + CAPTION_WIDTH
COLUMN_GAP, ROW_GAP = 32, 16


@dataclass(frozen=True)
class Sample:
    """One image (H, W, 1 or 3) uint8 with masks (C, H, W); `true_chw` is None where the truth is not known.

    Samples that follow each other under the same `heading` (best, median, worst) share it.
    """

    title: str
    image_hwc: np.ndarray
    true_chw: np.ndarray | None
    pred_chw: np.ndarray
    heading: str = ""


def picture_sheet(path: Path, samples: Sequence[Sample], class_names: Sequence[str]) -> None:
    """Write one PNG: three panels a sample (image, true contours, predicted contours), legend and headings.

    Wide strips have their panels below each other, others side by side; large images are shown smaller, tiny
    ones larger, and narrow samples stand in as many columns as the sheet has room for. The Dice of a title is the
    mean over all classes, as the competition counts it.
    """
    assert samples, "a picture sheet needs at least one sample"
    colours = palette(len(class_names))
    room = max(LEAST_HEIGHT, SHEET_HEIGHT // len(samples))
    blocks = [_sample_block(sample, class_names, colours, room) for sample in samples]
    groups = [
        (heading, _in_columns([block for _, block in group]))
        for heading, group in groupby(zip(samples, blocks, strict=True), key=lambda pair: pair[0].heading)
    ]
    width = max(SHEET_LEAST_WIDTH, *(max(body.shape[1], heading_width(heading)) for heading, body in groups))
    rows = [legend(class_names, colours, width)]
    for heading, body in groups:
        rows += [heading_line(heading, width), body] if heading else [body]
    sheet = stack(rows, gap=ROW_GAP)
    save_png(path, sheet)


def _in_columns(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Line by line, in columns of one width."""
    width = max(block.shape[1] for block in blocks)
    columns = max(1, (MOST_WIDTH + COLUMN_GAP) // (width + COLUMN_GAP))
    lines = []
    for start in range(0, len(blocks), columns):
        line = blocks[start : start + columns]
        height = max(block.shape[0] for block in line)
        cells = [stack([block, blank(height - len(block), width)], gap=0) for block in line]
        lines.append(np.hstack([part for cell in cells for part in (cell, blank(height, COLUMN_GAP))][:-1]))
    return stack(lines, gap=ROW_GAP)


def _sample_block(sample: Sample, class_names: Sequence[str], colours: Sequence[Colour], room: int) -> np.ndarray:
    """A title line, and the panels of one sample, in `room` pixels of height."""
    height, width = sample.image_hwc.shape[:2]
    stacked = width >= 2 * height
    num_panels = 2 if sample.true_chw is None else 3
    below_title = room - TITLE_HEIGHT - GAP
    panel_room = below_title // num_panels - GAP if stacked else below_title - CAPTION_HEIGHT
    scale = _display_scale(height, width, stacked, min(panel_room, SHEET_WIDTH))
    image = resize_image(sample.image_hwc, scale)
    thickness = 2 if image.shape[1] >= BROAD_PANEL else 1
    panels = [("image", image)]
    true_chw = None if sample.true_chw is None else judged(sample.true_chw)
    for caption, masks_chw in (("true", true_chw), ("predicted", sample.pred_chw)):
        if masks_chw is not None:
            shown = resize_masks(masks_chw, *image.shape[:2])
            panels.append((caption, draw_contours(image, shown, colours, thickness)))
    body = _panels_below(panels) if stacked else _panels_beside(panels)
    return stack([_title(sample, class_names, body.shape[1]), body], gap=GAP)


def _title(sample: Sample, class_names: Sequence[str], width: int) -> np.ndarray:
    """At least as wide as the panels below it, and as its words need."""
    line = blank(TITLE_HEIGHT, MOST_WIDTH)
    x = write(line, sample.title, 0, NORMAL, INK, FONT_BOLD)
    if sample.true_chw is None:
        found = [name for name, mask in zip(class_names, sample.pred_chw, strict=True) if mask.any()]
        end = write(line, f"found: {', '.join(found) or 'nothing'}", x + 16, SMALL, FAINT_INK)
        return line[:, : max(width, end)]
    dice = dice_pairs(pair_counts(sample.pred_chw, sample.true_chw))
    x = write(line, f"Dice {dice.mean():.3f}", x + 16, NORMAL, INK)
    shown = (judged(sample.true_chw) | sample.pred_chw).any(axis=(1, 2))
    parts = [f"{name} {value:.3f}" for name, value, show in zip(class_names, dice, shown, strict=True) if show]
    end = write(line, "   ".join(parts) or "no defect, none predicted", x + 16, SMALL, FAINT_INK)
    return line[:, : max(width, end)]


def _panels_below(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    rows = []
    for caption, panel in panels:
        label = blank(panel.shape[0], CAPTION_WIDTH)
        write(label, caption, 0, SMALL, FAINT_INK)
        rows.append(np.hstack([label, panel]))
    return stack(rows, gap=GAP)


def _panels_beside(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    columns = []
    for caption, panel in panels:
        label = blank(CAPTION_HEIGHT, panel.shape[1])
        write(label, caption, 0, SMALL, FAINT_INK)
        columns += [np.vstack([label, panel]), blank(panel.shape[0] + CAPTION_HEIGHT, GAP)]
    return np.hstack(columns[:-1])


def _display_scale(height: int, width: int, stacked: bool, panel_room: int) -> float:
    """Below 1 so that a sample fits the sheet; whole numbers above 1 keep the pixels of tiny images sharp."""
    room = SHEET_WIDTH if stacked else (SHEET_WIDTH - 2 * GAP) // 3
    if width > room or height > panel_room:
        return min(room / width, panel_room / height)
    longest = max(height, width)
    return min(max(1, -(-SMALL_SIDE // longest)), max(1, room // width), max(1, panel_room // height))
