"""What `sever data convert` wrote, as a table."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text
from sever.counted import counted


def render_conversion(numbers: dict[str, Any]) -> str:
    """What was written, and what it lost, as a person reads it."""
    table = Table(title=f"{counted(numbers['images'], 'image')} as {numbers['to']}, read back")
    for heading in ("class", "pixels", "after", "differ", "IoU"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, each in numbers["classes"].items():
        iou = "-" if each["iou"] is None else f"{each['iou']:.6f}"
        counts = (each["pixels"], each["pixels_after"], each["pixels_that_differ"])
        table.add_row(escape(name), *(f"{count:,}" for count in counts), iou)
    lines = [numbers["output"]]
    if numbers["ignored_pixels_lost"]:
        said = (
            f"{numbers['ignored_pixels_lost']:,} ignored pixels are background there: the format has no place for them"
        )
        lines.insert(0, said)
    return "\n".join([as_text(table), *lines])
