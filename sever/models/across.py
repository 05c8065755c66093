"""Sums over all processes that train one network together, with gradients; knows no losses and no layers.

A loss that is a ratio of sums over the batch (Dice, Jaccard) is not the mean of its values in parts of the batch. With
these sums every process computes the loss of the whole batch. The gradient of each then is a part, times the number of
processes, because DistributedDataParallel divides by it (https://pytorch.org/docs/stable/notes/ddp.html).

All processes must call these functions in the same order. In a single process they return what they were given.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def num_processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(value: Tensor) -> Tensor:
    """The sum of `value`, of one shape everywhere, over all processes."""
    return value if num_processes() == 1 else _Sum.apply(value)


def gathered(values: Tensor) -> Tensor:
    """(..., P) of each process -> (..., sum of all P); P may differ, and the shorter ones are filled up with 0."""
    if num_processes() == 1:
        return values
    length = torch.tensor(values.shape[-1], device=values.device)
    distributed.all_reduce(length, distributed.ReduceOp.MAX)
    filled = torch.nn.functional.pad(values, (0, int(length) - values.shape[-1]))
    places = [torch.zeros_like(filled) for _ in range(num_processes())]
    # A sum in which every process has a place of its own: its gradient is that of `summed`.
    places[distributed.get_rank()] = filled
    return summed(torch.cat(places, dim=-1))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total
