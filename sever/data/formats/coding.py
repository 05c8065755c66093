"""What the codes of mask pictures mean: which class, background, or ignored; reads no files.

Said by data.mask_values, by a table that came with the masks, or by the numbers themselves: k is the k-th class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sever.config import DataSettings
from sever.data import rle
from sever.data.class_names import CLASSES_FILE, stated_class_names
from sever.data.mask_pixels import COLOUR, code_of, spell
from sever.errors import InputError

BACKGROUND, IGNORE = "background", "ignore"
_BACKGROUND, _IGNORED = -1, -2
# How programs without classes write "defect".
_FULL_WHITE = 255
_SHOWN = 6
# The run lengths of each class, and of what is ignored.
Encoded = tuple[list[str], str]


@dataclass(frozen=True)
class Coding:
    """Code -> column of a class, or _BACKGROUND or _IGNORED; `source` says who says so."""

    class_names: tuple[str, ...]
    columns: Mapping[int, int]
    source: str
    white_is_the_class: bool = False

    @property
    def by_colour(self) -> bool:
        """Whether classes are colours, so that palettes and greys are to be read as colours too."""
        return any(code >= COLOUR and column >= 0 for code, column in self.columns.items())

    def encode(self, codes_hw: np.ndarray) -> Encoded | str:
        """The run lengths of a mask picture's codes, or what is wrong with it."""
        found, counts = _tally(codes_hw)
        columns = self._columns_of(found.tolist())
        strange = [
            (code, count) for code, count in zip(found.tolist(), counts.tolist(), strict=True) if code not in columns
        ]
        if strange:
            return self._fault(strange, codes_hw)
        lookup = np.array([columns[code] for code in found.tolist()])
        column_hw = lookup[np.searchsorted(found, codes_hw)]
        present = set(lookup.tolist())
        runs = [rle.encode(column_hw == at) if at in present else "" for at in range(len(self.class_names))]
        return runs, rle.encode(column_hw == _IGNORED) if _IGNORED in present else ""

    def _columns_of(self, found: list[int]) -> Mapping[int, int]:
        defects = [code for code in found if self.columns.get(code, 0) >= 0]
        if self.white_is_the_class and defects == [_FULL_WHITE]:
            return {**self.columns, _FULL_WHITE: 0}
        return self.columns

    def _fault(self, strange: list[tuple[int, int]], codes_hw: np.ndarray) -> str:
        # Black among colours is background, or would be told first, since most pixels are.
        strange = [pair for pair in strange if pair[0] != COLOUR] or strange
        code, count = max(strange, key=lambda pair: pair[1])
        row, column = np.argwhere(codes_hw == code)[0].tolist()
        has = "the mask has the colour " if code >= COLOUR else "the mask has the value "
        others = ", ".join(spell(other) for other, _ in strange[:_SHOWN] if other != code)
        also = f" (and {others})" if others else ""
        return (
            f"{has}{spell(code)}{also}, which is not a class: by {self.source}; {count} pixels have "
            f"it, the first in row {row}, column {column}. Say in data.mask_values or data.ignore_value what it means"
        )


def _tally(codes_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes that occur, ascending, and how often."""
    if codes_hw.size and codes_hw.max() >= COLOUR:
        return np.unique(codes_hw, return_counts=True)
    counts = np.bincount(codes_hw.ravel())  # ten times as fast, and numbers are small
    found = np.flatnonzero(counts)
    return found, counts[found]


def coding_of(settings: DataSettings, table: Mapping[str, str] | None = None, table_source: str = "") -> Coding:
    """The meaning by data.mask_values, else by the `table` (value -> name) that came with the masks, else by number.

    Raises InputError where the classes have no names, or are said twice in different ways.
    """
    values, source = (settings.mask_values, "data.mask_values") if settings.mask_values else (table, table_source)
    coding = _numbered(settings) if values is None else _named(settings, values, source)
    if settings.ignore_value is None:
        return coding
    code = code_of(settings.ignore_value)
    if coding.columns.get(code, _IGNORED) not in (_IGNORED, _BACKGROUND) and settings.mask_values:
        raise InputError(f"data.ignore_value {settings.ignore_value} is a class in data.mask_values too; mend one")
    if coding.by_colour and code < COLOUR:
        raise InputError(f"data.ignore_value {code} is a number, but the classes are colours; give it as #rrggbb")
    columns = {**coding.columns, code: _IGNORED}
    white = coding.white_is_the_class and code != _FULL_WHITE
    return Coding(coding.class_names, columns, coding.source, white)


def _numbered(settings: DataSettings) -> Coding:
    stated = stated_class_names(settings.root, settings.num_classes)
    if stated is None:
        raise InputError(
            f"{settings.root} has no {CLASSES_FILE}; write one with a class name a line, or set data.num_classes or "
            "data.mask_values"
        )
    names, source = stated
    columns = {0: _BACKGROUND, **{at + 1: at for at in range(len(names))}}
    meaning = f"{source} the classes are 1..{len(names)} (0 is background)"
    return Coding(names, columns, meaning, white_is_the_class=len(names) == 1)


def _named(settings: DataSettings, values: Mapping[str, str], source: str) -> Coding:
    found = tuple(dict.fromkeys(name for name in values.values() if name not in (BACKGROUND, IGNORE)))
    stated = stated_class_names(settings.root, None)
    names = stated[0] if stated else found
    strange = [name for name in found if name not in names]
    if strange or not names:
        raise InputError(f"{source} names {strange[0] if strange else 'no class'}, which is not in {CLASSES_FILE}")
    if settings.num_classes not in (None, len(names)):
        raise InputError(f"data.num_classes is {settings.num_classes}, but {source} names {len(names)} classes")
    kinds = {value.startswith("#") for value, name in values.items() if value != "0"}
    if len(kinds) > 1:
        raise InputError(f"{source} has numbers and colours; a mask picture holds either, so give one kind")
    special = {BACKGROUND: _BACKGROUND, IGNORE: _IGNORED}
    columns = {
        code_of(value): special.get(name, names.index(name) if name in names else 0) for value, name in values.items()
    }
    # Black is background wherever nothing else is said of it.
    columns = {0: _BACKGROUND, COLOUR: _BACKGROUND} | columns
    return Coding(tuple(names), columns, f"{source} there are {', '.join(f'{v}: {n}' for v, n in values.items())}")
