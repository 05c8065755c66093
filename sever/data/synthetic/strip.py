"""One synthetic strip with its masks: background, harmless marks, defects, then the camera. Knows no files."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sever.data.synthetic import statistics
from sever.data.synthetic.background import BLACK, Canvas, cover_margin, draw_background
from sever.data.synthetic.defects import pits, thin_marks
from sever.data.synthetic.marks import draw_marks
from sever.data.synthetic.noise import Array, white
from sever.data.synthetic.scabs import scabs
from sever.data.synthetic.scratches import scratches
from sever.errors import InputError

HEIGHT, WIDTH = 256, 1600  # the competition's image; the default only, every size works
SMALLEST = 64
PITS, THIN_MARKS, SCRATCHES, SCABS = range(4)  # the classes
DRAWERS = (pits, thin_marks, scratches, scabs)  # by class
# How far a person's pencil stays off the defect and what gaps it skips, in pixels of the 256-row original, by class.
PENCIL = ((3.5, 12.0), (3.5, 14.0), (4.5, 21.0), (4.5, 17.0))
ROUND_ALL = 2.5  # a cluster gets one line round all of it if that line encloses at most this many times its area
DRAW_ORDER = (3, 2, 1, 0)  # large ones first, so that small ones are not buried
CHANGED = 1.0  # grey levels: a smaller change of a pixel is none
VISIBLE = 7.0  # grey levels: the least that the strongest pixel of a piece changes
AREA_GAIN = (1.15, 1.4, 1.0, 1.35)  # by class: area to draw in for one labelled pixel, measured; class 3 has its own
ALIKE = 0.7  # how often a piece is of the same style as its image's others
RETRIES = 8  # tries to draw a piece that can be seen
PLACEMENTS = 12  # tries to find a place where nothing lies yet


@dataclass(frozen=True)
class Spot:
    """Where a patch goes: the rows and columns of the image, and the corner of the patch that lands there."""

    rows: slice
    columns: slice
    patch_rows: slice
    patch_columns: slice


def check_size(height: int, width: int) -> None:
    """Raises InputError for an image too small to draw on."""
    if height < SMALLEST or width < SMALLEST:
        raise InputError(
            f"a synthetic image of {width}x{height} pixels is too small; width and height are at least {SMALLEST}"
        )


def make_strip(
    seed: int, index: int, height: int = HEIGHT, width: int = WIDTH, classes: tuple[int, ...] | None = None
) -> tuple[Array, Array]:
    """Image (H, W) uint8 and masks (C, H, W) uint8 of 0 and 1; the same for the same arguments, wherever it runs.

    `classes` are 0-based; None draws them with the competition's frequencies, () makes a clean strip.
    Content keeps its size relative to the height. Raises InputError for a size below 64 or an unknown class.
    """
    check_size(height, width)
    streams = np.random.default_rng([seed, index]).spawn(5)
    if classes is None:
        classes = statistics.draw_combination(streams[0], "real")
    unknown = [number for number in classes if not 0 <= number < statistics.NUM_CLASSES]
    if unknown:
        raise InputError(f"class {unknown[0]} is unknown; classes are 0 to {statistics.NUM_CLASSES - 1}")
    return render(streams, height, width, classes, with_defects=True)


def render(
    streams: list[np.random.Generator], height: int, width: int, classes: tuple[int, ...], with_defects: bool
) -> tuple[Array, Array]:
    """Image and masks. Each step has its own random stream, so that leaving out the defects changes nothing else."""
    _, background_rng, marks_rng, defect_rng, camera_rng = streams
    canvas = draw_background(background_rng, height, width, near_edge=bool({0, 1} & set(classes)))
    draw_marks(marks_rng, canvas, clean=not classes, dirty=SCABS in classes)
    cover_margin(background_rng, canvas)
    masks = np.zeros((statistics.NUM_CLASSES, height, width), np.uint8)
    if with_defects:
        for number in DRAW_ORDER:
            if number in classes:
                _draw_class(defect_rng, canvas, masks, number)
    return take_picture(camera_rng, canvas), masks


def take_picture(rng: np.random.Generator, canvas: Canvas) -> Array:
    """What the camera makes of the strip: saturation, sensor noise, 256 grey levels."""
    picture = white(rng, canvas.height, canvas.width)
    picture *= np.float32(0.9) + np.float32(0.012) * np.minimum(canvas.grey, np.float32(255))
    picture += canvas.grey
    np.rint(picture, out=picture)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def _split(rng: np.random.Generator, area: float, pieces: int) -> Array:
    """Areas of the pieces: unequal, none of them tiny."""
    shares = rng.dirichlet(np.full(pieces, 1.2)) * 0.8 + 0.2 / pieces
    return np.sort(area * shares)[::-1]


def _draw_class(rng: np.random.Generator, canvas: Canvas, masks: Array, number: int) -> None:
    """Draws pieces of one class until their masks cover the area that was drawn for this image."""
    family = statistics.FAMILIES[number]
    wanted = statistics.draw_share(rng, family) * canvas.height * canvas.width
    pieces = statistics.draw_pieces(rng, family)
    shares, style = _split(rng, 1.0, pieces), rng.random()
    for piece, share in enumerate(shares):
        missing = max(
            0.2 * wanted, wanted - float(masks[number].sum())
        )  # what earlier pieces got wrong, later ones mend
        area = missing * float(share / shares[piece:].sum())
        for _ in range(RETRIES):
            own = style if rng.random() < ALIKE else rng.random()
            if _draw_piece(rng, canvas, masks, number, area, own):
                break


def _draw_piece(rng: np.random.Generator, canvas: Canvas, masks: Array, number: int, area: float, style: float) -> bool:
    """Draws one piece into canvas and masks, where it fits best; False if it could not be seen there, then nothing."""
    pencil, gap = PENCIL[number]
    patch = DRAWERS[number](rng, area * AREA_GAIN[number], canvas.unit, canvas.height, style)
    spot = _place(rng, canvas, masks, number, patch.gain.shape)
    view = canvas.grey[spot.rows, spot.columns]
    # Glitter is as bright as its light: patches are drawn for a strip of grey level 100.
    lit = np.clip(np.median(view) / 100, 0.3, 1.6) if view.size else 1.0
    after = view * patch.gain[spot.patch_rows, spot.patch_columns]
    after += np.float32(lit) * patch.add[spot.patch_rows, spot.patch_columns]
    after = np.where(view > 3 * BLACK, after, view)  # nothing is drawn on the darkness beside the strip
    change = np.abs(np.clip(after, 0, 255) - np.clip(view, 0, 255))
    if not change.size or change.max() < VISIBLE:
        return False
    changed = change >= CHANGED
    canvas.grey[spot.rows, spot.columns] = np.where(changed, after, view)
    mark(masks, number, changed, spot, pencil * canvas.unit, gap * canvas.unit)
    return True


def mark(masks: Array, number: int, changed: Array, spot: Spot, pencil: float, gap: float) -> None:
    """Labels changed pixels as a person would: gaps closed, holes filled, a coarse polygon a little outside.

    The polygon leaves no changed pixel out: it is simplified by less than the pencil's distance. What lies on top owns
    the pixel, so that masks of two classes never overlap.
    """
    margin = int(np.ceil(pencil + gap)) + 2
    height, width = masks.shape[1:]
    top, left = max(0, spot.rows.start - margin), max(0, spot.columns.start - margin)
    rows, columns = (
        slice(top, min(height, spot.rows.stop + margin)),
        slice(left, min(width, spot.columns.stop + margin)),
    )
    padded = cv2.copyMakeBorder(changed.astype(np.uint8), margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(gap / 2))
    grown = cv2.dilate(closed, _disc(pencil))
    outlines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outlines) > 1:
        hull = cv2.convexHull(np.concatenate(outlines))
        if cv2.contourArea(hull) <= ROUND_ALL * np.count_nonzero(grown):
            outlines = (hull,)
    shape = np.zeros_like(padded)
    cv2.drawContours(shape, [cv2.approxPolyDP(line, 0.5 * pencil, True) for line in outlines], -1, 1, cv2.FILLED)
    np.maximum(shape, padded, out=shape)
    y0, x0 = rows.start - spot.rows.start + margin, columns.start - spot.columns.start + margin
    window = shape[y0 : y0 + rows.stop - rows.start, x0 : x0 + columns.stop - columns.start]
    masks[:, rows, columns] &= 1 - window
    masks[number, rows, columns] |= window


def _disc(radius: float) -> Array:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _place(rng: np.random.Generator, canvas: Canvas, masks: Array, number: int, shape: tuple[int, ...]) -> Spot:
    """The first of a few random places where nothing is labelled yet, else the one with the least."""
    best, least = None, np.inf
    for _ in range(PLACEMENTS):
        spot = _random_spot(rng, canvas, masks, number, shape)
        taken = float(masks[:, spot.rows, spot.columns].mean())
        if taken < least:
            best, least = spot, taken
        if taken == 0:
            break
    assert best is not None
    return best


def _random_spot(rng: np.random.Generator, canvas: Canvas, masks: Array, number: int, shape: tuple[int, ...]) -> Spot:
    """A place on the strip; pits and thin marks keep to its edges, scabs to each other, some half outside."""
    h, w = shape
    out = round(0.4 * h) if number == SCABS and rng.random() < 0.6 else 0
    low, high = -out, canvas.height - h + out
    top = int(rng.integers(min(low, high), max(low, high) + 1))
    if number == SCRATCHES and rng.random() < 0.4:
        top = 0
    room = max(1, canvas.right - canvas.left - w)
    left = canvas.left + int(rng.integers(0, room))
    if number == THIN_MARKS or (number == PITS and rng.random() < 0.45):
        near = min(room, abs(rng.normal(0, 160 if number == PITS else 70)) * canvas.unit + 20 * canvas.unit)
        at_left = canvas.left > 0 or (canvas.right == canvas.width and rng.random() < 0.5)
        left = round(canvas.left + near if at_left else canvas.right - w - near)
    elif number == SCABS and rng.random() < 0.7 and masks[number].any():
        columns = np.flatnonzero(masks[number].any(axis=0))
        left = round(rng.choice(columns) - w / 2 + rng.normal(0, 120) * canvas.unit)
        left = min(max(left, canvas.left), canvas.left + room)
    return _cut(top, left, h, w, canvas)


def _cut(top: int, left: int, h: int, w: int, canvas: Canvas) -> Spot:
    """The part of an (h, w) patch at (top, left) that lies on the strip."""
    y0, y1 = max(0, top), min(canvas.height, top + h)
    x0, x1 = max(canvas.left, left), min(canvas.right, left + w)
    return Spot(slice(y0, y1), slice(x0, x1), slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
