"""A new model beside the one in service, before it is taken, on the images that people judged: what they said is true.

One comparison at a time, an image at a time beside the others' requests; the newest is kept in memory until the next.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sever.config.serve import LimitSettings
from sever.data import rle
from sever.decide.metrics import dice_pairs, pair_counts
from sever.deliver.serve.batcher import Batcher
from sever.deliver.serve.model import ServedModel, describe_model
from sever.deliver.serve.models import Models, warm_up
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.storage.export import Judged, read_judged
from sever.deliver.serve.storage.pictures import DamagedImage
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.uploads import decode, for_model, raw_shape_of

LOGGER = logging.getLogger("sever.serve")
MOST_IMAGES, LISTED = 500, 100


@dataclass(frozen=True)
class Beside:
    """One judged image: Dice (C,) of both models, and whether the new one was trained on it (None: not known)."""

    uid: str
    now_c: np.ndarray
    new_c: np.ndarray
    is_seen: bool | None
    people: dict[str, str]
    now: dict[str, str]
    new: dict[str, str]


@dataclass
class Standing:
    """How far a comparison is."""

    name: str
    now: ServedModel
    new: ServedModel
    total: int
    found: list[Beside] = field(default_factory=list)
    left_out: int = 0
    fault: str | None = None
    is_over: bool = False


class BesideTheOldOne:
    def __init__(self, store: Store, models: Models, batcher: Batcher, limits: LimitSettings) -> None:
        self._store, self._models, self._batcher, self._limits = store, models, batcher, limits
        self._standing: Standing | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def start(self, name: str) -> dict[str, Any] | None:
        """Begin with one of the models that can be taken. Raises Refusal (404, 409, 422)."""
        async with self._turn:
            if self._task is not None and not self._task.done():
                raise Refusal(409, "another comparison is running; wait for its end")
            judged = await asyncio.to_thread(self._store.read, lambda c: list(read_judged(c))[-MOST_IMAGES:])
            if not judged:
                raise Refusal(409, "nobody judged an answer yet, so there is nothing to compare on")
            new = await self._models.load(name)
            await self._batcher.in_model_thread(partial(warm_up, new))
            self._standing = Standing(name, self._models.current, new, len(judged))
            self._task = asyncio.create_task(self._run(self._standing, judged))
            return self.told()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def told(self) -> dict[str, Any] | None:
        """Scores so far, and the images on which the two differ the most; None where nothing was compared yet."""
        standing = self._standing
        if standing is None:
            return None
        names = standing.now.class_names
        unseen = [each for each in standing.found if each.is_seen is False]
        listed = sorted(standing.found, key=lambda each: -abs(float((each.new_c - each.now_c).sum())))[:LISTED]
        return {
            "name": standing.name,
            "now": describe_model(standing.now),
            "new": describe_model(standing.new),
            "total": standing.total,
            "done": len(standing.found),
            "left_out": standing.left_out,
            "is_over": standing.is_over,
            "fault": standing.fault,
            "knows_seen": any(each.is_seen is not None for each in standing.found),
            "all": _scores(standing.found, names),
            "unseen": _scores(unseen, names),
            "images": [_one(each) for each in listed],
        }

    def of_image(self, uid: str) -> Beside:
        """Raises Refusal (404)."""
        found = self._standing.found if self._standing is not None else []
        for each in found:
            if each.uid == uid:
                return each
        raise Refusal(404, "this answer is not in the comparison")

    async def _run(self, standing: Standing, judged: list[Judged]) -> None:
        try:
            for each in judged:
                found = await self._look(standing, each)
                if found is None:
                    standing.left_out += 1
                else:
                    standing.found.append(found)
        except Exception as error:
            LOGGER.exception("the comparison of %s failed", standing.name)
            standing.fault = str(error)
        finally:
            standing.is_over = True

    async def _look(self, standing: Standing, judged: Judged) -> Beside | None:
        """None of an image that is kept no longer, or damaged, or that people judged by other classes."""
        truth = {mask["class"]: mask["runs"] for mask in judged.masks}
        names = standing.now.class_names
        stored = await asyncio.to_thread(self._pixels, judged)
        if stored is None or set(truth) != set(names):
            return None
        true_chw = np.stack([rle.decode(truth[name], *stored.shape[:2]) for name in names])
        masks = [await self._masks(model, stored) for model in (standing.now, standing.new)]
        dice = [dice_pairs(pair_counts(masks_chw, true_chw)) for masks_chw in masks]
        runs = [dict(zip(names, rle.encode_masks(masks_chw), strict=True)) for masks_chw in masks]
        return Beside(judged.uid, dice[0], dice[1], standing.new.has_seen(judged.sha256), truth, runs[0], runs[1])

    def _pixels(self, judged: Judged) -> np.ndarray | None:
        try:
            data = self._store.pictures.read(judged.sha256)
        except DamagedImage:
            return None
        return None if data is None else decode(data, "stored", self._limits.max_pixels, raw_shape_of(judged.kind))

    async def _masks(self, model: ServedModel, stored: np.ndarray) -> np.ndarray:
        image_hwc = await asyncio.to_thread(for_model, stored, model.channels, model.significant_bits)
        inspection = await self._batcher.inspect(model, image_hwc, self._limits.deadline_seconds)
        return inspection.masks


def _scores(found: list[Beside], names: tuple[str, ...]) -> dict[str, Any]:
    """Mean Dice over (image, class) pairs, and by class."""
    if not found:
        return {"images": 0, "now": None, "new": None, "classes": []}
    now_nc, new_nc = np.stack([each.now_c for each in found]), np.stack([each.new_c for each in found])
    classes = [
        {"class": name, "now": _mean(now_nc[:, at]), "new": _mean(new_nc[:, at])} for at, name in enumerate(names)
    ]
    return {"images": len(found), "now": _mean(now_nc), "new": _mean(new_nc), "classes": classes}


def _mean(values: np.ndarray) -> float:
    return round(float(values.mean()), 4)


def _one(each: Beside) -> dict[str, Any]:
    return {"answer": each.uid, "now": _mean(each.now_c), "new": _mean(each.new_c), "is_seen": each.is_seen}
