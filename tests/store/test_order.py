"""The newest run is the one that was made last, whatever the clock and the names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from sever.errors import InputError
from sever.store import Evidence, Run, find_run
from sever.store.order import CREATED, in_order, make_numbered, number_of


def made(saved: Path, stamp: str, monkeypatch: pytest.MonkeyPatch, marker: str = "config.yml") -> Path:
    monkeypatch.setattr("sever.store.runs.time.strftime", lambda _: stamp)
    run = Run.create(saved, "mine")
    (run.folder / marker).touch()
    return run.folder


def test_a_clock_that_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "20261126-120000", monkeypatch)
    later = made(tmp_path, "20200101-000000", monkeypatch)
    assert find_run(tmp_path / "mine")[0].folder == later
    made(tmp_path, "20261126-120000", monkeypatch, "evidence.json")
    latest = made(tmp_path, "19700101-000000", monkeypatch, "evidence.json")
    assert Evidence.find(tmp_path / "mine").folder == latest


def test_the_tenth_of_one_second_comes_after_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [made(tmp_path, "20260101-000000", monkeypatch) for _ in range(12)]
    assert folders[-1].name == "20260101-000000-11"
    assert in_order(tmp_path / "mine", "config.yml") == folders
    for folder in folders:  # as they were before runs had numbers
        (folder / CREATED).unlink()
    assert in_order(tmp_path / "mine", "config.yml") == folders
    assert find_run(tmp_path / "mine")[0].folder == folders[-1]


def test_numbered_runs_come_after_those_of_before(tmp_path: Path) -> None:
    old = tmp_path / "20991231-235959"
    old.mkdir()
    new = make_numbered(tmp_path, "20260101-000000")
    for folder in (old, new):
        (folder / "config.yml").touch()
    assert (number_of(old), number_of(new)) == (0, 1)
    assert in_order(tmp_path, "config.yml") == [old, new]
    (new / CREATED).write_text("{")
    with pytest.raises(InputError, match=r"created.json is damaged: .*delete it, and the folder counts as older"):
        in_order(tmp_path, "config.yml")
