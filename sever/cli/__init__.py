"""The words a user types; each command calls one pipeline function. Heavy imports happen inside the commands.

One file a group of commands; importing it here puts its commands into the application.
"""

from sever.cli import (
    average,
    blend,
    competition,
    config,
    crossval,
    data,
    data_trust,
    demo,
    evaluate,
    export,
    gate,
    import_2019,
    leaderboard,
    plan,
    predict,
    pseudo,
    report,
    run,
    select,
    serve,
    synth,
    train,
    tune,
)
from sever.cli.application import app, main

__all__ = [
    "app",
    "average",
    "blend",
    "competition",
    "config",
    "crossval",
    "data",
    "data_trust",
    "demo",
    "evaluate",
    "export",
    "gate",
    "import_2019",
    "leaderboard",
    "main",
    "plan",
    "predict",
    "pseudo",
    "report",
    "run",
    "select",
    "serve",
    "synth",
    "train",
    "tune",
]
