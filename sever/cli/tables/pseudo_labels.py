"""What `sever pseudo` kept, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text


def render_pseudo(report: dict[str, Any], output: Path) -> str:
    """The report as a table, and where the labels lie."""
    table = Table(title=f"{report['kept']} of {report['given']} images kept by {report['by']}")
    for heading in ("", "images", "kept", "mean confidence", "in doubt"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in report["per_class"]:
        mean = "" if row["mean_confidence"] is None else f"{row['mean_confidence']:.3f}"
        doubt = "" if row["in_doubt"] is None else str(row["in_doubt"])
        table.add_row(escape(row["name"]), str(row["given"]), str(row["kept"]), mean, doubt)
    limits = f"drawn classes from {report['min_present']:g}, empty ones from {report['min_empty']:g}"
    note = f"sure enough: {limits}; in doubt: images left out because of this class"
    return f"{as_text(table)}\n{note}\n{(output / 'pseudo.csv').absolute()}"
