"""What a disk does wrong is told with a path; modes follow the umask; content is on the disk before its name."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from closed import closed
from command_line import sever

from sever.errors import InputError
from sever.files import atomic_folder, atomic_path, new_file, new_folder, write_json, write_text
from sever.names import one_line, visible
from sever.store import ProbabilityStore
from sever.store.checkpoints import save_weights


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write does: without any name


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught, atomic_path(tmp_path / "x.csv"):
        full()
    assert caught.value.filename == str(tmp_path / "x.csv")
    with pytest.raises(OSError, match="No space left on device") as caught, atomic_folder(tmp_path / "folder"):
        full()
    assert caught.value.filename == str(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    assert sever("synth", "-o", tmp_path / "s", "--train", 1, "--test", 1, "--height", 64, "--width", 64) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert str(tmp_path / "s") in said


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_all_files_of_a_checkpoint_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_weights(tmp_path / "c", {"w": torch.zeros(3)}, {"averaged_epochs": [1]})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "c").iterdir()}
    assert {"model.safetensors", "state.json"} <= set(modes)
    assert set(modes.values()) == {0o666 & ~umask}


def test_content_is_on_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(handle: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        sync(handle)

    def note_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    write_json(tmp_path / "record.json", {})
    assert events == ["sync file", "rename", "sync folder"]
    events.clear()
    with atomic_folder(tmp_path / "checkpoint") as folder:
        (folder / "weights").write_text("w")
    assert events == ["sync file", "sync folder", "rename", "sync folder"]
    events.clear()
    ProbabilityStore(tmp_path / "probs").write("a", torch.zeros(1, 2, 2, dtype=torch.uint8).numpy())
    assert events == ["rename"]  # thousands of them: made again where they are lost


def test_what_killed_processes_left_of_a_folder_is_cleared_and_what_they_moved_aside_comes_back(tmp_path: Path) -> None:
    """Killed while the folder was filled, and between the two renames: no folder then has its name."""
    for name in (".c.77.tmp", ".c.78.old.tmp", ".d.77.tmp", ".c.mine.tmp", ".cc.77.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w").write_text(name)
    with pytest.raises(OSError, match="No space left"), atomic_folder(tmp_path / "c"):
        full()
    assert (tmp_path / "c" / "w").read_text() == ".c.78.old.tmp"
    with atomic_folder(tmp_path / "c") as folder:
        (folder / "w").write_text("new")
    assert (tmp_path / "c" / "w").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"c", ".d.77.tmp", ".c.mine.tmp", ".cc.77.tmp"}


def test_a_map_that_a_power_cut_left_empty_is_made_again(tmp_path: Path) -> None:
    store = ProbabilityStore(tmp_path)
    store.write("a", torch.zeros(1, 2, 2, dtype=torch.uint8).numpy())
    assert "a" in store
    store.path("a").write_bytes(b"")
    assert store.missing(["a"]) == ["a"]


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert visible("a\x1b[31mb\x07\x9b\u202e\ud800\nc\td") == "a\\x1b[31mb\\x07\\x9b\\u202e\\ud800\nc\td"
    assert visible("blöde Kratzer, 傷 ✓") == "blöde Kratzer, 傷 ✓"
    assert one_line("a\nb\tc") == "a\\nb\\tc"


def test_names_of_images_never_steer_a_terminal(
    strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from run_maker import make_run

    run, images = make_run(tmp_path / "made" / "r", strip_root), tmp_path / "images"
    images.mkdir()
    good = min((strip_root / "test_images").iterdir())
    for name in ("good.jpg", "red\x1b[31m.jpg", "two\nlines.jpg"):
        (images / name).write_bytes(good.read_bytes())
    words = ["predict", "-r", run, "--images", images, "-o", tmp_path / "out", "--device", "cpu"]
    assert sever(*words) == 2
    shown = capsys.readouterr()
    assert r"red\x1b[31m.jpg" in shown.err
    assert r"two\nlines.jpg" in shown.err
    assert sever("--log-file", tmp_path / "log.txt", *words, "--skip-bad") == 0
    shown = capsys.readouterr()
    files = [path.read_text() for path in (tmp_path / "out").rglob("*.csv")] + [(tmp_path / "log.txt").read_text()]
    assert len(files) >= 3
    for text in (shown.out, shown.err, *files):
        assert "\x1b" not in text
    assert r"two\nlines.jpg" in (tmp_path / "out" / "skipped.csv").read_text()
    assert (tmp_path / "out" / "submission.csv").read_text().count("good.jpg_") == 4


def test_text_and_folders_replace_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "t", "old")
    write_text(tmp_path / "t", "new")
    for word in ("old", "new"):
        with atomic_folder(tmp_path / "f") as folder:
            (folder / word).touch()
    assert (tmp_path / "t").read_text() == "new"
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["new"]


def test_what_is_new_replaces_nothing_not_even_what_came_meanwhile(tmp_path: Path) -> None:
    def make_folder(mine: str) -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "result").touch()
            (tmp_path / "out").mkdir(exist_ok=True)
            if mine:
                (tmp_path / "out" / mine).touch()

    def make_file(mine: str) -> None:
        with new_file(tmp_path / "plan.yml") as file:
            file.write_text("planned")
            if mine:
                (tmp_path / "plan.yml").write_text(mine)

    make_folder("")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result"]
    (tmp_path / "out" / "result").unlink()
    with pytest.raises(InputError, match="out exists and is not empty"):
        make_folder("mine")
    with pytest.raises(InputError, match=r"plan\.yml exists already"):
        make_file("edited")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert (tmp_path / "plan.yml").read_text() == "edited"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "plan.yml"]


def test_a_link_is_no_new_folder_and_no_new_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, target in (("link", "empty"), ("dangling", "nowhere")):
        (tmp_path / name).symlink_to(tmp_path / target)
        for made in (new_folder, new_file):
            with pytest.raises(InputError, match=name):
                made(tmp_path / name).__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "empty", "link"]


def test_what_a_temporary_file_could_not_hold_is_told_by_its_real_name(tmp_path: Path) -> None:
    """An error of the system names the temporary file, which is gone by then."""
    for place, below in ((tmp_path / "x.html", ""), (tmp_path / "folder", "images/a.jpg")):
        with pytest.raises(OSError, match="No space left on device") as caught, atomic_path(place) as temporary:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary / below))
        assert caught.value.filename == str(place / below)


@pytest.fixture(params=[4, 40, 120, 400])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of so many kibibytes, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "words",
    [
        ["synth", "-o", "{disk}/out", "--train", 9, "--test", 1, "--height", 64, "--width", 96, "--workers", 1],
        ["data", "stats", "{data}", "-o", "{disk}/page.html"],
        ["data", "check", "{data}", "-o", "{disk}/out"],
        ["data", "convert", "{data}", "--to", "coco", "-o", "{disk}/out"],
        ["gate", "-o", "{disk}/gate.png"],
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)
def test_a_disk_that_is_really_full(
    words: list[object], small_disk: Path, strip_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is the first that finds no place: the lock, a folder, the list of what was written, the result."""
    given = [str(word).format(disk=small_disk, data=strip_root) for word in words]
    code, said = sever(*given), capsys.readouterr().err.replace("\n", "")
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.endswith((".tmp", ".lock"))]
    if code:
        assert code == 2
        assert f"{small_disk}/" in said
        assert ".tmp" not in said
        assert "No space left on device" in said


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closed(tmp_path, mode=0o555):
        assert sever("gate", "-o", tmp_path / "gate.png") == 2
    assert f"no file can be written in {tmp_path}: Permission denied" in capsys.readouterr().err.replace("\n", "")
