"""Parts of a drawn sheet: text, legend, blocks below each other, images and masks at the size shown; knows no content.

Everything is (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

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

MARGIN, GAP = 24, 6
FONT, FONT_BOLD = cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX
SMALL, NORMAL, LARGE = 0.5, 0.6, 0.85


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
    canvas = as_rgb(image_hwc)
    for mask_hw, colour in zip(masks_chw, colours or palette(len(masks_chw)), strict=True):
        shapes, _ = cv2.findContours((mask_hw != 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, shapes, -1, colour, thickness)
    return canvas


def draw_fitted(image_hwc: np.ndarray, masks_chw: np.ndarray, longest: int) -> np.ndarray:
    """As `draw_contours`, of an image made smaller where its longer side has more than `longest` pixels."""
    image = resize_image(image_hwc, min(1, longest / max(image_hwc.shape[:2])))
    return draw_contours(image, resize_masks(masks_chw, *image.shape[:2]))


def legend(class_names: Sequence[str], colours: Sequence[Colour], width: int) -> np.ndarray:
    """Coloured squares with class names, in as many lines as they need."""
    lines, x = [blank(24, width)], 0
    for name, colour in zip(class_names, colours, strict=True):
        needed = 20 + text_width(name, NORMAL, FONT) + 26
        if x and x + needed > width:
            lines.append(blank(24, width))
            x = 0
        cv2.rectangle(lines[-1], (x, 5), (x + 13, 18), colour, thickness=-1)
        write(lines[-1], name, x + 20, NORMAL, INK)
        x += needed
    return stack(lines, gap=0)


def heading_line(text: str, width: int) -> np.ndarray:
    line = blank(36, width)
    write(line, text, 0, LARGE, INK, FONT_BOLD)
    line[-2:] = RULE_LINE
    return np.vstack([blank(16, width), line])


def heading_width(text: str) -> int:
    return text_width(text, LARGE, FONT_BOLD)


def resize_image(image_hwc: np.ndarray, scale: float) -> np.ndarray:
    height, width = image_hwc.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return as_rgb(image_hwc) if scale == 1 else cv2.resize(as_rgb(image_hwc), size, interpolation=method)


def resize_masks(masks_chw: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks at the size shown; what shrinks keeps every defect, however thin, at least one pixel wide."""
    if masks_chw.shape[1:] == (height, width):
        return masks_chw
    method = cv2.INTER_AREA if height < masks_chw.shape[1] else cv2.INTER_NEAREST
    shown = [cv2.resize((mask != 0).astype(np.float32), (width, height), interpolation=method) for mask in masks_chw]
    return (np.stack(shown) > 0).astype(np.uint8)


def as_rgb(image_hwc: np.ndarray) -> np.ndarray:
    """A copy with three channels, fit for drawing."""
    return np.ascontiguousarray(np.broadcast_to(image_hwc, (*image_hwc.shape[:2], 3))).copy()


def stack(blocks: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Blocks below each other, to the left, `gap` pixels between them."""
    width = max(block.shape[1] for block in blocks)
    parts: list[np.ndarray] = []
    for block in blocks:
        parts += [np.hstack([block, blank(block.shape[0], width - block.shape[1])]), blank(gap, width)]
    return np.vstack(parts[:-1])


def blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def write(canvas: np.ndarray, text: str, x: int, size: float, colour: Colour, font: int = FONT) -> int:
    """Write a line in the middle of a low canvas, at the top of a high one; returns where it ends."""
    baseline = min(canvas.shape[0] // 2, 12) + round(11 * size)
    cv2.putText(canvas, text, (x, baseline), font, size, colour, 1, cv2.LINE_AA)
    return x + text_width(text, size, font)


def text_width(text: str, size: float, font: int) -> int:
    return int(cv2.getTextSize(text, font, size, 1)[0][0])


def save_png(path: Path, sheet: np.ndarray) -> None:
    """Write a sheet with a margin around it."""
    framed = cv2.copyMakeBorder(sheet, *(MARGIN,) * 4, cv2.BORDER_CONSTANT, value=PAPER)
    written, png = cv2.imencode(".png", cv2.cvtColor(framed, cv2.COLOR_RGB2BGR))
    assert written, "OpenCV could not encode a PNG"
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.tobytes())
