"""The table of results as people read it: mean and spread over seeds and folds; computes no score."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

# What may differ between the runs of one row.
GROUPED_BY = ("host", "contender", "variant", "clock", "budget")
SHOWN = ("mean_iou", "mean_iou_background", "dice", "dice_present", "ap_any", "cpu_seconds", "images_seen")


def print_summary(rows: list[dict[str, str]], protocol: str) -> None:
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["protocol"] == protocol:
            groups[tuple(row[name] for name in GROUPED_BY)].append(row)
    print(
        f"{protocol}\n\n| {' | '.join((*GROUPED_BY, 'runs', *SHOWN))} |\n|{'---|' * (len(GROUPED_BY) + 1 + len(SHOWN))}"
    )
    for key, members in groups.items():
        cells = [_mean_and_spread([float(row[name]) for row in members if row[name]]) for name in SHOWN]
        print(f"| {' | '.join((*key, str(len(members)), *cells))} |")


def _mean_and_spread(values: list[float]) -> str:
    """The mean and, of several, the standard deviation; empty where there is nothing to score."""
    if not values:
        return ""
    digits = 4 if max(values) <= 1 else 1
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
