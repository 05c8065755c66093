"""Predict as much as the time allows: measure on the first images, decide by the budget, go on; knows no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sever.data import rle
from sever.data.table import ImageTable
from sever.decide.time_budget import Budget, BudgetedNetwork
from sever.pipeline.inference.inspection import Inspection
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import AnyNetwork, Network
from sever.pipeline.inference.part_seconds import PartSeconds
from sever.pipeline.pixel_warnings import warn_of_values
from sever.progress import info

# Batches that only warm up, batches that the first decision is made by, and images between later ones.
WARM_BATCHES, FIRST_BATCHES, MOST_IMAGES = 1, 2, 64


def members_of(network: AnyNetwork) -> list[BudgetedNetwork]:
    """The single networks in a tree of them, with their weights and flips."""
    if isinstance(network, Network):
        return [BudgetedNetwork(network.path, 0, network.windows.flips, draws_masks=network.draws_masks)]
    found = []
    for part, member in enumerate(network.members):
        inner, weights = members_of(member), network.blend.weights
        weight = (weights[part] if part < len(weights) else 1.0) / len(inner)
        parents = () if isinstance(member, Network) else (member.path,)
        found += [
            replace(each, part=part, weight=each.weight * weight, parents=(*each.parents, *parents)) for each in inner
        ]
    return found


def inspect_within(budget: Budget, model: Model, table: ImageTable, images: int) -> Iterator[tuple[int, Inspection]]:
    """(row, what was found) in as many of the table's images, in its order, as the budget allows; less and less
    thorough if need be.

    `images` counts those done before, too: their masks are still to be drawn.
    """
    clock, batch, row, chunk = budget.clock, model.config.predict.batch_size, 0, 0
    read, whole = model.reader(), model
    while row < len(table) and (count := _chunk_images(budget, chunk, batch, images)):
        rows = range(row, min(row + count, len(table)))
        timed, start = PartSeconds(_parts(budget), clock), clock()
        for at, found in model.inspect_table(table.take(list(rows)), read=read, part_seconds=timed):
            yield rows[at], found
        if chunk:
            budget.measure(len(rows), clock() - start, timed.seconds)
            if chunk == 1:
                budget.after_seconds = _after_seconds(model, found, clock)
            if budget.settle(len(table) - rows.stop, images):
                info(f"short of time: continuing without {', '.join(budget.effort.describe())}")
                model = whole.lighter(budget.effort)
        row, chunk = rows.stop, chunk + 1
    warn_of_values(read, model.facts.mean)


def _parts(budget: Budget) -> list[int]:
    """Which members of the whole are still there, in their order."""
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


def _after_seconds(model: Model, found: Inspection, clock: Callable[[], float]) -> float:
    """How long drawing and encoding an image's masks takes."""
    start = clock()
    rle.encode_masks(model.masks(found.probabilities, found.label_probabilities))
    return clock() - start
