"""Which classes an annotation file speaks of, and which column each has; knows no shapes and no images."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sever.config import DataSettings
from sever.data.class_names import CLASSES_FILE, is_no_defect, stated_class_names
from sever.errors import InputError

_SPACING = str.maketrans("", "", " \t_-")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classes:
    """The names in the order of the columns, and where they come from."""

    names: tuple[str, ...]
    source: str

    def index(self, label: str) -> int:
        """The column of a class. Raises InputError for a name that is none."""
        if label not in self.names:
            raise InputError(f"{label!r} is not a class; by {self.source} there are {', '.join(self.names)}")
        return self.names.index(label)


def classes_of(settings: DataSettings, found: Iterable[str], source: str, used: Collection[str] = ()) -> Classes:
    """The classes by classes.txt where there is one, else those `found` in `source`, in their order.

    `used`: those that mark something. A name for what is no defect is left out with a warning, as long as nothing is
    marked with it. Raises InputError where there is no class, or data.num_classes says another number.
    """
    names = tuple(dict.fromkeys(found))
    stated = stated_class_names(settings.root, None)
    for name in filter(is_no_defect, names if stated is None else ()):
        if name in used:
            raise InputError(
                f"{source} marks areas as {name!r}, which is not a defect; remove them there, or write {CLASSES_FILE} "
                f"into {settings.root} with the names of the defects"
            )
        _log.warning("%s: %r is not a class, as it names no defect and marks nothing", source, name)
    if stated is None:
        names = tuple(name for name in names if not is_no_defect(name))
    if stated is not None:
        names, source = stated
    _warn_of_spellings(names, source)
    if not names:
        raise InputError(f"{source} names no class; write classes.txt into {settings.root} with a name a line")
    if settings.num_classes not in (None, len(names)):
        raise InputError(
            f"data.num_classes is {settings.num_classes}, but {source} names {len(names)} classes "
            f"({', '.join(names[:8])}); leave it out, or write classes.txt"
        )
    return Classes(names, source)


def _warn_of_spellings(names: Iterable[str], source: str) -> None:
    """People type labels by hand: `Scratch` and `scratch ` would be learnt as two classes."""
    spelt = dict[str, str]()
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold().translate(_SPACING)
        first = spelt.setdefault(plain, name)
        if first != name:
            _log.warning("%s: %r and %r are two classes here; if they mean one, mend the labels", source, first, name)
