"""Claim: the rules draw the masks of a busy 256x1600 image in 9 ms of one core, of an empty one in 0.5 ms.

Busy: four classes, about 200 components, many of them overlapping, with hysteresis, component domination and smallest
areas of components and classes on. Empty: 8-bit levels, all low. The other way is the obvious one, in the style of
2019: each class's components labelled over the whole image, and then a loop that compares all pixels with every
label. Both give the same masks, which is checked, and run in turn in this one process, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from common import Clock, describe_machine, make_parser, median_processor, parse, print_ratio, print_table

from sever.config import RuleSettings
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.rules import Rules, resolve_rules

CLASSES = 4
LIMITS_MS = {"busy": 9.0, "empty": 0.5}
# Spread of the blobs in pixels, and how sure the map is: about 50 components a class on 256x1600 pixels.
BLOB_PIXELS, STEEPNESS, RARITY = 12.0, 4.0, 1.5
RULES = RuleSettings(
    seed_threshold=0.7,
    overlap="component_domination",
    min_component_pixels=100,
    min_pixels=(600, 600, 1000, 2000),
)


def busy_levels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of every size, all over the image: levels (C, H, W) uint8."""
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), BLOB_PIXELS) for _ in range(CLASSES)]
    logits_chw = np.stack([STEEPNESS * (field / field.std() - RARITY) for field in fields])
    return quantise((1 / (1 + np.exp(-logits_chw))).astype(np.float32))


def empty_levels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 26, (CLASSES, height, width), dtype=np.uint8)


def plain_masks(levels_chw: np.ndarray, rules: Rules) -> np.ndarray:
    """The same rules, as one writes them down at first: whole images, one label after the other."""
    probs_chw = levels_chw / np.float32(255)
    masks_chw = np.zeros(levels_chw.shape, np.uint8)
    found = []
    for index, (probs_hw, each) in enumerate(zip(probs_chw, rules.classes, strict=True)):
        count, labels_hw = cv2.connectedComponents((probs_hw > each.pixel_threshold).astype(np.uint8))
        for label in range(1, count):
            component_hw = labels_hw == label
            if each.seed_threshold is None or probs_hw[component_hw].max() > np.float32(each.seed_threshold):
                found.append((component_hw.sum(), index, component_hw))
    for size, index, component_hw in sorted(found, key=lambda item: -item[0]):
        taken_hw = np.delete(masks_chw, index, axis=0).max(axis=0) > 0
        if not taken_hw[component_hw].any():
            # The smallest areas come last: until then a small component takes its pixels, too.
            masks_chw[index][component_hw] = 1 if size >= rules.classes[index].min_component_pixels else 2
    masks_chw[masks_chw == 2] = 0
    for mask_hw, each in zip(masks_chw, rules.classes, strict=True):
        if mask_hw.sum() < each.min_pixels:
            mask_hw[:] = 0
    return masks_chw


def measure(ways: dict[str, Callable[[], object]], repeats: dict[str, int]) -> dict[str, list[Clock]]:
    """Processor time of each way, in turn for as long as both have goes left."""
    times: dict[str, list[Clock]] = {name: [] for name in ways}
    for go in range(max(repeats.values())):
        for name, way in ways.items():
            if go < repeats[name]:
                start = Clock.now()
                way()
                times[name].append(start.since())
    return times


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--repeats", type=int, default=200)
    options = parse(parser, {"height": 64, "width": 200, "repeats": 2})
    print(describe_machine())
    cv2.setNumThreads(1)
    rules = resolve_rules(RULES, CLASSES)
    images = {"busy": busy_levels, "empty": empty_levels}
    rows, ratios = [], {}
    for name, make in images.items():
        levels_chw = make(options.height, options.width)
        assert (draw_masks(levels_chw, rules) == plain_masks(levels_chw, rules)).all(), "the two ways differ"
        counts = [cv2.connectedComponents((level_hw > 127).astype(np.uint8))[0] - 1 for level_hw in levels_chw]
        times = measure(
            {"ours": lambda: draw_masks(levels_chw, rules), "plain": lambda: plain_masks(levels_chw, rules)},  # noqa: B023
            {"ours": options.repeats, "plain": min(5, options.repeats)},
        )
        ours, plain = (1e3 * median_processor(times[way]) for way in ("ours", "plain"))
        best = 1e3 * min(clock.processor for clock in times["ours"])
        ratios[name] = plain / ours
        verdict = "holds" if ours <= LIMITS_MS[name] else "MISSED"
        cells = [f"{ours:.2f}", f"{best:.2f}", f"{plain:.1f}", f"{ratios[name]:.0f}", f"{LIMITS_MS[name]:g}, {verdict}"]
        rows.append([name, str(sum(counts)), *cells])
    head = ["image", "components", "sever, ms of a core", "its best", "plain", "times faster", "limit, ms"]
    print_table(head, rows)
    print_ratio(ratios["busy"], "plain over sever, on the busy image")


if __name__ == "__main__":
    main()
