"""Which backend runs a bundle fastest on this very machine: measured once, then remembered; knows no backend's library.

Every backend of a bundle has passed its certificate, so that speed alone is left to choose by.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sever.errors import InputError
from sever.pipeline.inference.network import AnyNetwork
from sever.prefetch import cores
from sever.progress import detail, info
from sever.store.bundle.bundle import Bundle
from sever.store.origin import digest_of
from sever.store.user_cache import SpeedsRecord, user_cache

# A backend is tried for so long, and with no fewer images from each thread.
LEAST_SECONDS, LEAST_IMAGES = 1.0, 2
# Where the bundle says nothing of its training images.
USUAL_SIZE = (256, 1600)
_CPU_FILE = Path("/proc/cpuinfo")


def fastest(bundle: Bundle, able: Sequence[str], versions: Sequence[str], load: Callable[[str], AnyNetwork]) -> str:
    """The fastest of the backends `able`, whose libraries are of these `versions`; `load` makes a network of each."""
    machine = machine_name()
    digest = hashlib.sha256(bundle.manifest_bytes()).hexdigest()
    file = user_cache() / "speeds" / f"{digest_of([digest, machine, list(able), list(versions)])}.json"
    speeds, source = _remembered(file), f"measured before on this machine ({file})"
    if speeds is None or set(speeds) != set(able):
        info(f"{bundle.place}: measuring which backend is fastest on this machine, once")
        image_hwc = _usual_image(bundle)
        speeds, source = {name: images_per_second(load(name), image_hwc) for name in able}, "measured just now"
        _remember(file, SpeedsRecord(bundle_sha256=digest, machine=machine, images_per_second=speeds))
    best = max(speeds, key=lambda name: speeds[name])
    shown = ", ".join(f"{name} {speed:.3g}" for name, speed in sorted(speeds.items(), key=lambda pair: -pair[1]))
    info(f"{bundle.place}: in {best}; images/s {shown}, {source}; --backend takes another")
    return best


def images_per_second(network: AnyNetwork, image_hwc: np.ndarray) -> float:
    """With as many threads at once as predicting has."""
    threads = network.streams or 1

    def until(end: float) -> int:
        done = 0
        while done < LEAST_IMAGES or time.perf_counter() < end:
            network.predict([image_hwc])
            done += 1
        return done

    network.predict([image_hwc])  # the first one sets up memory
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        images = sum(pool.map(until, [start + LEAST_SECONDS] * threads))
        return images / (time.perf_counter() - start)


def machine_name() -> str:
    """Processor, and how many of its cores are ours."""
    lines = _CPU_FILE.read_text(encoding="utf-8").splitlines() if _CPU_FILE.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = hashlib.sha256(fields.get("flags", "").encode()).hexdigest()[:8]
    model = fields.get("model name") or platform.processor() or platform.machine()
    return f"{platform.node()}, {model}, flags {flags}, {cores()} of {os.cpu_count()} cores"


def _usual_image(bundle: Bundle) -> np.ndarray:
    """Noise, as large as most training images were."""
    statistics = bundle.manifest.statistics
    height, width = statistics.sizes[0][:2] if statistics and statistics.sizes else USUAL_SIZE
    return np.random.default_rng(0).integers(0, 256, (height, width, bundle.manifest.channels), np.uint8)


def _remembered(file: Path) -> dict[str, float] | None:
    if not file.is_file():
        return None
    try:
        return SpeedsRecord.read(file).images_per_second
    except InputError as error:
        detail(f"{error}")
        return None


def _remember(file: Path, record: SpeedsRecord) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        record.write(file)
    except OSError as error:
        info(f"the speeds can't be kept in {file.parent} ({error.strerror}); they will be measured again")
