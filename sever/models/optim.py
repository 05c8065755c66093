"""How the weights move: the optimiser and the course of its rates; knows no model or loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from sever.config import OptimSettings
from sever.errors import InputError

# What a warm-up starts from, as in the one-cycle schedule (Smith and Topin, 2019).
FIRST_RATE = 1 / 25


def _radam(groups: list[dict[str, Any]]) -> Optimizer:
    # The RAdam of 2019, its authors' own, shrinks the weights beside the step. torch's default adds the
    # decay to the gradient, where Adam's scaling makes something else of it; the decays of 2019 were chosen
    # for the former.
    return torch.optim.RAdam(groups, decoupled_weight_decay=True)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]]], Optimizer]] = {
    "radam": _radam,
    "adamw": torch.optim.AdamW,
}


def build_optimizer(groups: Mapping[str, list[Parameter]], settings: OptimSettings) -> Optimizer:
    """An optimiser over the groups "encoder" and "decoder", each with its name, rate and decay.

    All parameters of a group decay, biases and norms too, as in 2019.
    """
    if settings.name not in OPTIMIZERS:
        raise InputError(f"unknown optimiser {settings.name!r}; choose one of {', '.join(OPTIMIZERS)}")
    rates = {
        "encoder": (settings.encoder_learning_rate, settings.encoder_weight_decay),
        "decoder": (settings.decoder_learning_rate, settings.decoder_weight_decay),
    }
    assert set(groups) == set(rates), f"parameter groups are {sorted(groups)}"
    described = [
        {"name": name, "params": list(groups[name]), "lr": rate, "weight_decay": decay}
        for name, (rate, decay) in rates.items()
    ]
    return OPTIMIZERS[settings.name](described)


def rate_factor(step: int, total_steps: int, settings: OptimSettings) -> float:
    """Learning rate of a step (from 0) over the flat one: it rises, is 1 for `flat_share` of training, then falls.

    Rise and fall are half a cosine each. It depends on step / total_steps only, so its shape is that of 2019 whatever
    the length. The cosine would reach `final_share` one step after the last, so that no step is wasted on a rate of 0.
    """
    assert total_steps >= 1, total_steps
    progress = min(step / total_steps, 1.0)
    if progress < settings.warmup_share:
        return 1 - (1 - FIRST_RATE) * _half_cosine(progress / settings.warmup_share)
    flat_until = settings.warmup_share + settings.flat_share
    if progress <= flat_until:
        return 1.0
    fallen = (progress - flat_until) / (1 - flat_until)
    return settings.final_share + (1 - settings.final_share) * _half_cosine(fallen)


def _half_cosine(share: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * share)) / 2
