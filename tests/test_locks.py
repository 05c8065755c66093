"""One writer a folder: another process is refused and named, a killed one holds nothing, children inherit nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import sever
from lock_holder import another

from sever.errors import InputError
from sever.locks import LOCK, one_writer, one_writer_of, taking_turns, writes_to


def test_the_other_process_is_named(tmp_path: Path) -> None:
    with another(tmp_path / "out") as (process, _):
        with pytest.raises(InputError, match=f"out is being written by another sever .process {process.pid}, since 20"):
            one_writer(tmp_path / "out").__enter__()
        with one_writer(tmp_path / "elsewhere"):
            pass


@pytest.mark.parametrize("how", ["child", "fork"])
def test_a_killed_process_holds_nothing_though_its_children_live(tmp_path: Path, how: str) -> None:
    with another(tmp_path / "out", "folder", how) as (process, child):
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with one_writer(tmp_path / "out"):
            assert json.loads((tmp_path / "out" / LOCK).read_text())["pid"] == os.getpid()


def test_the_lock_of_a_file_and_of_a_folder_to_come_lies_beside_it(tmp_path: Path) -> None:
    with another(tmp_path / "v1.2", "file"):
        assert [path.name for path in tmp_path.iterdir()] == [".v1.2.lock"]
        with pytest.raises(InputError, match=r"v1.2 is being written"):
            one_writer_of(tmp_path / "v1.2").__enter__()


def test_who_fills_a_folder_and_who_would_replace_it_keep_each_other_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with another(tmp_path / "out", "file") as (process, _):
        with pytest.raises(InputError, match=f"out is being written by another sever .process {process.pid}"):
            one_writer(tmp_path / "out").__enter__()
        assert list((tmp_path / "out").iterdir()) == []
    with another(tmp_path / "out", "folder") as (process, _):
        with pytest.raises(InputError, match=f"out is being written by another sever .process {process.pid}"):
            one_writer_of(tmp_path / "out").__enter__()
        with one_writer_of(tmp_path / "another"):
            pass
    with one_writer_of(tmp_path / "out"), one_writer(tmp_path / "out"):  # what killed processes left holds nothing
        pass


def test_a_place_without_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with one_writer_of(Path()):
        assert (tmp_path.parent / f".{tmp_path.name}.lock").is_file()
    for place in (Path("/"), Path("..")):
        with pytest.raises(InputError, match="can't be written as a whole"):
            one_writer_of(place).__enter__()


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    with one_writer(tmp_path / "a" / "b"):
        with one_writer(tmp_path / "a" / "b"):  # who holds it may take it again
            pass
        assert (tmp_path / "a" / "b" / LOCK).is_file()
    assert list(tmp_path.iterdir()) == []
    with one_writer(tmp_path / "a"):
        (tmp_path / "a" / "result").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file; give a folder"):
        one_writer(tmp_path / "file").__enter__()


def test_processes_that_train_together_count_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with one_writer(tmp_path):
            pass


def test_a_short_write_waits_for_the_one_before(tmp_path: Path) -> None:
    held = "import sys, time\nfrom pathlib import Path\nfrom sever.locks import taking_turns\n"
    held += "with taking_turns(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(0.7)\n"
    held += "    Path(sys.argv[1]).write_text('first')\n"
    process = subprocess.Popen([sys.executable, "-c", held, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    with taking_turns(tmp_path / "x"):
        assert (tmp_path / "x").read_text() == "first"
    assert process.wait() == 0
    process.stdout.close()


def test_a_function_holds_the_lock_of_its_output(tmp_path: Path) -> None:
    @writes_to("output")
    def write(word: str, output: Path | None = None) -> str:
        return f"{word} {output is not None and (output / LOCK).is_file()}"

    assert write("a", tmp_path) == "a True"
    assert write("a", output=tmp_path) == "a True"
    assert write("a") == "a False"


def test_every_command_that_writes_refuses_a_folder_in_use(
    strip_root: Path, tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, with what they would write to; what they would compute first is left small."""
    from evidence_maker import make_evidence
    from run_maker import make_run

    run = make_run(tmp_path / "saved" / "made" / "20260101-000000", strip_root)
    folders = [make_evidence(tmp_path / name, strip_root, seed) for seed, name in enumerate("ab")]
    labels, out = strip_root / "test_labels.csv", tmp_path / "out"
    sample = strip_root / "sample_submission.csv"
    device, data = ("--device", "cpu"), ("--data", strip_root)
    commands: list[tuple[str, Path, list[object]]] = [
        ("folder", out, ["predict", "-r", run, *data, "-o", out, *device]),
        ("folder", out, ["pseudo", "-r", run, *data, "-o", out, *device]),
        ("folder", out, ["evaluate", "-s", sample, *data, "--labels", labels, "-o", out]),
        ("folder", out, ["blend", "-m", folders[0], "-m", folders[1], "-o", out]),
        ("folder", folders[0], ["tune", "-r", folders[0], "--apply", "--draws", 20]),
        ("file", tmp_path / "r.html", ["report", folders[0], "-o", tmp_path / "r.html"]),
        ("folder", run, ["train", "-r", run, *device]),
        ("folder", run, ["average", "-r", run]),
        ("file", tmp_path / "new", ["synth", "-o", tmp_path / "new", "--train", 1, "--test", 1]),
    ]
    for kind, place, words in commands:
        with another(place, kind) as (process, _):
            code = sever(*words)
        said = capsys.readouterr().err
        if words[0] in ("train", "average"):  # of a made run, whose labels and scores are not there, other things come
            assert code == 2, said
            continue
        assert (code, "Traceback" in said) == (2, False), (words, said)
        assert f"is being written by another sever (process {process.pid}" in said, (words, said)
