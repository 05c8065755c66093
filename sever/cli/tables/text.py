"""Tables as text, and numbers in them, for a command's standard output; knows not what they mean."""

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


def as_number(value: float | None, form: str = ".4f") -> str:
    """A dash where there is none."""
    return "-" if value is None else f"{value:{form}}"
