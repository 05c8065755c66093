"""File names that are no text, and terminals that can't show what is: a clear sentence, or it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sever.data.images import list_images
from sever.errors import InputError


def type_it(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type a command in a process of its own, so that the environment counts from its start."""
    command = [sys.executable, "-m", "sever", *map(os.fspath, words)]  # type: ignore[call-overload]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    return subprocess.run(
        command,
        env=clean | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.fixture
def strange(strip_root: Path, tmp_path: Path) -> Path:
    """A data set with one image whose name is Latin-1."""
    shutil.copytree(strip_root, tmp_path / "data")
    image = min((tmp_path / "data" / "train_images").iterdir())
    try:
        image.rename(image.with_name(os.fsdecode(b"gr\xf6\xdfe.jpg")))
    except OSError:
        pytest.skip("this file system takes no such names")
    return tmp_path / "data"


def test_a_name_that_is_not_utf_8_is_told_as_it_is(strange: Path) -> None:
    with pytest.raises(InputError, match=r"train_images/gr\\xf6\\xdfe\.jpg: this name is not UTF-8.*rename"):
        list_images(strange / "train_images")


def test_a_command_over_such_a_folder_says_so(strange: Path, tiny_experiment: Path) -> None:
    text = tiny_experiment.read_text().replace(str(tiny_experiment.parent), "")
    root = next(line.split(": ")[1] for line in text.splitlines() if "root" in line)
    tiny_experiment.write_text(text.replace(root, str(strange)))
    for environment in ({}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = type_it("train", "-c", str(tiny_experiment), "--device", "cpu", **environment)
        assert done.returncode == 2, done.stderr
        assert "gr\\xf6\\xdfe.jpg: this name is not UTF-8" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_c_locale_shows_and_reads_what_is_not_ascii(strip_root: Path, tmp_path: Path) -> None:
    (tmp_path / "größe.yml").write_text(f"name: x\ndata: {{root: {strip_root}}}\nfünf: 1\n", encoding="utf-8")
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = type_it("config", "check", "-c", str(tmp_path / "größe.yml"), **environment)
        assert done.returncode == 2, done.stderr
        assert "unknown setting" in done.stderr
        assert "Traceback" not in done.stderr


def test_utf_8_names_that_are_read_in_another_encoding(strip_root: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    shutil.copy(min((strip_root / "test_images").iterdir()), tmp_path / "images" / "größe.jpg")
    code = "import sys, pathlib; from sever.data.images import list_images; list_images(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "images")]
    odd = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=odd, capture_output=True, check=False)
    assert b"PYTHONUTF8=1" in done.stderr
    assert subprocess.run(command, env=os.environ | {"LC_ALL": "C"}, capture_output=True, check=False).returncode == 0
