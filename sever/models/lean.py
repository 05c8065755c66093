"""Less memory for more time: parts of a network compute twice what they would have to keep (Chen et al., 2016).

Knows no loop. A part is an element of a list of layers that holds a convolution and a normalisation: a residual block,
a block of a decoder. Of each of them only the input stays in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# Features of a larger stride are so few pixels that keeping them costs little, but computing them as much as others.
COARSEST = 16
NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def make_lean(network: nn.Module, image_chw: Tensor) -> int:
    """Have the parts that hold much recompute in training; returns how many. Weights keep their names.

    `image_chw`: any image, to see how large the parts' inputs are.
    """
    areas = _input_areas(network, image_chw)
    large = [part for part, area in areas.items() if area * COARSEST**2 >= math.prod(image_chw.shape[-2:])]
    for part in large:
        # A class, and no function hung on the part: a copy of the network must call its own parts.
        part.__class__ = _lean(type(part))
    return len(large)


def recomputed(function: Callable[..., T], *inputs: Any, norms: tuple[_BatchNorm, ...] = (), **named: Any) -> T:
    """function(*inputs), of whose inner values none is kept for the gradient; random numbers are drawn again alike."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(norms)

    inputs, named = tree_map(lambda leaf: leaf, (inputs, named))  # own lists: densenets add to theirs later
    answer: T = checkpoint(function, *inputs, use_reentrant=False, context_fn=contexts, **named)
    return answer


def find_parts(network: nn.Module) -> Iterator[nn.Module]:
    """The outermost elements of containers that are no containers themselves and hold a convolution and a norm."""
    for child in network.children():
        if isinstance(network, CONTAINERS) and not isinstance(child, CONTAINERS) and _is_part(child):
            yield child
        else:
            yield from find_parts(child)


@torch.no_grad()
def _input_areas(network: nn.Module, image_chw: Tensor) -> dict[nn.Module, int]:
    """Height times width of what each part takes, of those that were called."""
    areas: dict[nn.Module, int] = {}

    def note(part: nn.Module, inputs: tuple[Any, ...]) -> None:
        features = next(leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor))
        areas[part] = math.prod(features.shape[-2:]) if features.ndim == 4 else features.shape[1]  # tokens (n, l, c)

    hooks = [part.register_forward_pre_hook(note) for part in find_parts(network)]
    if hooks:
        was_training = network.training
        network.eval()(image_chw[None])
        network.train(was_training)
    for hook in hooks:
        hook.remove()
    return areas


def _is_part(module: nn.Module) -> bool:
    inner = list(module.modules())
    return all(any(isinstance(each, kind) for each in inner) for kind in (CONVOLUTIONS, NORMS))


def _lean(kind: type[Any]) -> type[Any]:
    def forward(self: Any, *inputs: Any, **named: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return kind.forward(self, *inputs, **named)
        norms = tuple(module for module in self.modules() if isinstance(module, _BatchNorm))
        return recomputed(partial(kind.forward, self), *inputs, norms=norms, **named)

    return type(f"Lean{kind.__name__}", (kind,), {"forward": forward, "__module__": kind.__module__})


@contextmanager
def _statistics_kept(norms: tuple[_BatchNorm, ...]) -> Iterator[None]:
    """A batch counts once for the running means, however often it is computed."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, counter in before:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if counter is None else counter.clone()
    try:
        yield
    finally:
        for norm, momentum, counter in before:
            norm.momentum, norm.num_batches_tracked = momentum, counter
