"""Claim: from a table of pixel counts thousands of rules are scored sooner than a few by drawing masks.

Both ways score the same images by the same rules, and agree to the last bit where classes may overlap: `sever tune`
by its table, made once and then asked for every combination of pixel threshold, label threshold and smallest area;
and rule after rule, by drawing and counting the masks of every image. The second way is timed on a few rules.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from common import Clock, describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import RuleSettings
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.rules import Rules, resolve_rules
from sever.decide.tuning import Grid, RuleTable, rule_grid, table_row, tune

CLASSES, HEIGHT, WIDTH, FOLDS = 4, 256, 1600, 4

Pair = tuple[np.ndarray, np.ndarray]


def make_pairs(images: int, present: float = 0.15, seed: int = 0) -> list[Pair]:
    """Levels and true masks: a class is in few images, as on real strip, and its map is noisy where it is."""
    generator = np.random.default_rng(seed)
    return [_pair(generator.random(CLASSES) < present, generator) for _ in range(images)]


def _pair(shows: np.ndarray, generator: np.random.Generator) -> Pair:
    levels, truths = [], []
    for is_there in shows:
        field = cv2.GaussianBlur(generator.normal(size=(HEIGHT, WIDTH)), (0, 0), 16)
        field = field / field.std()
        noise = cv2.GaussianBlur(generator.normal(size=(HEIGHT, WIDTH)), (0, 0), 3)
        probs = 1 / (1 + np.exp(6 - 4 * field * is_there - 0.8 * noise / noise.std()))
        levels.append(quantise(probs.astype(np.float32)))
        truths.append(((field > 1.5) & is_there).astype(np.uint8))
    return np.stack(levels), np.stack(truths)


def by_drawing(pairs: list[Pair], rules: Rules) -> np.ndarray:
    return np.stack([dice_pairs(pair_counts(draw_masks(levels, rules), truth)) for levels, truth in pairs])


def some_rules(default: Rules, grid: Grid, count: int) -> list[Rules]:
    """Random points of the grid."""
    generator = np.random.default_rng(1)
    chosen = []
    for _ in range(count):
        classes = [
            replace(
                each,
                pixel_threshold=float(generator.choice(axes.pixel_thresholds)),
                min_pixels=int(generator.choice(axes.min_pixels)),
            )
            for each, axes in zip(default.classes, grid.classes, strict=True)
        ]
        chosen.append(replace(default, classes=tuple(classes)))
    return chosen


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rules", type=int, default=10, help="how many are timed by drawing")
    options = parse(parser, {"images": 4, "rules": 1})
    print(describe_machine())
    pairs, folds = make_pairs(options.images), np.arange(options.images) % FOLDS
    default = resolve_rules(RuleSettings(overlap="allow", min_pixels=0), CLASSES)
    grid = rule_grid(default, HEIGHT * WIDTH, has_gate=False)

    start = Clock.now()
    table = RuleTable.of([table_row(*pair, default, grid.thresholds) for pair in pairs], grid.thresholds)
    made = start.since().processor
    start = Clock.now()
    tune(table, folds, default, grid)
    searched = start.since().processor
    rules = some_rules(default, grid, options.rules)
    start = Clock.now()
    drawn = [by_drawing(pairs, each) for each in rules]
    redrawn = start.since().processor / len(rules)
    assert all(np.array_equal(table.dice(each), dice) for each, dice in zip(rules, drawn, strict=True))

    axes = grid.classes[0]
    combinations = len(axes.pixel_thresholds) * len(axes.label_thresholds) * len(axes.min_pixels)
    print(f"{options.images} images of {HEIGHT}x{WIDTH}, {CLASSES} classes, {combinations} combinations a class")
    rows = [
        ("make the table, once", f"{made:.3f}"),
        (f"search it, {FOLDS} folds cross-fitted", f"{searched:.3f}"),
        ("draw and count the masks of one rule", f"{redrawn:.3f}"),
    ]
    print_table(("", "seconds of processor"), rows)
    print_ratio(combinations * redrawn / (made + searched), f"drawing all {combinations} rules over table and search")


if __name__ == "__main__":
    main()
