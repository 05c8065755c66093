"""A blend's weights by greedy forward selection: reads the members' maps, or as much of them as memory takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sever.config import RuleSettings
from sever.data.table import ImageTable
from sever.decide.forward_selection import MixtureScores, Search, scaled_rules, select_weights
from sever.decide.rules import resolve_rules
from sever.pipeline.blend.members import Member, mean_label_probs
from sever.pipeline.evidence import open_evidence
from sever.prefetch import read_ahead
from sever.progress import info, meter
from sever.store.records import IntervalRecord, SearchRecord, SelectionRecord

# What may be held in memory: levels, their sums and the truth.
SAMPLE_BYTES = 256 << 20
BYTES_OF_SUM_AND_TRUTH = 5
MAX_STRIDE = 4
# Maps are not thinned below this many pixels a side.
MIN_SIDE = 64


@dataclass(frozen=True)
class WeightSample:
    """Which images, and every how many-th of their rows and columns."""

    rows: np.ndarray
    stride: int


def take_sample(sizes: Sequence[tuple[int, int]], planes: int, budget: int, seed: int) -> WeightSample:
    """As much as `budget` bytes hold: pixels are thinned out first, then images are drawn, at least two.

    `sizes` (H, W) of every image; `planes`: bytes a pixel costs, all members and classes together.
    """
    rows, stride = np.arange(len(sizes)), 1

    def bytes_each(stride: int) -> np.ndarray:
        return np.array([math.ceil(height / stride) * math.ceil(width / stride) * planes for height, width in sizes])

    shortest = min(min(size) for size in sizes)
    while bytes_each(stride).sum() > budget and stride < MAX_STRIDE and shortest / (2 * stride) >= MIN_SIDE:
        stride *= 2
    if bytes_each(stride).sum() > budget:
        drawn = np.random.default_rng(seed).permutation(rows)
        fitting = int(np.searchsorted(np.cumsum(bytes_each(stride)[drawn]), budget, side="right"))
        rows = np.sort(drawn[: max(2, fitting)])
    return WeightSample(rows, stride)


def choose_weights(
    members: Sequence[Member], rules: RuleSettings, seed: int, budget: int = SAMPLE_BYTES
) -> SelectionRecord:
    """Counts of the members with maps, and how they were found. Says on standard error what was decided."""
    segmenters = [member for member in members if member.has_maps]
    opened = open_evidence(segmenters[0].folder)
    table = opened.table
    planes = (len(segmenters) + BYTES_OF_SUM_AND_TRUTH) * table.num_classes
    sample = take_sample([table.size(row) for row in range(len(table))], planes, budget, seed)
    if len(sample.rows) < len(table) or sample.stride > 1:
        info(
            f"weights are chosen on {len(sample.rows)} of {len(table)} images, on one of {sample.stride} rows and "
            "columns, with the rules' areas and radii to match: more does not fit into memory"
        )
    scores = _mixture_scores(members, table, sample, rules)
    groups = table.frame["group"].to_numpy()[sample.rows]
    search = Search(seed=seed)
    selection = select_weights(scores, len(segmenters), opened.folds_n[sample.rows], groups, search)
    verdict = "taken" if selection.taken else "not beyond noise: the equal mean stays"
    info(f"greedy weights {selection.chosen}: out of fold {selection.gain} over the equal mean; {verdict}")
    return SelectionRecord(
        counts=selection.counts,
        chosen=selection.chosen,
        taken=bool(selection.taken),
        gain=IntervalRecord(**asdict(selection.gain)),
        score=float(selection.score),
        equal_score=float(selection.equal_score),
        images=len(sample.rows),
        stride=sample.stride,
        search=SearchRecord(**asdict(search)),
    )


def _mixture_scores(
    members: Sequence[Member], table: ImageTable, sample: WeightSample, rules: RuleSettings
) -> MixtureScores:
    """The sampled maps of all members, their truth and their gate, ready to be mixed."""
    segmenters = [member for member in members if member.has_maps]
    thin = (slice(None), slice(None, None, sample.stride), slice(None, None, sample.stride))

    def read(row: int) -> np.ndarray:
        return np.stack([member.read(table.image_id(row))[thin] for member in segmenters])

    levels = []
    with meter("read maps", len(sample.rows)) as progress:
        for levels_mchw in read_ahead(read, sample.rows.tolist(), depth=4):
            levels.append(levels_mchw)
            progress.advance()
    truths = [np.ascontiguousarray(table.mask(row)[thin]) for row in sample.rows]
    label_probs_nc = mean_label_probs(members, table.image_ids)
    gate_probs_nc = None if label_probs_nc is None else label_probs_nc[sample.rows]
    thin_rules = scaled_rules(resolve_rules(rules, table.num_classes), sample.stride)
    return MixtureScores(levels, truths, thin_rules, gate_probs_nc)
