"""A story's scores as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_number, as_text
from sever.config import PublishedSettings
from sever.pipeline.leaderboard import SCORE_KINDS, Submission, course
from sever.pipeline.story.plan import Plan


def render_scores(plan: Plan) -> str:
    """The leaderboard's scores beside the published ones; empty where the story keeps none."""
    if plan.ledger is None or not (made := course(plan.ledger)):
        return ""
    return as_text(_score_table(made, plan.story.published), width=110)


def _score_table(made: Sequence[Submission], published: PublishedSettings | None) -> Table:
    table = Table(title=f"Ours, beside {escape(published.source)}" if published else "Ours")
    for heading in ("submission", *SCORE_KINDS):
        table.add_column(heading, justify="right" if heading in SCORE_KINDS else "left")
    for score in published.scores if published else ():
        table.add_row(escape(score.name), "-", *(as_number(known, ".5f") for known in (score.public, score.private)))
    table.add_section()
    for found in made:
        table.add_row(escape(found.name), *(as_number(getattr(found, kind), ".5f") for kind in SCORE_KINDS))
    return table
