"""`sever leaderboard`: what was submitted, and how it scored."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import LEDGER, AsJson, Ledger

board = typer.Typer(help="What was submitted when, from which blend, rules and commit, and how it scored.")
app.add_typer(board, name="leaderboard", no_args_is_help=True)

Score = Annotated[float | None, typer.Option(help="A score, 0 to 1.")]


@board.command()
def add(
    name: Annotated[str, typer.Option(help="A name of your own, to find it by.")],
    submission: Annotated[Path, typer.Option("--submission", "-s", help="The CSV that was submitted.")],
    blend: Annotated[
        Path | None, typer.Option(help="The blend or cross-validation that it came from; gives --cv and --rules.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="The rules (JSON), where they are not the blend's own.")] = None,
    cv: Score = None,
    public: Score = None,
    private: Score = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What is new in it.")] = "",
    ledger: Ledger = LEDGER,
) -> None:
    """Record a submission that is made now, with the commit and the hashes of its files.

    Example: `sever leaderboard add --name gated --submission out/submission.csv --blend saved/blend --public 0.91817`
    """
    from sever.pipeline.leaderboard import course, draft_submission, record_submission, render

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
    print(render(course(ledger)))


@board.command()
def score(
    name: Annotated[str, typer.Argument(help="The submission's name.")],
    public: Score = None,
    private: Score = None,
    ledger: Ledger = LEDGER,
) -> None:
    """Add scores that became known later; a later one replaces an earlier one in the table.

    Example: `sever leaderboard score gated --private 0.91023`
    """
    from sever.pipeline.leaderboard import course, record_scores, render

    record_scores(name, public=public, private=private, ledger=ledger)
    print(render(course(ledger)))


@board.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Submissions; by default all that lack a private score.")
    ] = None,
    ledger: Ledger = LEDGER,
) -> None:
    """Ask Kaggle for the scores of what `sever submit` sent: late ones, and the private ones when they are out.

    Example: `sever leaderboard fetch`
    """
    from sever.pipeline.kaggle.submit import fetch_scores
    from sever.pipeline.leaderboard import render

    print(render(fetch_scores(names or (), ledger)))


@board.command()
def show(ledger: Ledger = LEDGER, as_json: AsJson = False) -> None:
    """Show all submissions in the order in which they were made; the best score of each kind has a star.

    Example: `sever leaderboard show`
    """
    from sever.pipeline.leaderboard import course, render

    made = course(ledger)
    print(json.dumps([asdict(found) for found in made], indent=2) if as_json else render(made))


@board.command()
def draw(
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (PNG).")],
    ledger: Ledger = LEDGER,
) -> None:
    """Draw the public, private and cross-validated scores over time.

    Example: `sever leaderboard draw -o course.png`
    """
    from sever.pipeline.leaderboard import draw as draw_picture

    draw_picture(output, ledger)
    print(output)
