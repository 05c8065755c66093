"""What the classes of a data set are called, and so how many there are; knows no images and no masks."""

from __future__ import annotations

from pathlib import Path

from sever.errors import InputError

CLASSES_FILE = "classes.txt"


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
    try:
        names = [line.strip() for line in path.read_text("utf-8-sig").strip().splitlines()]
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} can't be read as UTF-8 text: {error}") from error
    if not names:
        raise InputError(f"{path} is empty; it needs the name of each class, one a line")
    if "" in names:
        raise InputError(f"{path} has a blank line at {names.index('') + 1}; the line number is the class")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{path} has the name {twice!r} twice; each class needs its own")
    return tuple(names)
