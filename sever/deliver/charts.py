"""Charts as PNG: clouds of public against private scores, and scores over time; knows only names and numbers.

Matplotlib is an optional extra, imported when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sever.errors import InputError
from sever.locks import one_writer_of
from sever.output import OutputFolder

Area = Callable[[int, np.ndarray, float], np.ndarray]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any common colour blindness.
CHOSEN_COLOURS = ("#d55e00", "#0072b2")
OTHER_COLOUR = "#9a9a9a"
COURSE_COLOURS = {"cv": "#009e73", "public": "#0072b2", "private": "#d55e00"}
CLOUD_POINTS = 300
GATE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
THERE_COLOUR = "#000000"
LINE_COLOUR = "#555555"
MOST_LABELS = 16
FORMATS = (".svg", ".png")


def require_charts() -> None:
    """Raises InputError where Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("charts need Matplotlib: pip install 'sever[charts]'") from error


def draw_clouds(
    path: Path,
    names: Sequence[str],
    public_dm: np.ndarray,
    private_dm: np.ndarray,
    weights_d: np.ndarray,
    chosen: tuple[int, int],
) -> None:
    """One cloud a candidate: public against private score, each above the mean of all candidates in the same draw.

    What lifts all candidates alike is taken away, since it would hide the differences.
    """
    figure, axes = _new_figure(8, 6.5)
    x_dm, y_dm = (100 * (scores_dm - scores_dm.mean(axis=1, keepdims=True)) for scores_dm in (public_dm, private_dm))
    shown = np.random.default_rng(0).choice(len(weights_d), min(CLOUD_POINTS, len(weights_d)), p=weights_d)
    others = [index for index in range(len(names)) if index not in chosen]
    colours = dict.fromkeys(others, OTHER_COLOUR) | dict(zip(chosen, CHOSEN_COLOURS, strict=True))
    for index, colour in colours.items():  # the chosen come last, on top
        axes.scatter(x_dm[shown, index], y_dm[shown, index], s=7, color=colour, alpha=0.25, linewidths=0)
    for index, colour in colours.items():
        centre = (float(weights_d @ x_dm[:, index]), float(weights_d @ y_dm[:, index]))
        label = f"{names[index]} (chosen)" if index in chosen else None
        axes.scatter(*centre, s=70, color=colour, edgecolors="black", label=label, zorder=3)
        if len(names) <= MOST_LABELS or index in chosen:
            axes.annotate(names[index], centre, xytext=(6, 6), textcoords="offset points", fontsize=8, zorder=4)
    axes.axhline(0, color="#d0d0d0", zorder=0)
    axes.axvline(0, color="#d0d0d0", zorder=0)
    axes.set_xlabel("public score above the mean of all candidates, in hundredths")
    axes.set_ylabel("private score above the mean of all candidates, in hundredths")
    axes.set_title("How the candidates may score: one dot a draw, the ring is the mean")
    axes.legend(loc="lower right", fontsize=8)
    _save(figure, path)


@dataclass(frozen=True)
class Line:
    """A score to compare with, across the whole chart; in the colour of a kind of score, or grey."""

    label: str
    score: float
    kind: str | None = None


@dataclass(frozen=True)
class Course:
    """Submissions at `places` (numbers or times), their scores by kind (NaN where there is none), lines, and which rows
    get a ring."""

    places: Sequence[float | datetime]
    scores: Mapping[str, Sequence[float]]
    lines: Sequence[Line] = ()
    chosen: Sequence[int] = ()


def draw_course(path: Path, course: Course) -> None:
    """Scores of submissions in their order or over time: one line for each of cv, public and private."""
    kinds = course.scores.keys()
    assert kinds <= COURSE_COLOURS.keys(), f"a course is of {', '.join(COURSE_COLOURS)}, not {', '.join(kinds)}"
    figure, axes = _new_figure(9, 5)
    for kind, colour in COURSE_COLOURS.items():
        values = np.asarray(course.scores.get(kind, ()), dtype=float)
        there = np.flatnonzero(~np.isnan(values)).tolist()
        if there:
            places = np.array([course.places[row] for row in there], dtype=object)
            axes.plot(places, values[there], "o-", color=colour, label=kind, markersize=4, linewidth=1)
            for row in set(course.chosen) & set(there):
                axes.plot([course.places[row]], [values[row]], "o", markersize=11, color="none", markeredgecolor=colour)  # type: ignore[arg-type]
    for line, dashes in zip(course.lines, cycle(("--", ":", "-."))):
        colour = COURSE_COLOURS.get(line.kind or "", LINE_COLOUR)
        label = f"{line.label}, {line.score:.5f}"
        axes.axhline(line.score, color=colour, linestyle=dashes, linewidth=1.2, label=label)
    over_time = bool(course.places) and isinstance(course.places[0], datetime)
    axes.set_xlabel("time" if over_time else "submissions in their order")
    axes.set_ylabel("score (mean Dice)")
    axes.set_title("The course of the scores")
    axes.grid(color="#e4e4e4")
    axes.legend(fontsize=8)
    if over_time:
        figure.autofmt_xdate()
    else:
        axes.locator_params(axis="x", integer=True)
    _save(figure, path)


@dataclass(frozen=True)
class GatePanel:
    """A class's soft gate: `min_pixels` is t0; `dots` are (gate's answer, drawn area, truly there) of images."""

    title: str
    min_pixels: int
    dots: Sequence[tuple[float, int, bool]] = ()


def draw_gate(path: Path, panels: Sequence[GatePanel], factors: Sequence[float], area: Area) -> None:
    """The smallest area against the gate's answer, a line for each factor c; `area(t0, answers, c)` gives it."""
    figure = _blank_figure(4.6 * min(len(panels), 2), 3.6 * -(-len(panels) // 2))
    answers = np.linspace(0, 1, 41)
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(-(-len(panels) // 2), min(len(panels), 2), number)
        for is_there, colour, label in (
            (False, OTHER_COLOUR, "drawn, not there"),
            (True, THERE_COLOUR, "drawn, there"),
        ):
            dots = [(answer, pixels) for answer, pixels, truth in panel.dots if truth == is_there]
            if dots:
                shown, areas = zip(*dots, strict=True)
                axes.scatter(shown, areas, s=9, color=colour, alpha=0.7, linewidths=0, label=label)
        for factor, colour in zip(factors, cycle(GATE_COLOURS)):
            axes.plot(answers, area(panel.min_pixels, answers, factor), color=colour, label=f"c = {factor:g}")
        if panel.dots:  # their areas differ by powers of ten
            axes.set_yscale("log")
        axes.set_xlabel("the gate's answer p")
        axes.set_ylabel("smallest area, pixels")
        axes.set_title(panel.title, fontsize=10)
        axes.grid(color="#e4e4e4")
        axes.legend(fontsize=8)
    _save(figure, path)


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Inches. Made without pyplot, which keeps figures in a global place and asks for a screen."""
    figure = _blank_figure(width, height)
    return figure, figure.add_subplot()


def _blank_figure(width: float, height: float) -> Figure:
    require_charts()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def raise_unless_picture(path: Path) -> None:
    """Raises InputError for a file name that is no picture's."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"-o {path}: pictures are {' or '.join(FORMATS)}; name it so, e.g. {path.with_suffix('.svg')}")


def _save(figure: Figure, path: Path) -> None:
    """PNG, or SVG with text as text; the same chart is the same file, whenever it is drawn."""
    from matplotlib import rc_context

    raise_unless_picture(path)
    kind = path.suffix.lower().removeprefix(".")
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    home = OutputFolder(path.parent)
    drawing = rc_context({"svg.fonttype": "none", "svg.hashsalt": "sever"})
    with drawing, one_writer_of(path), home.new(path.name) as temporary:
        figure.savefig(temporary, format=kind, metadata=metadata)
