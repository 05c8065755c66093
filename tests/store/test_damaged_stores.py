"""Stores that are read line by line, or by numpy: whatever is wrong with one is an error that names the file."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sever.decide.familiarity import Normality
from sever.errors import InputError
from sever.output import WRITTEN, OutputFolder, read_list
from sever.store.found import FOUND, FoundStore
from sever.store.normality import NORMALITY, read_normality, write_normality

ODD_NUMBERS = ("1e999", "-1e999", "NaN", "9" * 5000, '"x"', "null", "[1]", "{}")


def rebuilt(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The same zip archive, with its members changed and sums of their own."""
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as changed:
        for name in source.namelist():
            changed.writestr(name, change(name, source.read(name)))
    return target.getvalue()


def test_any_damage_of_what_is_normal_is_an_error_that_names_it(tmp_path: Path) -> None:
    """numpy reads an array's header as Python's own text, and raises what its parser does."""
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=6), np.ones(6), rng.normal(size=(2, 6)), np.ones(2), 1.0, rng.random(9))
    write_normality(tmp_path, Normality(*arrays), "a" * 64)
    path, draw = tmp_path / NORMALITY, random.Random(0)
    whole = path.read_bytes()

    def spoil(name: str, member: bytes) -> bytes:
        changed = bytearray(member)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(min(len(changed), 128))] = draw.choice(b"()[]{},'\"0123456789<fO:\n \0\xff")
        return bytes(changed)

    huge = rebuilt(whole, lambda name, member: member.replace(b"'shape': (", b"'shape': (9999999999,", 1))
    infinite = rebuilt(whole, lambda name, member: member[:-4] + b"\0\0\x80\x7f" if "mean" in name else member)
    spoilt = [rebuilt(whole, spoil) for _ in range(300)]
    for content in [huge, infinite, b"", whole[: len(whole) // 2], *spoilt]:
        path.write_bytes(content)
        with contextlib.suppress(InputError):  # nothing else
            read_normality(tmp_path, "a" * 64)
    for content in (huge, infinite):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{NORMALITY}.*sever data familiar"):
            read_normality(tmp_path, "a" * 64)


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_an_odd_number_in_a_list_of_what_was_written_proves_nothing(number: str, tmp_path: Path) -> None:
    home = OutputFolder(tmp_path)
    home.write_text("a.txt", "one")
    with (tmp_path / WRITTEN).open("a") as file:
        file.write(f'{{"name": "b.txt", "bytes": {number}, "sha256": "0"}}\n')
    assert set(read_list(tmp_path / WRITTEN)) == {"a.txt"}
    assert OutputFolder(tmp_path).is_ours("a.txt")


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_an_odd_number_in_found_lines_is_an_error_that_names_the_file(number: str, tmp_path: Path) -> None:
    (tmp_path / FOUND).write_text(f'{{"image": "a.png", "origin": "o", "runs": [], "pixels": {number}}}\n')
    with pytest.raises(InputError, match=f"{FOUND} is damaged"):
        FoundStore(OutputFolder(tmp_path))
