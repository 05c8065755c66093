"""Which name someone may have meant who wrote another: case, suffix, folder, separators, Unicode; knows no tables."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_SHOWN = 3
_QUOTES = " '\"`\u2018\u2019\u201c\u201d"
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,4}$")


def _plain(name: str) -> str:
    """Without case, Unicode form and the signs that part folders."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.strip() for part in folded.replace("\\", "/").split("/") if part.strip() not in ("", "."))


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(_plain(name)).with_suffix("")) if _plain(name) else ""


def _without_folder(name: str) -> str:
    return PurePosixPath(_plain(name)).name


def _bare(name: str) -> str:
    return PurePosixPath(_plain(name)).stem


def _core(name: str) -> str:
    """The bare name without what programs add or change: %20, quotes, signs nobody sees, a second suffix."""
    shown = "".join(each for each in unicodedata.normalize("NFKC", unquote(name)) if unicodedata.category(each) != "Cf")
    core = PurePosixPath(_plain(shown.strip(_QUOTES).rstrip("."))).name
    while (shorter := _SUFFIX.sub("", core)) != core and shorter:
        core = shorter
    return core


# From the nearest to the farthest: names that are equal seen through one of them may mean the same image.
_VIEWS: tuple[Callable[[str], str], ...] = (_plain, _without_suffix, _without_folder, _bare, _core)


class NearNames:
    """The names that are there, to be asked which of them another may mean."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(names))

    @cached_property
    def _by_view(self) -> list[dict[str, list[str]]]:
        tables = []
        for view in _VIEWS:
            table: dict[str, list[str]] = defaultdict(list)
            for name in self.names:
                table[view(name)].append(name)
            tables.append(dict(table))
        return tables

    def find(self, name: str) -> list[str]:
        """The nearest names: several where they are equally near, none where nothing is near."""
        for view, table in zip(_VIEWS, self._by_view, strict=True):
            if (key := view(name)) and key in table:
                return table[key]
        return []

    def hint(self, name: str) -> str:
        """What to put behind an error about `name`: "; a.jpg is there, which differs in case", or nothing."""
        found = self.find(name)
        if not found:
            return ""
        if len(found) == 1:
            return f"; {found[0]} is there, which differs in {difference(name, found[0])}"
        more = f" or {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return f"; it may mean {' or '.join(found[:_SHOWN])}{more}, which are there"


def near_entry(path: Path) -> str:
    """As `NearNames.hint`, about a file or folder that is missing: the first part of its path that does not exist,
    from what else lies there."""
    path = path.absolute()
    try:
        while not path.parent.exists():
            path = path.parent
        return NearNames(entry.name for entry in path.parent.iterdir()).hint(path.name)
    except (OSError, ValueError):  # a path with a zero byte is no path
        return ""


def missing(path: Path, what: str) -> str:
    """The fault of a file or folder, as `what` calls it, that does not exist: its whole path, and any near name."""
    if path.exists():
        return f"{path.absolute()} is not a {what}"
    return f"there is no {what} {path.absolute()}{near_entry(path)}"


def unreadable(path: Path, error: OSError) -> str:
    """Why a file could not be opened, in words for whoever named it."""
    if isinstance(error, FileNotFoundError):
        return missing(path, "file")
    return f"cannot read {path.absolute()}: {error.strerror or error}"


def difference(name: str, other: str) -> str:
    """In what two near names differ, in words."""
    kinds = {"separators (\\ for /)": "\\" in name and "\\" not in other}
    left, right = (unicodedata.normalize("NFC", text.replace("\\", "/")) for text in (name, other))
    kinds["Unicode form (NFC, NFD), though it looks the same"] = unicodedata.normalize("NFC", name) != name or (
        unicodedata.normalize("NFC", other) != other
    )
    one, two = PurePosixPath(left), PurePosixPath(right)
    kinds["folder"] = _plain(str(one.parent)) != _plain(str(two.parent)) or left.startswith("./")
    kinds["suffix"] = one.suffix.strip().casefold() != two.suffix.strip().casefold() or bool(_SUFFIX.search(one.stem))
    kinds["spaces"] = any(part != part.strip() for part in (*one.parts, *two.parts))
    encoded = unquote(name) != name or any(unicodedata.category(each) == "Cf" for each in name)
    kinds["encoding, or signs that nobody sees"] = encoded
    kinds["quotes"] = name.strip().strip(_QUOTES) != name.strip()
    cased = [(one.stem, two.stem)] + [(one.suffix, two.suffix)] * (not kinds["suffix"])
    cased += [(str(one.parent), str(two.parent))] * (not kinds["folder"])
    kinds["case"] = any(a != b and a.casefold() == b.casefold() for a, b in cased)
    found = [kind for kind, there in kinds.items() if there]
    return " and ".join(found) or "how its signs are written"
