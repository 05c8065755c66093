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
    """A network and what a step of it takes on this machine, in seconds."""

    network: PlannedNetwork
    step_seconds: float


def networks(fingerprint: Fingerprint, strip: bool) -> tuple[PlannedNetwork, ...]:
    """Those to be measured: the one that draws as finely as the spots need, and the next faster one."""
    if strip:
        return (PlannedNetwork(SQUARE_OF_STRIP),)
    thin = min((facts.spot_side for facts in fingerprint.classes if facts.images), default=0)
    square = USUAL_SQUARE if thin >= SQUARES_ACROSS * USUAL_SQUARE else 1
    return PlannedNetwork(square), PlannedNetwork(2 * square)


def measured(allowed: Sequence[PlannedNetwork], speeds: Mapping[str, float]) -> list[Candidate]:
    """Candidates with what was measured of them; those that were not are left out."""
    return [Candidate(network, speeds[network.name]) for network in allowed if network.name in speeds]


def pick_candidate(candidates: Sequence[Candidate], seconds: float, batch: int) -> Candidate:
    """The first that gets enough steps of any batch; else the fastest. Measured with `batch` images a step."""
    enough = [
        candidate
        for candidate in candidates
        if steps_within(with_fitting_batch(candidate, seconds, batch)[1], seconds) >= ENOUGH_STEPS
    ]
    return enough[0] if enough else min(candidates, key=lambda candidate: candidate.step_seconds)


def with_fitting_batch(candidate: Candidate, seconds: float, batch: int) -> tuple[int, Candidate]:
    """The batch, halved until the seconds hold enough steps, and the candidate with what such a step takes."""
    while batch // 2 >= SMALLEST_BATCH and steps_within(candidate, seconds) < ENOUGH_STEPS:
        candidate = replace(candidate, step_seconds=candidate.step_seconds * (batch // 2) / batch)
        batch //= 2
    return batch, candidate


def steps_within(candidate: Candidate, seconds: float) -> int:
    """Steps that fit beside validation and what varies, to two digits: a measurement is no more exact."""
    steps = int(seconds * (1 - SPARE_SHARE - VALIDATION_SHARE) / candidate.step_seconds)
    unit = 10 ** max(0, len(str(steps)) - 2)
    return steps // unit * unit
