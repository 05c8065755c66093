"""The log: levels, a file that rotates and that several processes share, and handlers only while a command runs."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import sever

from sever.cli.logs import LOGGER, SharedLogFile, logs
from sever.config import LogSettings
from sever.errors import InputError

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) \[\d+\] .+")


def test_each_level_shows_what_is_as_grave(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"debug": "d", "info": "i", "warning": "w", "error": "e"}
    shown = {"debug": "d", "info": "i", "warning": "warning: w", "error": "sever: error: e"}
    for at, level in enumerate(said):
        with logs.running():
            logs.use(LogSettings.model_validate({"level": level}))
            for name, text in said.items():
                LOGGER.log(getattr(logging, name.upper()), text)
        assert capsys.readouterr().err.splitlines() == list(shown.values())[at:]


def test_what_is_said_on_the_command_line_wins_over_the_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logs.running():
        logs.say("error", tmp_path / "said.log")
        logs.use(LogSettings(level="debug", file=tmp_path / "configured.log"))
        LOGGER.warning("unheard")
        LOGGER.error("heard")
    assert [path.name for path in tmp_path.glob("*.log")] == ["said.log"]
    assert (tmp_path / "said.log").read_text().endswith("heard\n")
    assert "unheard" not in (tmp_path / "said.log").read_text() + capsys.readouterr().err


def test_experiments_one_after_another_have_each_its_own_file(tmp_path: Path) -> None:
    with logs.running():
        for name in ("a", "b"):
            logs.use(LogSettings(file=tmp_path / "logs" / f"{name}.log"))
            LOGGER.info(f"of {name}")
    assert (tmp_path / "logs" / "a.log").read_text().count("of ") == 1
    assert (tmp_path / "logs" / "b.log").read_text().endswith("of b\n")


def test_no_handler_is_left_and_who_uses_python_keeps_his_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(LOGGER, "handlers", [])
    before = list(LOGGER.handlers), LOGGER.propagate, LOGGER.level
    assert sever("--log-level", "debug", "config", "schema") == 0
    assert (list(LOGGER.handlers), LOGGER.propagate, LOGGER.level) == before
    capsys.readouterr()
    LOGGER.warning("to whom it may concern")
    assert capsys.readouterr().err == ""
    assert caplog.messages == ["to whom it may concern"]


def test_the_file_rotates_and_keeps_as_many_as_is_said(tmp_path: Path) -> None:
    with logs.running():
        logs.use(LogSettings(file=tmp_path / "x.log", max_megabytes=0.001, keep=2))
        for number in range(100):
            LOGGER.info(f"message {number:03d} {'.' * 40}")
    files = {path.name: path.read_text() for path in tmp_path.glob("x.log*")}
    assert set(files) == {"x.log", "x.log.1", "x.log.2"}
    assert max(len(text) for text in files.values()) <= 1000
    told = [int(number) for name in sorted(files, reverse=True) for number in re.findall(r"message (\d+)", files[name])]
    assert told == list(range(told[0], 100))  # the newest, in order, none missing


WRITER = """
import logging, sys
from pathlib import Path
from sever.cli.logs import LOGGER, logs
from sever.config import LogSettings
with logs.running():
    logs.use(LogSettings(level="warning", file=Path(sys.argv[1]), max_megabytes=0.002, keep=500))
    LOGGER.removeHandler(logs.terminal)
    for number in range(200):
        LOGGER.warning(f"{sys.argv[2]} {number}")
"""


def test_processes_that_share_a_file_lose_no_line_when_it_rotates(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "x.log")]
    processes = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    files = list(tmp_path.glob("x.log*"))
    assert len(files) > 5
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert all(LINE.fullmatch(line) for line in lines)
    wanted = sorted(f"{name} {number}" for name in "abc" for number in range(200))
    assert sorted(line.split("] ")[1] for line in lines) == wanted


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("--log-file", tmp_path, "config", "schema") == 2
    assert f"sever: error: the log file {tmp_path} can't be written: Is a directory" in capsys.readouterr().err
    with pytest.raises(InputError, match="can't be written"):
        SharedLogFileOf(tmp_path)


def SharedLogFileOf(path: Path) -> SharedLogFile:
    from sever.cli.logs import _open

    return _open(LogSettings(file=path))


def test_a_disk_that_fills_up_takes_the_log_and_not_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: object, record: object) -> None:
        raise OSError(28, "No space left on device")

    with logs.running():
        logs.use(LogSettings(file=tmp_path / "x.log"))
        monkeypatch.setattr("logging.handlers.RotatingFileHandler.emit", full)
        LOGGER.info("one")
        LOGGER.info("two")
    shown = capsys.readouterr().err
    assert shown.count("No space left on device") == 1
    assert shown.splitlines()[-1] == "two"


def test_faults_are_in_the_file_ours_with_their_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "x.log"
    monkeypatch.setenv("SEVER_LOG_FILE", str(log))
    assert sever("config", "show", "-c", tmp_path / "nowhere.yml") == 2
    assert "ERROR" in log.read_text()
    assert "Traceback" not in log.read_text()

    def fail() -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("sever.cli.config.json_schema", fail)
    assert sever("config", "schema") == 1
    shown = capsys.readouterr().err
    for text in (log.read_text(), shown):
        assert "RuntimeError: ours" in text
        assert text.endswith("this is our fault, not yours; please report it with the lines above\n")


def test_an_experiment_says_where_its_training_is_logged(tiny_experiment: Path, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    words = ("--set", f"log.file={log}", "--set", "log.level=debug", "--set", "train.epochs=1")
    saved = ("--saved", tmp_path / "saved", "--device", "cpu")
    assert sever("train", "-c", tiny_experiment, *words, *saved) == 0
    text = log.read_text()
    assert "settings of tiny" in text  # at debug
    assert "12 images train, 4 validate" in text
    before = len(text.splitlines())
    assert sever("train", "-r", tmp_path / "saved" / "tiny", "--device", "cpu") == 0
    assert "nothing is left to train" in "\n".join(log.read_text().splitlines()[before:])


def test_what_a_command_says_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for _ in range(2):
        with logs.running():
            logs.say("info", tmp_path / "a.log")
            for text in ("data is read as coco", "data is read as coco", "other", "other"):
                LOGGER.info(text, extra={"once": text != "other"})
        assert capsys.readouterr().err.splitlines() == ["data is read as coco", "other", "other"]
    assert (tmp_path / "a.log").read_text().count("coco") == 2, "once in each command"
