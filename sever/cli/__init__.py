"""The words a user types; each command calls one pipeline function. Heavy imports happen inside the commands.

One file a group of commands; importing it here puts its commands into the application.
"""

from sever.cli import config, main_job
from sever.cli.app import app, main

__all__ = ["app", "config", "main", "main_job"]
