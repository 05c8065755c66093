"""What a user of the load is, for locust: `benchmarks/serve.py` starts it; key and images come by environment."""

from __future__ import annotations

import os
from pathlib import Path

from locust import FastHttpUser, constant, task

FILES = [path.read_bytes() for path in sorted(Path(os.environ["SEVER_LOAD_IMAGES"]).iterdir())]


class Camera(FastHttpUser):
    """Sends one image after the other, without a pause."""

    wait_time = constant(0)
    network_timeout = connection_timeout = 600.0
    turn = 0

    @task
    def inspect(self) -> None:
        self.turn += 1
        headers = {"authorization": f"Bearer {os.environ['SEVER_LOAD_KEY']}", "content-type": "image/jpeg"}
        data = FILES[(id(self) // 64 + self.turn) % len(FILES)]
        self.client.post("/v1/inspect?masks=none", data, headers=headers, name="inspect")
