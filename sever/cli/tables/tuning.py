"""The report of `sever tune` as a table; knows no evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text
from sever.decide.bootstrap import Interval
from sever.pipeline.tune import TUNED


def render_tuning(report: dict[str, Any]) -> str:
    """The report as a table that a person reads, with the conclusion below."""
    gates = [report["gate"][which] for which in ("default", "chosen")]
    vetoes = any(gate["kind"] == "veto" for gate in gates)
    names = TUNED[: 4 if vetoes else 3]
    table = Table(title=f"{report['name']}: {report['images']} images, {report['folds']} folds; default -> chosen")
    for heading in ("class", "images with it", *(name.replace("_", " ") for name in names), "held-out gain in Dice"):
        justify: Literal["left", "right"] = "left" if heading == "class" else "right"
        table.add_column(heading, justify=justify, no_wrap=heading.endswith("Dice"))
    for each in report["classes"]:
        values = [_change(each, name, gates) for name in names]
        gain = "refused" if each["refused"] else str(Interval(**each["gain"]))
        table.add_row(escape(each["name"]), str(each["images_with_it"]), *values, gain)
    table.add_section()
    table.add_row("all", "", *[""] * len(names), str(Interval(**report["gain"])))
    gate = " -> ".join(dict.fromkeys(_gate_words(each) for each in gates))
    return f"{as_text(table, width=120)}\ngate: {gate}\n{report['conclusion']}\nrules: {report['rules']}"


def _change(each: dict[str, Any], name: str, gates: Sequence[dict[str, Any]]) -> str:
    values = [each[which][name] for which in ("default", "chosen")]
    if name == "gate_threshold":  # it means something under a veto only
        values = [value if gate["kind"] == "veto" else None for value, gate in zip(values, gates, strict=True)]
    return " -> ".join(dict.fromkeys("-" if value is None else f"{value:g}" for value in values))


def _gate_words(gate: dict[str, Any]) -> str:
    return f"soft, factor {gate['factor']:g}" if gate["kind"] == "soft" else str(gate["kind"])
