"""`sever leaderboard`: what was submitted, and how it scored."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sever.cli.application import app
from sever.cli.options import LEDGER, AsJson, Ledger
from sever.cli.output import give, say
from sever.cli.paths import Application
from sever.errors import InputError

board = Application(help="Record what was submitted when, from which blend, rules and commit, and how it scored.")
app.add_typer(board, name="leaderboard", no_args_is_help=True)


class Over(StrEnum):
    order = "order"
    time = "time"


Score = Annotated[float | None, typer.Option(help="A score, 0 to 1.")]


@board.command()
def add(
    name: Annotated[str, typer.Option(help="A name of your own, to find it by.")],
    submission: Annotated[Path, typer.Option("--submission", "-s", help="The CSV that was submitted.")],
    blend: Annotated[
        Path | None, typer.Option(help="The blend or cross-validation that it came from; gives --cv and --rules.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="The rules (JSON), if they are not the blend's own.")] = None,
    cv: Score = None,
    public: Score = None,
    private: Score = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What is new in it.")] = "",
    ledger: Ledger = LEDGER,
    as_json: AsJson = False,
) -> None:
    """Record a submission made now, with the commit and the hashes of its files.

    Example: `sever leaderboard add --name gated --submission out/submission.csv --blend saved/blend --public 0.91817`
    """
    from sever.pipeline.leaderboard import course, draft_submission, record_submission

    made = draft_submission(
        name,
        submission,
        blend=blend,
        rules=rules,
        cv=cv,
        public=public,
        private=private,
        message=message,
    )
    record_submission(made, ledger)
    _say_course(course(ledger), as_json)


@board.command()
def score(
    name: Annotated[str, typer.Argument(help="The submission's name.")],
    public: Score = None,
    private: Score = None,
    ledger: Ledger = LEDGER,
    as_json: AsJson = False,
) -> None:
    """Add scores that became known later; a later one replaces an earlier one in the table.

    Example: `sever leaderboard score gated --private 0.91023`
    """
    from sever.pipeline.leaderboard import course, record_scores

    record_scores(name, public=public, private=private, ledger=ledger)
    _say_course(course(ledger), as_json)


@board.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Submissions; by default all without a private score.")
    ] = None,
    ledger: Ledger = LEDGER,
    as_json: AsJson = False,
) -> None:
    """Fetch from Kaggle the scores of submissions sent by `sever submit`: late ones, and private ones once published.

    Example: `sever leaderboard fetch`
    """
    from sever.pipeline.kaggle.submit import fetch_scores

    _say_course(fetch_scores(names or (), ledger), as_json)


@board.command()
def show(ledger: Ledger = LEDGER, as_json: AsJson = False) -> None:
    """Show all submissions in the order they were made; a star marks the best score of each kind.

    Example: `sever leaderboard show`
    """
    from sever.pipeline.leaderboard import existing_course

    _say_course(existing_course(ledger), as_json)


@board.command("import")
def import_(
    table: Annotated[
        Path, typer.Argument(help="CSV with one row per submission: name, public and private score, time.")
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(help="WHAT=COLUMN, for an unusual heading: name, version, time, order, cv, public, private."),
    ] = None,
    ledger: Ledger = LEDGER,
    as_json: AsJson = False,
) -> None:
    """Add past submissions from a table, e.g. Kaggle's list of submissions. A repeated import adds only new ones.

    A time without an offset is UTC; without a column for it, the submissions are in the table's order.

    Example: `sever leaderboard import submissions.csv --column name=kernel`
    """
    from sever.pipeline.past_submissions import import_submissions

    done = import_submissions(table, dict(_pair("--column", text, "name=kernel") for text in column or ()), ledger)
    give(done if as_json else f"{ledger}: {done.new} new, {done.scored} with other scores, {done.known} known", as_json)


@board.command()
def draw(
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write, .svg or .png.")],
    line: Annotated[
        list[str] | None, typer.Option(help="LABEL=SCORE: a line to compare with, e.g. the winner's; repeatable.")
    ] = None,
    chosen: Annotated[
        list[str] | None, typer.Option(help="Name of a submission that was chosen: a ring and a line; repeatable.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only submissions from this date on (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Only submissions up to this date (UTC).")] = None,
    over: Annotated[
        Over | None, typer.Option(help="By default the time, or the order if any submission has no time.")
    ] = None,
    ledger: Ledger = LEDGER,
    as_json: AsJson = False,
) -> None:
    """Plot the public, private and cross-validated scores of all submissions, with reference lines.

    Example: `sever leaderboard draw -o course.svg --line "winner=0.90883" --chosen "rms 6" --since 2019-10-01`
    """
    from sever.deliver.charts import raise_unless_picture
    from sever.pipeline.course_picture import View, day
    from sever.pipeline.course_picture import draw as draw_picture

    raise_unless_picture(output)
    lines = {label: _score(score) for label, score in (_pair("--line", text, "winner=0.90883") for text in line or ())}
    dates = (None if since is None else day(since), None if until is None else day(until, end=True))
    draw_picture(output, ledger, View(*dates, lines, tuple(chosen or ()), None if over is None else over.value))
    give(output, as_json)


def _say_course(made: list[Any], as_json: bool) -> None:
    from sever.cli.tables.leaderboard import render_course

    say(json.dumps([asdict(found) for found in made], indent=2) if as_json else render_course(made))


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    label, equals, value = text.rpartition("=")
    if not (label and equals and value):
        raise InputError(f"{option} {text} is not as {option} {example}")
    return label, value


def _score(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--line: {text!r} is not a score") from error
