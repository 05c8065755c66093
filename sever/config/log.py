"""Settings of what is told while work goes on, and where it is kept; knows nothing of how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from sever.config.base import Settings

LogLevel = Literal["debug", "info", "warning", "error"]


class LogSettings(Settings):
    """What `sever` says on standard error, and its log file; `sever --log-level` and `--log-file` win over it."""

    level: LogLevel = Field(
        "info", description="Lowest level shown: `debug` adds settings and files, `warning` leaves out progress."
    )
    file: Path | None = Field(
        None, description="Log file, with time and level, in addition to standard error; null: none."
    )
    max_megabytes: float = Field(
        10.0, gt=0, description="Size in MB at which the log file is renamed to FILE.1 and a new one is started."
    )
    keep: int = Field(5, ge=1, description="Number of renamed log files to keep; FILE.1 is the newest.")
