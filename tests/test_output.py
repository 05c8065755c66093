"""A command's folder: nothing that somebody else put there is replaced or deleted, and nothing of ours is taken for
somebody else's, whenever a process is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_names import NASTY

from sever.errors import InputError
from sever.output import WRITTEN, OutputFolder, written_below

NAMES = ("submission.csv", "probs/a.png", "sheet.png")


def test_what_was_written_is_replaced_and_deleted(tmp_path: Path) -> None:
    for text in ("one", "two"):
        OutputFolder(tmp_path).write_text("probs/a.png", text)
        assert (tmp_path / "probs" / "a.png").read_text() == text
    OutputFolder(tmp_path).remove(["probs/a.png", "never.there"])
    assert not (tmp_path / "probs" / "a.png").exists()
    OutputFolder(tmp_path).write_text("probs/a.png", "three")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("was_ours", [False, True])
def test_anything_else_stays(name: str, was_ours: bool, tmp_path: Path) -> None:
    home = OutputFolder(tmp_path)
    if was_ours:
        home.write_text(name, "ours")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    home.write_text("other.txt", "ours")
    for touch in (
        lambda: home.write_text(name, "ours"),
        lambda: home.remove(["other.txt", name]),
        lambda: home.claim([name]),
    ):
        with pytest.raises(InputError, match=f"holds {name}"):
            touch()
    assert path.read_text() == "mine"
    assert (tmp_path / "other.txt").read_text() == "ours", "nothing goes where anything has to stay"
    aside = home.set_aside(name)
    assert aside is not None
    assert aside.read_text() == "mine"
    assert home.set_aside(name) is None


@pytest.mark.parametrize("link", ["probs", "probs/a.png", "submission.csv"])
def test_no_way_through_a_link(link: str, tmp_path: Path) -> None:
    """Neither to a folder of somebody else's, nor to a file, nor to one that isn't there."""
    theirs, output = tmp_path / "theirs", tmp_path / "out"
    (theirs / "a.png").parent.mkdir()
    (theirs / "a.png").write_text("mine")
    (output / link).parent.mkdir(parents=True)
    target = theirs / ("a.png" if "." in link else ".")
    (output / link).symlink_to(target)
    home, name = OutputFolder(output), link if "." in link else f"{link}/a.png"
    home.list_file.write_text(
        (lambda h: h.write_text("a.png", "mine") or h.list_file.read_text())(OutputFolder(tmp_path))
    )
    for act in (lambda: home.write_text(name, "ours"), lambda: home.remove([name])):
        with pytest.raises(InputError, match="holds"):
            act()
    assert (theirs / "a.png").read_text() == "mine"
    (theirs / "a.png").unlink()
    if target.name == "a.png":  # now it leads nowhere
        with pytest.raises(InputError, match="holds"):
            home.write_text(name, "ours")
        assert not (theirs / "a.png").exists()


def test_the_output_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    for text in ("one", "two"):
        OutputFolder(tmp_path / "out").write_text("probs/a.png", text)
    assert (tmp_path / "disk" / "probs" / "a.png").read_text() == "two"


@pytest.mark.parametrize("name", NASTY)
def test_no_name_leaves_the_folder(name: str, tmp_path: Path) -> None:
    home = OutputFolder(tmp_path / "out")
    for act in (lambda: home.write_text(name, ""), lambda: home.remove([name]), lambda: home.claim([name])):
        with pytest.raises(InputError):
            act()
    assert not (tmp_path / "x").exists()


class Killed(BaseException):
    """As SIGKILL: nothing after it happens."""


@pytest.mark.parametrize("moment", range(8))
def test_killed_at_any_moment_it_can_be_typed_again(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies at the moment-th call that changes the disk, in a first or a second writing of the same file."""
    calls = 0

    def dying(original: object) -> object:
        def call(*arguments: object, **keywords: object) -> object:
            nonlocal calls
            if calls == moment:
                raise Killed
            calls += 1
            return original(*arguments, **keywords)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", dying(os.write))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing up
        try:
            for text in ("one", "two"):
                OutputFolder(tmp_path).write_text("a.csv", text)
        except Killed:
            pass
    OutputFolder(tmp_path).write_text("a.csv", "three")
    assert (tmp_path / "a.csv").read_text() == "three"


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_list_never_makes_a_foreign_file_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = OutputFolder(tmp_path_factory.mktemp("out"))
    home.write_text("a.csv", "ours")
    content = bytearray(home.list_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    home.list_file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    (home.folder / "a.csv").write_text("mine")
    with pytest.raises(InputError, match=r"holds a\.csv"):
        OutputFolder(home.folder).write_text("a.csv", "ours")


def test_half_a_line_of_the_list_spoils_no_later_one(tmp_path: Path) -> None:
    home = OutputFolder(tmp_path)
    home.write_text("a.csv", "one")
    home.list_file.write_bytes(home.list_file.read_bytes() + b'{"name": "b.c')
    home.write_text("b.csv", "two")
    OutputFolder(tmp_path).write_text("b.csv", "three")
    OutputFolder(tmp_path).write_text("a.csv", "three")


def test_two_processes_add_to_one_list(tmp_path: Path) -> None:
    first, second = OutputFolder(tmp_path), OutputFolder(tmp_path)
    first.write_text("a.csv", "one")
    second.write_text("b.csv", "two")
    first.write_text("b.csv", "three")  # which the first did not see being written
    second.remove(["a.csv", "b.csv"])


def test_what_lies_below_is_known_by_name_and_size(tmp_path: Path) -> None:
    home = OutputFolder(tmp_path)
    home.write_text("probs/a.png", "map")
    home.write_text("sheet.png", "sheet")
    assert written_below(tmp_path) == {tmp_path / "probs" / "a.png", tmp_path / "sheet.png"}
    assert home.below("probs") == ["probs/a.png"]
    (tmp_path / "sheet.png").write_text("a photograph of mine")
    assert written_below(tmp_path) == {tmp_path / "probs" / "a.png"}
    assert WRITTEN.startswith("."), "a hidden file, so that nobody's listing shows it"


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="is a file; give a folder"):
        OutputFolder(tmp_path / "out").claim([])
    (tmp_path / "made" / "submission.csv").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds submission\.csv"):
        OutputFolder(tmp_path / "made").write_text("submission.csv", "")
