"""What the library logs, brought to standard error and to a log file that rotates; the only room with log handlers.

Handlers are there while a command runs, so that who uses `sever` from Python keeps his own.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from sever.config import load_config
from sever.config.log import LogSettings
from sever.errors import InputError
from sever.locks import taking_turns
from sever.names import visible

LOGGER = logging.getLogger("sever")
FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(message)s"
MEGABYTE = 1_000_000
VARIABLES = {"level": "SEVER_LOG_LEVEL", "file": "SEVER_LOG_FILE"}


class Logs:
    """The handlers of one command. What was said on the command line wins over the settings of an experiment."""

    def __init__(self) -> None:
        self.said: dict[str, object] = {}
        self.terminal = TerminalHandler()
        self.file: SharedLogFile | None = None

    def say(self, level: str | None, file: Path | None) -> None:
        """Options of a command that begins; of a story's commands the first that were said hold."""
        given = {"level": level, "file": file}
        self.said = {name: value for name, value in given.items() if value is not None} | self.said
        os.environ |= {VARIABLES[name]: str(value) for name, value in self.said.items()}  # folds are processes
        self.use(LogSettings())

    def use(self, settings: LogSettings) -> None:
        """Take over an experiment's settings. Raises InputError for a log file that can't be written."""
        wanted = settings.model_copy(update=self.said)
        if os.environ.get("RANK", "0") != "0":  # of several processes that train one network, the first speaks
            wanted = wanted.model_copy(update={"file": None})
        LOGGER.setLevel(wanted.level.upper())
        if self.file is None or not self.file.is_as(wanted):
            self._close_file()
            if wanted.file is not None:
                self.file = _open(wanted)
                self.file.addFilter(OnceACommand())
                LOGGER.addHandler(self.file)

    def use_those_of(self, folder: Path) -> None:
        """Take over the settings with which a folder was begun; a blend has none."""
        file = folder / "config.yml"
        if file.is_file():
            self.use(load_config(file).log)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Our handlers, and no others, for as long as a command takes."""
        self.said = {}
        before = LOGGER.propagate, LOGGER.level, LOGGER.handlers
        LOGGER.handlers = [self.terminal]
        self.terminal.filters = [OnceACommand()]
        variables = {name: os.environ.get(name) for name in VARIABLES.values()}
        LOGGER.propagate = False
        self.use(LogSettings())
        try:
            yield
        finally:
            self._close_file()
            LOGGER.propagate, level, LOGGER.handlers = before
            LOGGER.setLevel(level)
            for name, value in variables.items():
                os.environ.pop(name, None)
                os.environ |= {name: value} if value is not None else {}

    def _close_file(self) -> None:
        if self.file is not None:
            LOGGER.removeHandler(self.file)
            self.file.close()
            self.file = None


class OnceACommand(logging.Filter):
    """Lets through what is marked `once` the first time alone."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = set[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        message, is_once = record.getMessage(), getattr(record, "once", False)
        if is_once and message in self.shown:
            return False
        if is_once:
            self.shown.add(message)
        return True


class TerminalHandler(logging.Handler):
    """A line as it is on standard error, wherever that leads now (a progress bar, a test); faults say that they are."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = visible(self.format(record)).split("\n")
        if record.levelno == logging.ERROR:
            lines = [f"sever: error: {line}" for line in lines]
        elif record.levelno == logging.WARNING:
            lines[0] = f"warning: {lines[0]}"
        print("\n".join(lines), file=sys.stderr, flush=True)


class VisibleFormatter(logging.Formatter):
    """A name out of a file does not steer the terminal of whoever reads the log."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class SharedLogFile(RotatingFileHandler):
    """A rotating file that several processes may write to (folds side by side, two commands): they take turns."""

    def __init__(self, settings: LogSettings) -> None:
        assert settings.file is not None
        self.wanted = settings
        size = round(settings.max_megabytes * MEGABYTE)
        super().__init__(
            settings.file, maxBytes=max(1, size), backupCount=settings.keep, encoding="utf-8", errors="backslashreplace"
        )
        self.setFormatter(VisibleFormatter(FORMAT))

    def is_as(self, settings: LogSettings) -> bool:
        return settings.model_copy(update={"level": self.wanted.level}) == self.wanted

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with taking_turns(Path(self.baseFilename)):
                self._follow()
                super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk takes the log, and not the work: told once."""
        LOGGER.removeHandler(self)
        print(f"warning: {self.baseFilename} can't be written to any more: {sys.exc_info()[1]}", file=sys.stderr)

    def _follow(self) -> None:
        """Open the file anew where another process has put it aside."""
        if self.stream is None:
            return
        path = Path(self.baseFilename)
        there = path.exists() and os.path.samestat(path.stat(), os.fstat(self.stream.fileno()))
        if not there:
            self.stream.close()
            self.stream = self._open()


def _open(settings: LogSettings) -> SharedLogFile:
    assert settings.file is not None
    try:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        return SharedLogFile(settings)
    except OSError as error:
        raise InputError(
            f"the log file {settings.file} can't be written: {error.strerror}; name another one"
        ) from error


logs = Logs()
