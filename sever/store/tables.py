"""Our CSV tables, column by column: written with a seal, and read with one sentence for any damage."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sever.errors import InputError
from sever.seals import read_sealed, sealed_path

# Above it double precision leaves out whole numbers: nothing of ours was counted so far.
MOST = 2.0**53


@dataclass(frozen=True)
class Column:
    """`kind`: text, whole (a number) or number. An empty cell is allowed where `may_lack`; older files have no column
    that `is_optional`."""

    kind: str = "text"
    least: float = 0.0
    most: float = MOST
    may_lack: bool = False
    is_optional: bool = False
    words: tuple[str, ...] = ()


ID, GROUP = Column(), Column(may_lack=True)
FOLD, CLASS = Column("whole", -1, 1000), Column("whole", 1, 1_000_000)
PIXELS, SHARE = Column("whole"), Column("number", 0, 1)

# A hash of an image's labels; pseudo-labelled images have none.
LABELS = Column(may_lack=True, is_optional=True)

FOLDS = {"image_id": ID, "group": GROUP, "fold": FOLD, "labels": LABELS}
RUN_FOLDS = FOLDS | {"part": Column(words=("train", "validation", "pseudo"))}
PAIRS = {
    "image_id": ID,
    "group": GROUP,
    "fold": FOLD,
    "class_id": CLASS,  # 1..C
    "dice": SHARE,
    "true_pixels": PIXELS,
    "pred_pixels": PIXELS,
    "common_pixels": PIXELS,
    "max_prob": SHARE,
    "gate_prob": Column("number", 0, 1, may_lack=True),  # NaN without a classifier
}


def write_table(path: Path, frame: pd.DataFrame) -> None:
    with sealed_path(path) as temporary:
        put_table(temporary, frame)


def put_table(path: Path, frame: pd.DataFrame) -> None:
    """The table as it stands in a file; whoever gave the path sees to the seal."""
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def read_table_file(path: Path, columns: Mapping[str, Column], key: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table that only we write, no two rows of which have the same `key`. Raises InputError where it is damaged."""
    frame = parse_csv(read_sealed(path), path)
    _raise_unless_there(frame, columns, path)
    for name, column in columns.items():
        if name not in frame:
            continue
        frame[name] = _typed(frame[name], column, f"{path}, column {name}")
    if key and frame.duplicated(list(key)).any():
        twice = frame.loc[frame.duplicated(list(key)), list(key)].iloc[0].tolist()
        raise InputError(f"{path} is damaged: {', '.join(map(str, twice))} appears twice; have it written again")
    return frame


def parse_csv(content: bytes, path: Path) -> pd.DataFrame:
    """Any CSV, with ids and groups as text. Raises InputError where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas drops surplus cells with a mere warning
            return pd.read_csv(
                io.BytesIO(content),
                dtype=dict.fromkeys(("image_id", "group", "labels", "part", "name"), str),
                # A group may be called NA or null: only an empty cell is missing.
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                low_memory=False,
            )
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path} is not a proper CSV file: {' '.join(str(error).split())[:120]}") from error


def _raise_unless_there(frame: pd.DataFrame, columns: Mapping[str, Column], path: Path) -> None:
    missing = [name for name, column in columns.items() if name not in frame and not column.is_optional]
    if missing:
        raise InputError(f"{path} is damaged: it lacks the column {', '.join(missing)}; have it written again")


def _typed(values: pd.Series, column: Column, where: str) -> pd.Series:
    empty = values.isna().to_numpy()
    if empty.any() and not column.may_lack:
        raise InputError(f"{where}: row {_first(empty)} is empty; the file is damaged, have it written again")
    if column.kind == "text":
        odd = ~values.isin(column.words).to_numpy() if column.words else np.zeros(len(values), bool)
        typed = values
    else:
        # As text, where they are no numbers yet: whole ones beyond all bounds are infinite, yes and no are none.
        plain = values.map(str) if values.dtype.kind not in "fiu" else values
        numbers = pd.to_numeric(plain.where(~empty, np.nan), errors="coerce").astype(float)
        good = numbers.between(column.least, column.most).to_numpy()
        if column.kind == "whole":
            good = good & (numbers % 1 == 0).to_numpy()
        odd, typed = ~good & ~empty, numbers
    if odd.any():
        given = str(values[odd].iloc[0])[:40]
        raise InputError(f"{where}: row {_first(odd)} has {given!r}; the file is damaged, have it written again")
    return typed.astype(np.int64) if column.kind == "whole" else typed


def _first(marked: np.ndarray) -> int:
    """The first marked row as a text editor counts it, below the heading."""
    return int(np.argmax(marked)) + 2
