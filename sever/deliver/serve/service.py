"""The service itself: bytes in, an answer that is kept out; HTTP, folders and streams all come through here."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import Connection

from sever.config.serve import ServeSettings
from sever.counted import counted
from sever.deliver.serve.answer import find_classes, uncertainty
from sever.deliver.serve.batcher import Batcher
from sever.deliver.serve.comparison import BesideTheOldOne
from sever.deliver.serve.image_threads import ImageThreads
from sever.deliver.serve.metrics import Metrics
from sever.deliver.serve.model import InspectionLike, ServedModel
from sever.deliver.serve.models import Models
from sever.deliver.serve.pixel_doubts import PixelDoubts
from sever.deliver.serve.plant.alarms import in_words, raise_alarms
from sever.deliver.serve.plant.outbox import Sender, post
from sever.deliver.serve.plant.sinks import make_sinks
from sever.deliver.serve.plant.watch import Watch
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.room import Room
from sever.deliver.serve.rule_trial import RuleTrial
from sever.deliver.serve.storage import answers
from sever.deliver.serve.storage.answers import Found, Original, Source
from sever.deliver.serve.storage.pictures import DamagedImage
from sever.deliver.serve.storage.retention import sweep
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.streams import Streams
from sever.deliver.serve.uploads import RawShape, decode, decode_upload, for_model_and_clipped, media_type, raw_shape_of

LOGGER = logging.getLogger("sever.serve")
SWEEP_SECONDS = 600.0
Done: TypeAlias = Callable[[Connection, str], None]


@dataclass(frozen=True)
class Upload:
    """An image as it came, and what its sender says of it."""

    data: bytes
    source: Source
    raw: RawShape | None = None


class Service:
    """What all routes share. `start` and `stop` run in the event loop."""

    def __init__(self, settings: ServeSettings, store: Store, models: Models) -> None:
        self.settings, self.store, self.models = settings, store, models
        self.metrics = Metrics()
        self.doubts = PixelDoubts(self.metrics)
        self.sinks = make_sinks(settings)
        self.sender = Sender(store, self.sinks, self.metrics)
        limits = settings.limits
        self.streams = Streams()
        self.image_threads = ImageThreads()
        self.room = Room(limits.max_waiting, limits.max_waiting_pixels)
        self.batcher = Batcher(settings.batch.max_images, settings.batch.wait_ms / 1000)
        self.rule_trial = RuleTrial(store, self.inspect_stored)
        self.comparison = BesideTheOldOne(store, models, self.batcher, settings.limits)
        self.is_ready = False
        self.metrics.gauge("sever_waiting_images", "Images on their way.", lambda: self.room.taken)
        self.metrics.gauge("sever_refused_images", "Images refused for want of a place.", lambda: self.room.refused)

    async def start(self) -> None:
        """Warm the model up, and open the doors."""
        self.batcher.after_batch.append(self._measure)
        self.models.attach(self.batcher, self.store, self.metrics)
        self.batcher.start()
        await self.models.warm_up()
        self.is_ready = True
        most = self.settings.limits.max_bytes
        watches = [Watch(each, self.store, self._inspect_file, most) for each in self.settings.watch]
        jobs = [self._sweep(), self.sender.run(), *(watch.run() for watch in watches)]
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def stop(self) -> None:
        """The server has answered what it accepted; what is written is written to its end."""
        self.is_ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.rule_trial.stop()
        await self.comparison.stop()
        await self.batcher.stop()
        self.image_threads.stop()
        await asyncio.to_thread(self.store.close)

    async def inspect(self, upload: Upload, seconds: float | None = None) -> dict[str, Any]:
        """An answer that is in the store when it is returned. Raises Refusal; the caller holds a place in the room.

        The same request key gives the stored answer again, whatever model is in service by now.
        """
        if known := await self._known(upload):
            return known
        uid, _ = await self.inspect_fully(upload, seconds)
        return await asyncio.to_thread(self.answer, uid)

    async def inspect_fully(
        self, upload: Upload, seconds: float | None = None, done: Done | None = None
    ) -> tuple[str, InspectionLike]:
        """The answer's id, and all that the model said. `done` runs in the transaction that keeps a new answer."""
        began = time.monotonic()
        model = self.models.current
        stored, original = await self.image_threads.run(partial(self._take_in, upload), self.deadline(seconds))
        with self.room.hold_pixels(original.height * original.width):
            image_hwc, inspection = await self._see(model, stored, seconds, upload.source.name)
            found = await asyncio.to_thread(_conclude, inspection, model, image_hwc, began)
        keep = partial(self._keep, model, original, upload.source, found, done)
        uid, is_new, raised = await self.store.write_soon(keep)
        if is_new:
            self._tell(raised)
            self.models.compare_later(uid, model, image_hwc, inspection)
            self._count(upload.source.source, found)
        return uid, inspection

    async def inspect_pixels(
        self, image: np.ndarray, seconds: float | None = None
    ) -> tuple[ServedModel, InspectionLike]:
        """What the model in service finds in stored pixels, kept nowhere."""
        model = self.models.current
        with self.room.hold_pixels(image.shape[0] * image.shape[1]):
            return model, (await self._see(model, image, seconds))[1]

    async def inspect_stored(self, uid: str) -> tuple[ServedModel, InspectionLike]:
        """What the model in service finds in the image of a stored answer, kept nowhere. Raises Refusal (404, 429)."""
        with take_places(self):
            return await self.inspect_pixels(await asyncio.to_thread(self.stored_pixels, uid))

    def stored_pixels(self, uid: str) -> np.ndarray:
        """The image of an answer as it came. Raises Refusal (404)."""
        data, kind = self.original(uid)
        return decode(data, "stored", self.settings.limits.max_pixels, raw_shape_of(kind))

    def original(self, uid: str) -> tuple[bytes, str]:
        """The image of an answer byte for byte, and its media type. Raises Refusal (404, 503)."""
        row = self.store.read(lambda connection: answers.read_answer(connection, uid))
        if row is None:
            raise Refusal(404, "there is no such answer")
        data = self.picture(row["image"])
        if data is None:
            raise Refusal(404, "the image is no longer kept (retention)")
        return data, str(row["kind"])

    def picture(self, digest: str) -> bytes | None:
        """A stored image; None where it was dropped. Raises Refusal (404 for a damaged one, 503)."""
        try:
            return self.store.pictures.read(digest)
        except DamagedImage as error:
            LOGGER.error("%s", error)
            raise Refusal(404, "the image is damaged in the store; whoever sends it again mends it") from error
        except OSError as error:
            LOGGER.error("an image can't be read: %s", error)
            raise Refusal(503, "the store of images can't be reached now", 5) from error

    def answer(self, uid: str) -> dict[str, Any]:
        """A stored answer as it is given. Raises Refusal (404)."""
        row = self.store.read(lambda connection: answers.read_answer(connection, uid))
        if row is None:
            raise Refusal(404, "there is no such answer")
        return answers.as_given(dict(row))

    def kind_of(self, uid: str) -> str:
        """The media type of an answer's original."""
        row = self.store.read(lambda connection: answers.read_answer(connection, uid))
        assert row is not None
        return str(row["kind"])

    def deadline(self, asked: float | None) -> float:
        most = self.settings.limits.deadline_seconds
        return most if asked is None else min(asked, most)

    async def _sweep(self) -> None:
        """Drop what is past its time, now and then."""
        while True:
            try:
                dropped = await asyncio.to_thread(sweep, self.store, self.settings.retention)
                LOGGER.debug("retention: %d answers, %d images dropped", dropped.answers, dropped.images)
            except Exception:
                LOGGER.exception("retention failed; it is tried again")
            await asyncio.sleep(SWEEP_SECONDS)

    async def _known(self, upload: Upload) -> dict[str, Any] | None:
        key = upload.source.request_key
        if key is None:
            return None
        uid = await asyncio.to_thread(self.store.read, lambda connection: answers.uid_of_request(connection, key))
        if uid is None:
            return None
        answer = await asyncio.to_thread(self.answer, uid)
        if answer["image"]["sha256"] != hashlib.sha256(upload.data).hexdigest():
            raise Refusal(409, "this request key was used for another image; give each image its own key")
        return answer

    def _take_in(self, upload: Upload) -> tuple[np.ndarray, Original]:
        """Decode first: what is not an image is not kept."""
        limits = self.settings.limits
        stored, header = decode_upload(upload.data, upload.source.name, limits.max_pixels, upload.raw)
        self.doubts.look_at_header(upload.source.name, header)
        try:
            digest = self.store.pictures.keep(upload.data)
        except OSError as error:  # a full disk, or a store that is away: nothing is answered that is not kept
            LOGGER.error("an image can't be kept: %s", error)
            raise Refusal(503, "the store takes no image now, so none is answered; send it again", 5) from error
        kind = media_type(upload.data, upload.raw)
        return stored, Original(digest, kind, len(upload.data), *stored.shape[:2])

    async def _see(
        self, model: ServedModel, stored: np.ndarray, seconds: float | None, new_name: str | None = None
    ) -> tuple[np.ndarray, InspectionLike]:
        """`new_name`: what an image is called that was not seen before."""
        prepare = partial(for_model_and_clipped, stored, model.channels, model.significant_bits)
        image_hwc, clipped_share = await asyncio.to_thread(prepare)
        if new_name is not None:
            self.doubts.look_at_clipping(new_name, clipped_share)
        return image_hwc, await self.batcher.inspect(model, image_hwc, self.deadline(seconds))

    def _keep(
        self,
        model: ServedModel,
        original: Original,
        source: Source,
        found: Found,
        done: Done | None,
        connection: Connection,
    ) -> tuple[str, bool, list[dict[str, Any]]]:
        """The answer, its alarms and what others are to be told of it: all of it, or nothing."""
        number = answers.model_row(connection, model)
        uid, is_new = answers.add_answer(connection, number, original, source, found)
        if not is_new:
            return uid, False, []
        raised = raise_alarms(connection, uid, self.settings.alarms, self.settings.strip)
        if self.sinks:
            row = answers.read_answer(connection, uid)
            assert row is not None
            post(connection, self.sinks, answers.as_given(dict(row)), raised)
        if done is not None:
            done(connection, uid)
        return uid, True, raised

    async def _inspect_file(self, data: bytes, source: Source, done: Done) -> None:
        with self.room.place():
            await self.inspect_fully(Upload(data, source), done=done)

    def _tell(self, raised: list[dict[str, Any]]) -> None:
        for alarm in raised:
            self.metrics.alarms.labels(alarm["rule"]).inc()
            LOGGER.warning("alarm %s on coil %s: %s", alarm["rule"], alarm["coil"], in_words(alarm["about"]))
        self.sender.wake()

    def _count(self, source: str, found: Found) -> None:
        self.metrics.images.labels(source).inc()
        self.metrics.seconds.observe(found.seconds)
        for each in found.classes:
            self.metrics.defects.labels(each["class"]).inc(each["num_defects"])

    def _measure(self, model: ServedModel, images: list[Any], inspections: list[Any], seconds: float) -> None:
        self.metrics.batch_seconds.observe(seconds)
        self.metrics.batch_images.observe(len(images))


def take_places(service: Service, images: int = 1, held: int = 0) -> ExitStack:
    """Places for so many images, of which `held` have theirs already, until the `with` ends. Raises Refusal (413 for
    what would never find room, 429 for what finds none now)."""
    limits = service.settings.limits
    if images > (most := min(limits.max_images, limits.max_waiting)):
        setting = "max_images" if most == limits.max_images else "max_waiting"
        raise Refusal(413, f"{counted(images, 'image')} in one request; at most {most} are taken (limits.{setting})")
    stack = ExitStack()
    stack.enter_context(service.room.place(images - held))
    return stack


def _conclude(inspection: InspectionLike, model: ServedModel, image_hwc: np.ndarray, began: float) -> Found:
    classes = find_classes(inspection, model.class_names)
    familiarity = getattr(inspection, "familiarity", None)
    return Found(
        classes,
        uncertainty(inspection),
        round(float(image_hwc.mean()), 3),
        time.monotonic() - began,
        None if familiarity is None else float(familiarity),
    )
