"""`sever serve demo`: a service, and a simulated camera that plays synthetic coils into its watched folder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sever.config.serve import ServeSettings
from sever.data.synthetic.strip import make_strip
from sever.files import atomic_path
from sever.pipeline.serve import serve_models

LOGGER = logging.getLogger("sever")
HEIGHT, WIDTH, MM_PER_PIXEL = 128, 800, 1.25
METRES = WIDTH * MM_PER_PIXEL / 1000
IMAGES_PER_COIL = 60
# Where the service can't keep up, this camera waits, so that the folder does not fill the disk.
MOST_WAITING = 20
SETTINGS: dict[str, Any] = {
    "strip": {"along": "width", "mm_per_pixel_along": MM_PER_PIXEL, "mm_per_pixel_across": MM_PER_PIXEL},
    "alarms": [
        {"name": "many defects", "kind": "count", "defects": 12, "metres": 10.0},
        {"name": "large area", "kind": "share", "share": 0.1},
    ],
}
WATCH = {"name_pattern": r"(?P<coil>[\w-]+)/(?P<position_m>[\d.]+)\.png", "settle_seconds": 0.2, "after": "delete"}


def serve_demo(
    model: Path, options: ServeSettings, seconds: float, device: str, say: Callable[[str], None], coils: int | None
) -> None:
    """Serve a model while a camera takes one image every so many seconds; ends with the service."""
    folder = options.store / "camera"
    folder.mkdir(parents=True, exist_ok=True)
    watch = [{"path": folder, **WATCH}]
    settings = ServeSettings.model_validate(options.model_dump() | SETTINGS | {"watch": watch})
    over = threading.Event()
    camera = threading.Thread(target=play_coils, args=(folder, seconds, over, coils), name="camera", daemon=True)
    camera.start()
    try:
        serve_models([model], settings, device, None, say)
    finally:
        over.set()
        camera.join(10)


def play_coils(folder: Path, seconds: float, over: threading.Event, coils: int | None = None) -> None:
    """Write images as COIL/METRES.png, each whole or not at all, until `over`; every start plays coils of new names."""
    start, coil = time.strftime("%Y%m%d-%H%M%S"), 0
    while not over.is_set() and (coils is None or coil < coils):
        coil += 1
        for index in range(IMAGES_PER_COIL):
            while sum(1 for _ in folder.rglob("*.png")) >= MOST_WAITING:
                if over.wait(seconds):
                    return
            image_hw, _ = make_strip(coil, index, HEIGHT, WIDTH)
            _write(folder / f"{start}-{coil:03d}" / f"{index * METRES:.2f}.png", image_hw)
            if over.wait(seconds):
                return
        LOGGER.info("the simulated camera has played coil %d", coil)


def _write(path: Path, image_hw: np.ndarray) -> None:
    good, data = cv2.imencode(".png", image_hw)
    assert good, path
    with atomic_path(path, durable=False) as temporary:
        temporary.write_bytes(data.tobytes())
