"""Tables as text, for a command's standard output; knows not what stands in them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def as_text(*parts: Table | str, width: int = 100) -> str:
    """Tables and lines below each other as a terminal of `width` columns shows them, without a last line end."""
    console = Console(width=width)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get().rstrip()
