"""A blend beside its members, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text
from sever.counted import counted
from sever.decide.bootstrap import Interval, in_words


def render_comparison(comparison: dict[str, Any]) -> str:
    """The comparison as a table that a person reads, and what follows from it in words."""
    table = Table(title=f"Out of fold, {counted(comparison['images'], 'image')}")
    for heading in ("", "weight", "Dice", *comparison["classes"]):
        table.add_column(escape(heading), justify="left" if not heading else "right")
    for member in comparison["members"]:
        table.add_row(escape(_called(member, comparison)), f"{member['weight']:g}", *_figures(member))
    table.add_section()
    table.add_row(f"{comparison['blend']['kind']} of them", "", *_figures(comparison), style="bold")
    return "\n".join([as_text(table), *_words(comparison), str(Path(comparison["folder"]).absolute())])


def _called(member: dict[str, Any], comparison: dict[str, Any]) -> str:
    """The name; where several members share it (other seeds of one experiment), with the last part of the folder."""
    shared = sum(each["name"] == member["name"] for each in comparison["members"]) > 1
    return f"{member['name']}/{member['folder'].rpartition('/')[2]}" if shared else str(member["name"])


def _figures(scores: dict[str, Any]) -> list[str]:
    return [f"{value:.4f}" for value in (scores["dice"], *scores["dice_per_class"])]


def _words(comparison: dict[str, Any]) -> list[str]:
    gain, selection = comparison["gain"], comparison["selection"]
    verdict = in_words(gain["low"], gain["high"])
    lines = [f"blend - {comparison['best_member']}, the best member: {Interval(**gain)}: {verdict}"]
    if selection is not None:
        taken = "taken" if selection["taken"] else "not taken, the equal mean stays"
        lines.append(f"greedy weights - equal mean, out of fold: {Interval(**selection['gain'])}: {taken}")
    if not comparison["same_rules"]:
        lines.append("each is scored under its own rules.json, and these differ")
    return lines
