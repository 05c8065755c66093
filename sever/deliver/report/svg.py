"""The marks of a chart as SVG text; colours come from the page's style sheet, so that light and dark both suit.

Knows no numbers of a report. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from sever.deliver.report.axes import Axis, short

WIDTH, HEIGHT = 290, 205
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 40

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The two axes of a chart, and its size in SVG units."""

    x: Axis
    y: Axis
    width: int = WIDTH
    height: int = HEIGHT

    def place(self, points: Iterable[Point]) -> list[Point]:
        return [(self.x.at(x), self.y.at(y)) for x, y in points]


def frame(x: tuple[float, float], y: tuple[float, float], log_x: bool = False, log_y: bool = False) -> Frame:
    """A chart of the usual size whose axes run from the first to the second value of `x` and `y`."""
    return Frame(Axis(*x, LEFT, WIDTH - RIGHT, log_x), Axis(*y, HEIGHT - BOTTOM, TOP, log_y))


def drawing(frame: Frame, description: str, parts: Iterable[str]) -> Markup:
    """The whole picture; `description` is what those hear who can't see it."""
    opening = (
        f'<svg class="chart" role="img" viewBox="0 0 {frame.width} {frame.height}" aria-label="{escape(description)}">'
    )
    return Markup(opening + "".join(parts) + "</svg>")


def axes(frame: Frame, x_label: str, y_label: str) -> str:
    """Grid lines, tick labels, and the names of both axes."""
    x, y = frame.x, frame.y
    parts = [line([(x.start, y.at(tick)), (x.end, y.at(tick))], "grid") for tick in y.ticks()]
    parts += [text(x.start - 6, y.at(tick) + 4, short(tick), "tick end") for tick in y.ticks()]
    parts += [text(x.at(tick), y.start + 15, short(tick), "tick middle") for tick in x.ticks()]
    parts.append(line([(x.start, y.start), (x.end, y.start)], "axis"))
    parts.append(text((x.start + x.end) / 2, y.start + 32, x_label, "label middle"))
    middle = (y.start + y.end) / 2
    turned = f'transform="rotate(-90 10 {middle:.1f})"'
    parts.append(f'<text class="label middle" x="10" y="{middle:.1f}" {turned}>{escape(y_label)}</text>')
    return "".join(parts)


def line(points: Sequence[Point], kind: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def dot(x: float, y: float, kind: str, radius: float = 3.5, title: str = "") -> str:
    """A round mark; `title` shows under the pointer."""
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{hint}</circle>'


def text(x: float, y: float, content: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'
