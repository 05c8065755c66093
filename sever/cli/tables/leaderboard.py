"""Submissions and their scores as a table."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text
from sever.counted import counted
from sever.pipeline.leaderboard import SCORE_KINDS, Submission


def render_course(made: list[Submission]) -> str:
    """A table that a person reads; the best score of each kind has a star."""
    best = {
        kind: max((score for found in made if (score := getattr(found, kind)) is not None), default=None)
        for kind in SCORE_KINDS
    }
    table = Table(title=f"{counted(len(made), 'submission')}")
    for heading in ("name", "when", *SCORE_KINDS, "blend", "commit", "Kaggle's", "message"):
        table.add_column(heading, justify="right" if heading in SCORE_KINDS else "left")
    for found in made:
        table.add_row(
            escape(found.name),
            (found.time or "-")[:16].replace("T", " "),
            *(_score_text(getattr(found, kind), best[kind]) for kind in SCORE_KINDS),
            escape(found.blend or "-"),
            _commit_text(found),
            escape(found.reference or "-"),
            escape(found.message),
        )
    return as_text(table, width=130)


def _score_text(score: float | None, best: float | None) -> str:
    return "-" if score is None else f"{score:.5f}{' *' if score == best else ''}"


def _commit_text(found: Submission) -> str:
    if found.commit is None:
        return "-"
    return found.commit[:8] + ("+changes" if found.uncommitted_changes else "")
