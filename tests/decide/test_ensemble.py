"""Blends: every kind by hand, and what must hold for any members and weights."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.config import BlendSettings
from sever.decide.ensemble import BLENDS, Blend
from sever.decide.levels import NUM_LEVELS
from sever.decide.postprocess import dequantise, quantise
from sever.decide.ranks import count_levels, ranks_of
from sever.errors import InputError

# On float32 sums.
EXACT = 1e-6
POINTWISE = sorted(set(BLENDS) - {"rank"})
AVERAGES = sorted(set(POINTWISE) - {"vote"})

probabilities = st.floats(0, 1, width=32)
members_strategy = st.integers(1, 6).flatmap(
    lambda count: hnp.arrays(np.float32, (count, 5), elements=probabilities).map(list)
)


def blended(blend: Blend, *members: float) -> float:
    """The blend of single probabilities."""
    (value,) = blend([np.array([member], np.float32) for member in members])
    return float(value)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_the_example_of_the_2019_readme() -> None:
    assert round(blended(Blend("mean"), 0.1, 0.2, 0.9), 2) == 0.40
    assert round(blended(Blend("rms"), 0.1, 0.2, 0.9), 2) == 0.54


@pytest.mark.parametrize(
    ("blend", "expected"),
    [
        (Blend("mean", (2, 1, 1)), 1.3 / 4),  # 0.2 + 0.2 + 0.9
        (Blend("rms"), math.sqrt(0.86 / 3)),  # 0.01 + 0.04 + 0.81
        (Blend("rms", (2, 1, 1)), math.sqrt(0.87 / 4)),
        (Blend("power", power=3), (0.738 / 3) ** (1 / 3)),  # 0.001 + 0.008 + 0.729
        (Blend("power", power=-1), 3 / (10 + 5 + 10 / 9)),  # the harmonic mean
        (Blend("power", (1, 1, 2), power=0.5), ((math.sqrt(0.1) + math.sqrt(0.2) + 2 * math.sqrt(0.9)) / 4) ** 2),
        (Blend("median"), 0.2),
        (Blend("median", (1, 1, 5)), 0.9),
        (Blend("median", (1, 1, 2)), 0.55),  # half of the weight up to 0.2, half from 0.9
        (Blend("maximum"), 0.9),
        (Blend("vote"), 1 / 3),
        (Blend("vote", (1, 1, 3)), 3 / 5),
    ],
)
def test_by_hand_from_01_02_09(blend: Blend, expected: float) -> None:
    assert blended(blend, 0.1, 0.2, 0.9) == pytest.approx(expected, abs=EXACT)


def test_median_of_an_even_number_is_the_middle_of_the_inner_two() -> None:
    assert blended(Blend("median"), 0.9, 0.1, 0.2, 0.6) == pytest.approx(0.4)


def test_geometric_is_the_mean_of_logits() -> None:
    # The odds 1/4 and 4/1 cancel out; the squeeze to 1/510..509/510 keeps the symmetry.
    assert blended(Blend("geometric"), 0.2, 0.8) == pytest.approx(0.5, abs=EXACT)
    squeezed = [1 / 510 + probability * 508 / 510 for probability in (0.1, 0.2, 0.9)]
    mean = 1 / (1 + math.exp(-sum(map(logit, squeezed)) / 3))
    assert blended(Blend("geometric"), 0.1, 0.2, 0.9) == pytest.approx((mean - 1 / 510) * 510 / 508, abs=EXACT)


def test_geometric_of_certainties_is_finite() -> None:
    for value in (0.0, 0.25, 0.5):
        assert blended(Blend("geometric"), value, 1 - value) == 0.5, "opposites tie, and a tie is not above a half"
    # One sure member outweighs a doubtful one, but not alone: logit 509 against none, halved.
    sure = 1 / (1 + math.exp(-math.log(509) / 2))
    assert blended(Blend("geometric"), 1.0, 0.5) == pytest.approx((sure - 1 / 510) * 510 / 508, abs=EXACT)
    assert quantise(np.array([blended(Blend("geometric"), 0.0, 0.0)], np.float32)) == [0]


def test_a_tied_vote_is_not_above_a_half() -> None:
    for pairs in range(1, 20):
        assert blended(Blend("vote"), *[0.9, 0.1] * pairs) == 0.5
    assert blended(Blend("vote"), 0.5, 0.5) == 0, "a member votes only above 0.5"


@settings(deadline=None, max_examples=60)
@given(members_strategy, st.sampled_from(AVERAGES), st.data())
def test_a_blend_lies_between_its_members(members: list[np.ndarray], kind: str, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.125, 8), min_size=len(members), max_size=len(members)))
    power = data.draw(st.sampled_from([-4.0, -1.0, 0.25, 1.0, 3.0, 20.0]))
    blend = Blend(kind, () if kind == "maximum" else tuple(weights), power)(members)
    assert blend.dtype == np.float32
    assert (blend >= np.min(members, axis=0) - EXACT).all()
    assert (blend <= np.max(members, axis=0) + EXACT).all()


@settings(deadline=None, max_examples=60)
@given(members_strategy, st.sampled_from(POINTWISE), st.randoms())
def test_the_order_of_members_does_not_matter(members: list[np.ndarray], kind: str, random: object) -> None:
    weights = tuple(float(1 + index) for index in range(len(members))) if kind != "maximum" else ()
    order = list(range(len(members)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Blend(kind, tuple(weights[index] for index in order) if weights else ())
    np.testing.assert_allclose(
        shuffled([members[index] for index in order]), Blend(kind, weights)(members), atol=EXACT, rtol=0
    )


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, 7, elements=probabilities), st.integers(1, 5), st.sampled_from(AVERAGES))
def test_equal_members_return_themselves(member: np.ndarray, count: int, kind: str) -> None:
    np.testing.assert_allclose(Blend(kind)([member] * count), member, atol=EXACT, rtol=0)


@settings(deadline=None, max_examples=60)
@given(members_strategy, st.floats(-30, 30).filter(lambda power: abs(power) > 0.05), st.floats(0.05, 10))
def test_a_power_mean_grows_with_its_power(members: list[np.ndarray], power: float, more: float) -> None:
    higher = power + more if abs(power + more) > 0.05 else 0.1
    assert (Blend("power", power=power)(members) <= Blend("power", power=higher)(members) + 3 * EXACT).all()


@settings(deadline=None, max_examples=60)
@given(members_strategy)
def test_powers_that_have_names(members: list[np.ndarray]) -> None:
    for power, kind in ((1, "mean"), (2, "rms")):
        np.testing.assert_allclose(Blend("power", power=power)(members), Blend(kind)(members), atol=EXACT, rtol=0)


@settings(deadline=None, max_examples=40)
@given(members_strategy, st.data())
def test_a_weight_counts_as_so_many_copies(members: list[np.ndarray], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([kind for kind in POINTWISE if kind != "maximum"]))
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(members), max_size=len(members)).filter(any))
    copies = [member for member, count in zip(members, times, strict=True) for _ in range(count)]
    np.testing.assert_allclose(
        Blend(kind, tuple(map(float, times)))(members), Blend(kind)(copies), atol=2 * EXACT, rtol=0
    )


@settings(deadline=None, max_examples=40)
@given(members_strategy, st.data())
def test_the_weighted_median_has_half_of_the_weight_on_each_side(
    members: list[np.ndarray], data: st.DataObject
) -> None:
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(members), max_size=len(members))))
    median = Blend("median", tuple(map(float, weights)))(members)
    at_most = ((np.array(members) <= median + EXACT) * weights[:, None]).sum(axis=0)
    at_least = ((np.array(members) >= median - EXACT) * weights[:, None]).sum(axis=0)
    assert (2 * at_most >= weights.sum()).all()
    assert (2 * at_least >= weights.sum()).all()


@pytest.mark.parametrize("kind", POINTWISE)
def test_members_are_left_as_they_were(kind: str) -> None:
    members = [np.full((2, 3, 4), value, np.float32) for value in (0.0, 0.25, 1.0)]
    blend = Blend(kind)(members)
    assert [float(member.mean()) for member in members] == [0.0, 0.25, 1.0]
    assert not any(np.shares_memory(blend, member) for member in members)
    assert not np.shares_memory(Blend(kind)(members[:1]), members[0])


def test_median_of_large_arrays_is_made_in_pieces() -> None:
    generator = np.random.default_rng(0)
    members = [generator.random((2, 300, 301), dtype=np.float32) for _ in range(3)]
    np.testing.assert_array_equal(Blend("median")(members), np.median(members, axis=0))


# Ranks -----------------------------------------------------------------------------------------------------------


def rank_blend(stored: list[np.ndarray], weights: tuple[float, ...] = ()) -> Blend:
    """A rank blend whose members said `stored`, levels (C, H, W) uint8 each."""
    tables = tuple(tuple(tuple(row) for row in ranks_of(count_levels(levels_chw)).tolist()) for levels_chw in stored)
    return Blend("rank", weights, ranks=tables)


def test_ranks_by_hand() -> None:
    counts = np.zeros(NUM_LEVELS, int)
    counts[[0, 255]] = 3, 1
    ranks = ranks_of(counts)
    # Half a pixel is added to each level: 132 in all. Level 0: half of 3.5; 1: 3.5 and half of 0.5; 255: all but 0.75.
    assert ranks[[0, 1, 255]] == pytest.approx([1.75 / 132, 3.75 / 132, 131.25 / 132])
    assert (np.diff(ranks) > 0).all()


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, (2, 6, 5)), st.integers(1, 3))
def test_equal_members_return_themselves_by_rank(levels_chw: np.ndarray, count: int) -> None:
    blend = rank_blend([levels_chw] * count)
    np.testing.assert_allclose(blend([dequantise(levels_chw)] * count), dequantise(levels_chw), atol=EXACT, rtol=0)


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, (3, 1, 6, 5), elements=st.integers(0, 40)))
def test_calibration_does_not_matter_to_ranks(levels: np.ndarray) -> None:
    """A member that says twice, or six times, as much, in the same order, leaves the order of the pixels alone."""

    def mean_rank(stored: list[np.ndarray]) -> np.ndarray:
        # Many pixels of each, so that the half pixel that every level has by itself weighs little.
        blend = rank_blend([np.tile(levels_chw, (1, 40, 25)) for levels_chw in stored])
        return blend.rank_scale.mean_rank([dequantise(levels_chw)[0] for levels_chw in stored], 0)

    recalibrated = [levels[0] * 2, levels[1], levels[2] * 6]
    np.testing.assert_allclose(mean_rank(recalibrated), mean_rank(list(levels)), atol=256 / (30 * 1000))


def test_a_rank_blend_by_hand() -> None:
    """Two members of two levels each: where they disagree, the mean rank lies between their places."""
    low_high = np.array([[[0, 0, 0, 255]]], np.uint8).repeat(1000, axis=1)
    high_low = np.array([[[0, 255, 255, 255]]], np.uint8).repeat(1000, axis=1)
    blend = rank_blend([low_high, high_low])
    both = [np.array([[[0.0, 1.0]]], np.float32)] * 2
    assert blend(both)[0, 0] == pytest.approx([0, 1], abs=0.02)
    # The first has 255 at rank 7/8, the second 0 at 1/8: the mean is 1/2. There the first is below its step from 0 to
    # 255 (at 3/4) and the second above its own (at 1/4): their mean quantile is a half.
    first_alone = [np.array([[[1.0]]], np.float32), np.array([[[0.0]]], np.float32)]
    assert blend.rank_scale.mean_rank([member[0] for member in first_alone], 0) == pytest.approx(0.5, abs=0.02)
    assert blend(first_alone) == pytest.approx(0.5, abs=0.02)


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, (3, 2, 4, 5)), st.data())
def test_the_tables_travel(levels: np.ndarray, data: st.DataObject) -> None:
    """A rank blend that went through JSON answers live probabilities exactly as the stored one answers their levels."""
    blend = rank_blend(list(levels), (1.0, 0.0, 2.5))
    again = Blend.from_dict(json.loads(json.dumps(blend.as_dict())))
    assert again == blend
    live = [data.draw(hnp.arrays(np.float32, (2, 4, 5), elements=probabilities)) for _ in range(3)]
    np.testing.assert_array_equal(again(live), blend([dequantise(quantise(member)) for member in live]))
    np.testing.assert_array_equal(again(live), again([live[0], live[1] * 0, live[2]]))  # weight 0


# What can't be asked for ------------------------------------------------------------------------------------------


def test_the_kinds_of_recipes_are_the_kinds_there_are() -> None:
    assert set(BLENDS) == set(BlendSettings.model_json_schema()["properties"]["kind"]["enum"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "average"}, "unknown blend 'average'; allowed: mean, rms, power, geometric, median"),
        ({"weights": (1.0, -1.0)}, "weights of a blend are 1, -1; give numbers of 0 or more"),
        ({"weights": (0.0, 0.0)}, "not all of them 0"),
        ({"weights": (math.nan,)}, "weights of a blend are nan"),
        ({"kind": "power", "power": 0.0}, "any number not within 0.01 of 0: 1 is the mean, 2 the root mean square"),
        ({"kind": "power", "power": 1e-6}, "take the kind geometric"),
        ({"kind": "mean", "weights": (1e308, 1e308)}, "weights of a blend are"),
        ({"kind": "power", "power": math.inf}, "power of a blend is inf"),
        ({"kind": "maximum", "weights": (1.0, 2.0)}, "a maximum knows no weights"),
    ],
)
def test_what_is_no_blend(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Blend(**arguments)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_weights_must_be_as_many_as_members() -> None:
    members = [np.zeros(3, np.float32)] * 3
    for kind, weights in product(("mean", "median"), ((1.0,), (1.0, 1.0, 1.0, 1.0))):
        with pytest.raises(InputError, match=f"{len(weights)} weights for 3 members"):
            Blend(kind, weights)(members)
    with pytest.raises(InputError, match="needs its members' distributions"):
        Blend("rank")(members)
