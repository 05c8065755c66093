"""An MQTT broker (amqtt) in a process of its own, and a subscriber that notes what comes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from serve_maker import wait_for

BROKER = """
import asyncio, sys
from amqtt.broker import Broker

async def serve():
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Broker({"listeners": listeners, "plugins": plugins}).start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


class Broker:
    """Not there until `running`; its port is known before."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    @contextmanager
    def running(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """The messages that come, as (topic, body); the subscriber is there before the broker lets others wait."""
        command = [sys.executable, "-W", "ignore", "-c", BROKER, str(self.port)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=dict(os.environ))
        got: list[tuple[str, dict[str, Any]]] = []
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _, __, message: got.append((message.topic, json.loads(message.payload)))
        client.on_connect = lambda connected, *_: connected.subscribe("#", qos=1)
        try:
            wait_for(lambda: not _refuses(self.port))
            client.connect("127.0.0.1", self.port)
            client.loop_start()
            yield got
        finally:
            client.disconnect()
            client.loop_stop()
            process.terminate()
            process.wait(20)


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
