"""Batch normalisation over the images of all processes; the layers' weights and names stay the same.

torch.nn.SyncBatchNorm does this on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from sever.models.across import num_processes, summed


class SyncBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance in training are those of all processes' images."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or num_processes() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            mean, variance, count = _moments(x.float())
            self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
            scale = torch.rsqrt(variance + self.eps)
            weight = torch.ones_like(scale) if self.weight is None else self.weight
            bias = torch.zeros_like(scale) if self.bias is None else self.bias
            normed = (x.float() - _spread(mean)) * _spread(scale * weight) + _spread(bias)
        return normed.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class SyncBatchNormAct2d(SyncBatchNorm2d):
    """timm's batch normalisation with dropout and activation behind it."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


def synchronised(network: nn.Module) -> nn.Module:
    """The same network, its batch normalisation over all processes; state dicts fit both ways."""
    for name, child in network.named_children():
        setattr(network, name, synchronised(child))
    if isinstance(network, BatchNormAct2d):
        return _as(network, SyncBatchNormAct2d, {"drop": network.drop, "act": network.act})
    return _as(network, SyncBatchNorm2d, {}) if type(network) is nn.BatchNorm2d else network


def _as(layer: nn.BatchNorm2d, kind: type[SyncBatchNorm2d], children: dict[str, Any]) -> nn.Module:
    new = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    for name, child in children.items():
        setattr(new, name, child)
    # The same tensors, not copies: an optimiser may know them already.
    new._parameters, new._buffers = layer._parameters, layer._buffers
    return new.train(layer.training)


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C, H, W) of this process -> mean and variance (C,) and the number of values a channel, of all processes.

    In two rounds: the difference of two large sums would lose the variance of a channel with a large mean.
    """
    count = summed(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
    mean = summed(x.sum(dim=(0, 2, 3))) / count
    variance = summed((x - _spread(mean)).square().sum(dim=(0, 2, 3))) / count
    return mean, variance, count


def _spread(values: Tensor) -> Tensor:
    return values[None, :, None, None]
