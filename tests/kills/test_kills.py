"""A sample of the sweep, in which every command is killed at its first write, its last, and one between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kill_at
import pytest

from kills.fingerprint import fingerprint

TESTS = Path(__file__).parents[1]
QUICK = ("predict", "pseudo", "blend", "tune", "evaluate", "select", "report", "average")
OTHERS = ("synth", "convert", "check", "upload")
SENDING = ("submit",)
SLOW = ("train", "crossval")


def sweep(commands: tuple[str, ...], points: int) -> list[str]:
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'guard'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kills.sweep", *commands, "--points", str(points)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=TESTS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize(("commands", "points"), [(QUICK, 3), (OTHERS, 3), (SENDING, 5), (SLOW, 3), (("folds",), 2)])
def test_killed_at_a_write_and_typed_again_all_files_are_equal(commands: tuple[str, ...], points: int) -> None:
    lines = sweep(commands, points)
    assert [line.split(":")[0] for line in lines] == list(commands)
    assert all(f"killed at {points} of " in line for line in lines), lines


def test_the_fingerprint_sees_a_changed_byte_and_no_seconds(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"history": [{"dice": 0.5, "seconds": 1.0}]}')
    (tmp_path / "rules.json").write_text("{}")
    before = fingerprint(tmp_path)
    (tmp_path / "state.json").write_text('{"history": [{"dice": 0.5, "seconds": 9.0}]}')
    (tmp_path / "train.log").touch()
    assert fingerprint(tmp_path) == before
    (tmp_path / "state.json").write_text('{"history": [{"dice": 0.6, "seconds": 1.0}]}')
    assert fingerprint(tmp_path) != before
    assert set(before) == {"state.json", "rules.json"}


def test_a_process_dies_before_its_third_change(tmp_path: Path) -> None:
    code = "from pathlib import Path\nfor n in range(5): Path(f'{n}').write_text('x')\n"
    variables = {kill_at.AT: "3", kill_at.BELOW: str(tmp_path), "PYTHONPATH": str(TESTS / "guard")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | variables, start_new_session=True, check=False)
    assert done.returncode == -9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
