"""Optimisers against steps worked out by hand or anew, and the learning rate's course at its corners."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Parameter

from sever.config import OptimSettings
from sever.errors import InputError
from sever.models.optim import build_optimizer, rate_factor

SETTINGS = OptimSettings(
    encoder_learning_rate=0.01,
    encoder_weight_decay=0.5,
    decoder_learning_rate=0.1,
    decoder_weight_decay=0.2,
)


def one_weight_each() -> dict[str, list[Parameter]]:
    return {"encoder": [Parameter(torch.tensor([2.0]))], "decoder": [Parameter(torch.tensor([-1.0]))]}


def radam_by_hand(weight: float, gradients: list[float], rate: float, decay: float) -> float:
    """Liu et al. (2020), algorithm 2, with the weights shrunk beside the step as in its authors' code."""
    first = second = 0.0
    limit = 2 / (1 - 0.999) - 1
    for step, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        length = limit - 2 * step * 0.999**step / (1 - 0.999**step)
        weight -= rate * decay * weight
        move = first / (1 - 0.9**step)
        if length > 5:
            ratio = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            move *= math.sqrt(ratio * (1 - 0.999**step) / second)
        weight -= rate * move
    return weight


def test_radam_takes_the_steps_of_the_paper_with_decoupled_decay() -> None:
    groups = one_weight_each()
    optimizer = build_optimizer(groups, SETTINGS)
    gradients = [0.3, -0.2, 0.5, 0.1, 0.4, 0.2, -0.6, 0.3, 0.1, 0.2, 0.7, 0.1]
    for gradient in gradients:
        for (weight,) in groups.values():
            weight.grad = torch.tensor([gradient])
        optimizer.step()
    assert groups["encoder"][0].item() == pytest.approx(radam_by_hand(2.0, gradients, 0.01, 0.5), rel=1e-4)
    assert groups["decoder"][0].item() == pytest.approx(radam_by_hand(-1.0, gradients, 0.1, 0.2), rel=1e-4)


def test_the_first_step_of_adamw_is_one_rate_against_the_sign_of_the_gradient() -> None:
    groups = one_weight_each()
    optimizer = build_optimizer(groups, SETTINGS.model_copy(update={"name": "adamw"}))
    for (weight,) in groups.values():
        weight.grad = torch.tensor([0.003])
    optimizer.step()
    assert groups["encoder"][0].item() == pytest.approx(2.0 * (1 - 0.01 * 0.5) - 0.01, abs=1e-5)
    assert groups["decoder"][0].item() == pytest.approx(-1.0 * (1 - 0.1 * 0.2) - 0.1, abs=1e-5)


@pytest.mark.parametrize("name", ["radam", "adamw"])
def test_groups_keep_name_rate_and_decay(name: str) -> None:
    groups = one_weight_each()
    optimizer = build_optimizer(groups, OptimSettings(name=name))
    described = [(group["name"], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert described == [("encoder", 7e-5, 3e-5), ("decoder", 3e-3, 3e-4)]
    assert [group["params"][0] for group in optimizer.param_groups] == [
        groups["encoder"][0],
        groups["decoder"][0],
    ]


def test_an_unknown_optimiser_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'sgd'.*radam, adamw"):
        build_optimizer(one_weight_each(), OptimSettings.model_construct(name="sgd"))


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 1.0),
        (29, 1.0),  # the last flat epoch of 2019
        (30, 1.0),  # the cosine starts at its top
        (85, (1 + math.sqrt(0.5)) / 2),  # a quarter of 220 down
        (140, 0.5),
        (195, (1 - math.sqrt(0.5)) / 2),
        (249, 5.0982e-5),  # (1 + cos(pi * 219 / 220)) / 2: the last one still moves
        (250, 0.0),
        (400, 0.0),
    ],
)
def test_the_course_of_2019(step: int, factor: float) -> None:
    assert rate_factor(step, 250, OptimSettings()) == pytest.approx(factor, rel=1e-4, abs=1e-12)


def test_final_share_is_where_the_cosine_ends() -> None:
    optim = OptimSettings(flat_share=0.0, final_share=0.2)
    factors = [rate_factor(step, 4, optim) for step in range(5)]
    expected = [1.0, 0.2 + 0.8 * 0.853553, 0.6, 0.2 + 0.8 * 0.146447, 0.2]
    assert factors == pytest.approx(expected, abs=1e-6)


def test_a_warm_up_rises_by_half_a_cosine_and_meets_the_flat_part() -> None:
    optim = OptimSettings(warmup_share=0.4, flat_share=0.2)
    factors = [rate_factor(step, 10, optim) for step in range(11)]
    # Half way up it is half way between 1/25 and 1; then flat for steps 4 to 6, half way down at step 8.
    assert factors[0] == pytest.approx(1 / 25)
    assert factors[2] == pytest.approx((1 + 1 / 25) / 2)
    assert factors[4:7] == [1.0] * 3
    assert factors[8] == pytest.approx(0.5)
    assert factors[10] == pytest.approx(0.0)


def test_with_a_third_of_warm_up_it_is_torchs_one_cycle() -> None:
    weight = Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=101, pct_start=0.3)
    optim = OptimSettings(warmup_share=0.29, flat_share=0.0, final_share=0.04 / 1e4)
    for step in range(100):
        assert rate_factor(step, 100, optim) == pytest.approx(scheduler.get_last_lr()[0], abs=0.02)
        optimizer.step()
        scheduler.step()


def test_shares_beyond_the_whole_training_are_refused() -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        OptimSettings(warmup_share=0.7, flat_share=0.4)


@pytest.mark.parametrize("flat_share", [0.0, 0.12, 1.0])
def test_a_training_of_one_step_takes_it_at_the_full_rate(flat_share: float) -> None:
    assert rate_factor(0, 1, OptimSettings(flat_share=flat_share)) == 1.0


def test_flat_for_the_whole_training() -> None:
    assert [rate_factor(step, 3, OptimSettings(flat_share=1.0)) for step in range(4)] == [1.0] * 4


shares = st.floats(0, 1)
no_deadline = settings(deadline=None)


@no_deadline
@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 50), shares, shares)
def test_the_same_shape_at_any_length(step: int, total: int, times: int, flat: float, final: float) -> None:
    optim = OptimSettings(flat_share=flat, final_share=final)
    factor = rate_factor(step, total, optim)
    assert rate_factor(step * times, total * times, optim) == pytest.approx(factor)


@no_deadline
@given(st.integers(1, 60), shares, shares)
def test_it_never_rises_and_stays_between_one_and_the_end(total: int, flat: float, final: float) -> None:
    optim = OptimSettings(flat_share=flat, final_share=final)
    factors = [rate_factor(step, total, optim) for step in range(total + 1)]
    assert factors == sorted(factors, reverse=True)
    assert final - 1e-12 <= factors[-1] <= factors[0] == 1.0
