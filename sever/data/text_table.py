"""A CSV file as text, row by row as a text editor shows it; knows nothing of what its columns mean."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sever.errors import InputError
from sever.near_names import NearNames, missing, unreadable
from sever.reading import encoding_of
from sever.seals import raise_if_short

ROW = "row"
# What some programs and countries write in place of commas.
SEPARATORS = {"semicolons": ";", "tabs": "\t", "vertical bars": "|"}
LONGEST_HEADER = 10_000
_SHOWN = 3  # of many forms


def read_text_table(path: Path, forms: Sequence[tuple[str, ...]]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """All cells as stripped text ("" where empty), with the line number in the column `row`, and the form that fits.

    `forms` are the sets of columns that are allowed; blank lines are passed over. Raises InputError for a missing or
    broken file and for missing columns.
    """
    raise_if_short(path)
    _raise_if_parted_otherwise(path, forms)
    frame = _read(path)
    frame.columns = [str(name).strip() for name in frame.columns]
    if not frame.columns.is_unique:
        raise InputError(f"{path} has a column twice: {','.join(frame.columns)}")
    form = next((form for form in forms if set(form) <= set(frame.columns)), None)
    if form is None:
        wanted = " or ".join(",".join(form) for form in forms[:_SHOWN])
        near = NearNames(frame.columns)
        hint = next(filter(None, (near.hint(name) for form in forms for name in form if name not in near.names)), "")
        raise InputError(f"{path} lacks a column: it has {','.join(frame.columns)}, but {wanted} is needed{hint}")
    table = pd.DataFrame({name: [text.strip() for text in frame[name].fillna("")] for name in frame.columns})
    table[ROW] = range(2, len(frame) + 2)
    filled = (table.drop(columns=ROW) != "").any(axis=1)
    return table[filled].reset_index(drop=True), form


def header_of(path: Path) -> str:
    """The first line, to tell a table's kind by: cut where it is very long, with signs in place of what is no text.

    Raises InputError where the file can't be opened.
    """
    try:
        with path.open(encoding=encoding_of(path), errors="replace") as file:
            return file.readline(LONGEST_HEADER).strip("\r\n")
    except OSError as error:
        raise InputError(unreadable(path, error)) from error


def _raise_if_parted_otherwise(path: Path, forms: Sequence[tuple[str, ...]]) -> None:
    """Raises InputError where the header has the columns of a form, but not between commas."""
    try:
        header = header_of(path)
    except InputError:
        return  # `_read` says what is wrong
    for name, separator in SEPARATORS.items():
        columns = {column.strip().strip('"') for column in header.split(separator)}
        # Where any columns will do, they are told by there being several, and no commas.
        if len(columns) > 1 and any(set(form) <= columns if form else "," not in header for form in forms):
            raise InputError(
                f"{path} lacks a column: its columns are separated by {name} ({header}), not by commas; save it as "
                "CSV with commas"
            )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(missing(path, "file"))
    try:
        with warnings.catch_warnings():
            # pandas drops surplus cells with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                encoding=encoding_of(path),
                skip_blank_lines=False,
                index_col=False,
            )
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty; it needs at least a header line") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{path} has rows with more cells than its header has columns") from error
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is not a proper CSV file: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV UTF-8") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
