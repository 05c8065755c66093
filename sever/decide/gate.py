"""What an image classifier's opinion does to each class's mask; knows nothing of pixels and of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sever.decide.rules import ClassRules, Rules
from sever.errors import InputError

UNCHANGED = np.float32(1)

Number = TypeVar("Number", float, np.ndarray)


@dataclass(frozen=True)
class GateEffect:
    """What the gate leaves of a class: whether it may be there, a factor on its probabilities, its smallest area."""

    min_pixels: float
    is_open: bool = True
    scale: np.float32 = UNCHANGED


def soft_min_pixels(min_pixels: int, gate_prob: Number, factor: float) -> Number:
    """The smallest area of the soft gate, in pixels: `min_pixels` where the gate says 1, `factor` times it at 0.

    t0*c - t0*(c - 1)*p, a straight line in p, as in the 2019 solution (c of 5, 10 and 20). Takes a number or an array.
    """
    return min_pixels * (1 + (factor - 1) * (1 - gate_prob))  # in this form exactly min_pixels at 1, for any factor


def gate_effects(rules: Rules, gate_probs_c: np.ndarray | None) -> list[GateEffect]:
    """What the gate does to each class, given the image classifier's probabilities (C,).

    Raises InputError where the rules ask for a gate, but there are no probabilities.
    """
    if rules.gate_kind == "none":
        return [GateEffect(each.min_pixels) for each in rules.classes]
    if gate_probs_c is None:
        raise InputError(
            f"the rules ask for a gate (gate.kind {rules.gate_kind}), but no classifier gave probabilities for this "
            "image; use a model with a classifier or a label head, or set gate.kind to none"
        )
    assert len(gate_probs_c) == rules.num_classes, f"{len(gate_probs_c)} gates for {rules.num_classes} classes"
    effect = GATES[rules.gate_kind]
    # In float32, as label probabilities are stored, whatever comes.
    probs_c = np.asarray(gate_probs_c, np.float32)
    return [effect(each, rules.gate_factor, prob) for each, prob in zip(rules.classes, probs_c, strict=True)]


def _veto(rules: ClassRules, factor: float, gate_prob: np.float32) -> GateEffect:
    return GateEffect(rules.min_pixels, is_open=bool(gate_prob >= np.float32(rules.gate_threshold)))


def _soften(rules: ClassRules, factor: float, gate_prob: np.float32) -> GateEffect:
    return GateEffect(soft_min_pixels(rules.min_pixels, float(gate_prob), factor))


def _multiply(rules: ClassRules, factor: float, gate_prob: np.float32) -> GateEffect:
    return GateEffect(rules.min_pixels, scale=gate_prob)


GATES: dict[str, Callable[[ClassRules, float, np.float32], GateEffect]] = {
    "veto": _veto,
    "soft": _soften,
    "multiply": _multiply,
}
