"""One way of reading images, for a whole table of them, and what is odd about them; knows no formats."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from sever.config import MAX_PIXELS, DataSettings
from sever.data.codecs import UPRIGHT, Header
from sever.data.images import decode_with_header, read_content, to_channels, to_model_pixels

# An image with a larger share of its values clipped is likely not what the settings were made for.
CLIPPED_SHARE = 0.01
# Images whose mean lies outside are nearly black or white: of 12 bits that were read as 16, say.
DARK, BRIGHT = 0.03, 0.97
# Of how many rows and columns one is looked at for that.
_EVERY = 4


class PixelCounts:
    """How many images were looked at, and how many of them are likely not what is meant; from any thread."""

    def __init__(self) -> None:
        self.images = self.turned_images = self.paged_images = self.clipped_images = 0
        self.black_images = self.white_images = 0
        self.worst_share = 0.0
        self._lock = threading.Lock()

    def add(self, image_hwc: np.ndarray, clipped_share: float, header: Header | None = None) -> None:
        """One more. `header`: what its file says of it, where it came as one."""
        mean = float(image_hwc[::_EVERY, ::_EVERY].mean()) / 255
        with self._lock:
            self.images += 1
            self.clipped_images += clipped_share > CLIPPED_SHARE
            self.worst_share = max(self.worst_share, clipped_share)
            self.black_images += mean < DARK
            self.white_images += mean > BRIGHT
            if header is not None:
                self.turned_images += header.orientation != UPRIGHT
                self.paged_images += header.pages > 1


class ImageReader:
    """Path -> pixels (H, W, channels) uint8, from any thread; `counts` what is odd about the images."""

    def __init__(self, channels: int, significant_bits: int = 16, max_pixels: int = MAX_PIXELS) -> None:
        self.channels, self.significant_bits, self.max_pixels = channels, significant_bits, max_pixels
        self.counts = PixelCounts()

    @staticmethod
    def of(data: DataSettings, channels: int) -> ImageReader:
        return ImageReader(channels, data.significant_bits, data.max_pixels)

    def __call__(self, path: Path) -> np.ndarray:
        return self.decode(read_content(path), path)

    def decode(self, content: bytes, path: Path) -> np.ndarray:
        """As of the path, of a file's content that was read before."""
        stored, header = decode_with_header(content, f"image {path}", self.max_pixels)
        image_hwc, clipped_share = to_model_pixels(stored, self.channels, self.significant_bits)
        self.counts.add(image_hwc, clipped_share, header)
        return image_hwc

    def take(self, image_hwc: np.ndarray) -> np.ndarray:
        """An array (H, W, 1 or 3), RGB, uint8 or uint16, as from a file that stores it."""
        pixels_hwc, clipped_share = to_channels(image_hwc, self.channels, self.significant_bits)
        self.counts.add(pixels_hwc, clipped_share)
        return pixels_hwc
