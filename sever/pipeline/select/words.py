"""A selection of submissions in words: tables and a sentence for a person, select.json and a picture for later."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from sever.decide.select import INDIFFERENCE, Spread
from sever.deliver.charts import draw_clouds
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.select.choose import Selection
from sever.pipeline.tables import as_text
from sever.store.outcomes import SELECTION, ChosenRecord

# More candidates than this, and the table of differences shows only those from the first of the pair.
FEW_CANDIDATES = 5


RESULTS = (SELECTION, "clouds.png")


@writes_to("folder")
def write_selection(selection: Selection, folder: Path) -> None:
    """select.json and clouds.png. Raises InputError where Matplotlib is missing."""
    outlook, names = selection.outlook, selection.candidates.names
    home = OutputFolder(folder)
    home.write_json(RESULTS[0], as_dict(selection))
    draw_clouds(
        folder / RESULTS[1],
        names,
        outlook.public_dm,
        outlook.private_dm,
        outlook.weights_d,
        selection.choice.pair,
    )


def reason(selection: Selection) -> str:
    """One sentence: which two, and why."""
    choice, (one, other) = selection.choice, selection.pair
    first, second = choice.pair
    gain = choice.value - choice.values_mm[first, first]
    # The better one alone is not always the best alone: a pair of two that complement each other may beat it.
    expected = [spread.mean for spread in choice.private]
    rank = 1 + sum(value > expected[second] for value in expected)
    chance = choice.best_chances_m[first] + choice.best_chances_m[second]
    said = (
        f"Choose {one} and {other}: the better of the two is expected to score {choice.value:.5f} in private, "
        f"{gain:.5f} more than {one} alone, and one of them is the best of all {len(expected)} with probability "
        f"{chance:.2f}"
    )
    if gain < INDIFFERENCE:
        said += f"; that is nothing to speak of, so {other} is simply the best of the others"
    elif rank > 2:
        said += f"; {other} is only number {rank} by itself, but does well where {one} does not"
    if not np.isnan(selection.known_m).all():
        before = " and ".join(selection.candidates.names[index] for index in selection.blind.pair)
        same = set(selection.blind.pair) == set(choice.pair)
        said += "; without the public scores it would be " + ("the same two" if same else before)
    return said + "."


def as_dict(selection: Selection) -> dict[str, Any]:
    """Everything, for select.json and --json."""
    choice, outlook, names = selection.choice, selection.outlook, selection.candidates.names
    values = {
        "chosen": list(selection.pair),
        "reason": reason(selection),
        "expected_better_private": choice.value,
        "chosen_without_public_scores": [names[index] for index in selection.blind.pair],
        "chosen_by_scenario": {name: [names[index] for index in pair] for name, pair in choice.by_scenario.items()},
        "scenario_weights": outlook.scenario_weights(),
        "public_images": selection.split.public_images,
        "private_images": selection.split.private_images,
        "images": len(selection.candidates.image_ids),
        "rank_correlation": _spread(choice.rank_correlation),
        "draws": len(outlook.weights_d),
        "effective_draws": outlook.effective_draws,
        "public_scores_power": outlook.power,
        "candidates": [
            {
                "name": name,
                "folder": str(selection.candidates.evidence[index].folder),
                "chosen": index in choice.pair,
                "out_of_fold": float(selection.candidates.scores_nm[:, index].mean()),
                "public": _finite(selection.known_m[index]),
                "private": _spread(choice.private[index]),
                "best_probability": float(choice.best_chances_m[index]),
            }
            for index, name in enumerate(names)
        ],
        "differences": [asdict(found) | {"counts": found.counts} for found in selection.differences],
        "expected_better_private_of_pairs": choice.values_mm.tolist(),
        "notes": list(selection.notes),
    }
    return ChosenRecord.of(values).as_json()


def render(selection: Selection) -> str:
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
    for index in np.argsort([-spread.mean for spread in choice.private], kind="stable"):
        private = choice.private[index]
        mark = " *" if index in choice.pair else ""
        table.add_row(
            escape(selection.candidates.names[index]) + mark,
            f"{selection.candidates.scores_nm[:, index].mean():.5f}",
            _digits(_finite(selection.known_m[index])),
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
                _digits(found.public, "+"),
                f"{found.standard_error:.5f}",
                verdict,
            )
    return table


def _spread(values: Spread) -> dict[str, float | None]:
    return {key: _finite(value) for key, value in asdict(values).items()}


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _digits(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.5f}"
