"""Whether found rules are worth having: paired differences on held-out folds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from sever.decide.bootstrap import Groups, Interval, column_intervals, paired_interval


@dataclass(frozen=True)
class Verdict:
    """What tuning gains where it was not tuned: over all pairs and by class; `worse` lists classes that lose beyond
    noise."""

    gain: Interval
    gain_by_class: tuple[Interval, ...]
    worse: tuple[int, ...]

    @property
    def adopts(self) -> bool:
        """Only a gain whose interval lies above zero is worth other rules than the default."""
        return self.gain.is_gain

    def sentence(self, kept: Collection[str] = ()) -> str:
        """The conclusion in plain words; `kept` names the classes that keep their default because they would lose."""
        numbers = f"{self.gain.mean:+.4f} Dice, 95 % interval {self.gain.low:+.4f} to {self.gain.high:+.4f}"
        return f"{self._finding(numbers)} {_refusal(kept)}".rstrip()

    def _finding(self, numbers: str) -> str:
        if self.adopts:
            return f"A gain: on held-out folds the tuned rules bring {numbers}; they are chosen, now from all folds."
        if self.gain.is_loss:
            return f"Tuning makes it worse: on held-out folds it brings {numbers}; the default rules are kept."
        return (
            f"No gain beyond noise: on held-out folds tuning brings {numbers}, which holds zero; "
            "the default rules are kept."
        )


def judge(
    tuned_nc: np.ndarray,
    default_nc: np.ndarray,
    groups_n: Groups,
    draws: int = 1000,
    seed: int = 0,
    weights_n: np.ndarray | None = None,
) -> Verdict:
    """Compare Dice (N, C) of held-out images by the rules that the other folds chose with those by the default."""
    difference_nc = tuned_nc - default_nc
    by_class = tuple(column_intervals(difference_nc, groups_n, draws, seed, weights_n=weights_n))
    worse = tuple(index for index, interval in enumerate(by_class) if interval.is_loss)
    return Verdict(paired_interval(tuned_nc, default_nc, groups_n, draws, seed, weights_n=weights_n), by_class, worse)


def _refusal(names: Collection[str]) -> str:
    if not names:
        return ""
    many = "classes" if len(names) > 1 else "class"
    return f"Without change for the {many} {', '.join(names)}: worse beyond noise when tuned (--allow-worse overrides)."
