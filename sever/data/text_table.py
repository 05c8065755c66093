"""A CSV file as text, row by row as a text editor shows it; knows nothing of what its columns mean."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sever.errors import InputError

ROW = "row"


def read_text_table(path: Path, forms: Sequence[tuple[str, ...]]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """All cells as stripped text ("" where empty), with the line number in the column `row`, and the form that fits.

    `forms` are the sets of columns that are allowed; blank lines are passed over. Raises InputError for a missing or
    broken file and for missing columns.
    """
    frame = _read(path)
    frame.columns = [str(name).strip() for name in frame.columns]
    if not frame.columns.is_unique:
        raise InputError(f"{path} has a column twice: {','.join(frame.columns)}")
    form = next((form for form in forms if set(form) <= set(frame.columns)), None)
    if form is None:
        wanted = " or ".join(",".join(form) for form in forms)
        raise InputError(f"{path} lacks a column: it has {','.join(frame.columns)}, but {wanted} is needed")
    table = pd.DataFrame({name: [text.strip() for text in frame[name].fillna("")] for name in frame.columns})
    table[ROW] = range(2, len(frame) + 2)
    filled = (table.drop(columns=ROW) != "").any(axis=1)
    return table[filled].reset_index(drop=True), form


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        with warnings.catch_warnings():
            # pandas drops surplus cells with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                skip_blank_lines=False,
                index_col=False,
            )
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty; it needs at least a header line") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{path} has rows with more cells than its header has columns") from error
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is no proper CSV file: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV UTF-8") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
