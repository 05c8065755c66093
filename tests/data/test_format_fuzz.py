"""Damaged files of every format raise InputError and nothing else: bytes, words and values change at random."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fuzz.tool_labels import read_labels, write_labels

from sever.data.formats.export import Wish
from sever.data.formats.writers import WRITERS
from sever.errors import InputError

TRIES = int(os.environ.get("SEVER_FUZZ_TRIES", "40"))
VALUES: list[Any] = [None, True, -1, 0, 1.5, 10**30, float("1e300"), "", "x", "..", [], {}, [[]], [None] * 6, {"a": []}]


@pytest.fixture(params=[*WRITERS, "polygons of coco", "polygons of cvat", "polygons of label-studio", "voc", "png"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A whole, small data set of a format, and the name of its layout."""
    to, root = request.param, tmp_path / "whole"
    name = to.removeprefix("polygons of ")
    second = {"voc": ("datumaro/voc", "voc", "a.jpg"), "png": ("label_studio", "label_studio_png", "a.png")}
    if to in second:
        folder, layout, image = second[to]
        shutil.copytree(Path(__file__).parent / "second_readers" / folder, root)
        for name in (image, "b.png"):
            save(root / "images" / name, np.full((24, 32), 99, np.uint8))
        return root, layout
    return root, write_labels(root, name, Wish(0.0 if to != name else None))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def label_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and "images" not in path.parent.name)


def test_whole_files_are_read(data: tuple[Path, str]) -> None:
    read_labels(*data)


def test_damaged_files_are_refused_or_read(data: tuple[Path, str], tmp_path: Path) -> None:
    root, layout = data
    rng, refused = random.Random(layout), 0
    for number in range(TRIES):
        copy = tmp_path / f"damaged{number}"
        shutil.copytree(root, copy)
        damage(rng.choice(label_files(copy)), rng)
        try:
            read_labels(copy, layout)
        except InputError:
            refused += 1
        shutil.rmtree(copy)
    assert refused > TRIES / 10, "the damage does none"


def damage(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    kinds = [cut, flip, repeat] if not content else [cut, flip, repeat, change_word]
    if path.suffix == ".json":
        kinds += [change_value] * 6
    path.write_bytes(rng.choice(kinds)(content, rng))


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(min(3, len(changed))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start : start + 40] * 3 + content[start + 40 :]


def change_word(content: bytes, rng: random.Random) -> bytes:
    """One number of the text becomes another, larger than any image, negative, or no number."""
    places = [match.span() for match in re.finditer(rb"[0-9.]+", content)] or [(0, 0)]
    start, end = rng.choice(places)
    return content[:start] + rng.choice([b"-1", b"99999999999999999999", b"nan", b"", b"1e400", b"0"]) + content[end:]


def change_value(content: bytes, rng: random.Random) -> bytes:
    """Any value of the JSON, however deep, becomes another or goes."""
    value = json.loads(content)
    for _ in range(rng.randrange(1, 3)):
        places = list(walk(value))
        if places:
            holder, key = rng.choice(places)
            with contextlib.suppress(IndexError, KeyError):
                holder[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def walk(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs)[:40]:
        yield value, key
        yield from walk(inner)
