"""Everything that training needs to go on, as plain tensors and JSON values; knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sever.errors import InputError

_OPTIMIZER, _RAW = "optimizer.", "raw."


@dataclass(frozen=True)
class Snapshot:
    """A moment of training.

    `weights` are those that are scored and shipped (the moving average where there is one); `training` is what only
    resuming needs: optimiser moments and, beside a moving average, the raw weights; `values` is JSON-ready.
    """

    weights: dict[str, Tensor]
    training: dict[str, Tensor]
    values: dict[str, Any]


def capture(
    model: nn.Module, averaged: nn.Module | None, optimizer: Optimizer, scaler_state: dict[str, Any]
) -> Snapshot:
    """Copy the state of training to the CPU; `values` holds the optimiser's options and the gradient scaler."""
    state = optimizer.state_dict()
    training = {
        f"{_OPTIMIZER}{index}.{name}": _own(value)
        for index, moments in state["state"].items()
        for name, value in moments.items()
    }
    if averaged is not None:
        training |= {f"{_RAW}{name}": _own(value) for name, value in model.state_dict().items()}
    weights = {name: _own(value) for name, value in (averaged or model).state_dict().items()}
    return Snapshot(weights, training, {"param_groups": state["param_groups"], "scaler": scaler_state})


def restore(snapshot: Snapshot, model: nn.Module, averaged: nn.Module | None, optimizer: Optimizer) -> None:
    """Put a snapshot back, in place. Raises InputError when it belongs to another network or optimiser."""
    raw = {name.removeprefix(_RAW): value for name, value in snapshot.training.items() if name.startswith(_RAW)}
    if bool(raw) != (averaged is not None):
        raise InputError("the checkpoint and the configuration disagree about train.ema_decay")
    load_weights(model, raw or snapshot.weights)
    if averaged is not None:
        load_weights(averaged, snapshot.weights)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in snapshot.training.items():
        if name.startswith(_OPTIMIZER):
            index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
            moments.setdefault(int(index) if index.isdecimal() else -1, {})[key] = value
    _raise_unless_they_fit(optimizer, moments, snapshot.values["param_groups"])
    optimizer.load_state_dict({"state": moments, "param_groups": snapshot.values["param_groups"]})


def _raise_unless_they_fit(
    optimizer: Optimizer, moments: dict[int, dict[str, Tensor]], groups: Sequence[dict[str, Any]]
) -> None:
    """Torch would take moments of other parameters without a word, and stumble over them steps later."""
    own = optimizer.state_dict()["param_groups"]
    if [group.get("params") for group in groups] != [group["params"] for group in own]:
        raise InputError("the checkpoint belongs to another optimiser, or another network, than the settings build")
    for group, expected in zip(groups, own, strict=True):
        for name, value in group.items():
            if name not in expected or _kind(value) != _kind(expected[name]):
                raise InputError(
                    f"the checkpoint's optimiser has {name}: {value!r}, which it can't have; it is damaged"
                )
    shapes = [parameter.shape for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in moments.items():
        there = 0 <= index < len(shapes)
        if not there or any(value.dim() and value.shape != shapes[index] for value in state.values()):
            raise InputError(f"the checkpoint's {_OPTIMIZER}{index} does not fit the network; it is damaged")


def _kind(value: Any) -> str:
    """Numbers alike, and lists like tuples: JSON knows no more."""
    if isinstance(value, list | tuple):
        return "list"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights that must fit exactly. Raises InputError naming what does not fit."""
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        first = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise InputError(f"the checkpoint belongs to another network than the configuration builds: {first}") from error


def average_weights(checkpoints: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Equal mean of several checkpoints' weights, running statistics included; counters come from the last one.

    Averaging the last or best checkpoints: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima".
    """
    assert checkpoints, "nothing to average"
    if any(weights.keys() != checkpoints[0].keys() for weights in checkpoints):
        raise InputError("the checkpoints to average belong to different networks")
    return {
        name: torch.stack([weights[name].double() for weights in checkpoints]).mean(0).to(last.dtype)
        if last.is_floating_point()
        else last
        for name, last in checkpoints[-1].items()
    }


def _own(value: Tensor) -> Tensor:
    """A contiguous copy on the CPU that later training steps can't change (safetensors wants contiguous ones)."""
    return value.detach().to("cpu", copy=True).contiguous()
