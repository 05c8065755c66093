"""`sever data`: look at a data set, and work on it; one file a command."""

from sever.cli.data import check, convert, doubts, familiar, next_, preview, shift, stats
from sever.cli.data.group import data_app

__all__ = ["check", "convert", "data_app", "doubts", "familiar", "next_", "preview", "shift", "stats"]
