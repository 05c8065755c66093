"""No name that comes out of a file leads out of the folder that it belongs to."""

from __future__ import annotations

import os
import pickle
import string
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.errors import InputError
from sever.names import MOST_BYTES, beside, fault_of, inside

NASTY = (
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "//host/share",
    "C:x",
    "c:\\x",
    "..\\x",
    "a\\b",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x85b",
    "a\udcffb",
    "x" * (MOST_BYTES + 1),
    "ü" * MOST_BYTES,
)
FINE = (
    "a.png",
    "a b.jpg",
    "coil 7/top/0001.jpg",
    "12:30:05.png",
    "..a",
    "a..b",
    "...",
    "größe.tif",
    "-r",
    "~x",
    "日本.png",
)

pieces = st.sampled_from([*NASTY, *FINE, "..", "/", "\\", "a", "C:"])
any_name = st.one_of(st.text(), st.lists(pieces, max_size=5).map("".join), st.lists(pieces, max_size=5).map("/".join))


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        inside(tmp_path, name)


@pytest.mark.parametrize("name", FINE)
def test_a_name_that_only_looks_odd_is_taken(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, name) == tmp_path / name


@given(any_name)
def test_whatever_is_taken_lies_below_the_folder_on_either_system(name: str) -> None:
    folder = Path("/some/folder")
    if fault_of(name) is not None:
        return
    path = os.path.normpath(inside(folder, name))
    assert path.startswith("/some/folder/")
    assert path.removeprefix("/some/folder/") == name
    windows = PureWindowsPath("D:/some/folder") / name
    assert windows.parts[:3] == ("D:\\", "some", "folder")
    assert ".." not in windows.parts
    assert name.isprintable() or not set(name) & set(string.whitespace[1:])


def test_a_neighbour_may_lie_beside_the_folder_and_nowhere_by_an_absolute_path() -> None:
    folder = Path("saved/blend")
    assert beside(folder, "../unet/20260101-000000") == Path("saved/blend/../unet/20260101-000000")
    assert beside(folder, "members/0-unet") == folder / "members/0-unet"
    for name in ("/abs", "C:/x", "a/../x", "../a\\b", "../\n", ""):
        with pytest.raises(InputError):
            beside(folder, name)


def test_a_word_of_thousands_of_characters_is_shortened_in_an_error() -> None:
    """As a number of 5,000 digits, which a message would otherwise spread over a terminal."""
    error = InputError(f"row 2: class '{'9' * 5000}' is not a whole number; /long/{'x' * 255}/name stays")
    assert (
        str(error)
        == f"row 2: class '{'9' * 40}... (5000 characters)' is not a whole number; /long/{'x' * 255}/name stays"
    )
    assert pickle.loads(pickle.dumps(error)).args == error.args
