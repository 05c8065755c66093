"""Messages to other systems: written with the answer in one transaction, sent until they are taken, in their order.

Nothing is lost while a broker is away or the service is killed. What was taken just before a kill is sent again, so a
message has an id by which its receiver knows it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, select, update

from sever.deliver.serve.metrics import Metrics
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.storage.tables import outbox

LOGGER = logging.getLogger("sever.serve")
TOGETHER = 50
FIRST_WAIT, LONGEST_WAIT, IDLE_WAIT = 0.5, 60.0, 5.0


@dataclass(frozen=True)
class Sink:
    """`deliver(topic, body)` raises OSError or ValueError where the message was not taken; it may take its time."""

    name: str
    send: str
    deliver: Callable[[str, str], None]

    def wants(self, answer: Mapping[str, Any]) -> bool:
        return self.send == "all" or (self.send == "defects" and answer["num_defects"] > 0)


def post(connection: Connection, sinks: Sequence[Sink], answer: Mapping[str, Any], alarms: Sequence[Any]) -> None:
    """Write what the sinks are to be told of a new answer."""
    now = time.time()
    for sink in sinks:
        bodies = [("alarms", alarm) for alarm in alarms]
        bodies += [("answers", _short(answer))] if sink.wants(answer) else []
        for topic, body in bodies:
            text = json.dumps({"topic": topic, "body": body})
            values = {"sink": sink.name, "body": text, "created": now, "attempts": 0, "next_try": now}
            connection.execute(outbox.insert().values(values))


class Sender:
    """One task a sink, so that one that is away holds up no other."""

    def __init__(self, store: Store, sinks: Sequence[Sink], metrics: Metrics) -> None:
        self._store, self._sinks, self._metrics = store, sinks, metrics
        self._came = {sink.name: asyncio.Event() for sink in sinks}

    def wake(self) -> None:
        for event in self._came.values():
            event.set()

    async def run(self) -> None:
        await asyncio.gather(*(self._serve(sink) for sink in self._sinks))

    async def _serve(self, sink: Sink) -> None:
        wait = FIRST_WAIT
        while True:
            self._came[sink.name].clear()
            try:
                is_well = await self._empty(sink)
            except Exception:
                LOGGER.exception("the outbox of %s failed; it is tried again", sink.name)
                is_well = False
            if is_well:
                wait = FIRST_WAIT
                await _first_of(self._came[sink.name].wait(), IDLE_WAIT)
            else:
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, 2 * wait)

    async def _empty(self, sink: Sink) -> bool:
        """Send what waits, the oldest first; False where the sink did not take it."""
        while True:
            rows = await asyncio.to_thread(self._store.read, partial(_oldest, sink.name))
            if not rows:
                return True
            for number, body in rows:
                message = json.loads(body)
                text = json.dumps({"id": f"{sink.name}-{number}", **message["body"]})
                try:
                    await asyncio.to_thread(sink.deliver, message["topic"], text)
                except (OSError, ValueError) as error:
                    self._metrics.sent.labels(sink.name, "failed").inc()
                    LOGGER.warning("%s takes no messages (%s); they are kept and sent later", sink.name, error)
                    await self._store.write_soon(partial(_failed, number, str(error)))
                    return False
                await self._store.write_soon(partial(_sent, number))
                self._metrics.sent.labels(sink.name, "sent").inc()


async def _first_of(event: Any, seconds: float) -> None:
    try:
        await asyncio.wait_for(event, seconds)
    except TimeoutError:
        return


def _short(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Without run lengths and single defects: what a PLC or a message board can take."""
    left_out = ("runs", "defects")
    classes = [{key: value for key, value in each.items() if key not in left_out} for each in answer["classes"]]
    return {**answer, "classes": classes}


def _oldest(sink: str, connection: Connection) -> list[tuple[int, str]]:
    rows = select(outbox.c.id, outbox.c.body).where(outbox.c.sink == sink).order_by(outbox.c.id).limit(TOGETHER)
    return [(row.id, row.body) for row in connection.execute(rows)]


def _sent(number: int, connection: Connection) -> None:
    connection.execute(delete(outbox).where(outbox.c.id == number))


def _failed(number: int, fault: str, connection: Connection) -> None:
    values = {"attempts": outbox.c.attempts + 1, "fault": fault[:500]}
    connection.execute(update(outbox).where(outbox.c.id == number).values(values))
