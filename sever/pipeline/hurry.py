"""Predict as much as the time allows: measure on the first images, decide by the budget, go on; knows no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sever.config import load_config
from sever.data import rle
from sever.data.table import ImageTable
from sever.decide.inspector import Inspection, Inspector
from sever.decide.prediction import Predict, Prediction
from sever.decide.time_budget import Budget, Member
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.inspection import Inspected, LoadedModel, evidence_members, image_reader, inspect_part, load_model
from sever.pipeline.pixel_warnings import warn_of_clipping
from sever.pipeline.progress import tell
from sever.store import Evidence, find_run
from sever.store.bundle.unpacked import torch_path

# Batches that only warm up, batches that the first decision is made by, and images between later ones.
WARM_BATCHES, FIRST_BATCHES, MOST_IMAGES = 1, 2, 64


def members_of(path: Path, how: InferenceOptions) -> list[Member]:
    """The networks that `load_model(path, how)` is made of, with their weights and flips."""
    path = torch_path(path)
    if not Evidence.is_at(path):
        return [_member(path, how, 0)]
    members, blend = evidence_members(Evidence.find(path))
    found = []
    for part, member in enumerate(members):
        inner = members_of(member, how)
        weight = (blend.weights[part] if part < len(blend.weights) else 1.0) / len(inner)
        parents = (member,) if Evidence.is_at(member) else ()
        found += [
            replace(each, part=part, weight=each.weight * weight, parents=(*each.parents, *parents)) for each in inner
        ]
    return found


def _member(path: Path, how: InferenceOptions, part: int) -> Member:
    config = load_config(find_run(path)[0].config_file, how.overrides())
    return Member(path, part, config.predict.flips, draws_masks=config.model.task == "segment")


@dataclass
class _Timed:
    """An Inspector whose predictors' times are added up, by predictor."""

    clock: Callable[[], float]
    seconds: dict[int, float] = field(default_factory=dict)

    def wrap(self, inspector: Inspector, parts: Sequence[int]) -> Inspector:
        pairs = zip(parts, inspector.predictors, strict=True)
        return replace(inspector, predictors=tuple(self._one(part, predict) for part, predict in pairs))

    def _one(self, part: int, predict: Predict) -> Predict:
        def timed(images: Sequence[np.ndarray]) -> list[Prediction]:
            start = self.clock()
            seen = predict(images)
            self.seconds[part] = self.seconds.get(part, 0.0) + self.clock() - start
            return seen

        return timed


def inspect_within(
    budget: Budget, path: Path, how: InferenceOptions, loaded: LoadedModel, table: ImageTable, images: int
) -> Iterator[Inspected]:
    """What is in as many of the table's images, in its order, as the budget allows; less and less thorough if need be.

    `images` counts those done before, too: their masks are still to be drawn.
    """
    clock, batch, row, chunk = budget.clock, loaded.config.predict.batch_size, 0, 0
    read = image_reader(loaded.config, loaded.facts)
    inspector = loaded.inspector
    while row < len(table) and (count := _chunk_images(budget, chunk, batch, images)):
        rows = range(row, min(row + count, len(table)))
        timed, start = _Timed(clock), clock()
        for seen in inspect_part(timed.wrap(inspector, _parts(budget)), table.take(list(rows)), read, batch):
            yield replace(seen, row=rows[seen.row])
        if chunk:
            budget.measure(len(rows), clock() - start, timed.seconds)
            if chunk == 1:
                budget.after_seconds = _after_seconds(inspector, seen.inspection, clock)
            if budget.settle(len(table) - rows.stop, images):
                tell(f"short of time: continuing without {', '.join(budget.effort.describe())}")
                inspector = load_model(path, replace(how, effort=budget.effort)).inspector
        row, chunk = rows.stop, chunk + 1
    warn_of_clipping(read)


def _parts(budget: Budget) -> list[int]:
    """Which predictors of the whole the present Inspector has, in their order."""
    return sorted({member.part for member in budget.members if member.path not in budget.effort.without})


def _chunk_images(budget: Budget, chunk: int, batch: int, images: int) -> int:
    """How many images until the clock is looked at again: few at first, later a quarter of what the time allows, but
    a batch where that can be; none when it allows no more."""
    if chunk == 0:
        return WARM_BATCHES * batch
    if not budget.measured:
        return FIRST_BATCHES * batch
    affordable = budget.affordable(images)
    return min(max(MOST_IMAGES, batch), affordable, max(batch, affordable // 4))


def _after_seconds(inspector: Inspector, inspection: Inspection, clock: Callable[[], float]) -> float:
    """How long drawing and encoding an image's masks takes."""
    start = clock()
    rle.encode_masks(inspector.masks(inspection.probs_chw, inspection.gate_probs_c))
    return clock() - start
