"""One class's mask while the rules work on it, with the probabilities behind it; knows nothing of any rule."""

from __future__ import annotations

import numpy as np

from sever.decide.components import Components
from sever.decide.levels import above, scaled


class Layer:
    """A class's mask (H, W) uint8 in a part of the image; its components are labelled when, and if, a rule asks."""

    def __init__(self, mask_hw: np.ndarray, probs_hw: np.ndarray, scale: np.float32) -> None:
        """`probs_hw`: of the same part, times `scale` the probabilities that the rules see."""
        self.mask_hw = np.ascontiguousarray(mask_hw)
        self._probs_hw, self._scale = probs_hw, scale
        self._components: Components | None = None

    @property
    def components(self) -> Components:
        """Those of the mask as it was last redrawn or cleaned; removed ones are still in them."""
        if self._components is None:
            self._components = Components(self.mask_hw)
        return self._components

    def above(self, threshold: float) -> np.ndarray:
        return above(self._probs_hw, threshold, self._scale)

    def redraw(self, mask_hw: np.ndarray) -> None:
        self.mask_hw = np.ascontiguousarray(mask_hw)
        self._components = None

    def remove(self, is_gone: np.ndarray) -> None:
        """Whole components go, so the labels of the others hold on."""
        if is_gone.any():
            self.components.remove(self.mask_hw, is_gone)

    def clean(self, places: np.ndarray) -> None:
        """Some pixels go, as flat indices; components may fall apart by it."""
        if len(places):
            self.mask_hw.reshape(-1)[places] = 0
            self._components = None

    def claims_at(self, places: np.ndarray) -> np.ndarray:
        return self.mask_hw.reshape(-1)[places] > 0

    def numbers_at(self, places: np.ndarray) -> np.ndarray:
        """The components' numbers; they say nothing where the mask claims nothing."""
        return self.components.labels_hw.reshape(-1)[places]

    def probs_at(self, places: np.ndarray) -> np.ndarray:
        rows, columns = np.divmod(places, self.mask_hw.shape[1])
        return scaled(self._probs_hw[rows, columns], self._scale)

    def sizes_at(self, places: np.ndarray) -> np.ndarray:
        """Pixels of the component at each place."""
        return self.components.sizes[self.numbers_at(places)]
