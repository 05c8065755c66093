"""What was found, in the forms of other libraries; knows no models and no files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sever.data.formats.counts import counts_of_mask, letters_of_counts
from sever.errors import InputError

if TYPE_CHECKING:
    from sever.pipeline.inference.findings import Finding
    from sever.pipeline.inference.inspection import Inspection

COLUMNS = ("image", "class", "left", "top", "right", "bottom", "area", "confidence")


def to_pandas(found: Sequence[Inspection]) -> Any:
    """A row for each component: image, class, box (left, top, right, bottom), area in pixels, confidence in 0..1."""
    import pandas as pd

    rows = [
        (each.name, part.class_name, *part.box, part.area, part.confidence)
        for each in found
        for part in each.components
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def to_coco(found: Sequence[Inspection]) -> dict[str, Any]:
    """A COCO dictionary. Category ids are 1..C; masks are compressed run lengths, as pycocotools has them."""
    names = found[0].class_names if found else ()
    annotations: list[dict[str, Any]] = []
    for number, each in enumerate(found, start=1):
        annotations += [_annotation(part, number, each.image.shape[:2]) for part in each.components]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    return {
        "images": [
            {"id": number, "file_name": each.name, "height": each.image.shape[0], "width": each.image.shape[1]}
            for number, each in enumerate(found, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": annotations,
    }


def _annotation(part: Finding, image: int, size: tuple[int, int]) -> dict[str, Any]:
    left, top, right, bottom = part.box
    counts = letters_of_counts(counts_of_mask(whole_mask(part, size)))
    return {
        "image_id": image,
        "category_id": part.class_index + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": part.area,
        "score": part.confidence,
        "iscrowd": 0,
        "segmentation": {"size": list(size), "counts": counts},
    }


def to_supervision(found: Inspection) -> Any:
    """`supervision.Detections`: xyxy, mask, confidence, class_id 0..C-1 and, in data, class_name."""
    try:
        import supervision
    except ImportError as error:
        raise InputError(
            "to_supervision() needs the library supervision; install it: pip install 'sever[supervision]'"
        ) from error
    parts = found.components
    if not parts:
        return supervision.Detections.empty()
    return supervision.Detections(
        xyxy=found.boxes.astype(np.float32),
        mask=np.stack([whole_mask(part, found.image.shape[:2]) for part in parts]),
        confidence=np.array([part.confidence for part in parts], np.float32),
        class_id=np.array([part.class_index for part in parts], int),
        data={"class_name": np.array([part.class_name for part in parts])},
    )


def whole_mask(part: Finding, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of the whole image."""
    mask_hw = np.zeros(size, bool)
    left, top, right, bottom = part.box
    mask_hw[top:bottom, left:right] = part.mask
    return mask_hw
