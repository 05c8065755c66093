"""Charts as PNG: clouds of public against private scores, and scores over time; knows only names and numbers.

Matplotlib is an optional extra, imported when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sever.errors import InputError
from sever.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any common colour blindness.
CHOSEN_COLOURS = ("#d55e00", "#0072b2")
OTHER_COLOUR = "#9a9a9a"
COURSE_COLOURS = {"cv": "#009e73", "public": "#0072b2", "private": "#d55e00"}
CLOUD_POINTS = 300
MOST_LABELS = 16


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


def draw_course(path: Path, times: Sequence[datetime], scores: Mapping[str, Sequence[float]]) -> None:
    """Scores of submissions over time: one line for each of cv, public and private, NaN where there is none."""
    assert set(scores) <= set(COURSE_COLOURS), f"a course is of {', '.join(COURSE_COLOURS)}, not {', '.join(scores)}"
    figure, axes = _new_figure(9, 5)
    for kind, colour in COURSE_COLOURS.items():
        values = np.asarray(scores.get(kind, ()), dtype=float)
        there = np.flatnonzero(~np.isnan(values)).tolist()
        if there:
            moments = np.array([times[row] for row in there], dtype=object)
            axes.plot(moments, values[there], "o-", color=colour, label=kind, markersize=5)
    axes.set_ylabel("score (mean Dice)")
    axes.set_title("The course of the scores")
    axes.grid(color="#e4e4e4")
    axes.legend()
    figure.autofmt_xdate()
    _save(figure, path)


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Inches. Made without pyplot, which keeps figures in a global place and asks for a screen."""
    require_charts()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
