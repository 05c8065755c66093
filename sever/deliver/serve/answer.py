"""What was found in one image, as JSON: classes, areas, boxes, run lengths or masks; knows no HTTP and no storage.

Boxes are [left, top, right, bottom] in pixels, the last column and row included no more (right - left is the width).
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import cv2
import numpy as np

from sever.data import rle
from sever.decide.components import NEIGHBOURS
from sever.deliver.serve.model import InspectionLike

MaskForm = Literal["runs", "png", "none"]
# Of one class; the largest come first. What is counted and summed is all of them.
MOST_DEFECTS = 200


def find_classes(inspection: InspectionLike, class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One entry a class that is present or not: what a person or a PLC asks of it."""
    gates, masks_chw, probs_chw = inspection.label_probabilities, inspection.masks, inspection.probabilities
    return [
        _one_class(name, masks_chw[index], probs_chw[index], None if gates is None else gates[index])
        for index, name in enumerate(class_names)
    ]


def uncertainty(inspection: InspectionLike) -> float:
    """0 where every class is surely there or surely not, 1 where one is a coin's toss: 1 - |2p - 1| of the class that
    is least sure, p being its gate's probability or else that of its strongest pixel."""
    peaks = inspection.probabilities.reshape(len(inspection.probabilities), -1).max(axis=1)
    probs_c = peaks if inspection.label_probabilities is None else inspection.label_probabilities
    return round(float(1 - np.abs(2 * probs_c - 1).min()), 4) if len(probs_c) else 0.0


def in_form(classes: list[dict[str, Any]], form: MaskForm, height: int, width: int) -> list[dict[str, Any]]:
    """The same classes with their masks as run lengths, as PNG (base64), or without."""
    if form == "runs":
        return classes
    without = [{key: value for key, value in each.items() if key != "runs"} for each in classes]
    if form == "none":
        return without
    return [
        each | {"mask_png": base64.b64encode(mask_png(rle.decode(found["runs"], height, width))).decode()}
        for each, found in zip(without, classes, strict=True)
    ]


def mask_png(mask_hw: np.ndarray) -> bytes:
    """A mask as a grey PNG of 0 and 255."""
    return encode_png(mask_hw * np.uint8(255))


def encode_png(image: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) RGB as PNG."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    written, png = cv2.imencode(".png", pixels)
    assert written, "OpenCV could not encode a PNG"
    return png.tobytes()


def masks_of(classes: list[dict[str, Any]], height: int, width: int) -> np.ndarray:
    """Masks (C, H, W) out of the run lengths of an answer."""
    return np.stack([rle.decode(each["runs"], height, width) for each in classes])


def _one_class(name: str, mask_hw: np.ndarray, probs_hw: np.ndarray, gate: np.floating | None) -> dict[str, Any]:
    area = int(np.count_nonzero(mask_hw))
    defects = _defects(mask_hw, probs_hw) if area else []
    return {
        "class": name,
        "present": bool(area),
        "area": area,
        "area_share": area / mask_hw.size,
        "probability": round(float(probs_hw.max()), 4),
        "gate": None if gate is None else round(float(gate), 4),
        "confidence": round(float(probs_hw[mask_hw != 0].mean()), 4) if area else None,
        "box": _around(defects) if defects else None,
        "num_defects": len(defects),
        "defects": defects[:MOST_DEFECTS],
        "runs": rle.encode(mask_hw),
    }


def _defects(mask_hw: np.ndarray, probs_hw: np.ndarray) -> list[dict[str, Any]]:
    """The connected components, largest first; confidence is the mean probability of a component's pixels."""
    count, labels_hw, stats, _ = cv2.connectedComponentsWithStats(mask_hw, connectivity=NEIGHBOURS)
    sums = np.bincount(labels_hw.ravel(), weights=probs_hw.ravel(), minlength=count)
    found = []
    for left, top, width, height, area, total in zip(*stats[1:].T.tolist(), sums[1:].tolist(), strict=True):
        box = [left, top, left + width, top + height]
        found.append({"box": box, "area": area, "confidence": round(total / area, 4)})
    return sorted(found, key=lambda defect: -defect["area"])


def _around(defects: list[dict[str, Any]]) -> list[int]:
    lefts, tops, rights, bottoms = zip(*(defect["box"] for defect in defects), strict=True)
    return [min(lefts), min(tops), max(rights), max(bottoms)]
