"""Pictures of a report: an image with contours, small enough to travel inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sever.decide.metrics import judged
from sever.deliver.canvas import Colour, draw_contours

PANEL_WIDTH = 900  # pixels; broader images are shown smaller
LINE_WIDTH = 2  # pixels of a contour
SMALL_SIDE = 320  # an image whose longer side is below this is shown larger, by a whole factor
# Of WebP, and by how much a panel is stored smaller; the first that fits is taken.
QUALITIES, SMALLER = (82, 68, 52, 36), (1, 2, 4)


@dataclass(frozen=True)
class Picture:
    """Two panels of one image as data URIs, both `width` x `height` pixels."""

    true: str
    predicted: str
    height: int
    width: int

    @property
    def is_strip(self) -> bool:
        """So broad that its panels lie below each other."""
        return self.width >= 2 * self.height


def draw_picture(
    image_hwc: np.ndarray, true_chw: np.ndarray, pred_chw: np.ndarray, colours: Sequence[Colour], most_bytes: int
) -> Picture:
    """True and predicted contours on an image (H, W, 3) uint8; a panel takes at most `most_bytes`, if it can be had."""
    height, width = image_hwc.shape[:2]
    larger = max(1, -(-SMALL_SIDE // max(height, width)))
    shrink = min(1.0, PANEL_WIDTH / (width * larger))
    size = max(1, round(width * larger * shrink)), max(1, round(height * larger * shrink))
    # Contours are drawn first and shrink with the image, so they start out as much thicker.
    thickness = round(LINE_WIDTH / shrink)
    panels = []
    for masks_chw in (judged(true_chw), pred_chw):
        drawn = draw_contours(
            image_hwc.repeat(larger, axis=0).repeat(larger, axis=1),
            masks_chw.repeat(larger, axis=1).repeat(larger, axis=2),
            colours,
            thickness,
        )
        panels.append(
            _as_uri(drawn if shrink == 1 else cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), most_bytes)
        )
    return Picture(panels[0], panels[1], size[1], size[0])


def _as_uri(image_hwc: np.ndarray, most_bytes: int) -> str:
    bgr = cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR)
    for smaller, quality in ((smaller, quality) for smaller in SMALLER for quality in QUALITIES):
        shown = (
            bgr if smaller == 1 else cv2.resize(bgr, None, fx=1 / smaller, fy=1 / smaller, interpolation=cv2.INTER_AREA)
        )
        encoded, buffer = cv2.imencode(".webp", shown, [cv2.IMWRITE_WEBP_QUALITY, quality])
        assert encoded, "OpenCV could not encode a WebP"
        text = base64.b64encode(buffer.tobytes()).decode("ascii")
        if len(text) <= most_bytes:
            break
    return "data:image/webp;base64," + text
