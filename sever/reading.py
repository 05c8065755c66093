"""Text, JSON and YAML out of files, within bounds of size, depth and number; knows not what they say.

A file may be of any origin, so it is refused before it can take much time or memory: a huge one when it is opened, a
deep one, and one whose aliases multiply, before anything is built from it.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from sever.errors import InputError
from sever.near_names import unreadable

MIB = 1 << 20
# Settings are a few kilobytes; a list of all images of the 2019 competition is a quarter of a mebibyte.
MOST_YAML_BYTES, MOST_YAML_VALUES = MIB, 50_000
# The longest JSON of our own are a report's numbers: a hundred bytes an image.
MOST_JSON_BYTES, MOST_JSON_LISTS = 16 * MIB, 500_000
MOST_DEPTH = 50
# Longer ones cost the square of their length to read (1:1:1:... is a number in YAML).
LONGEST_NUMBER = 1000
_BOM_BYTES = 4

# A string of JSON, closed or not, or a bracket.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_NUMBER = re.compile(r"[-+.0-9]")
# libyaml reads ten times as fast as Python; both give the same values.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What PyYAML raises beside its own errors for scalars that are not what their tag says, such as a 31st of June.
_BAD_SCALAR = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, RecursionError)


def read_text(path: Path, most_bytes: int) -> str:
    """A text file in UTF-8. Raises InputError where it can't be read or is larger than `most_bytes`."""
    try:
        with path.open("rb") as file:
            content = read_at_most(file, most_bytes + 1)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
    if len(content) > most_bytes:
        raise InputError(f"{path} is too large: more than {most_bytes >> 10:,} KiB; is it the right file?")
    try:
        return content.decode(_encoding(content[:_BOM_BYTES], path))
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is not text in UTF-8 ({error})") from error


def read_start(path: Path, most_bytes: int) -> bytes:
    """The first bytes of a text file, to tell its kind by, in UTF-8 whatever the file is in.

    Raises InputError where it can't be opened: a folder whose labels can't be read is not one without labels.
    """
    try:
        with path.open("rb") as file:
            start = read_at_most(file, most_bytes)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
    if _encoding(start[:_BOM_BYTES], path) == "utf-16":
        start = start[: len(start) // 2 * 2].decode("utf-16", "ignore").encode()
    return start.removeprefix(codecs.BOM_UTF8)


def encoding_of(path: Path) -> str:
    """In what a text file is written: UTF-16 where it begins with the mark of that (Excel's "Unicode text", what
    PowerShell's `>` writes), else UTF-8. Raises InputError where it can't be read, or is in neither."""
    try:
        with path.open("rb") as file:
            return _encoding(file.read(_BOM_BYTES), path)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error


def _encoding(start: bytes, path: Path) -> str:
    """No text in UTF-8 holds zero bytes, and nearly every one in UTF-16 or UTF-32 begins with one among its first."""
    is_utf_16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0\0" in start or (b"\0" in start and not is_utf_16):
        raise InputError(
            f"cannot read {path}: it is not text in UTF-8, but seems to be UTF-16 or UTF-32; save it as UTF-8"
        )
    return "utf-16" if is_utf_16 else "utf-8-sig"


def read_at_most(file: BinaryIO, most_bytes: int) -> bytes:
    """Never more than that, since a pipe or a device has no end; and no more memory than there is to read, where
    `file.read(most_bytes)` takes all of that at once."""
    content = bytearray()
    while len(content) < most_bytes and (part := file.read(min(MIB, most_bytes - len(content)))):
        content += part
    return bytes(content)


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """The value of a JSON file. Raises InputError where it can't be read, is damaged, or out of bounds."""
    return parse_json(read_text(path, most_bytes), str(path))


def parse_json(text: str, source: str, most_lists: int = MOST_JSON_LISTS) -> Any:
    """The value of JSON text from `source`, which an InputError names."""
    depth = opened = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in "[{":
            depth, opened = depth + 1, opened + 1
        elif found[0] in "]}":
            depth -= 1
        if depth > MOST_DEPTH:
            raise InputError(f"cannot read {source}: it is nested more than {MOST_DEPTH} levels deep")
        if opened > most_lists:
            raise InputError(f"cannot read {source}: it holds more than {most_lists:,} lists and objects")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError as error:
        raise InputError(f"cannot read {source}: {error}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The `key: value` lines of a YAML file. Raises InputError where they can't be read or are out of bounds."""
    values = parse_yaml(read_text(path, MOST_YAML_BYTES), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold settings as `key: value` lines, but holds {type(values).__name__}")
    return values


def parse_yaml(text: str, source: str) -> Any:
    """The value of YAML text from `source`, which an InputError names; a key that appears twice is an error."""
    try:
        _raise_unless_bounded(text, source)
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    except InputError:
        raise
    except _BAD_SCALAR as error:
        raise InputError(f"{source} is not valid YAML: a value does not match its tag ({error})") from error


class _StrictLoader(_Loader):
    """YAML in which a key that appears twice is an error; by itself the second silently replaces the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` appears twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def _raise_unless_bounded(text: str, source: str) -> None:
    """Count values and levels as they would be with every alias (`*name`) written out."""
    count, sizes = 0, dict[str, int]()
    open_nodes: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise InputError(f"{source}: the alias *{event.anchor} is unknown, or refers to itself")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > LONGEST_NUMBER and (event.tag or (event.implicit[0] and _NUMBER.match(event.value))):
                raise InputError(f"{source}: a number, or tagged value, is longer than {LONGEST_NUMBER} characters")
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            sizes.pop(event.anchor or "", None)
            open_nodes.append((event.anchor, count))
            count += 1
        if len(open_nodes) > MOST_DEPTH:
            raise InputError(f"{source} is nested more than {MOST_DEPTH} levels deep")
        if count > MOST_YAML_VALUES:
            raise InputError(f"{source} holds more than {MOST_YAML_VALUES:,} values, its aliases written out")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is beyond all numbers")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
