"""Several models' probabilities into one; knows no networks, files or rules.

Every kind works pixel by pixel, so a blend of many images is made image by image. In what follows p is a member's
probability and w its share of the weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sever.decide.ranks import RankScale
from sever.errors import InputError

# Half a step of the 8-bit levels: how far `geometric` keeps away from 0 and 1, where a logit is infinite.
HALF_STEP = np.float32(1 / 510)
CHUNK_PIXELS = 1 << 16
# A sum of shares that should be a half may miss it by so much.
TINY_SHARE = 1e-6


# Nearer to 0 a power mean is the geometric one, and float32 has no digits left for it.
LEAST_POWER = 0.01


@dataclass(frozen=True)
class Blend:
    """How members are combined.

    `kind` names an entry of BLENDS; `weights` has one number a member (none: equal; 0: the member is left out);
    `power` belongs to the kind `power`; `ranks` (members, classes, 256) to the kind `rank`, see `sever.decide.ranks`.
    """

    kind: str = "mean"
    weights: tuple[float, ...] = ()
    power: float = 2.0
    ranks: tuple[tuple[tuple[float, ...], ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in BLENDS:
            raise InputError(f"unknown blend {self.kind!r}; allowed: {', '.join(BLENDS)}")
        if not math.isfinite(self.power) or abs(self.power) < LEAST_POWER:
            raise InputError(
                f"the power of a blend is {self.power:g}; give any number not within {LEAST_POWER:g} of 0: 1 is the "
                "mean, 2 the root mean square, -1 the harmonic mean (for a geometric mean, take the kind geometric)"
            )
        _check_weights(self.weights)
        if self.kind == "maximum" and len(set(self.weights)) > 1:
            raise InputError("a maximum knows no weights; leave them out, or take another kind of blend")

    def __call__(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """Blend of members' probabilities, float32 arrays of one shape, one a member; a new array of that shape.

        Raises InputError where there are more or fewer weights than members.
        """
        shares = self.shares(len(members))
        kept = np.flatnonzero(shares)
        return BLENDS[self.kind]([members[int(index)] for index in kept], shares[kept].astype(np.float64), self)

    def shares(self, num_members: int) -> np.ndarray:
        """(M,) float64 that sum to 1."""
        weights = np.asarray(self.weights or (1.0,) * num_members, dtype=np.float64)
        if len(weights) != num_members:
            raise InputError(f"the blend has {len(weights)} weights for {num_members} members; give one a member")
        return weights / weights.sum()

    def of_members(self, kept: Sequence[int]) -> Blend:
        """The blend of some of the members, by their places; weights and ranks are theirs."""
        weights = tuple(self.weights[at] for at in kept if at < len(self.weights))
        ranks = tuple(self.ranks[at] for at in kept if at < len(self.ranks))
        return replace(self, weights=weights, ranks=ranks)

    def as_dict(self) -> dict[str, Any]:
        """The blend as JSON has it; `from_dict` reads it back, and without the long `ranks`, too."""
        ranks = [[list(row) for row in table] for table in self.ranks]
        return asdict(self) | {"weights": list(self.weights), "ranks": ranks}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Blend:
        ranks = tuple(tuple(tuple(row) for row in table) for table in values.get("ranks", ()))
        return Blend(values["kind"], tuple(values["weights"]), values["power"], ranks)

    @cached_property
    def rank_scale(self) -> RankScale:
        if not self.ranks:
            raise InputError("a rank blend needs its members' distributions; `sever blend --kind rank` gathers them")
        shares = self.shares(len(self.ranks))
        kept = np.flatnonzero(shares)
        return RankScale.of(np.asarray(self.ranks)[kept], shares[kept])


def _check_weights(weights: Sequence[float]) -> None:
    wrong = [weight for weight in weights if not (math.isfinite(weight) and weight >= 0)]
    if wrong or (weights and not 0 < sum(weights) < math.inf):
        given = ", ".join(f"{weight:g}" for weight in weights)
        raise InputError(f"the weights of a blend are {given}; give numbers of 0 or more, not all of them 0")


def _mean(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """Sum of w * p."""
    return _sum_of(members, shares, lambda probs: probs)


def _root_mean_square(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """Square root of the sum of w * p * p: the 2019 author's choice; above the mean where members disagree."""
    return np.sqrt(_sum_of(members, shares, np.square))


def _power_mean(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """(Sum of w * p^power)^(1 / power), as a multiple of the largest p (negative power: the smallest), so that
    neither a high power nor a small p leaves the range of float32."""
    bound = np.maximum.reduce(members) if blend.power > 0 else np.minimum.reduce(members)
    divisor = np.where(bound > 0, bound, np.float32(1))
    power = np.float32(blend.power)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        total = _sum_of(members, shares, lambda probs: np.power(probs / divisor, power))
        return bound * np.power(np.where(bound > 0, total, 1), 1 / power)


def _geometric(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """The probability whose logit is the mean logit: the geometric mean of the odds.

    0 and 1 have infinite logits, with which a single member would decide alone. So 0..1 is first squeezed evenly to
    1/510 .. 509/510, half an 8-bit step from each end, and the answer is stretched back.
    """
    width = 1 - 2 * HALF_STEP

    def logit(probs: np.ndarray) -> np.ndarray:
        # Both sides in the same way, so that p and 1 - p cancel out exactly and a tie stays at 0.5.
        return np.log(probs * width + HALF_STEP) - np.log((1 - probs) * width + HALF_STEP)

    squeezed = 1 / (1 + np.exp(-_sum_of(members, shares, logit)))
    return np.clip((squeezed - HALF_STEP) / width, 0, 1)


def _median(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """Weighted median: half of the weight lies at or below, half at or above; between two such values, their middle."""
    result = np.empty(members[0].shape, np.float32)
    half = 0.5 - TINY_SHARE
    for part, *values in _chunks([result, *members]):
        lower, upper = np.full(part.shape, np.inf, np.float32), np.full(part.shape, -np.inf, np.float32)
        for value in values:
            below, above = np.zeros(part.shape, np.float32), np.zeros(part.shape, np.float32)
            for other, share in zip(values, shares.astype(np.float32), strict=True):
                below += (other <= value) * share
                above += (other >= value) * share
            np.minimum(lower, value, out=lower, where=below >= half)
            np.maximum(upper, value, out=upper, where=above >= half)
        part[...] = (lower + upper) / 2
    return result


def _maximum(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    return np.asarray(np.maximum.reduce(members), dtype=np.float32)


def _vote(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """Share of the weight of those members that are above 0.5; above 0.5 itself where they are the majority."""
    votes = np.zeros(members[0].shape, np.float64)  # float32 would put some ties above 0.5
    for probs, share in zip(members, shares, strict=True):
        votes += (probs > 0.5) * share
    return votes.astype(np.float32)


def _rank(members: Sequence[np.ndarray], shares: np.ndarray, blend: Blend) -> np.ndarray:
    """Mean of the ranks that p has within its member, as a probability; members are (C, H, W)."""
    return blend.rank_scale(members)


BLENDS: dict[str, Callable[[Sequence[np.ndarray], np.ndarray, Blend], np.ndarray]] = {
    "mean": _mean,
    "rms": _root_mean_square,
    "power": _power_mean,
    "geometric": _geometric,
    "median": _median,
    "maximum": _maximum,
    "vote": _vote,
    "rank": _rank,
}


def _sum_of(
    members: Sequence[np.ndarray], shares: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sum of share * function(member), float32; one member at a time."""
    first, *others = (np.float32(share) for share in shares)
    total = np.asarray(function(members[0]) * first)
    for member, share in zip(members[1:], others, strict=True):
        total += function(member) * share
    return total


def _chunks(arrays: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Matching pieces of arrays of one shape, small enough to stay in the processor's cache; views, not copies."""
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, CHUNK_PIXELS):
        yield [array[start : start + CHUNK_PIXELS] for array in flat]
