"""Decoding by OpenCV, in silence: what it would print names no file, and our errors say it already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

UNREADABLE = "can't be decoded: it is damaged or of a rare kind; save it again"


def decode_quietly(data: bytes) -> np.ndarray | None:
    """The stored pixels, unturned and with their alpha, or None where OpenCV can't decode them."""
    with _silent_opencv():
        try:
            # Unchanged: the other modes turn by EXIF.
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None


def decode(data: bytes) -> np.ndarray | str:
    pixels = decode_quietly(data)
    return UNREADABLE if pixels is None else pixels


@contextmanager
def _silent_opencv() -> Iterator[None]:
    logging = cv2.utils.logging
    # Threads may put the level back in another order than they took it; no lock for that, since one that is
    # held while a data loader forks would stop its children for good.
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
