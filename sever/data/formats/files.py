"""Which label files a data set has, and their text within bounds; knows not what they say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sever.config import DataSettings
from sever.data.passed_over import has_no_labels
from sever.errors import InputError
from sever.near_names import missing
from sever.reading import MIB, MOST_DEPTH, parse_json, read_text
from sever.walking import entries, walk

# COCO's own largest file has 450 MiB.
MOST_BYTES = 1024 * MIB
MOST_LISTS = 50_000_000


def label_files(settings: DataSettings, found: Sequence[Path], suffix: str) -> list[Path]:
    """The file, or the files of the folder, that data.labels names; else those found. Raises InputError for none."""
    labels = settings.labels
    if labels is None:
        if not found:
            raise InputError(f"no label file of the layout was found in {settings.root}; name it in data.labels")
        return list(found)
    paths = files_ending(labels, suffix, deep=True) if labels.is_dir() else [labels]
    if not labels.exists():
        raise InputError(f"data.labels: {missing(labels, 'file or folder')}")
    if not paths:
        raise InputError(f"data.labels {labels} is a folder without any file that ends in {suffix}")
    return paths


def files_ending(folder: Path, suffix: str, deep: bool = False) -> list[Path]:
    """The files of a folder, or also of those below it, with a suffix in capital or small letters; sorted, and without
    hidden ones, such as the `._x.json` that macOS puts beside every file on a foreign disk."""
    found = files_below(folder) if deep else entries(folder)
    return sorted(
        path for path in found if path.suffix.lower() == suffix and not path.name.startswith(".") and path.is_file()
    )


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, but for what is hidden and other programs' thumbnails."""
    for current, names in walk(folder, lambda name, _: not has_no_labels(name)):
        yield from (Path(current) / name for name in names)


def folders_below(folder: Path, name: str) -> list[Path]:
    """The folders of that name below a folder, sorted."""
    folders = (Path(current) for current, _ in walk(folder, lambda name, _: not has_no_labels(name)))
    return sorted(path for path in folders if path.name == name and path != folder)


def read_big_json(path: Path) -> Any:
    """The value of a JSON file of annotations. Raises InputError where it can't be read or is out of bounds."""
    return parse_json(read_text(path, MOST_BYTES), str(path), MOST_LISTS)


def read_xml(path: Path) -> ET.Element:
    """The root of an XML file. Raises InputError where it can't be read, defines entities or is too deep."""
    text = read_text(path, MOST_BYTES)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"cannot read {path}: it defines entities (DOCTYPE), which no annotation file needs")
    parser: Any = ET.XMLPullParser(("start", "end"))
    try:
        parser.feed(text)
        parser.close()
        depth, root = 0, None
        for event, element in parser.read_events():
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            if depth > MOST_DEPTH:
                raise InputError(f"cannot read {path}: it is nested more than {MOST_DEPTH} levels deep")
    except (ET.ParseError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path}: {error}") from error
    assert isinstance(root, ET.Element)
    return root
