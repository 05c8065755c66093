"""Charts of a data set: how a value is distributed over images, one curve a data set."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from sever.deliver.report.svg import axes, drawing, frame, line

CURVES = ("curve", "curve second")


def distribution_chart(
    series: Sequence[Sequence[float]], shares: Sequence[float], label: str, log_x: bool = False
) -> Markup:
    """The share of images with at most a value, from the values at `shares` (0..1), a curve for each of `series`.

    Series without values are left out, as where a data set lacks a class.
    """
    given = [(values, kind) for values, kind in zip(series, CURVES, strict=False) if values]
    if not given:
        return Markup("")
    low = 0.0 if log_x else min(min(values) for values, _ in given)
    high = max(max(values) for values, _ in given)
    shape = frame((low, high if high > low else low + 1), (0, 1), log_x=log_x)
    parts = [axes(shape, label, "share of images")]
    parts += [line(shape.place(zip(values, shares, strict=True)), kind) for values, kind in given]
    said = "; ".join(f"from {values[0]:g} to {values[-1]:g}, median {_median(values, shares):g}" for values, _ in given)
    return drawing(shape, f"{label}: {said}", parts)


def _median(values: Sequence[float], shares: Sequence[float]) -> float:
    return values[min(range(len(shares)), key=lambda at: abs(shares[at] - 0.5))]
