"""A selection of submissions: a sentence for a person, select.json and a picture for later."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sever.decide.select import INDIFFERENCE, Spread
from sever.deliver.charts import draw_clouds
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.select.choose import Selection
from sever.store.outcomes import SELECTION, ChosenRecord

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
                "public": finite(selection.known_m[index]),
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


def _spread(values: Spread) -> dict[str, float | None]:
    return {key: finite(value) for key, value in asdict(values).items()}


def finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
