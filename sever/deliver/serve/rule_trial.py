"""What other rules would do: to one image at once, and to how many of the last ones; nothing of it is kept.

The model in service makes the maps of the last images anew while somebody tries rules, one image at a time beside the
others' requests, so that no answer pays for it. They wait packed in memory, within a bound, for the next move of a
slider. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from sever.data import rle
from sever.decide.postprocess import quantise
from sever.deliver.serve.model import InspectionLike, ServedModel, rules_identity
from sever.deliver.serve.refusal import Refusal, busy
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.storage.tables import answers, images

LOGGER = logging.getLogger("sever.serve")
LAST, MOST_BYTES = 500, 256 << 20
LISTED, MOST_COUNTING, PATIENCE_SECONDS = 20, 4, 0.5
# What the model in service finds in a stored answer's image.
See = Callable[[str], Awaitable[tuple[ServedModel, InspectionLike]]]


@dataclass(frozen=True)
class PackedMap:
    """The map of one image, levels (C, H, W) uint8 in few bytes: most of a map is 0."""

    shape: tuple[int, ...]
    packed: bytes
    label_probs_c: np.ndarray | None

    @staticmethod
    def of(inspection: InspectionLike) -> PackedMap:
        levels_chw = quantise(inspection.probabilities)
        packed = zlib.compress(levels_chw.tobytes(), 1)
        return PackedMap(levels_chw.shape, packed, inspection.label_probabilities)

    def masks(self, model: ServedModel) -> np.ndarray:
        levels_chw = np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)
        return model.draw(levels_chw, self.label_probs_c)


@dataclass(frozen=True)
class Drawn:
    """What is asked of masks when they are compared: areas by class, and a sum over all pixels."""

    areas: tuple[int, ...]
    sum: int

    @staticmethod
    def of(masks_chw: np.ndarray) -> Drawn:
        return Drawn(
            tuple(np.count_nonzero(masks_chw, axis=(1, 2)).tolist()), zlib.crc32(np.packbits(masks_chw).tobytes())
        )


class RuleTrial:
    """The maps of the last images by one model; another model's come instead of them."""

    def __init__(self, store: Store, see: See) -> None:
        self._store, self._see = store, see
        self._identity = ""
        self._maps: dict[str, PackedMap] = {}
        self._drawn: dict[str, dict[str, Drawn]] = {}
        self._gone: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._turn, self._counting = asyncio.Lock(), 0

    async def draw(self, model: ServedModel, uid: str) -> list[dict[str, str]]:
        """The run lengths of an answer's image by this model's rules. Raises Refusal (404)."""
        self._for(model)
        found = self._maps.get(uid)
        if found is None:
            _, inspection = await self._see(uid)
            found = await asyncio.to_thread(PackedMap.of, inspection)
        masks_chw = await asyncio.to_thread(found.masks, model)
        runs = rle.encode_masks(masks_chw)
        return [{"class": name, "runs": each} for name, each in zip(model.class_names, runs, strict=True)]

    async def count(self, model: ServedModel, tried: ServedModel) -> dict[str, Any]:
        """How the last images would change, of those whose map is there; the others' are made meanwhile.

        One count at a time, since each is work for all cores. Raises Refusal (429) where many wait for theirs.
        """
        if self._counting >= MOST_COUNTING:
            raise busy(1)
        self._counting += 1
        try:
            async with self._turn:
                return await self._count(model, tried)
        finally:
            self._counting -= 1

    async def _count(self, model: ServedModel, tried: ServedModel) -> dict[str, Any]:
        self._for(model)
        wanted = await asyncio.to_thread(self._store.read, _last_answers)
        self._maps = {uid: self._maps[uid] for uid in wanted if uid in self._maps}
        self._gone &= set(wanted)
        missing = [uid for uid in wanted if uid not in self._maps and uid not in self._gone]
        if missing and not self._is_full and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._gather(model.identity, missing))
        told = await asyncio.to_thread(self._compare, dict(self._maps), model, tried)
        left = 0 if self._is_full else len(missing)
        return told | {"last": len(wanted), "still_coming": left}

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _is_full(self) -> bool:
        return sum(len(each.packed) for each in self._maps.values()) > MOST_BYTES

    def _for(self, model: ServedModel) -> None:
        if model.identity != self._identity:
            self._identity, self._maps, self._drawn, self._gone = model.identity, {}, {}, set()
            if self._task is not None:
                self._task.cancel()
                self._task = None

    async def _gather(self, identity: str, uids: Sequence[str]) -> None:
        for uid in uids:
            if self._is_full:
                return
            while (found := await self._look(uid)) is None and uid not in self._gone:
                await asyncio.sleep(PATIENCE_SECONDS)
            if found is None:
                continue
            model, inspection = found
            if model.identity != identity or identity != self._identity:
                return
            self._maps[uid] = await asyncio.to_thread(PackedMap.of, inspection)

    async def _look(self, uid: str) -> tuple[ServedModel, InspectionLike] | None:
        """None where there is no place just now, and for good where the image is kept no longer."""
        try:
            return await self._see(uid)
        except Refusal as refusal:
            if refusal.status not in (408, 429, 503):
                self._gone.add(uid)
        except OSError as error:
            LOGGER.warning("rules are not tried on %s: %s", uid, error)
            self._gone.add(uid)
        return None

    def _compare(self, maps: dict[str, PackedMap], model: ServedModel, tried: ServedModel) -> dict[str, Any]:
        before, after, uids = self._by_rules(maps, model), self._by_rules(maps, tried), list(maps)
        self._drawn = {rules_identity(model): before}  # of the many that are tried none is looked at twice
        changed = [uid for uid in uids if before[uid] != after[uid]]
        size = {uid: int(np.abs(np.subtract(before[uid].areas, after[uid].areas)).sum()) for uid in changed}
        classes = [
            {
                "class": name,
                "more": sum(not before[uid].areas[at] and bool(after[uid].areas[at]) for uid in changed),
                "fewer": sum(bool(before[uid].areas[at]) and not after[uid].areas[at] for uid in changed),
            }
            for at, name in enumerate(model.class_names)
        ]
        called = [uid for uid in changed if _called(before[uid]) != _called(after[uid])]
        listed = sorted(changed, key=lambda uid: (uid not in called, -size[uid]))[:LISTED]
        counts = {"images": len(uids), "changed": len(changed), "called_otherwise": len(called)}
        return counts | {"classes": classes, "listed": listed}

    def _by_rules(self, maps: dict[str, PackedMap], model: ServedModel) -> dict[str, Drawn]:
        known = self._drawn.get(rules_identity(model), {})
        return {uid: known.get(uid) or Drawn.of(each.masks(model)) for uid, each in maps.items()}


def _called(drawn: Drawn) -> tuple[bool, ...]:
    return tuple(area > 0 for area in drawn.areas)


def _last_answers(connection: Connection) -> list[str]:
    """The newest answers whose image is still there."""
    rows = select(answers.c.uid).select_from(answers.join(images)).where(images.c.dropped.is_(None))
    return list(connection.execute(rows.order_by(answers.c.id.desc()).limit(LAST)).scalars())
