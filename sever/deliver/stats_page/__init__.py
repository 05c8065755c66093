"""One self-contained page about one data set, or two side by side: template and charts; every number is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sever.deliver.report.words import called, spoken
from sever.deliver.stats_page.charts import distribution_chart

HERE = Path(__file__).parent
STYLE = HERE.parent / "report" / "style.css"
NOTHING = "–"


def render_stats_page(numbers: Mapping[str, Any]) -> str:
    """The HTML for the numbers that `sever data stats --json` prints."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"called": called, "spoken": spoken, "percent": _percent, "count": _count}
    return environment.get_template("page.html").render(
        numbers=numbers,
        sets=numbers["sets"],
        class_names=_class_names(numbers["sets"]),
        class_of=_class_of,
        quantile=lambda each, name, at: each[name][numbers["quantiles"].index(at)] if each and each[name] else None,
        chart=distribution_chart,
        style=Markup(STYLE.read_text(encoding="utf-8")),
    )


def _class_names(sets: list[dict[str, Any]]) -> list[str]:
    """Of all sets, each once, in the order of the first that has it."""
    return list(dict.fromkeys(each["name"] for one in sets for each in one["classes"]))


def _class_of(one: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((each for each in one["classes"] if each["name"] == name), None)


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.3g} %"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"
