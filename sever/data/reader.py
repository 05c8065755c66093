"""One way of reading images, for a whole table of them, and what it had to clip; knows no formats."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from sever.config import MAX_PIXELS, DataSettings
from sever.data.images import decode_stored, read_pixels, to_model_pixels

# An image with a larger share of its values clipped is likely not what the settings were made for.
CLIPPED_SHARE = 0.01


class ImageReader:
    """Path -> pixels (H, W, channels) uint8, from any thread; counts the images that lose their brightest values."""

    def __init__(self, channels: int, significant_bits: int = 16, max_pixels: int = MAX_PIXELS) -> None:
        self.channels, self.significant_bits, self.max_pixels = channels, significant_bits, max_pixels
        self.images, self.clipped_images, self.worst_share = 0, 0, 0.0
        self._lock = threading.Lock()

    @staticmethod
    def of(data: DataSettings, channels: int) -> ImageReader:
        return ImageReader(channels, data.significant_bits, data.max_pixels)

    def __call__(self, path: Path) -> np.ndarray:
        return self._counted(*read_pixels(path, self.channels, self.significant_bits, self.max_pixels))

    def decode(self, content: bytes, path: Path) -> np.ndarray:
        """As of the path, of a file's content that was read before."""
        stored = decode_stored(content, f"image {path}", self.max_pixels)
        return self._counted(*to_model_pixels(stored, self.channels, self.significant_bits))

    def _counted(self, image_hwc: np.ndarray, clipped_share: float) -> np.ndarray:
        with self._lock:
            self.images += 1
            self.clipped_images += clipped_share > CLIPPED_SHARE
            self.worst_share = max(self.worst_share, clipped_share)
        return image_hwc
