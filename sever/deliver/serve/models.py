"""Which model is in service, and the changes of it: warmed up first, taken between two batches, and back by one call.

A shadow model answers along when nothing waits. Its answers are compared with the given ones, counted and listed, and
given to nobody. It knows no files: a model is loaded by the name under which the command line found it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from sever.data import rle
from sever.deliver.serve.batcher import Batcher
from sever.deliver.serve.metrics import Metrics
from sever.deliver.serve.model import InspectionLike, ServedModel, describe_model, rules_identity
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.storage import answers, rule_sets, tables
from sever.deliver.serve.storage.store import Store
from sever.errors import InputError

LOGGER = logging.getLogger("sever.serve")
WARM_UP_SIZE = 256
SHADOW_WAITING = 16
# Masks that share less than this of their pixels count as different.
SAME_IOU = 0.9


@dataclass(frozen=True)
class Compared:
    """An answer that a shadow model is to look at, too."""

    uid: str
    image_hwc: np.ndarray
    masks_chw: np.ndarray


class Models:
    """`available`: what may be put in service, by name."""

    def __init__(self, current: ServedModel, available: Mapping[str, Callable[[], ServedModel]]) -> None:
        self.current, self.available = current, available
        self.previous: ServedModel | None = None
        self.shadow: ServedModel | None = None
        self._to_compare: deque[Compared] = deque(maxlen=SHADOW_WAITING)
        self._change = asyncio.Lock()
        # Rules by the weights that they belong to: those that a model came with, and versions by their digests.
        self._own = {current.identity: current.rules}
        self._versions = {(current.identity, rules_identity(current)): rule_sets.OWN}

    def attach(self, batcher: Batcher, store: Store, metrics: Metrics) -> None:
        self._batcher, self._store, self._metrics = batcher, store, metrics
        batcher.when_idle = self._next_comparison

    async def warm_up(self) -> None:
        self.current = await asyncio.to_thread(self._with_saved_rules, self.current)
        await self._batcher.in_model_thread(partial(warm_up, self.current))

    async def put_in_service(self, name: str, actor: str) -> dict[str, Any]:
        """Load, warm up and take over; what was accepted before is answered by the model before. Raises Refusal."""
        async with self._change:
            model = await self.load(name)
            await self._batcher.in_model_thread(partial(warm_up, model))
            return await self._take(model, actor, "model put in service")

    async def roll_back(self, actor: str) -> dict[str, Any]:
        """The model before, at once: it is still loaded. Again the same call, and the newer one is back."""
        async with self._change:
            if self.previous is None:
                raise Refusal(409, "there is no model to go back to: none was changed since the service began")
            return await self._take(self.previous, actor, "model rolled back")

    async def save_rules(self, model: ServedModel, actor: str, text: str) -> dict[str, Any]:
        """Keep the rules of `model`, which is the one in service with other rules, as a version, and take them."""
        async with self._change:
            if model.identity != self.current.identity:
                raise Refusal(409, "another model was put in service meanwhile; look at its rules, and decide again")
            keep = partial(rule_sets.add_rules, identity=model.identity, rules=model.rules, author=actor, text=text)
            version = await self._store.write_soon(keep)
            self._versions[(model.identity, rules_identity(model))] = version
            return await self._take(model, actor, "rules changed")

    async def take_rules(self, version: int, actor: str) -> dict[str, Any]:
        """Any version of the rules of the model in service. Raises Refusal (404)."""
        async with self._change:
            identity = self.current.identity
            read = partial(rule_sets.rules_of, identity=identity, version=version)
            rules = await asyncio.to_thread(self._store.read, read) or self._own[identity]
            model = self.current.with_rules(rules)
            self._versions[(identity, rules_identity(model))] = version
            return await self._take(model, actor, "rules changed")

    def version_of(self, model: ServedModel) -> int:
        return self._versions[(model.identity, rules_identity(model))]

    def own_rules(self, model: ServedModel) -> dict[str, Any]:
        """Those that it came with."""
        return self._own[model.identity]

    async def set_shadow(self, name: str | None, actor: str) -> dict[str, Any]:
        """Have another model answer along, or none."""
        async with self._change:
            shadow = None if name is None else await self.load(name)
            if shadow is not None:
                await self._batcher.in_model_thread(partial(warm_up, shadow))
            self._to_compare.clear()
            self.shadow = shadow
            await self._store.write_soon(lambda connection: note(connection, actor, "shadow model set", name or ""))
            return self.status()

    def status(self) -> dict[str, Any]:
        return {
            "current": describe_model(self.current)
            | {"class_names": list(self.current.class_names), "rules_version": self.version_of(self.current)},
            "previous": None if self.previous is None else describe_model(self.previous),
            "shadow": None if self.shadow is None else describe_model(self.shadow),
            "available": sorted(self.available),
        }

    def compare_later(self, uid: str, model: ServedModel, image_hwc: np.ndarray, inspection: InspectionLike) -> None:
        """Queue an answer for the shadow model; where it can't keep up, the oldest are counted as left out."""
        if self.shadow is None or self.shadow.channels != model.channels:
            return
        if len(self._to_compare) == SHADOW_WAITING:
            self._metrics.shadow.labels("left_out").inc()
        self._to_compare.append(Compared(uid, image_hwc, inspection.masks))
        self._batcher.wake()

    def _with_saved_rules(self, model: ServedModel) -> ServedModel:
        """The model with the version of its rules that was last in service. From any thread but the event loop's."""
        identity = model.identity
        self._own[identity] = model.rules
        self._versions[(identity, rules_identity(model))] = rule_sets.OWN
        version = self._store.read(partial(rule_sets.version_in_service, identity=identity))
        rules = self._store.read(partial(rule_sets.rules_of, identity=identity, version=version))
        if rules is None:
            return model
        saved = model.with_rules(rules)
        self._versions[(identity, rules_identity(saved))] = version
        return saved

    async def load(self, name: str) -> ServedModel:
        """One of `available`, with the rules that it was last served with. Raises Refusal (404, 409, 422)."""
        if name not in self.available:
            raise Refusal(404, f"there is no model {name!r}; there are {', '.join(sorted(self.available)) or 'none'}")
        try:
            model = await asyncio.to_thread(self.available[name])
        except InputError as error:
            raise Refusal(422, str(error)) from error
        if model.class_names != self.current.class_names:
            raise Refusal(409, f"{name!r} knows other classes: {', '.join(model.class_names)}")
        return await asyncio.to_thread(self._with_saved_rules, model)

    async def _take(self, model: ServedModel, actor: str, action: str) -> dict[str, Any]:
        identity = describe_model(model)
        version = self.version_of(model)

        def keep(connection: Connection) -> None:
            note(connection, actor, action, model.name, **identity)
            if rule_sets.version_in_service(connection, model.identity) != version:
                rule_sets.put_in_service(connection, model.identity, version, actor)

        await self._store.write_soon(keep)
        self.previous, self.current = self.current, model
        LOGGER.info(action, extra={"model": model.name, "actor": actor})
        return self.status()

    def _next_comparison(self) -> Callable[[], None] | None:
        if self.shadow is None or not self._to_compare:
            return None
        return partial(self._compare, self.shadow, self._to_compare.popleft())

    def _compare(self, shadow: ServedModel, given: Compared) -> None:
        """In the model's thread."""
        (inspection,) = shadow.inspect([given.image_hwc])
        changes: list[dict[str, Any]] = [
            {"class": name, "area": int(old.sum()), "shadow_area": int(new.sum()), "iou": _iou(old, new)}
            for name, old, new in zip(shadow.class_names, given.masks_chw, inspection.masks, strict=True)
        ]
        changed = [each for each in changes if each["iou"] < SAME_IOU]
        runs = dict(zip(shadow.class_names, rle.encode_masks(inspection.masks), strict=True))
        noted = [each | {"runs": runs[each["class"]]} for each in changed]
        self._store.write(partial(_note_comparison, shadow, given.uid, noted))
        self._metrics.shadow.labels("differs" if changed else "agrees").inc()


def warm_up(model: ServedModel) -> None:
    """The first call of a network is slow (memory, kernels), so it is not a customer's."""
    model.inspect([np.zeros((WARM_UP_SIZE, WARM_UP_SIZE, model.channels), np.uint8)])


def _note_comparison(shadow: ServedModel, uid: str, changed: list[dict[str, Any]], connection: Connection) -> None:
    number = connection.execute(select(tables.answers.c.id).where(tables.answers.c.uid == uid)).scalar_one()
    values = {"answer": number, "model": answers.model_row(connection, shadow), "differs": bool(changed)}
    connection.execute(tables.shadows.insert().values(**values, classes=changed, created=time.time()))


def _iou(one_hw: np.ndarray, other_hw: np.ndarray) -> float:
    union = np.count_nonzero(one_hw | other_hw)
    return round(np.count_nonzero(one_hw & other_hw) / union, 4) if union else 1.0
