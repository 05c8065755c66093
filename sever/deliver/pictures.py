"""Pictures of images with true and predicted contours, for a person to judge; knows no networks or rules."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sever.decide.metrics import dice_pairs, pair_counts
from sever.files import atomic_path

Colour = tuple[int, int, int]  # RGB, 0..255

# Paul Tol's "vibrant" scheme and the yellow of Okabe and Ito, both made for every common colour blindness; first
# come those that stand out most on grey steel.
COLOURS: tuple[Colour, ...] = (
    (238, 119, 51),  # orange
    (51, 187, 238),  # cyan
    (240, 228, 66),  # yellow
    (238, 51, 119),  # magenta
    (0, 153, 136),  # teal
    (0, 119, 187),  # blue
    (204, 51, 17),  # red
)
PAPER: Colour = (255, 255, 255)
INK: Colour = (35, 35, 35)
FAINT_INK: Colour = (110, 110, 110)
RULE_LINE: Colour = (215, 215, 215)

SHEET_LEAST_WIDTH = 600
SHEET_WIDTH = 1600  # pixels that the panels of one sample share
BROAD_PANEL = 800  # pixels; broader ones are looked at from further away and get lines of 2 pixels
SMALL_SIDE = 300  # an image whose longer side is below this is shown twice as large, or more
MARGIN, GAP = 24, 6
CAPTION_WIDTH = 88  # to the left of stacked panels
FONT, FONT_BOLD = cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX
SMALL, NORMAL, LARGE = 0.5, 0.6, 0.85


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


def palette(num_classes: int) -> tuple[Colour, ...]:
    """One colour a class, RGB: colour-blind-safe up to seven, after that further hues."""
    # Steps of the golden angle never come back to a hue they had.
    hues = [(index * 0.618034) % 1 for index in range(len(COLOURS), num_classes)]
    more = [tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.95)) for hue in hues]
    return (*COLOURS, *more)[:num_classes]  # type: ignore[return-value]


def draw_contours(
    image_hwc: np.ndarray, masks_chw: np.ndarray, colours: Sequence[Colour] = (), thickness: int = 1
) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB with a thin line around every part of every mask.

    `colours` has one RGB colour a class; without it those of `palette`. Lines lie on a mask's own outermost pixels.
    """
    canvas = _as_rgb(image_hwc)
    for mask_hw, colour in zip(masks_chw, colours or palette(len(masks_chw)), strict=True):
        shapes, _ = cv2.findContours((mask_hw != 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, shapes, -1, colour, thickness)
    return canvas


def picture_sheet(path: Path, samples: Sequence[Sample], class_names: Sequence[str]) -> None:
    """Write one PNG: three panels a sample (image, true contours, predicted contours), legend and headings.

    Wide strips have their panels below each other, others side by side; large images are shown smaller, tiny
    ones larger. The Dice of a title is the mean over all classes, as the competition counts it.
    """
    assert samples, "a picture sheet needs at least one sample"
    colours = palette(len(class_names))
    blocks = [_sample_block(sample, class_names, colours) for sample in samples]
    width = max(SHEET_LEAST_WIDTH, *(block.shape[1] for block in blocks))
    rows = [_legend(class_names, colours, width)]
    heading = ""
    for sample, block in zip(samples, blocks, strict=True):
        if sample.heading != heading:
            rows.append(_heading(sample.heading, width))
            heading = sample.heading
        rows.append(block)
    sheet = _stack(rows, gap=16)
    framed = cv2.copyMakeBorder(sheet, *(MARGIN,) * 4, cv2.BORDER_CONSTANT, value=PAPER)
    written, png = cv2.imencode(".png", cv2.cvtColor(framed, cv2.COLOR_RGB2BGR))
    assert written, "OpenCV could not encode a PNG"
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.tobytes())


def _sample_block(sample: Sample, class_names: Sequence[str], colours: Sequence[Colour]) -> np.ndarray:
    """A title line, and the panels of one sample."""
    height, width = sample.image_hwc.shape[:2]
    stacked = width >= 2 * height
    scale = _display_scale(height, width, stacked)
    image = _resize_image(sample.image_hwc, scale)
    thickness = 2 if image.shape[1] >= BROAD_PANEL else 1
    panels = [("image", image)]
    for caption, masks_chw in (("true", sample.true_chw), ("predicted", sample.pred_chw)):
        if masks_chw is not None:
            shown = _resize_masks(masks_chw, *image.shape[:2])
            panels.append((caption, draw_contours(image, shown, colours, thickness)))
    body = _panels_below(panels) if stacked else _panels_beside(panels)
    return _stack([_title(sample, class_names, body.shape[1]), body], gap=GAP)


def _title(sample: Sample, class_names: Sequence[str], width: int) -> np.ndarray:
    line = _blank(26, width)
    x = _write(line, sample.title, 0, NORMAL, INK, FONT_BOLD)
    if sample.true_chw is None:
        found = [name for name, mask in zip(class_names, sample.pred_chw, strict=True) if mask.any()]
        _write(line, f"found: {', '.join(found) or 'nothing'}", x + 16, SMALL, FAINT_INK)
        return line
    dice = dice_pairs(pair_counts(sample.pred_chw, sample.true_chw))
    x = _write(line, f"Dice {dice.mean():.3f}", x + 16, NORMAL, INK)
    shown = (sample.true_chw | sample.pred_chw).any(axis=(1, 2))
    parts = [f"{name} {value:.3f}" for name, value, show in zip(class_names, dice, shown, strict=True) if show]
    _write(line, "   ".join(parts) or "no defect, none predicted", x + 16, SMALL, FAINT_INK)
    return line


def _panels_below(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    rows = []
    for caption, panel in panels:
        label = _blank(panel.shape[0], CAPTION_WIDTH)
        _write(label, caption, 0, SMALL, FAINT_INK)
        rows.append(np.hstack([label, panel]))
    return _stack(rows, gap=GAP)


def _panels_beside(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    columns = []
    for caption, panel in panels:
        label = _blank(20, panel.shape[1])
        _write(label, caption, 0, SMALL, FAINT_INK)
        columns += [np.vstack([label, panel]), _blank(panel.shape[0] + 20, GAP)]
    return np.hstack(columns[:-1])


def _legend(class_names: Sequence[str], colours: Sequence[Colour], width: int) -> np.ndarray:
    """Coloured squares with class names, in as many lines as they need."""
    lines, x = [_blank(24, width)], 0
    for name, colour in zip(class_names, colours, strict=True):
        needed = 20 + _text_width(name, NORMAL, FONT) + 26
        if x and x + needed > width:
            lines.append(_blank(24, width))
            x = 0
        cv2.rectangle(lines[-1], (x, 5), (x + 13, 18), colour, thickness=-1)
        _write(lines[-1], name, x + 20, NORMAL, INK)
        x += needed
    return _stack(lines, gap=0)


def _heading(text: str, width: int) -> np.ndarray:
    line = _blank(36, width)
    _write(line, text, 0, LARGE, INK, FONT_BOLD)
    line[-2:] = RULE_LINE
    return np.vstack([_blank(16, width), line])


def _display_scale(height: int, width: int, stacked: bool) -> float:
    """Below 1 so that a sample fits the sheet; whole numbers above 1 keep the pixels of tiny images sharp."""
    room = SHEET_WIDTH if stacked else (SHEET_WIDTH - 2 * GAP) // 3
    if width > room or height > SHEET_WIDTH:
        return min(room / width, SHEET_WIDTH / height)
    longest = max(height, width)
    return min(max(1, -(-SMALL_SIDE // longest)), max(1, room // width))


def _resize_image(image_hwc: np.ndarray, scale: float) -> np.ndarray:
    height, width = image_hwc.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return _as_rgb(image_hwc) if scale == 1 else cv2.resize(_as_rgb(image_hwc), size, interpolation=method)


def _resize_masks(masks_chw: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks at the size shown; what shrinks keeps every defect, however thin, at least one pixel wide."""
    if masks_chw.shape[1:] == (height, width):
        return masks_chw
    method = cv2.INTER_AREA if height < masks_chw.shape[1] else cv2.INTER_NEAREST
    shown = [cv2.resize((mask != 0).astype(np.float32), (width, height), interpolation=method) for mask in masks_chw]
    return (np.stack(shown) > 0).astype(np.uint8)


def _as_rgb(image_hwc: np.ndarray) -> np.ndarray:
    """A copy with three channels, fit for drawing."""
    return np.ascontiguousarray(np.broadcast_to(image_hwc, (*image_hwc.shape[:2], 3))).copy()


def _stack(blocks: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Blocks below each other, to the left, `gap` pixels between them."""
    width = max(block.shape[1] for block in blocks)
    parts: list[np.ndarray] = []
    for block in blocks:
        parts += [np.hstack([block, _blank(block.shape[0], width - block.shape[1])]), _blank(gap, width)]
    return np.vstack(parts[:-1])


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def _write(canvas: np.ndarray, text: str, x: int, size: float, colour: Colour, font: int = FONT) -> int:
    """Write a line in the middle of a low canvas, at the top of a high one; returns where it ends."""
    baseline = min(canvas.shape[0] // 2, 12) + round(11 * size)
    cv2.putText(canvas, text, (x, baseline), font, size, colour, 1, cv2.LINE_AA)
    return x + _text_width(text, size, font)


def _text_width(text: str, size: float, font: int) -> int:
    return int(cv2.getTextSize(text, font, size, 1)[0][0])
