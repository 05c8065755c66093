"""A command typed by a test."""

from __future__ import annotations

import sys

from sever.cli import main


def sever(*words: object) -> int:
    """Type a command; returns its exit code."""
    sys.argv = ["sever", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
