"""The table of results: one row a run, appended to a CSV that many sittings and machines fill; knows no training."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from sever.errors import InputError
from sever.files import write_text

from .scoring import SCORES

# What tells one run from another: the same minutes hold other trainings on another kind of machine.
KEY = ("host", "protocol", "fold", "contender", "variant", "seed", "clock", "budget")
COLUMNS = ("date", *KEY, "wall_seconds", "cpu_seconds", "images_seen", *SCORES, "commit")


def read_rows(file: Path) -> list[dict[str, str]]:
    """All rows; none where there is no file yet. Raises InputError for a table with other columns."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(
                f"{file} has the columns {', '.join(reader.fieldnames or ())}; wanted: {', '.join(COLUMNS)}"
            )
        return list(reader)


def find_row(rows: list[dict[str, str]], key: Mapping[str, object]) -> dict[str, str] | None:
    """The row of this very run, if it was done."""
    return next((row for row in rows if all(row[name] == str(key[name]) for name in KEY)), None)


def add_row(file: Path, row: Mapping[str, object]) -> None:
    """Append one row; the file is replaced whole, so that a killed writer leaves no half of it."""
    assert set(row) == set(COLUMNS), set(row) ^ set(COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*read_rows(file), {name: str(row[name]) for name in COLUMNS}])
    write_text(file, text.getvalue())
