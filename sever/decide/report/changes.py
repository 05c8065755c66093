"""What changed from one report to the next, from the numbers of both; knows no files and no HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sever.decide.bootstrap import in_words, paired_interval
from sever.decide.report.numbers import DRAWS, LEVEL, Numbers, interval_of

MEAN = "mean of all"


def changes(before: Numbers, now: Numbers, groups: Sequence[Any]) -> Numbers:
    """Differences of mean Dice, over all and a class, and the rules that differ.

    Where both hold the same images and classes the differences are paired, with bootstrap intervals over `groups`, one
    an image of `now`; else they are plain ones.
    """
    rows = _paired(before, now, groups) if _same_images(before, now) else _plain(before, now)
    return {
        "against": {key: before["about"][key] for key in ("name", "made", "source")},
        "same_images": _same_images(before, now),
        "rows": rows,
        "rules": _rules(before["about"]["rules"], now["about"]["rules"]),
    }


def shows_the_same(before: Numbers, now: Numbers) -> bool:
    """Whether two reports differ in nothing but what they were compared with, and which images they picture."""
    return _without_comparison(before) == _without_comparison(json.loads(json.dumps(now)))


def _without_comparison(numbers: Numbers) -> Numbers:
    return {name: value for name, value in numbers.items() if name not in ("changes", "galleries")}


def _same_images(before: Numbers, now: Numbers) -> bool:
    return sorted(before["pairs"]["image_ids"]) == sorted(now["pairs"]["image_ids"]) and _names(before) == _names(now)


def _names(numbers: Numbers) -> list[str]:
    return [each["name"] for each in numbers["classes"]]


def _paired(before: Numbers, now: Numbers, groups: Sequence[Any]) -> list[Numbers]:
    row_of = {image_id: row for row, image_id in enumerate(before["pairs"]["image_ids"])}
    order = [row_of[image_id] for image_id in now["pairs"]["image_ids"]]
    before_nc, now_nc = np.array(before["pairs"]["dice"])[order], np.array(now["pairs"]["dice"])
    columns = {MEAN: slice(None)} | {name: slice(index, index + 1) for index, name in enumerate(_names(now))}
    return [_paired_row(name, before_nc[:, those], now_nc[:, those], groups) for name, those in columns.items()]


def _paired_row(name: str, before_nc: np.ndarray, now_nc: np.ndarray, groups: Sequence[Any]) -> Numbers:
    interval = interval_of(lambda: paired_interval(now_nc, before_nc, groups, DRAWS, level=LEVEL))
    return _row(name, float(before_nc.mean()), float(now_nc.mean()), interval)


def _plain(before: Numbers, now: Numbers) -> list[Numbers]:
    """The mean, and the classes that both know."""
    olds = {each["name"]: each["dice"]["mean"] for each in before["classes"]}
    rows = [_row(MEAN, before["scores"]["dice"], now["scores"]["dice"], None)]
    shared = [each for each in now["classes"] if each["name"] in olds]
    return rows + [_row(each["name"], olds[each["name"]], each["dice"]["mean"], None) for each in shared]


def _row(name: str, before: float, now: float, interval: Numbers | None) -> Numbers:
    row = {"name": name, "before": before, "now": now, "difference": now - before, "interval": interval}
    return row | {"verdict": _verdict(interval)}


def _verdict(interval: Numbers | None) -> str:
    if interval is None:
        return "not tested"
    return in_words(interval["low"], interval["high"])


def _flat(rules: Numbers) -> Numbers:
    """`gate.kind` in place of a `gate` that holds a `kind`."""
    gate = {f"gate.{name}": value for name, value in rules["gate"].items()}
    return gate | {name: value for name, value in rules.items() if name != "gate"}


def _rules(before: Numbers, now: Numbers) -> list[Numbers]:
    before, now = _flat(before), _flat(now)
    names = dict.fromkeys([*now, *before])
    rows = [{"name": name, "before": before.get(name), "now": now.get(name)} for name in names]
    return [row for row in rows if not _same_rule(row["before"], row["now"])]


def _same_rule(one: Any, other: Any) -> bool:
    """One value for all classes is the same as a list of it."""
    lists = [value if isinstance(value, list) else [value] for value in (one, other)]
    length = max(map(len, lists))
    first, second = (value * length if len(value) == 1 else value for value in lists)
    return first == second
