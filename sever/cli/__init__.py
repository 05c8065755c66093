"""The words a user types; each command calls one pipeline function. Heavy imports happen inside the commands.

One file a group of commands; importing it here puts its commands into the application.
"""

from sever.cli import (
    blend,
    competition,
    config,
    crossval,
    data,
    data_trust,
    export,
    gate,
    import_2019,
    leaderboard,
    main_job,
    plan,
    pseudo,
    report,
    run,
    select,
    serve,
    tune,
)
from sever.cli.application import app, main

__all__ = [
    "app",
    "blend",
    "competition",
    "config",
    "crossval",
    "data",
    "data_trust",
    "export",
    "gate",
    "import_2019",
    "leaderboard",
    "main",
    "main_job",
    "plan",
    "pseudo",
    "report",
    "run",
    "select",
    "serve",
    "tune",
]
