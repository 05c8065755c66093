"""A coil as a picture, a table and a page that prints well: where which defects lie; knows no HTTP and no store."""

from __future__ import annotations

import base64
import csv
import html
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from sever.config.serve import StripSettings
from sever.counted import counted
from sever.deliver.canvas import PAPER, as_rgb, blank, draw_contours, legend, palette, resize_masks, stack, write
from sever.deliver.serve.answer import encode_png, masks_of
from sever.deliver.serve.plant.places import Place

WIDTH, ROW_METRES_LEAST, LABEL_HEIGHT = 1600, 5.0, 20
MOST_ROWS = 40
COLUMNS = ("position_m", "across_m", "class", "length_m", "breadth_m", "area_pixels", "confidence", "answer")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def coil_csv(places: Sequence[Place]) -> str:
    """A row a defect, from head to tail."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for place in places:
        name = f"'{place.class_name}" if place.class_name.startswith(_FORMULA) else place.class_name
        sizes = [f"{number:.4f}" for number in (place.length, place.breadth)]
        where = [f"{place.along:.4f}", f"{place.across:.4f}"]
        table.writerow([*where, name, *sizes, place.area, place.confidence, place.answer])
    return text.getvalue()


def coil_picture(
    rows: Sequence[dict[str, Any]],
    read: Callable[[dict[str, Any]], np.ndarray | None],
    class_names: Sequence[str],
    strip: StripSettings,
) -> bytes:
    """PNG: the whole coil from left to right, line below line, each image in its place with contours.

    `read` gives an image (H, W, 3), or None where it is kept no longer; its place then stays grey, its defects drawn.
    """
    if not rows:
        return encode_png(blank(LABEL_HEIGHT, WIDTH))
    metres = max(max(0.0, row["position_m"] or 0.0) + _length(row, strip) for row in rows)
    line_metres = max(ROW_METRES_LEAST, metres / MOST_ROWS)
    scale = WIDTH / line_metres
    breadth = max(max(0.0, row["across_m"] or 0.0) + _breadth(row, strip) for row in rows)
    height = max(8, min(400, round(breadth * scale)))
    lines = np.full((math.ceil(metres / line_metres), height, WIDTH, 3), PAPER, np.uint8)
    for row in rows:
        tile = _tile(row, read(row), strip, scale, height / breadth)
        _paste(lines, tile, (row["position_m"] or 0.0) * scale, (row["across_m"] or 0.0) * height / breadth)
    parts = [legend(class_names, palette(len(class_names)), WIDTH)]
    for number, line in enumerate(lines):
        label = blank(LABEL_HEIGHT, WIDTH)
        write(label, f"{number * line_metres:.1f} m", 0, 0.45, (80, 80, 80))
        parts += [label, line]
    return encode_png(stack(parts, gap=0))


def coil_page(
    coil: str,
    rows: Sequence[dict[str, Any]],
    places: Sequence[Place],
    counts: tuple[int, int],
    png: bytes,
    strip: StripSettings,
) -> str:
    """One HTML file without scripts that prints well: picture, sums, and the largest defects.

    `rows` are the images of the picture, `places` all defects that are kept by their places; `counts` all images and
    defects of the coil. Where these are more, the page says so."""
    metres = max((max(0.0, row["position_m"] or 0.0) + _length(row, strip) for row in rows), default=0.0)
    sums: dict[str, list[Place]] = {}
    for place in places:
        sums.setdefault(place.class_name, []).append(place)
    totals = [
        [name, len(found), f"{len(found) / metres:.3f}" if metres else "", sum(each.area for each in found)]
        for name, found in sorted(sums.items())
    ]
    largest = sorted(places, key=lambda each: -each.area)[:50]
    listed = [[f"{p.along:.2f}", f"{p.across:.3f}", p.class_name, p.area, f"{p.confidence:.2f}"] for p in largest]
    images, defects = counts
    facts = [f"{counted(images, 'image')}, {metres:.1f} m, {counted(defects, 'defect')}"]
    if images > len(rows):
        facts.append(f"The picture shows the last {counted(len(rows), 'image')}.")
    if defects > len(places):
        facts.append(
            f"The tables hold the {counted(len(places), 'defect')} that are the largest of their image and class."
        )
    return _PAGE.format(
        title=html.escape(f"Coil {coil}"),
        facts="".join(f"<p>{each}</p>" for each in facts),
        picture=base64.b64encode(png).decode(),
        totals=_table(["class", "defects", "per metre", "pixels"], totals),
        largest=_table(["position m", "across m", "class", "pixels", "confidence"], listed),
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
@page {{ size: A4 landscape; margin: 12mm }}
body {{ font: 14px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 1rem }}
img {{ width: 100% }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ border-bottom: 1px solid #ccc; padding: .2rem .8rem; text-align: right }}
tr {{ break-inside: avoid }}
</style></head><body>
<h1>{title}</h1>{facts}
<img alt="the whole coil" src="data:image/png;base64,{picture}">
<h2>Defects by class</h2>{totals}
<h2>The largest defects</h2>{largest}
</body></html>
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _tile(
    row: dict[str, Any], image: np.ndarray | None, strip: StripSettings, along_scale: float, across_scale: float
) -> np.ndarray:
    """An image as it lies on the map: along the strip to the right, at the map's scale, contours drawn."""
    pixels = np.full((row["height"], row["width"], 3), 160, np.uint8) if image is None else as_rgb(image)
    masks = masks_of(row["classes"], row["height"], row["width"])
    if strip.along == "height":
        pixels, masks = pixels.transpose(1, 0, 2), masks.transpose(0, 2, 1)
    width = max(1, round(_length(row, strip) * along_scale))
    height = max(1, round(_breadth(row, strip) * across_scale))
    shown = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA)
    return draw_contours(shown, resize_masks(np.ascontiguousarray(masks), height, width))


def _paste(lines: np.ndarray, tile: np.ndarray, start: float, top: float) -> None:
    """Put a tile on the lines; what passes the end of one goes on at the next."""
    first, y = round(start), round(top)
    tile = tile[max(0, -y) : max(0, lines.shape[1] - y)]  # what lies beside the map is not drawn
    y = max(0, y)
    for column in range(0, tile.shape[1]):
        line, x = divmod(first + column, lines.shape[2])
        if 0 <= line < len(lines):
            lines[line, y : y + len(tile), x] = tile[:, column]


def _length(row: dict[str, Any], strip: StripSettings) -> float:
    return float(row[strip.along]) * strip.mm_per_pixel_along / 1000


def _breadth(row: dict[str, Any], strip: StripSettings) -> float:
    other = "height" if strip.along == "width" else "width"
    return float(row[other]) * strip.mm_per_pixel_across / 1000
