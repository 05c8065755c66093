"""The application, and what its faults look like: 2 for what the user can mend, 1 for ours."""

from __future__ import annotations

import errno
import io
import logging
import os
import platform
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sever import __version__
from sever.cli.logs import VARIABLES, logs
from sever.cli.paths import Application, PathGroup
from sever.errors import InputError
from sever.near_names import near_entry

LOGGER = logging.getLogger("sever")


# Packages of the extra `train`: without them a bundle runs, and what is stored can be worked with.
TRAINING = (
    "torch",
    "torchvision",
    "timm",
    "segmentation_models_pytorch",
    "accelerate",
    "safetensors",
    "scipy",
    "sklearn",
    "tensorboard",
    "jinja2",
)


class Level(StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


app = Application(
    name="sever",
    cls=PathGroup,
    help="Find surface defects on steel strip: train, predict, score and deliver segmentation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point: a fault the user can mend is one message and exit code 2, without a traceback; ours is 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that a terminal can't show is no fault
    with logs.running():
        try:
            app()
        except InputError as error:
            _refuse(str(error))
        except OSError as error:
            if not _lies_with_the_disk(error):
                _confess()
            path = error.filename2 or error.filename  # a rename that fails does so because of its target
            _refuse(_of_path(Path(os.fsdecode(path)), error) if path else str(error.strerror))
        except MemoryError:
            _refuse("memory ran out; work on less at a time: a lower batch size, smaller tiles, fewer workers")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in TRAINING:
                _confess()
            _refuse(f"this needs {error.name}, which is not installed here: pip install 'sever[train]'")
        except Exception:
            _confess()


def _of_path(path: Path, error: OSError) -> str:
    near = near_entry(path) if isinstance(error, FileNotFoundError) else ""
    return f"{path.absolute()}: {error.strerror}{near}"


def _refuse(message: str) -> NoReturn:
    LOGGER.error(message)
    sys.exit(2)


def _confess() -> NoReturn:
    fault = "sever: this is our fault, not yours; please report it with the lines above"
    LOGGER.critical(f"{traceback.format_exc()}{fault}")
    sys.exit(1)


def _lies_with_the_disk(error: OSError) -> bool:
    """Whether a path or a disk that the user chose is at fault: not there, not ours to write, full, of another kind."""
    failing = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
    return error.errno is not None and (error.filename is not None or error.errno in failing)


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    log_level: Annotated[
        Level | None,
        typer.Option(
            envvar=VARIABLES["level"], help="Lowest level of messages shown; overrides an experiment's log.level."
        ),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option(envvar=VARIABLES["file"], help="A rotating log file; overrides an experiment's log.file."),
    ] = None,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    logs.say(None if log_level is None else log_level.value, log_file)
    LOGGER.debug("sever %s, Python %s, in %s: %s", __version__, platform.python_version(), Path.cwd(), sys.argv[1:])
