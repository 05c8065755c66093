"""What the classes of a data set are called, and so how many there are; knows no images and no masks."""

from __future__ import annotations

import re
from pathlib import Path

from sever.errors import InputError
from sever.reading import MIB, read_text

CLASSES_FILE = "classes.txt"
# How lists of classes call what is no defect, in letters alone.
_UNKNOWN = frozenset({"ignore", "ignored", "unlabeled", "unlabelled", "nolabel"})
_NO_DEFECT = frozenset(
    _UNKNOWN
    | {"background", "bg", "none", "clean", "good", "ok", "normal", "healthy", "intact"}
    | {"nodefect", "nodefects", "defectfree", "nondefect", "nondefective"}
)
_NUMBER = re.compile(r"[0-9]{1,4}(?=[\s:=_)-]|$)")


def numbered(num_classes: int) -> tuple[str, ...]:
    """The names of classes that have none: "1" .. "C"."""
    return tuple(str(number) for number in range(1, num_classes + 1))


def stated_class_names(root: Path, num_classes: int | None) -> tuple[tuple[str, ...], str] | None:
    """The names by the settings or by classes.txt, and which of the two it was; None where neither says.

    Raises InputError where they contradict each other.
    """
    path = root / CLASSES_FILE
    if not path.is_file():
        return None if num_classes is None else (numbered(num_classes), "data.num_classes")
    names = _read_names(path)
    if num_classes not in (None, len(names)):
        raise InputError(f"data.num_classes is {num_classes}, but {path} has {len(names)} names; mend one of them")
    return names, CLASSES_FILE


def _read_names(path: Path) -> tuple[str, ...]:
    names = [line.strip() for line in read_text(path, MIB).strip().splitlines()]
    if not names:
        raise InputError(f"{path} is empty; it needs the name of each class, one a line")
    if "" in names:
        raise InputError(f"{path} has a blank line at {names.index('') + 1}; the line number is the class")
    _refuse_background(path, names)
    _refuse_zero(path, names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{path} has the name {twice!r} twice; each class needs its own")
    return tuple(names)


def is_no_defect(name: str) -> bool:
    """Whether a name is one of those by which lists of classes call background, clean images and what is ignored."""
    return _letters(name) in _NO_DEFECT


def is_unknown(name: str) -> bool:
    """Whether a name says that nobody knows, or looked: neither a defect, nor that there is none."""
    return _letters(name) in _UNKNOWN


def _refuse_background(path: Path, names: list[str]) -> None:
    """Other programs list what is not a defect as well; here each line is a class, so that all labels would be off."""
    lines = [at for at, name in enumerate(names, start=1) if is_no_defect(name)]
    if lines:
        said = " and ".join(f"{names[at - 1]!r} at line {at}" for at in lines)
        raise InputError(
            f"{path} lists {said}, which is not a defect: line k is the k-th class, and background is 0, not a line. "
            "Leave the names of defects alone, and see that the labels count these lines from 1"
        )


def _refuse_zero(path: Path, names: list[str]) -> None:
    numbers = [_NUMBER.match(name) for name in names]
    if all(numbers) and [int(match[0]) for match in numbers if match] == list(range(len(names))):
        raise InputError(
            f"{path} numbers its classes from 0 ({names[0]!r} is line 1), but line k is the k-th class, from 1; 0 is "
            "background. Write the names alone, and see that the labels count from 1"
        )


def _letters(name: str) -> str:
    """A name without case, signs and numbers: `__ignore__` and `0: Background` are told by them."""
    return "".join(filter(str.isalpha, name.casefold()))
