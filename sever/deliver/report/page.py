"""The page: template, style sheet, charts and pictures put together; every number shown comes from the numbers given.

A number is written as <data value="..." data-path="..."> with its place in the numbers, so that a program, or a test,
can hold the page against the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from sever.deliver.canvas import palette
from sever.deliver.report import charts
from sever.deliver.report.embedded import embed
from sever.deliver.report.pictures import Picture
from sever.deliver.report.words import called, spoken

__all__ = ["Picture", "render_page"]

HERE = Path(__file__).parent
NOTHING = "–"

FORMATS: dict[str, Callable[[float], str]] = {
    "score": lambda value: f"{value:.4f}",
    "signed": lambda value: f"{value:+.4f}".replace("-", "\N{MINUS SIGN}"),
    "percent": lambda value: f"{100 * value:.1f} %",
    "short": lambda value: f"{value:.1f}",
    "count": lambda value: f"{value:,.0f}",
}


def render_page(numbers: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """The HTML of a report. `pictures`: by image id, for the images that the numbers' galleries name."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["called"] = called
    environment.filters["spoken"] = spoken
    names = [each["name"] for each in numbers["classes"]]
    colours = {name: f"rgb{colour}" for name, colour in zip(names, palette(len(names)), strict=True)}
    return environment.get_template("page.html").render(
        numbers=numbers,
        number=partial(show_number, numbers),
        charts=charts,
        columns=columns,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        embedded=embed(dict(numbers)),
        pictures=pictures,
        colours=colours,
        anchors=_anchors(numbers),
        sections=_sections(numbers),
    )


def show_number(numbers: Mapping[str, Any], path: str, form: str = "score") -> Markup:
    """One number of the report, found by its path (`classes.0.iou`) and written in one of FORMATS."""
    value: Any = numbers
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list | tuple) else value[step]
    if value is None:
        return Markup(f'<span class="nothing">{NOTHING}</span>')
    return Markup(f'<data value="{value!r}" data-path="{escape(path)}">{FORMATS[form](value)}</data>')


def columns(count: int, most: int) -> int:
    """In how many columns so many charts leave the fewest empty places, at least three where they need rows."""
    return count if count <= most else min(range(most, 2, -1), key=lambda number: -count % number)


def _anchors(numbers: Mapping[str, Any]) -> dict[str, str]:
    """The element that holds each pictured image."""
    return {image["image_id"]: image["anchor"] for gallery in numbers["galleries"] for image in gallery["images"]}


def _sections(numbers: Mapping[str, Any]) -> dict[str, str]:
    """Headings by anchor, in the order of the page; those without content are left out."""
    headings = {
        "changes": "What changed" if numbers["changes"] else "",
        "classes": "Scores per class",
        "thresholds": "Pixel thresholds",
        "areas": "Smallest areas",
        "calibration": "Calibration",
        "presence": "Is there a defect?",
        "gate": "The gate" if any(each["gate"] for each in numbers["classes"]) else "",
        "images": "Images" if numbers["galleries"] else "",
        "errors": "Errors",
        "data": "The data" if any(numbers["data"].values()) else "",
        "about": "About this report",
    }
    return {anchor: heading for anchor, heading in headings.items() if heading}
