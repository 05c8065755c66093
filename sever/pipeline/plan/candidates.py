"""The networks that a plan may take, and how many steps of them fit into some seconds; decides nothing of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sever.data.fingerprint import Fingerprint

# A network that takes fewer steps than this has not learnt enough.
ENOUGH_STEPS = 400
ENCODER = "tf_efficientnet_lite0"
# Decoders by the size of the squares that they draw in: the finer the slower (docs/results.md).
DECODERS = {1: (96, 64, 32, 24, 16), 2: (96, 64, 32, 24), 4: (96, 64, 32)}
# The least spot that squares can draw is so many of them across; finer ones than of 2 pixels are for smaller spots.
SQUARES_ACROSS, USUAL_SQUARE = 4, 2
# Where hours are short, smaller batches make more steps of the same images; batch normalisation needs a few.
SMALLEST_BATCH = 4
# In which the decoder draws that comes with weights of strip.
SQUARE_OF_STRIP = 2
# Shares of the hours: for start, checkpoints and what varies; and for validation at most.
SPARE_SHARE, VALIDATION_SHARE = 0.05, 0.05


@dataclass(frozen=True)
class PlannedNetwork:
    """What a plan may choose: a Unet that draws in squares of so many pixels."""

    square: int
    architecture: str = "Unet"
    encoder: str = ENCODER

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        return DECODERS[self.square]

    @property
    def name(self) -> str:
        """Under which a measurement is kept."""
        return f"{self.architecture} {self.encoder} {'-'.join(map(str, self.decoder_channels))}"

    def settings(self) -> dict[str, Any]:
        channels = list(self.decoder_channels)
        return {"architecture": self.architecture, "encoder": self.encoder, "decoder_channels": channels}


@dataclass(frozen=True)
class Candidate:
    """A network and what a step of `batch` images takes on this machine, in seconds.

    `small_step_seconds`: what a step of SMALLEST_BATCH images takes, where it was measured. A step has a part that does
    not depend on its images (the optimiser, the average of weights), so that a quarter of a batch takes more than a
    quarter of the time.
    """

    network: PlannedNetwork
    step_seconds: float
    batch: int = SMALLEST_BATCH
    small_step_seconds: float | None = None

    def with_batch(self, batch: int) -> Candidate:
        """The same network at another batch, by a straight line through what was measured."""
        if self.small_step_seconds is None or self.batch <= SMALLEST_BATCH:
            return replace(self, batch=batch, step_seconds=self.step_seconds * batch / self.batch)
        slope = max(0.0, self.step_seconds - self.small_step_seconds) / (self.batch - SMALLEST_BATCH)
        return replace(self, batch=batch, step_seconds=self.small_step_seconds + slope * (batch - SMALLEST_BATCH))


def networks(fingerprint: Fingerprint, strip: bool) -> tuple[PlannedNetwork, ...]:
    """Those to be measured: the one that draws as finely as the spots need, and the next faster one."""
    if strip:
        return (PlannedNetwork(SQUARE_OF_STRIP),)
    thin = min((facts.spot_side for facts in fingerprint.classes if facts.images), default=0)
    square = USUAL_SQUARE if thin >= SQUARES_ACROSS * USUAL_SQUARE else 1
    return PlannedNetwork(square), PlannedNetwork(2 * square)


def measured(allowed: Sequence[PlannedNetwork], speeds: Mapping[str, float], batch: int) -> list[Candidate]:
    """Candidates with what was measured of them with `batch` images a step; those that were not are left out."""
    return [
        Candidate(network, speeds[network.name], batch, speeds.get(name_of_small(network)))
        for network in allowed
        if network.name in speeds
    ]


def name_of_small(network: PlannedNetwork) -> str:
    """Under which the measurement of a small batch is kept."""
    return f"{network.name}, {SMALLEST_BATCH} images"


def needs_small(candidate: Candidate, seconds: float) -> bool:
    """Whether these seconds hold too few steps of the whole batch, so that a smaller one has to be measured."""
    whole = candidate.batch // 2 < SMALLEST_BATCH or steps_within(candidate, seconds) >= ENOUGH_STEPS
    return not whole and candidate.small_step_seconds is None


def pick_candidate(candidates: Sequence[Candidate], seconds: float) -> Candidate:
    """The first that gets enough steps of any batch, else the fastest; with the batch that fits."""
    fitting = [with_fitting_batch(candidate, seconds) for candidate in candidates]
    enough = [candidate for candidate in fitting if steps_within(candidate, seconds) >= ENOUGH_STEPS]
    return enough[0] if enough else min(fitting, key=lambda candidate: candidate.step_seconds / candidate.batch)


def with_fitting_batch(candidate: Candidate, seconds: float) -> Candidate:
    """The candidate with its batch halved until the seconds hold enough steps."""
    batch = candidate.batch
    while batch // 2 >= SMALLEST_BATCH and steps_within(candidate.with_batch(batch), seconds) < ENOUGH_STEPS:
        batch //= 2
    return candidate.with_batch(batch)


def steps_within(candidate: Candidate, seconds: float) -> int:
    """Steps that fit beside validation and what varies, to two digits: a measurement is no more exact."""
    steps = int(seconds * (1 - SPARE_SHARE - VALIDATION_SHARE) / candidate.step_seconds)
    unit = 10 ** max(0, len(str(steps)) - 2)
    return steps // unit * unit
