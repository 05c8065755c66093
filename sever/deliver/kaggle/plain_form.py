"""Whether a CSV is written as plainly as a competition's host reads it; knows not what its cells mean.

Labels are read with patience: other columns, spaces, byte order marks and separators do no harm there. A host has none.
"""

from __future__ import annotations

import codecs
import csv
from pathlib import Path

from sever.errors import InputError

_MEND = "Kaggle refuses that; take it out, or write the file again with `sever predict`"
# A mask of a large image is a long cell: Python's default of 131,072 letters is too short.
_LETTERS = 2**30
_CLASS = "ClassId"
_PAIR = "ImageId_ClassId"


def raise_unless_plain(path: Path, sample: Path) -> None:
    """Raises InputError for what only a patient reader understands; the columns must be those of the `sample`."""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            raise InputError(f"{path} begins with a byte order mark, which becomes part of the first column. {_MEND}")
    limit = csv.field_size_limit(_LETTERS)
    try:
        _check(path, sample)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a proper CSV file: {error}. {_MEND}") from error
    finally:
        csv.field_size_limit(limit)


def _check(path: Path, sample: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file, sample.open(newline="", encoding="utf-8-sig") as model:
        lines = csv.reader(file, strict=True)
        header, wanted = next(lines, []), [name.strip() for name in next(csv.reader(model), [])]
        _check_header(path, sample, header, wanted)
        with_class = [at for at, name in enumerate(header) if name in (_CLASS, _PAIR)]
        for cells in lines:
            if fault := _fault(cells, header, with_class):
                raise InputError(f"{path}, row {lines.line_num}: {fault}. {_MEND}")


def _check_header(path: Path, sample: Path, header: list[str], wanted: list[str]) -> None:
    if sorted(header) == sorted(wanted):
        return
    extra = [repr(name) for name in header if name not in wanted]
    told = f", so {', '.join(extra)} is not allowed (pandas writes an index unless index=False)" if extra else ""
    raise InputError(
        f"{path} has the columns {','.join(header)}, but those of {sample} are {','.join(wanted)} and no others{told}. "
        f"{_MEND}"
    )


def _fault(cells: list[str], header: list[str], with_class: list[int]) -> str | None:
    if not cells:
        return "the line is blank"
    if len(cells) != len(header):
        return f"there are {len(cells)} cells for {len(header)} columns"
    spaced = next((cell for cell in cells if cell != cell.strip() or "  " in cell), None)
    if spaced is not None:
        return f"{spaced[:40]!r} has spaces that part nothing"
    numbers = [cells[at].rpartition("_")[2] for at in with_class]
    odd = next((number for number in numbers if not (number.isascii() and number.isdecimal())), None)
    return None if odd is None else f"the class is written {odd!r}, not as a plain whole number"
