"""Choosing rules: the table against masks that are really drawn, plateaus, cross-fitting, and honest verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.decide.metrics import ScoreSheet, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import ClassRules, Rules
from sever.decide.tuning import RuleTable, curves, judge, rule_grid, table_row, tune
from sever.decide.tuning.grid import PIXEL_THRESHOLDS, Grid
from sever.decide.tuning.search import plateau

HEIGHT, WIDTH = 12, 20
PIXELS = HEIGHT * WIDTH
FOLDS = 3


def one_class(**values: object) -> ClassRules:
    plain = ClassRules(0.5, None, None, 0, 0, 0, 0, 0.5)
    return replace(plain, **values)  # type: ignore[arg-type]


def some_maps(seed: int, images: int, classes: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Levels and true masks of images, some of them clean, and gate probabilities as a CSV would round them."""
    generator = np.random.default_rng(seed)
    levels, truths = [], []
    for _ in range(images):
        truth_chw = (generator.random((classes, HEIGHT, WIDTH)) < 0.2) * (generator.random((classes, 1, 1)) < 0.6)
        noise_chw = generator.normal(0.3, 0.3, truth_chw.shape) * generator.random((classes, 1, 1))
        levels.append((np.clip(noise_chw + 0.4 * truth_chw, 0, 1) * 255).astype(np.uint8))
        truths.append(truth_chw.astype(np.uint8))
    return levels, truths, generator.random((images, classes)).round(1).astype(np.float32)


def make_table(
    seed: int, rules: Rules, thresholds: tuple[float, ...], images: int = 12
) -> tuple[RuleTable, np.ndarray, list[np.ndarray], list[np.ndarray]]:
    levels, truths, gate_nc = some_maps(seed, images, rules.num_classes)
    rows = [table_row(*pair, rules, thresholds, gate) for *pair, gate in zip(levels, truths, gate_nc, strict=True)]
    return RuleTable.of(rows, thresholds, gate_nc), gate_nc, levels, truths


def really_drawn(levels: list[np.ndarray], truths: list[np.ndarray], gate_nc: np.ndarray, rules: Rules) -> np.ndarray:
    sheet = ScoreSheet(rules.num_classes)
    for levels_chw, truth_chw, gate in zip(levels, truths, gate_nc, strict=True):
        sheet.add("", pair_counts(draw_masks(levels_chw, rules, gate), truth_chw))
    return sheet.dice()


a_class = st.builds(
    one_class,
    pixel_threshold=st.sampled_from(PIXEL_THRESHOLDS),
    label_threshold=st.none() | st.sampled_from([0.8, 0.85, 0.9, 1.0, 204 / 255]),
    min_pixels=st.integers(0, 60),
    gate_threshold=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]),
)
gates = st.sampled_from([("none", 1.0), ("veto", 1.0), ("soft", 5.0), ("soft", 2.5)])


class TestTable:
    @settings(deadline=None, max_examples=40)
    @given(st.lists(a_class, min_size=1, max_size=3), gates, st.integers(0, 9))
    def test_where_overlap_is_allowed_it_equals_drawn_masks(
        self, classes: list[ClassRules], gate: tuple[str, float], seed: int
    ) -> None:
        rules = Rules(tuple(classes), "allow", gate_kind=gate[0], gate_factor=gate[1])
        table, gate_nc, levels, truths = make_table(seed, rules, PIXEL_THRESHOLDS)
        assert np.array_equal(table.dice(rules), really_drawn(levels, truths, gate_nc, rules))

    @settings(deadline=None, max_examples=20)
    @given(st.sampled_from(PIXEL_THRESHOLDS), st.integers(0, 40), st.integers(0, 9))
    def test_where_classes_share_a_threshold_it_knows_overlaps(self, threshold: float, area: int, seed: int) -> None:
        rules = Rules((one_class(pixel_threshold=threshold, min_pixels=area),) * 3)
        table, gate_nc, levels, truths = make_table(seed, rules, PIXEL_THRESHOLDS)
        assert np.array_equal(table.dice(rules), really_drawn(levels, truths, gate_nc, rules))

    @pytest.mark.parametrize("overlap", ["allow", "highest_probability"])
    def test_counting_levels_and_drawing_masks_give_one_table(self, overlap: str) -> None:
        plain = Rules((one_class(),) * 3, overlap)
        # A component of one pixel is never too small: the same masks, but drawn one by one.
        shaped = Rules((one_class(min_component_pixels=1),) * 3, overlap)
        counted, *_ = make_table(1, plain, PIXEL_THRESHOLDS)
        drawn, *_ = make_table(1, shaped, PIXEL_THRESHOLDS)
        assert np.array_equal(counted.predicted_tnc, drawn.predicted_tnc)
        assert np.array_equal(counted.common_tnc, drawn.common_tnc)
        assert counted.predicted_tnc.any(axis=(1, 2)).all()

    @pytest.mark.parametrize(
        "rules",
        [
            Rules((one_class(min_component_pixels=4, min_pixels=9),) * 2, "allow"),
            Rules((one_class(seed_threshold=0.7), one_class(dilate_pixels=1)), "allow", fill_holes=True),
            Rules((one_class(label_threshold=0.6, min_pixels=5),) * 2, "allow", gate_kind="multiply"),
        ],
    )
    def test_rules_about_shapes_hold_in_the_table(self, rules: Rules) -> None:
        table, gate_nc, levels, truths = make_table(2, rules, (0.4, 0.5))
        expected = really_drawn(levels, truths, gate_nc, rules)
        assert np.array_equal(table.dice(rules), expected)
        plain = Rules(tuple(one_class() for _ in rules.classes), "allow")
        assert not np.array_equal(really_drawn(levels, truths, gate_nc, plain), expected)


class TestGrid:
    def test_the_default_rules_are_on_it(self) -> None:
        default = Rules(
            (one_class(pixel_threshold=0.47, label_threshold=0.91, min_pixels=613, gate_threshold=0.33), one_class()),
            gate_kind="veto",
        )
        grid = rule_grid(default, 256 * 1600, has_gate=True)
        first, second = grid.classes
        assert 0.47 in first.pixel_thresholds
        assert 0.91 in first.label_thresholds
        assert 613 in first.min_pixels
        assert 0.33 in first.veto_thresholds
        assert 0.47 not in second.pixel_thresholds
        assert set(grid.thresholds) == {0.47, *PIXEL_THRESHOLDS}

    def test_areas_go_with_the_image(self) -> None:
        def areas(pixels: int) -> tuple[int, ...]:
            return rule_grid(Rules((one_class(),)), pixels, has_gate=False).classes[0].min_pixels

        assert areas(256 * 1600)[:4] == (0, 8, 12, 16)
        assert 20_000 <= areas(256 * 1600)[-1] <= 25_000
        assert areas(64 * 192)[:3] == (0, 1, 2)
        assert areas(64 * 192)[-1] <= 64 * 192 * 0.06

    def test_without_a_classifier_no_gate_is_tried(self) -> None:
        kinds = [gate.kind for gate in rule_grid(Rules((one_class(),)), 1000, has_gate=False).gates]
        assert kinds == ["none"]

    def test_no_pixel_threshold_lies_above_the_seed(self) -> None:
        default = Rules((one_class(seed_threshold=0.6), one_class()))
        bounded, free = rule_grid(default, 1000, has_gate=False).classes
        assert max(bounded.pixel_thresholds) == 0.6
        assert max(free.pixel_thresholds) == 0.8


def planted(dice_tnc: np.ndarray) -> RuleTable:
    """A table in which every image shows every class, and Dice is what is asked for (in steps of 1/1000)."""
    thresholds, images, classes = dice_tnc.shape
    assert thresholds == len(PIXEL_THRESHOLDS)
    full = np.full((images, classes), 1000)
    return RuleTable(
        PIXEL_THRESHOLDS,
        np.broadcast_to(full, dice_tnc.shape),
        np.rint(dice_tnc * 1000).astype(np.int64),
        full,
        np.ones((images, classes), np.float32),
    )


def plain_grid(table: RuleTable, default: Rules) -> Grid:
    # Areas up to 50 pixels, of 1,000 that are there: only the pixel threshold matters.
    return rule_grid(default, 1000, table.gate_nc is not None)


def folds_of(table: RuleTable) -> np.ndarray:
    return np.arange(table.num_images) % FOLDS


class TestSearch:
    @pytest.mark.parametrize("gate", [("none", 1.0), ("veto", 1.0), ("soft", 5.0)])
    def test_every_score_is_that_of_the_table(self, gate: tuple[str, float]) -> None:
        classes = (one_class(min_pixels=7, label_threshold=0.6), one_class(pixel_threshold=0.4, gate_threshold=0.3))
        rules = Rules(classes, "allow", gate_kind=gate[0], gate_factor=gate[1])
        grid = rule_grid(rules, PIXELS, has_gate=True)
        table, *_ = make_table(3, rules, grid.thresholds)
        for index, each in enumerate(classes):
            moved = curves(table, folds_of(table), rules, grid, rules, index)
            assert all(len(line) > 3 for name, line in moved.items() if name != "gate_threshold" or gate[0] == "veto")
            for name, line in moved.items():
                for value, dice, _ in line:
                    change = {} if name == "gate_threshold" and gate[0] != "veto" else {name: value}
                    others = (*classes[:index], replace(each, **change), *classes[index + 1 :])
                    expected = table.dice(replace(rules, classes=others))[:, index].mean()
                    assert dice == pytest.approx(expected, abs=1e-12)

    def test_a_broad_plateau_beats_a_narrow_peak(self) -> None:
        dice_tnc = np.full((13, 30, 1), 0.5)
        dice_tnc[1] = 0.95  # at 0.25 alone
        dice_tnc[8:13] = 0.85  # from 0.6 to 0.8
        table, default = planted(dice_tnc), Rules((one_class(),))
        grid = plain_grid(table, default)
        line = curves(table, folds_of(table), default, grid, default, 0)["pixel_threshold"]
        assert max(line, key=lambda row: row[1])[0] == 0.25
        found = tune(table, folds_of(table), default, grid).found.classes[0]
        assert found == one_class(pixel_threshold=0.7)  # the middle, and nothing else moves

    def test_a_setting_beside_a_cliff_is_no_better_than_itself(self) -> None:
        scores = np.zeros((9, 1, 1, 1))
        scores[5:] = 1.0
        assert plateau(scores)[:, 0, 0, 0] == pytest.approx([0, 0, 0, 0, 0, 0.6, 0.8, 1, 1])

    def test_where_all_is_equal_the_default_stays(self) -> None:
        table = planted(np.full((13, 30, 2), 0.7))
        default = Rules((one_class(min_pixels=3), one_class(pixel_threshold=0.35, label_threshold=0.5)))
        table = replace(table, gate_nc=np.ones((30, 2), np.float32))
        tuning = tune(table, folds_of(table), default, plain_grid(table, default))
        assert tuning.found == default
        assert set(tuning.by_fold.values()) == {default}

    def test_a_class_that_is_nowhere_keeps_its_default(self) -> None:
        levels, truths, _ = some_maps(4, 12, 2)
        for truth_chw in truths:
            truth_chw[1] = 0
        default = Rules((one_class(),) * 2, "allow")
        grid = rule_grid(default, PIXELS, has_gate=False)
        rows = [table_row(*pair, default, grid.thresholds) for pair in zip(levels, truths, strict=True)]
        table = RuleTable.of(rows, grid.thresholds)
        found = tune(table, folds_of(table), default, grid).found
        assert found.classes[1] == default.classes[1]
        assert found.classes[0] != default.classes[0]
        strict = replace(default, classes=(default.classes[0], one_class(min_pixels=100)))
        assert table.dice(strict).mean() > table.dice(default).mean()  # what the evidence alone would ask for

    def test_a_frozen_class_keeps_its_default_under_any_gate(self) -> None:
        default = Rules((one_class(min_pixels=4),) * 2, "allow")
        grid = rule_grid(default, PIXELS, has_gate=True)
        table, *_ = make_table(5, default, grid.thresholds, images=30)
        # A gate that knows everything.
        table = replace(table, gate_nc=(table.true_nc > 0).astype(np.float32))
        tuning = tune(table, folds_of(table), default, grid, frozen={1})
        assert tuning.found.gate_kind == "veto"
        assert np.array_equal(table.dice(tuning.found)[:, 1], table.dice(default)[:, 1])
        assert table.dice(tuning.found)[:, 0].mean() > table.dice(default)[:, 0].mean() + 0.05

    def test_a_soft_default_stays_soft_where_a_class_is_frozen(self) -> None:
        default = Rules((one_class(min_pixels=4),) * 2, "allow", gate_kind="soft", gate_factor=3.0)
        grid = rule_grid(default, PIXELS, has_gate=True)
        table, *_ = make_table(5, default, grid.thresholds)
        found = tune(table, folds_of(table), default, grid, frozen={0}).found
        assert (found.gate_kind, found.gate_factor) == ("soft", 3.0)
        assert found.classes[0] == default.classes[0]


class TestCrossFit:
    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_what_a_fold_is_scored_by_does_not_depend_on_it(self, fold: int) -> None:
        default = Rules((one_class(),) * 2)
        generator = np.random.default_rng(6)
        dice_tnc = generator.random((13, 30, 2))
        before = planted(dice_tnc)
        changed = dice_tnc.copy()
        changed[:, folds_of(before) == fold] = np.linspace(1, 0, 13)[:, None, None]
        after = planted(changed)
        grid = plain_grid(before, default)
        first, second = (tune(table, folds_of(table), default, grid) for table in (before, after))
        assert first.by_fold[fold] == second.by_fold[fold]
        assert first.found != second.found
        assert all(first.by_fold[other] != second.by_fold[other] for other in range(FOLDS) if other != fold)

    def test_a_fold_with_an_optimum_of_its_own_is_judged_by_the_others(self) -> None:
        dice_tnc = np.full((13, 30, 1), 0.5)
        own = np.arange(30) % FOLDS == 0
        dice_tnc[:5, own] = 0.9  # 0.2 to 0.4
        dice_tnc[8:, ~own] = 0.9  # 0.6 to 0.8
        table, default = planted(dice_tnc), Rules((one_class(),))
        by_fold = tune(table, folds_of(table), default, plain_grid(table, default)).by_fold
        assert by_fold[0].classes[0].pixel_threshold == 0.7
        held_out = table.dice(by_fold[0])[own]
        assert held_out == pytest.approx(0.5)


def cross_fitted(table: RuleTable, default: Rules) -> tuple[np.ndarray, Rules]:
    folds_n = folds_of(table)
    tuning = tune(table, folds_n, default, plain_grid(table, default))
    tuned_nc = np.empty(table.true_nc.shape)
    for fold, rules in tuning.by_fold.items():
        tuned_nc[folds_n == fold] = table.dice(rules)[folds_n == fold]
    return tuned_nc, tuning.found


def test_a_weight_of_three_counts_as_three_copies() -> None:
    default = Rules((one_class(), one_class()))
    levels, truths, gate_nc = some_maps(4, 12, 2)
    rows = [
        table_row(*pair, default, PIXEL_THRESHOLDS, gate) for *pair, gate in zip(levels, truths, gate_nc, strict=True)
    ]
    times = np.array([3.0, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 3])
    copies = np.repeat(np.arange(12), times.astype(int))
    weighted = RuleTable.of(rows, PIXEL_THRESHOLDS, gate_nc, times)
    copied = RuleTable.of([rows[at] for at in copies], PIXEL_THRESHOLDS, gate_nc[copies])
    grid, folds_n = plain_grid(weighted, default), np.arange(12) % FOLDS
    assert tune(weighted, folds_n, default, grid) == tune(copied, folds_n[copies], default, grid)


class TestVerdict:
    def test_noise_is_no_gain_though_it_looks_like_one(self) -> None:
        default, adopted, looks_better = Rules((one_class(),) * 2), 0, 0
        for seed in range(40):
            table = planted(np.random.default_rng(seed).random((13, 60, 2)))
            tuned_nc, found = cross_fitted(table, default)
            adopted += judge(tuned_nc, table.dice(default), None, 200, seed).adopts
            looks_better += table.dice(found).mean() > table.dice(default).mean()
        assert looks_better >= 36  # on the images it was chosen on
        assert adopted <= 3  # 2.5 % of 40 are expected

    def test_a_real_gain_is_found_in_noise(self) -> None:
        dice_tnc = np.random.default_rng(0).uniform(0.4, 0.6, (13, 60, 2))
        dice_tnc[8:, :, 1] += 0.2
        table, default = planted(dice_tnc), Rules((one_class(),) * 2)
        tuned_nc, found = cross_fitted(table, default)
        verdict = judge(tuned_nc, table.dice(default), None)
        assert verdict.adopts
        assert verdict.gain_by_class[1].low < 0.2 < verdict.gain_by_class[1].high
        assert 0.65 <= found.classes[1].pixel_threshold <= 0.75
        assert verdict.sentence().startswith("A gain: ")

    def test_nothing_changed_keeps_the_default(self) -> None:
        dice_nc = np.random.default_rng(0).random((20, 2))
        verdict = judge(dice_nc, dice_nc, None)
        assert not verdict.adopts
        assert "the default rules are kept" in verdict.sentence()
        assert verdict.worse == ()

    def test_a_class_that_loses_beyond_noise_is_named(self) -> None:
        default_nc = np.random.default_rng(0).random((40, 3))
        verdict = judge(default_nc + np.array([0.1, -0.02, 0.0]), default_nc, None)
        assert verdict.worse == (1,)
        assert verdict.adopts
        assert "class scratch:" in verdict.sentence(["scratch"])

    def test_a_loss_over_all_keeps_the_default(self) -> None:
        default_nc = np.random.default_rng(0).random((40, 3))
        verdict = judge(default_nc - 0.1, default_nc, None)
        assert not verdict.adopts
        assert "worse" in verdict.sentence()

    def test_images_of_a_group_count_as_one_witness(self) -> None:
        # Two of eight coils lose what six gain: sure only while 400 images pass for independent ones.
        default_nc = np.full((400, 1), 0.5)
        coils = np.arange(400) // 50
        tuned_nc = default_nc + np.where(coils < 2, -0.1, 0.06)[:, None]
        assert judge(tuned_nc, default_nc, None).adopts
        assert not judge(tuned_nc, default_nc, coils.tolist()).adopts


def test_found_rules_survive_the_settings_file() -> None:
    """Settings refuse a label threshold that asks for nothing; the search never finds one."""
    default = Rules((one_class(),) * 2, "allow")
    grid = rule_grid(default, PIXELS, has_gate=True)
    for seed in range(5):
        table, *_ = make_table(seed, default, grid.thresholds)
        for each in tune(table, folds_of(table), default, grid).found.classes:
            assert each.label_threshold is None or each.label_threshold > each.pixel_threshold
