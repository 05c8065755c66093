"""What is kept no longer: images and answers past their days. What people corrected, and the trail, always stay."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, exists, or_, select, update

from sever.config.serve import RetentionSettings
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.storage.tables import answers, images

DAY = 86_400.0
# An image's file is written, or touched, before the answer that names it.
IN_USE_SECONDS = 3600.0
TOGETHER = 500


@dataclass(frozen=True)
class Dropped:
    answers: int
    images: int


def sweep(store: Store, settings: RetentionSettings, now: float | None = None) -> Dropped:
    """Drop what is past its time. Safe to be killed: the database forgets an image before its file goes."""
    now = time.time() if now is None else now
    gone_answers = 0
    if settings.answer_days is not None:
        before = now - settings.answer_days * DAY
        gone_answers = store.write(lambda connection: _drop_answers(connection, before))
    store.write(lambda connection: _forget_images(connection, settings, now))
    return Dropped(gone_answers, _drop_files(store, now))


def _drop_answers(connection: Connection, before: float) -> int:
    return connection.execute(delete(answers).where(answers.c.created < before, answers.c.version == 0)).rowcount


def _forget_images(connection: Connection, settings: RetentionSettings, now: float) -> None:
    """Images whose every answer is old enough and uncorrected, those of no answer among them."""
    needed = [answers.c.version > 0]
    for days, defects in (
        (settings.image_days, answers.c.num_defects > 0),
        (settings.clean_image_days, answers.c.num_defects == 0),
    ):
        needed.append(defects if days is None else and_(defects, answers.c.created >= now - days * DAY))
    is_needed = exists().where(answers.c.image == images.c.sha256, or_(*needed))
    known = connection.execute(select(images.c.sha256).where(images.c.dropped.is_(None), ~is_needed)).scalars().all()
    for start in range(0, len(known), TOGETHER):
        part = known[start : start + TOGETHER]
        connection.execute(update(images).where(images.c.sha256.in_(part)).values(dropped=now))


def _drop_files(store: Store, now: float) -> int:
    """Files of forgotten images, and those of none: a service was killed before it kept the answer. What was sent just
    now is left alone, since its answer may be on its way."""
    count = 0
    for digest in list(store.pictures):
        if now - store.pictures.age(digest) < IN_USE_SECONDS:
            continue
        asked = select(images.c.dropped).where(images.c.sha256 == digest)
        row = store.read(lambda connection, asked=asked: connection.execute(asked).first())  # type: ignore[misc]
        if row is None or row[0] is not None:
            store.pictures.drop(digest)
            count += 1
    return count
