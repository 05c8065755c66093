"""Rows drawn in rounds across epochs: every row once before any comes again; knows nothing of what a row is.

What an epoch draws depends on the seed and the epoch's number alone, so that a resumed run draws what it would have.
"""

from __future__ import annotations

import numpy as np

# Beside (seed, epoch), of which the labelled rows' order is drawn: a stream of its own.
STREAM = 19


class Rounds:
    """`an_epoch` of `count` rows an epoch, as one stream of rounds that is cut into epochs.

    A round is all rows in a random order. Where one ends within an epoch, the next begins with rows that the epoch has
    not had, so that none comes twice in an epoch that has room for no more than all of them.
    """

    def __init__(self, count: int, an_epoch: int, seed: int) -> None:
        assert count > 0
        self.count, self.an_epoch, self.seed = count, an_epoch, seed
        self._restart()

    def epoch(self, epoch: int) -> np.ndarray:
        """The (an_epoch,) rows of an epoch, counted from 0."""
        start, stop = epoch * self.an_epoch, (epoch + 1) * self.an_epoch
        if self._round * self.count > start:
            self._restart()
        drawn = []
        while True:
            begins = self._round * self.count
            drawn.append(self._order[max(0, start - begins) : max(0, stop - begins)])
            if begins + self.count >= stop:
                return np.concatenate(drawn)
            self._advance()

    def _restart(self) -> None:
        self._round = 0
        self._order = self._permutation()

    def _advance(self) -> None:
        self._round += 1
        begins = self._round * self.count
        had = begins % self.an_epoch if self.an_epoch < self.count else 0  # rows of the epoch in which the round begins
        waits = np.isin(order := self._permutation(), self._order[self.count - had :])
        self._order = np.concatenate([order[~waits], order[waits]])

    def _permutation(self) -> np.ndarray:
        return np.random.default_rng([self.seed, self._round, STREAM]).permutation(self.count)
