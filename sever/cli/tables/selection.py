"""A choice of submissions as tables."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_number, as_text
from sever.pipeline.select.choose import Selection
from sever.pipeline.select.words import finite, reason

# More candidates than this, and the table of differences shows only those from the first of the pair.
FEW_CANDIDATES = 5


def render_selection(selection: Selection) -> str:
    """Tables that a person reads, and the sentence."""
    correlation = selection.choice.rank_correlation
    lines = [
        as_text(_candidate_table(selection), _difference_table(selection), width=110),
        f"Public and private rank-correlate by {correlation.mean:.2f} over these candidates "
        f"(95 %: {correlation.low:.2f} .. {correlation.high:.2f}).",
        *selection.notes,
    ]
    if selection.outlook.power < 1:
        lines.append(
            "The known public scores lie at the edge of what the draws hold, so they were believed only in part "
            f"(power {selection.outlook.power:.2f}): the test images may differ in a way that no scenario has."
        )
    return "\n".join([*lines, reason(selection)])


def _candidate_table(selection: Selection) -> Table:
    split, choice = selection.split, selection.choice
    table = Table(title=f"{split.public_images} public and {split.private_images} private images")
    table.add_column("candidate")
    for heading in ("out of fold", "public", "expected private", "95 %", "best of all"):
        table.add_column(heading, justify="right")
    for index in sorted(range(len(choice.private)), key=lambda row: -choice.private[row].mean):
        private = choice.private[index]
        mark = " *" if index in choice.pair else ""
        table.add_row(
            escape(selection.candidates.names[index]) + mark,
            f"{selection.candidates.scores_nm[:, index].mean():.5f}",
            as_number(finite(selection.known_m[index]), ".5f"),
            f"{private.mean:.5f}",
            f"{private.low:.4f} .. {private.high:.4f}",
            f"{choice.best_chances_m[index]:.0%}",
        )
    return table


def _difference_table(selection: Selection) -> Table:
    names, few = selection.candidates.names, len(selection.candidates.names) <= FEW_CANDIDATES
    title = "Public differences; one below its standard error counts as none"
    table = Table(title=title if few else f"{title} (those from {escape(selection.pair[0])}; all in select.json)")
    table.add_column("one")
    table.add_column("other")
    for heading in ("out of fold", "public", "standard error", "counts"):
        table.add_column(heading, justify="right")
    assert len(selection.differences) == len(names) * (len(names) - 1) // 2
    for found in selection.differences:
        if few or selection.pair[0] in (found.one, found.other):
            verdict = {None: "-", True: "yes", False: "none: noise"}[found.counts]
            table.add_row(
                escape(found.one),
                escape(found.other),
                f"{found.out_of_fold:+.5f}",
                as_number(found.public, "+.5f"),
                f"{found.standard_error:.5f}",
                verdict,
            )
    return table
