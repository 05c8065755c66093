"""The order in which images are seen; knows nothing of images.

Every order here is drawn from (seed, epoch) alone, in the main process, so that it may stand in any DataLoader and
goes on in mid-epoch where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from sever.config import PseudoSettings, SamplingSettings
from sever.data.rounds import Rounds
from sever.errors import InputError

# A row shown again within an epoch belongs to a pass of its own, beyond any epoch that a run reaches: so that its
# random changes are others than the first time.
PASSES_APART = 2**32


class SampleKey(NamedTuple):
    """Which image, and in which pass over the data: together they fix its random changes."""

    epoch: int
    row: int


class OrderSampler(Sampler[SampleKey]):
    """Rows in an order that depends on (seed, epoch) alone.

    `set_position` says where the next iteration starts, also in mid-epoch; its length is what is left of
    that. It may stand in any DataLoader: the order is drawn in the main process, whatever the workers.
    """

    def __init__(self, num_samples: int, seed: int) -> None:
        self.num_samples, self.seed = num_samples, seed
        self.epoch, self.skip = 0, 0

    def set_position(self, epoch: int, skip: int = 0) -> None:
        """Start the next iteration in this epoch, after `skip` samples that were already used."""
        assert 0 <= skip <= self.num_samples, (skip, self.num_samples)
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        return self.num_samples - self.skip

    def __iter__(self) -> Iterator[SampleKey]:
        rows = self._order(self.epoch, np.random.default_rng([self.seed, self.epoch]))
        passes = self.epoch + PASSES_APART * _times_before(rows)
        return map(SampleKey, passes[self.skip :].tolist(), rows[self.skip :].tolist())

    def _order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError


class EpochSampler(OrderSampler):
    """Every row once an epoch; or, with `num_samples`, so many rows of endless passes, each in an order of its own."""

    def __init__(self, num_rows: int, seed: int, shuffle: bool, num_samples: int | None = None) -> None:
        super().__init__(num_rows if num_samples is None else num_samples, seed)
        self.num_rows, self.shuffle = num_rows, shuffle

    def _order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        if not self.num_samples:
            return np.arange(0)
        start = epoch * self.num_samples
        first, last = start // self.num_rows, (start + self.num_samples - 1) // self.num_rows
        rows = np.concatenate([self._pass(number) for number in range(first, last + 1)])
        return rows[start - first * self.num_rows :][: self.num_samples]

    def _pass(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, number])
        return rng.permutation(self.num_rows) if self.shuffle else np.arange(self.num_rows)


@dataclass(frozen=True)
class Strata:
    """Sets of rows that are drawn in the proportion of their weights; a row may be in several."""

    rows: tuple[np.ndarray, ...]
    weights: tuple[float, ...]

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """`count` rows in random order: each set's share off by less than 1, its rows equally often but for 1."""
        drawn = [_cycle(rows, number, rng) for rows, number in zip(self.rows, self._numbers(count, rng), strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def _numbers(self, count: int, rng: np.random.Generator) -> np.ndarray:
        exact = count * np.asarray(self.weights) / sum(self.weights)
        numbers = np.floor(exact).astype(np.int64)
        # What is left of rounding down goes to the largest remainders; of equal ones, to others each time.
        order = rng.permutation(len(exact))
        order = order[np.argsort(-(exact - numbers)[order], kind="stable")]
        numbers[order[: count - numbers.sum()]] += 1
        return numbers


class MixedSampler(OrderSampler):
    """Full batches of labelled rows 0..L-1, drawn from `strata`, and pseudo-labelled rows L..L+M-1 as `mix` says.

    Every run of `batch_size` samples is a batch, whichever process gets it; it ends with its pseudo-labelled rows.
    These come in rounds: none comes again, in this epoch or a later one, before all have come.
    """

    def __init__(
        self, strata: Strata, num_labelled: int, num_pseudo: int, batch_size: int, mix: Mix, seed: int
    ) -> None:
        super().__init__(mix.num_batches * batch_size, seed)
        self.strata, self.num_labelled, self.mix = strata, num_labelled, mix
        self.rounds = Rounds(num_pseudo, mix.pseudo_an_epoch, seed) if mix.pseudo_an_epoch else None

    def _order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        labelled = self.strata.draw(self.num_samples - self.mix.pseudo_an_epoch, rng)
        if self.rounds is None:
            return labelled
        pseudo = self.num_labelled + self.rounds.epoch(epoch)
        ends = np.cumsum(self.mix.pseudo_by_batch())
        batch_size = self.num_samples // self.mix.num_batches
        labelled_ends = np.arange(1, self.mix.num_batches + 1) * batch_size - ends
        parts = zip(np.split(labelled, labelled_ends[:-1]), np.split(pseudo, ends[:-1]), strict=True)
        return np.concatenate([rows for pair in parts for rows in pair])


@dataclass(frozen=True)
class Mix:
    """How many batches an epoch has, and how many pseudo-labelled rows, spread evenly over them."""

    num_batches: int
    pseudo_an_epoch: int = 0

    def pseudo_by_batch(self) -> np.ndarray:
        """(num_batches,): how many of each batch's rows are pseudo-labelled; they differ by one at most."""
        return np.diff(np.arange(self.num_batches + 1) * self.pseudo_an_epoch // self.num_batches)


def plan_mix(num_draws: int, num_pseudo: int, batch_size: int, pseudo: PseudoSettings | None) -> Mix:
    """An epoch of so many labelled draws, without a last part of a batch, but one batch at least.

    Two limits say how many pseudo-labelled rows come beside them: `share` of every batch, and `keep` of all of them.
    The smaller one binds. Raises InputError for a share that is no image of a batch, or all.
    """
    if pseudo is None:
        return Mix(max(1, num_draws // batch_size))
    a_batch = pseudo_a_batch(pseudo, batch_size)
    by_share = Mix(batches := max(1, num_draws // (batch_size - a_batch)), batches * a_batch)
    kept = max(1, round_half_up(pseudo.keep * num_pseudo))
    if by_share.pseudo_an_epoch <= kept:
        return by_share
    batches = max(1, (num_draws + kept) // batch_size)
    return Mix(batches, min(kept, batches * a_batch))


def make_sampler(
    sampling: SamplingSettings,
    pseudo: PseudoSettings | None,
    has_class: np.ndarray,
    num_pseudo: int,
    batch_size: int,
    seed: int,
) -> OrderSampler:
    """The order that the settings ask for; `has_class` (L, C) bool says which classes each labelled row shows.

    Raises InputError for a share that is not an image of a batch, or all, and for weights that don't fit the classes.
    """
    draws = sampling.epoch_images
    if sampling.balance == "none" and pseudo is None:
        return EpochSampler(len(has_class), seed, shuffle=True, num_samples=draws)
    mix = plan_mix(len(has_class) if draws is None else draws, num_pseudo, batch_size, pseudo)
    return MixedSampler(
        STRATA[sampling.balance](sampling, has_class), len(has_class), num_pseudo, batch_size, mix, seed
    )


def mix_in_words(mix: Mix, num_pseudo: int, batch_size: int, keep: float) -> str:
    """How many pseudo-labelled images come in an epoch and a batch, and which of the two limits binds."""
    by_batch = mix.pseudo_by_batch()
    number = " or ".join(map(str, sorted({int(by_batch.min()), int(by_batch.max())})))
    share, limit = mix.pseudo_an_epoch / num_pseudo, f"pseudo.keep {keep:.0%}"
    binds = mix.pseudo_an_epoch >= round_half_up(keep * num_pseudo)
    return (
        f"{mix.pseudo_an_epoch} of {num_pseudo} pseudo-labelled images ({share:.0%}) come in an "
        f"epoch, {number} in a batch of {batch_size}: "
        + (f"{limit} binds" if binds else f"pseudo.share binds, {limit} can't")
    )


def pseudo_a_batch(pseudo: PseudoSettings, batch_size: int) -> int:
    """How many images of every batch are pseudo-labelled: the nearest whole number, halves up. Raises InputError."""
    number = round_half_up(pseudo.share * batch_size)
    if 0 < number < batch_size:
        return number
    what = "none" if number == 0 else "all"
    raise InputError(
        f"pseudo.share {pseudo.share:g} of a batch of {batch_size} is {number} images, {what} of them: each batch "
        f"needs 1 to {batch_size - 1} pseudo-labelled ones; change pseudo.share or train.batch_size"
    )


def round_half_up(number: float) -> int:
    return int(np.floor(number + 0.5))


def _all_rows(sampling: SamplingSettings, has_class: np.ndarray) -> Strata:
    return Strata((np.arange(len(has_class)),), (1.0,))


def _by_class(sampling: SamplingSettings, has_class: np.ndarray) -> Strata:
    return _weighted(has_class, (1.0,) * (has_class.shape[1] + 1))


def _by_weights(sampling: SamplingSettings, has_class: np.ndarray) -> Strata:
    weights, classes = sampling.class_weights or (), has_class.shape[1]
    if len(weights) != classes + 1:
        raise InputError(
            f"sampling.class_weights has {len(weights)} numbers, but there are {classes} classes: give {classes + 1}, "
            "one a class in their order and, last, one for clean images"
        )
    return _weighted(has_class, weights)


def _weighted(has_class: np.ndarray, weights: Sequence[float]) -> Strata:
    """One set a class and, last, the clean images; sets without rows or weight are left out."""
    shown = np.column_stack([has_class, ~has_class.any(axis=1)])
    used = [index for index, weight in enumerate(weights) if weight > 0 and shown[:, index].any()]
    if not used:
        raise InputError(
            f"sampling.class_weights {tuple(weights)} leaves no image to draw: the training images show none of the "
            "classes that have a weight"
        )
    return Strata(tuple(np.flatnonzero(shown[:, index]) for index in used), tuple(weights[index] for index in used))


STRATA = {"none": _all_rows, "class": _by_class, "weights": _by_weights}


def _cycle(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows: each time round all of them in a new random order."""
    rounds = -(-count // len(rows))
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:count]


def _times_before(rows: np.ndarray) -> np.ndarray:
    """How often each entry stands earlier in the array."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else np.zeros(0, np.int64)
    ranks = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    times = np.empty(len(rows), np.int64)
    times[order] = ranks
    return times
