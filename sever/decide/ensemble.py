"""Several models' probabilities into one; knows no networks, files or rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sever.errors import InputError


@dataclass(frozen=True)
class Blend:
    """How members are combined: `kind` names an entry of BLENDS, `weights` has one number a member (none: equal)."""

    kind: str = "mean"
    weights: tuple[float, ...] = ()
    power: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in BLENDS:
            raise InputError(f"unknown blend {self.kind!r}; allowed: {', '.join(BLENDS)}")

    def __call__(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """Blend of members' probabilities, float32 arrays of one shape, one a member; the same shape."""
        weights = np.asarray(self.weights or (1.0,) * len(members), dtype=np.float32)
        if len(weights) != len(members):
            raise InputError(f"the blend has {len(weights)} weights for {len(members)} members; give one a member")
        return BLENDS[self.kind](members, weights / weights.sum(), self.power)


def _mean(members: Sequence[np.ndarray], shares: np.ndarray, power: float) -> np.ndarray:
    total = members[0] * shares[0]
    for member, share in zip(members[1:], shares[1:], strict=True):
        total += member * share
    return np.asarray(total)


BLENDS: dict[str, Callable[[Sequence[np.ndarray], np.ndarray, float], np.ndarray]] = {
    "mean": _mean,
}
