"""A service on loopback, with a model whose answers are known by hand: a pixel's grey level over 255 is its probability
of `bright`, and one minus that its probability of `dark`."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn

from sever.config import RuleSettings
from sever.config.loading import parse_rules
from sever.config.serve import ServeSettings
from sever.decide.postprocess import draw_masks
from sever.decide.prediction import Prediction
from sever.decide.rules import resolve_rules
from sever.deliver.serve import server as serve_server
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.models import Models
from sever.deliver.serve.security import people
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage.store import Store
from sever.pipeline.inference.inspection import Inspection

PASSWORD = "correct horse battery"
ORIGIN = {"host": "127.0.0.1", "port": 0}


@dataclass
class GreyModel:
    """`hold` makes it wait inside a batch, `fail` makes it raise."""

    name: str = "grey"
    identity: str = "grey-1"
    threshold: float = 0.75
    class_names: tuple[str, ...] = ("bright", "dark")
    channels: int = 1
    significant_bits: int = 16
    hold: threading.Event = field(default_factory=threading.Event)
    fail: bool = False
    batches: list[int] = field(default_factory=list)
    background: dict[str, Any] = field(default_factory=dict)
    seen: frozenset[str] | None = None
    settings: RuleSettings | None = None

    def __post_init__(self) -> None:
        self.hold.set()

    @property
    def rules(self) -> dict[str, Any]:
        return self._rules().model_dump(mode="json")

    def with_rules(self, rules: Mapping[str, Any]) -> GreyModel:
        settings = parse_rules(dict(rules), "these rules")
        resolve_rules(settings, 2)
        return replace(self, settings=settings)

    def draw(self, levels_chw: np.ndarray, label_probs_c: np.ndarray | None) -> np.ndarray:
        return draw_masks(levels_chw, resolve_rules(self._rules(), 2), label_probs_c)

    def has_seen(self, sha256: str) -> bool | None:
        return None if self.seen is None else sha256 in self.seen

    def inspect(self, images: Sequence[np.ndarray]) -> Sequence[Inspection]:
        assert self.hold.wait(20)
        if self.fail:
            raise RuntimeError("planted")
        self.batches.append(len(images))
        rules = resolve_rules(self._rules(), 2)
        found = zip(images, self._predict(images), strict=True)
        return [Inspection.of(image, prediction, self.class_names, rules) for image, prediction in found]

    def _rules(self) -> RuleSettings:
        return self.settings or RuleSettings(pixel_threshold=self.threshold, min_pixels=0)

    def _predict(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        greys = [image.mean(axis=2).astype(np.float32) / 255 for image in images]
        return [Prediction(np.stack([grey, 1 - grey])) for grey in greys]


@dataclass
class Running:
    """A service that listens, and what a test needs of it."""

    url: str
    service: Service
    model: GreyModel
    keys: dict[str, str]
    server: uvicorn.Server

    def client(self, role: str | None = "reviewer", **more: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.keys[role]}"} if role else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False, **more)

    def sign_in(self, name: str = "admin") -> httpx.Client:
        """A browser: cookie and the token against forged requests."""
        client = self.client(None)
        answer = client.post("/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        return client


@contextmanager
def running(
    folder: Path,
    settings: dict[str, Any] | None = None,
    model: GreyModel | None = None,
    others: dict[str, ServedModel] | None = None,
    database: str | None = None,
) -> Iterator[Running]:
    """A real uvicorn in a thread, over a store in `folder`; users and keys of every role."""
    chosen = ServeSettings.model_validate({"store": folder, "port": 0, "durable": False} | (settings or {}))
    store = Store(folder, database, durable=False, images=chosen.images)
    keys = store.write(lambda connection: _people(connection))
    model = model or GreyModel()
    loaders = {name: (lambda other=other: other) for name, other in (others or {}).items()}
    service = Service(chosen, store, Models(model, loaders))
    listener = serve_server.listen(chosen)
    server = serve_server.AnsweringServer(serve_server.configure(chosen, service), service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started and service.is_ready)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Running(url, service, model, keys, server)
    finally:
        model.hold.set()
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


def _people(connection: Any) -> dict[str, str]:
    turn = "" if not people.has_users(connection) else f" {uuid.uuid4().hex}"  # a store that was served before
    for name in () if turn else ("admin", "reviewer", "viewer"):
        people.add_user(connection, name, _hashed(), name, "test")  # type: ignore[arg-type]
    return {role: people.add_key(connection, f"{role}-key{turn}", role, "test") for role in people.ROLES}


@cache
def _hashed() -> str:
    return people.hash_password(PASSWORD)


def wait_for(condition: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def png(image: np.ndarray, suffix: str = ".png") -> bytes:
    good, data = cv2.imencode(suffix, image)
    assert good
    return data.tobytes()


def spots(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    """Grey 128 (neither class), a bright block of 4 x 6 at row 2, column 3, and a dark one of 3 x 2 at row 12, 20; the
    seed changes one pixel, so that images differ."""
    image = np.full((height, width), 128, np.uint8)
    image[2:6, 3:9] = 250
    image[12:15, 20:22] = 10
    image[-1, -1] = 100 + seed % 50
    image[-1, -2] = 100 + seed // 50 % 50
    return image
