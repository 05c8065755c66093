"""Draws of competitions and the choice of a pair: hand-computed values, planted answers, whole groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.decide.select import (
    Outlook,
    best_chances,
    choose_pair,
    drift_covariance,
    expected_better,
    look_ahead,
    spread,
)
from sever.decide.shakeup import (
    SCENARIOS,
    Draws,
    PublicSplit,
    draw_outcomes,
    draw_part,
    group_scores,
    paired_errors,
    rank_correlations,
    score_covariance,
)
from sever.errors import InputError


def outlook(private_dm: list[list[float]], weights: list[float] | None = None) -> Outlook:
    private = np.array(private_dm)
    even = np.full(len(private), 1 / len(private))
    return Outlook(private, private, even if weights is None else np.array(weights), np.array(["none"] * len(private)))


# Two worlds, equally likely: A and B are good in the first, bad in the second; C the other way round.
TWO_WORLDS = [[0.9, 0.89, 0.5], [0.7, 0.69, 0.8]]


def test_expected_better_score_of_each_pair_by_hand() -> None:
    values = expected_better(np.array(TWO_WORLDS), np.array([0.5, 0.5]))
    #                  A alone 0.8   A, B: A always   A, C: (0.9 + 0.8) / 2
    np.testing.assert_allclose(values[0], [0.80, 0.80, 0.85])
    #                                B alone 0.79     B, C: (0.89 + 0.8) / 2
    np.testing.assert_allclose(values[1], [0.80, 0.79, 0.845])
    np.testing.assert_allclose(values[2], [0.85, 0.845, 0.65])


def test_two_that_complement_each_other_beat_the_two_best_that_fail_together() -> None:
    choice = choose_pair(outlook(TWO_WORLDS))
    assert choice.pair == (0, 2)  # C is by far the worst alone
    assert choice.value == pytest.approx(0.85)
    assert [private.mean for private in choice.private] == pytest.approx([0.8, 0.79, 0.65])


@given(st.permutations(range(4)))
def test_beside_one_that_is_always_better_the_best_of_the_others_is_chosen(order: list[int]) -> None:
    """Every pair with it has the same value: the order in which candidates are named must not decide."""
    private = np.array([[0.9, 0.5, 0.6, 0.7], [0.95, 0.6, 0.5, 0.75]])[:, order]
    choice = choose_pair(outlook(private.tolist()))
    assert [order[index] for index in choice.pair] == [0, 3]
    assert [order[index] for index in choice.by_scenario["none"]] == [0, 3]


def test_a_gain_that_draws_can_not_tell_is_none() -> None:
    """C is better than A in one draw of a hundred, by 0.005: 0.00005 in all, which is nothing beside B's lead."""
    private = np.tile([0.9, 0.88, 0.6], (100, 1))
    private[0, 2] = 0.905
    assert choose_pair(outlook(private.tolist())).pair == (0, 1)
    private[0, 2] = 0.95  # 0.0005
    assert choose_pair(outlook(private.tolist())).pair == (0, 2)


def test_weights_of_the_draws_count() -> None:
    choice = choose_pair(outlook(TWO_WORLDS, [1.0, 0.0]))
    assert choice.private[2].mean == 0.5
    np.testing.assert_allclose(choice.best_chances_m, [1, 0, 0])
    assert choose_pair(outlook(TWO_WORLDS, [0.1, 0.9])).pair == (2, 0)  # the better one alone comes first


def test_those_that_tie_for_the_best_share() -> None:
    np.testing.assert_allclose(
        best_chances(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.6, 0.4])), [0.3, 0.3, 0.4]
    )


def test_one_candidate_is_no_pair() -> None:
    with pytest.raises(InputError, match="at least 2 candidates"):
        choose_pair(outlook([[0.5], [0.6]]))


def test_interval_of_weighted_values() -> None:
    even = spread(np.arange(1001.0), np.full(1001, 1 / 1001))
    assert (even.mean, even.low, even.high) == pytest.approx((500, 25, 975), abs=1)
    assert spread(np.array([3.0, 5.0]), np.array([1.0, 0.0])).high == 3.0
    assert spread(np.array([1.0, np.nan]), np.array([0.5, 0.5])).mean == 1.0
    assert np.isnan(spread(np.array([np.nan]), np.array([1.0])).mean)


def test_rank_correlation_by_hand() -> None:
    public = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    private = np.array([[4.0, 5.0, 9.0], [9.0, 5.0, 4.0], [1.0, 9.0, 5.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(rank_correlations(public, private), [1, -1, 0.5, np.nan])


# ---- parts of a competition


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=30),
    st.integers(1, 200),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=60)
def test_a_part_has_exactly_its_size_and_all_but_one_group_are_whole(sizes: list[int], images: int, seed: int) -> None:
    sizes_g = np.array(sizes, float)
    counts_g = draw_part(np.ones(len(sizes)), sizes_g, images, np.random.default_rng(seed))
    assert counts_g @ sizes_g == pytest.approx(images)
    broken = np.abs(counts_g - np.round(counts_g)) > 1e-9
    assert broken.sum() <= 1
    assert (counts_g >= 0).all()


def test_groups_are_drawn_by_their_chances() -> None:
    generator = np.random.default_rng(0)
    counts = draw_part(np.array([3.0, 1.0, 0.0]), np.ones(3), 40_000, generator)
    assert counts[2] == 0
    assert counts[0] / 40_000 == pytest.approx(0.75, abs=0.01)


def test_images_of_one_group_are_never_told_apart() -> None:
    """A group scores the same mean in every draw, however its images differ: both come, or neither."""
    scores = np.array([[0.0, 1.0], [1.0, 0.0]] * 10)  # every group: one image for A, one for B
    groups = group_scores(scores, np.repeat(np.arange(10), 2), np.zeros(20, bool))
    drawn = draw_outcomes(groups, PublicSplit(8, 12), ["none"], 50)
    np.testing.assert_allclose(drawn.public_dm, 0.5)
    np.testing.assert_allclose(drawn.private_dm, 0.5)
    alone = draw_outcomes(group_scores(scores, None, np.zeros(20, bool)), PublicSplit(8, 12), ["none"], 50)
    assert alone.public_dm.std() > 0.05


def test_group_sums_by_hand() -> None:
    scores = np.array([[0.2], [0.4], [1.0], [0.6]])
    groups = group_scores(
        scores,
        ["a", "b", "a", None],
        np.array([True, False, False, False]),
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.array([0, 1, 1, 2]),
    )
    np.testing.assert_allclose(groups.sums_gm[:, 0], [1.2, 0.4, 0.6])
    np.testing.assert_allclose(groups.sizes_g, [2, 1, 1])
    np.testing.assert_allclose(groups.clean_g, [0.5, 0, 0])
    np.testing.assert_allclose(groups.weight_g, [2, 2, 4])
    np.testing.assert_array_equal(groups.cluster_g, [0, 1, 2])  # of "a" one image each in 0 and 1
    assert groups.means_m[0] == pytest.approx(0.55)


def test_the_cluster_of_most_images_is_the_groups() -> None:
    groups = group_scores(np.ones((5, 1)), [0, 0, 0, 1, 1], np.zeros(5, bool), None, np.array([4, 2, 2, 0, 0]))
    np.testing.assert_array_equal(groups.cluster_g, [2, 0])


def test_draws_vary_as_much_as_two_stages_of_chance_say() -> None:
    """Variance of a part of P images drawn from a population known by N: spread^2 (1 / P + 1 / (N + 1)), nearly."""
    scores = np.random.default_rng(3).normal(0.5, 0.1, (400, 1))
    drawn = draw_outcomes(group_scores(scores, None, np.zeros(400, bool)), PublicSplit(100, 300), ["none"], 4000)
    variance = float(scores.var())
    assert drawn.public_dm.var() == pytest.approx(variance * (1 / 100 + 1 / 401), rel=0.12)
    assert drawn.expected_dm.var() == pytest.approx(variance / 401, rel=0.12)
    # Both parts come from one population, so they go together by the variance of the population's mean.
    together = np.cov(drawn.public_dm[:, 0], drawn.private_dm[:, 0])[0, 1]
    assert together == pytest.approx(variance / 401, rel=0.5)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    groups = group_scores(np.random.default_rng(0).random((30, 3)), None, np.arange(30) < 9)
    first, again, other = (draw_outcomes(groups, PublicSplit(9, 21), ["none", "clean"], 20, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.private_dm, again.private_dm)
    assert (first.private_dm != other.private_dm).any()
    known = np.array([0.5, 0.52, np.nan])
    one, two = (look_ahead(first, known, score_covariance(groups, 9), seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.private_dm, two.private_dm)


# ---- noise of the public score


def test_standard_error_of_a_difference_by_hand() -> None:
    scores = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    errors = paired_errors(score_covariance(group_scores(scores, None, np.zeros(4, bool)), 25))
    # Differences 1, 0, -1, 0: variance 2 / 3; over 25 images sqrt(2 / 3 / 25).
    assert errors[0, 1] == pytest.approx((2 / 3 / 25) ** 0.5)
    assert errors[0, 0] == 0


def test_images_that_say_the_same_say_it_once() -> None:
    """Every image four times, as a group: the error is that of the four times fewer images."""
    scores = np.random.default_rng(0).random((50, 2))
    single = score_covariance(group_scores(scores, None, np.zeros(50, bool)), 100)
    grouped = score_covariance(
        group_scores(scores.repeat(4, axis=0), np.arange(50).repeat(4), np.zeros(200, bool)), 400
    )
    np.testing.assert_allclose(grouped, single)
    np.testing.assert_allclose(single, np.cov(scores.T) / 100)


def test_one_group_says_nothing_of_noise() -> None:
    with pytest.raises(InputError, match="one group"):
        score_covariance(group_scores(np.ones((3, 2)), [0, 0, 0], np.zeros(3, bool)), 10)


# ---- scenarios


def tilts(name: str, groups: object, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return SCENARIOS[name](groups, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_weights_tilt_both_parts_and_move_the_scores_by_hand() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0]] * 200)
    groups = group_scores(scores, None, np.zeros(400, bool), np.array([3.0, 1.0] * 200))
    drawn = draw_outcomes(groups, PublicSplit(100, 300), ["weights"], 400)
    np.testing.assert_allclose(drawn.private_dm.mean(axis=0), [0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(drawn.public_dm.mean(axis=0), [0.75, 0.25], atol=0.01)


def test_clusters_are_left_out_of_each_part_for_itself_and_never_all() -> None:
    clusters = np.repeat(np.arange(8), 5)
    groups = group_scores(np.ones((40, 1)), None, np.zeros(40, bool), None, clusters)
    seen = set()
    for seed in range(20):
        for tilt in tilts("clusters", groups, seed):
            assert set(tilt) == {0.0, 1.0}
            lacking = frozenset(clusters[tilt == 0])
            assert len(lacking) == 2
            assert len(clusters[tilt == 0]) == 10  # whole clusters
            seen.add(lacking)
    assert len(seen) > 5
    public, private = tilts("clusters", groups, 0)
    assert (public != private).any()


def test_of_two_clusters_one_stays() -> None:
    groups = group_scores(np.ones((4, 1)), None, np.zeros(4, bool), None, np.array([0, 0, 1, 1]))
    for seed in range(10):
        for tilt in tilts("clusters", groups, seed):
            assert tilt.sum() == 2


def test_a_part_never_holds_a_cluster_that_it_lacks() -> None:
    scores = np.repeat(np.eye(2), 20, axis=0)  # candidate k scores 1 in cluster k
    groups = group_scores(scores, None, np.zeros(40, bool), None, np.repeat([0, 1], 20))
    drawn = draw_outcomes(groups, PublicSplit(10, 10), ["clusters"], 30)
    assert set(np.unique(drawn.public_dm)) == {0.0, 1.0}
    assert set(np.unique(drawn.private_dm)) == {0.0, 1.0}


def test_clean_images_become_rarer_and_more_frequent_up_to_threefold_odds() -> None:
    clean = np.arange(40) < 20
    groups = group_scores(clean[:, None].astype(float), None, clean)
    ratios = []
    for seed in range(200):
        public, private = tilts("clean", groups, seed)
        np.testing.assert_array_equal(public, private)  # of the whole test set
        np.testing.assert_array_equal(public[20:], 1)
        ratios.append(public[0])
    assert 1 / 3 <= min(ratios) < 0.4
    assert 2.6 < max(ratios) <= 3
    assert np.median(ratios) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weights", "weights of the images"),
        ("clusters", "two clusters"),
        ("clean", "clean and"),
        ("wether", "there are"),
    ],
)
def test_a_scenario_that_cannot_be_drawn_says_why(name: str, said: str) -> None:
    groups = group_scores(np.ones((4, 2)), None, np.zeros(4, bool))
    with pytest.raises(InputError, match=said):
        draw_outcomes(groups, PublicSplit(2, 2), [name])


def test_a_competition_without_private_images_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        PublicSplit(5, 0)


# ---- known public scores


def equal_candidates() -> tuple[Draws, np.ndarray]:
    """Three candidates of equal worth, each good at its own kind of image."""
    generator = np.random.default_rng(5)
    kinds = np.arange(600) % 3
    scores = np.clip(0.6 + 0.3 * (kinds[:, None] == np.arange(3)) + generator.normal(0, 0.05, (600, 3)), 0, 1)
    groups = group_scores(scores, None, np.zeros(600, bool), None, kinds)
    return draw_outcomes(groups, PublicSplit(200, 400), ["none"], 1500), score_covariance(groups, 200)


@pytest.mark.parametrize("drift", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("best", [0, 1, 2])
def test_a_good_public_score_moves_the_choice_its_way(best: int, drift: float) -> None:
    draws, covariance = equal_candidates()
    unknown = choose_pair(look_ahead(draws, np.full(3, np.nan), covariance, drift))
    known = np.full(3, 0.7)
    known[best] = 0.73
    told = choose_pair(look_ahead(draws, known, covariance, drift))
    assert told.best_chances_m[best] > unknown.best_chances_m[best] + 0.05
    assert told.best_chances_m.argmax() == best
    assert told.pair[0] == best


def test_a_noisy_public_score_is_believed_in_part() -> None:
    """A lead of 0.03 in public is expected to be a much smaller lead in private; the more images, the larger."""
    draws, covariance = equal_candidates()
    leads = []
    for noise in (4.0, 1.0, 0.1):
        told = choose_pair(look_ahead(draws, np.array([0.73, 0.70, 0.70]), noise * covariance, 0.005))
        leads.append(told.private[0].mean - told.private[1].mean)
    assert 0 < leads[0] < leads[1] < leads[2] < 0.03


def test_what_lifts_all_alike_changes_no_choice() -> None:
    draws, covariance = equal_candidates()
    known = np.array([0.71, 0.70, 0.705])
    near, far = (choose_pair(look_ahead(draws, known - lower, covariance)) for lower in (0.0, 0.3))
    assert near.pair == far.pair
    np.testing.assert_allclose(near.values_mm - far.values_mm, 0.3, atol=1e-6)


def test_drift_given_a_score_is_that_of_two_gaussians() -> None:
    """Without a spread of the draws, the private lead is the public lead shrunk by drift^2 / (drift^2 + noise^2)."""
    flat = np.full((6000, 2), 0.8)
    draws = Draws(flat, flat, flat, np.array(["none"] * 6000))
    told = look_ahead(draws, np.array([0.82, 0.80]), np.eye(2) * 0.01**2, drift=0.02)
    lead = told.private_dm[:, 0] - told.private_dm[:, 1]
    assert lead.mean() == pytest.approx(0.02 * 0.8, abs=0.001)  # 4 / (4 + 1)
    assert lead.std() == pytest.approx((2 / (1 / 0.02**2 + 1 / 0.01**2)) ** 0.5, rel=0.05)


def test_two_that_fail_on_the_same_images_drift_alike() -> None:
    """A and B differ a hundredth as much as either from C: what parts them in public is noise, not drift."""
    covariance = np.diag([0.01**2, 0.01**2, 0.01**2])
    covariance[0, 1] = covariance[1, 0] = 0.9999 * 0.01**2
    own = drift_covariance(covariance, 0.001)
    apart = paired_errors(own)
    assert apart[0, 2] == pytest.approx(2**0.5 * 0.001, rel=0.01)
    assert apart[0, 1] == pytest.approx(0.01 * apart[0, 2], rel=0.01)
    assert not drift_covariance(np.full((2, 2), 0.3), 0.001).any()  # the same candidate twice
    assert not drift_covariance(covariance, 0.0).any()


def test_what_public_scores_tell_of_a_candidate_holds_in_public_and_in_private() -> None:
    draws, covariance = equal_candidates()
    told = choose_pair(look_ahead(draws, np.array([0.76, 0.70, 0.64]), covariance, 0.02))
    assert [private.mean for private in told.private] == sorted((each.mean for each in told.private), reverse=True)
    assert told.rank_correlation.mean > 0.8


def test_draws_that_agree_with_the_known_scores_weigh_more() -> None:
    expected = np.array([[0.80, 0.80], [0.85, 0.80], [0.80, 0.85]])
    draws = Draws(expected, expected, expected, np.array(["none", "clean", "clusters"]))
    told = look_ahead(draws, np.array([0.85, 0.80]), np.eye(2) * 0.02**2, drift=0.0)
    # Differences off by 0.05, 0, 0.10 with variance 2 x 0.02^2: exp(-0.05^2 / 4 / 0.02^2) and its fourth power.
    ratio = np.exp(-(0.05**2) / 4 / 0.02**2)
    np.testing.assert_allclose(told.weights_d, np.array([ratio, 1, ratio**4]) / (1 + ratio + ratio**4), rtol=0.03)
    assert max(told.scenario_weights(), key=told.scenario_weights().__getitem__) == "clean"


def test_scores_beyond_all_draws_leave_a_tenth_of_them_at_work() -> None:
    draws, covariance = equal_candidates()
    told = look_ahead(draws, np.array([0.95, 0.5, 0.2]), covariance, drift=0.0)
    assert told.power < 1
    assert told.effective_draws == pytest.approx(150, rel=0.01)


def test_without_known_scores_all_draws_weigh_alike() -> None:
    draws, covariance = equal_candidates()
    told = look_ahead(draws, np.full(3, np.nan), covariance, drift=0.0)
    np.testing.assert_array_equal(told.private_dm, draws.private_dm)
    assert told.effective_draws == pytest.approx(1500)
    assert told.power == 1
