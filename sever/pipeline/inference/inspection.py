"""What was found in one image: one type from the network to the report and the notebook.

Classes are columns 0..C-1, in the order of `class_names`; sizes and places are pixels of the image as stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from sever.data import rle
from sever.decide.postprocess import dequantise, draw_masks, quantise
from sever.decide.prediction import Prediction
from sever.decide.rules import Rules
from sever.deliver.canvas import draw_fitted
from sever.errors import InputError
from sever.pipeline.inference import convert
from sever.pipeline.inference.familiar import Familiarity
from sever.pipeline.inference.findings import Finding, find_components

# The longer side of the picture that a notebook shows.
SHOWN_PIXELS = 1600


@dataclass(frozen=True, eq=False)
class Inspection:
    """One image, inspected. Everything but the probabilities is worked out when it is asked for.

    `image`: (H, W, channels) uint8, as the model saw it. `levels`: (C, H, W) uint8, probabilities as they are stored;
    None from a classifier. `label_probabilities`: (C,) float32, that the image shows each class; None where nothing in
    the model labels images. `members`: what each member of the model says for itself, where that was asked for.
    `familiar`: what says how familiar images are.
    """

    image: np.ndarray
    class_names: tuple[str, ...]
    rules: Rules
    levels: np.ndarray | None
    label_probabilities: np.ndarray | None = None
    members: tuple[Prediction, ...] = ()
    name: str = ""
    familiar: Familiarity | None = None

    def __repr__(self) -> str:
        """What a notebook shows in a list of several: the image, and what was found on it."""
        if self.levels is None:
            assert self.label_probabilities is not None, "what neither draws nor labels is no model"
            found = {
                name: round(float(prob), 3)
                for name, prob in zip(self.class_names, self.label_probabilities, strict=True)
            }
            return f"Inspection({self.name!r}, label_probabilities={found})"
        areas = {name: int(area) for name, area in zip(self.class_names, self.areas, strict=True) if area}
        return f"Inspection({self.name!r}, size={self.image.shape[:2]}, areas={areas})"

    @staticmethod
    def of(
        image: np.ndarray,
        prediction: Prediction,
        class_names: tuple[str, ...],
        rules: Rules,
        members: Sequence[Prediction] = (),
        name: str = "",
        familiar: Familiarity | None = None,
    ) -> Inspection:
        """From what the networks say: maps are put on the 8-bit levels in which they are stored, so that a stored map
        and a live one give equal masks."""
        levels = None if prediction.probs_chw is None else quantise(prediction.probs_chw)
        return Inspection(image, class_names, rules, levels, prediction.label_probs_c, tuple(members), name, familiar)

    @cached_property
    def familiarity(self) -> float | None:
        """How familiar the image is to the model, 0..1: the share of normal images that are at least as strange, so
        that 0.5 is ordinary and 0.01 stranger than 99 of 100. None where what is normal was not learnt (`sever data
        familiar`). Takes a pass of the encoder when asked for."""
        return None if self.familiar is None else float(self.familiar([self.image])[0])

    @property
    def probabilities(self) -> np.ndarray:
        """(C, H, W) float32 in 0..1, on 8-bit levels. Raises InputError for a classifier's."""
        return dequantise(self._levels)

    @cached_property
    def masks(self) -> np.ndarray:
        """(C, H, W) uint8 of 0 and 1: by the rules, and the gate where they have one. Raises InputError as above."""
        return draw_masks(self._levels, self.rules, self.label_probabilities)

    @cached_property
    def areas(self) -> np.ndarray:
        """(C,) int64: pixels of each class."""
        return np.count_nonzero(self.masks, axis=(1, 2))

    @cached_property
    def components(self) -> tuple[Finding, ...]:
        """One for each connected part of a class: class by class, the largest first."""
        return find_components(self.masks, self.probabilities, self.class_names)

    @property
    def boxes(self) -> np.ndarray:
        """(K, 4) int64: left, top, right, bottom of each of `components`; right and bottom are just outside."""
        return np.array([each.box for each in self.components], np.int64).reshape(-1, 4)

    @property
    def polygons(self) -> list[list[np.ndarray]]:
        """Of each of `components`, its rings (N, 2) of x and y along the edges of its pixels."""
        return [each.polygons for each in self.components]

    @cached_property
    def run_lengths(self) -> list[str]:
        """Of each class, in the competition's form: 1-based starts and lengths, column by column; "" where clean."""
        return rle.encode_masks(self.masks)

    def overlay(self, longest: int | None = None) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the image with a line around each part of each class, a colour a class.

        `longest`: a larger image is made smaller, so that its longer side has so many pixels.
        """
        return draw_fitted(self.image, self.masks, longest or max(self.image.shape[:2]))

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each of `components`: image, class, box, area, confidence."""
        return convert.to_pandas([self])

    def to_coco(self) -> dict[str, Any]:
        """A COCO dictionary of this image: `images`, `categories` and `annotations` with run lengths and scores."""
        return convert.to_coco([self])

    def to_supervision(self) -> Any:
        """`supervision.Detections` of `components`. Raises InputError where `supervision` is not installed."""
        return convert.to_supervision(self)

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the overlay."""
        if self.levels is None:
            return None
        written, png = cv2.imencode(".png", cv2.cvtColor(self.overlay(SHOWN_PIXELS), cv2.COLOR_RGB2BGR))
        assert written, "OpenCV could not encode a PNG"
        return bytes(png.tobytes())

    @property
    def _levels(self) -> np.ndarray:
        if self.levels is None:
            raise InputError("an image classifier draws no masks: look at label_probabilities, or ask a segmenter")
        return self.levels


class Inspections(list[Inspection]):
    """Several images, inspected; a list that converts as a whole."""

    def __init__(self, found: Iterable[Inspection] = ()) -> None:
        super().__init__(found)

    def to_pandas(self) -> Any:
        """One DataFrame of all, as `Inspection.to_pandas`."""
        return convert.to_pandas(self)

    def to_coco(self) -> dict[str, Any]:
        """One COCO dictionary of all, as `Inspection.to_coco`."""
        return convert.to_coco(self)
