"""A snapshot holds all that training needs; averaging is an equal mean; what does not fit is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sever.errors import InputError
from sever.models.checkpoint import average_weights, capture, load_weights, restore


def _train_step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    loss = (model(torch.randn(4, 3, generator=generator)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    groups = [{"params": model[0].parameters(), "lr": 0.1, "name": "encoder"}, {"params": model[2].parameters()}]
    return model, torch.optim.RAdam(groups, lr=0.01)


@pytest.mark.parametrize("averaged", [False, True])
def test_restored_training_goes_on_bit_by_bit(averaged: bool) -> None:
    model, optimizer = _fresh()
    mean = copy.deepcopy(model) if averaged else None
    for seed in range(7):  # beyond RAdam's rectification at step 5, which depends on the step count
        _train_step(model, optimizer, seed)
    snapshot = capture(model, mean, optimizer, {})
    expected = [_train_step(model, optimizer, seed) for seed in range(7, 12)]

    other, other_optimizer = _fresh()
    other_mean = copy.deepcopy(other) if averaged else None
    restore(snapshot, other, other_mean, other_optimizer)
    assert [_train_step(other, other_optimizer, seed) for seed in range(7, 12)] == expected
    if mean is not None and other_mean is not None:
        assert all(torch.equal(a, b) for a, b in zip(mean.parameters(), other_mean.parameters(), strict=True))


def test_snapshot_is_a_copy_that_later_steps_do_not_change() -> None:
    model, optimizer = _fresh()
    _train_step(model, optimizer, 0)
    snapshot = capture(model, None, optimizer, {})
    before = {name: value.clone() for name, value in (snapshot.weights | snapshot.training).items()}
    _train_step(model, optimizer, 1)
    assert all(torch.equal(before[name], value) for name, value in (snapshot.weights | snapshot.training).items())


def test_moving_average_in_configuration_but_not_in_checkpoint_is_refused() -> None:
    model, optimizer = _fresh()
    _train_step(model, optimizer, 0)
    with pytest.raises(InputError, match=r"train\.ema_decay"):
        restore(capture(model, None, optimizer, {}), model, copy.deepcopy(model), optimizer)


def test_weights_of_another_network_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"another network.*extra"):
        load_weights(nn.Linear(2, 2), {"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "extra": torch.zeros(1)})


def test_average_is_the_equal_mean_of_floats_and_the_last_of_counters() -> None:
    first = {"w": torch.tensor([1.0, 2.0]), "seen": torch.tensor(10)}
    second = {"w": torch.tensor([2.0, 6.0]), "seen": torch.tensor(30)}
    third = {"w": torch.tensor([6.0, 1.0]), "seen": torch.tensor(20)}
    averaged = average_weights([first, second, third])
    assert averaged["w"].tolist() == [3.0, 3.0]
    assert averaged["seen"].item() == 20


def test_average_of_different_networks_is_refused() -> None:
    with pytest.raises(InputError, match="different networks"):
        average_weights([{"a": torch.zeros(1)}, {"b": torch.zeros(1)}])
