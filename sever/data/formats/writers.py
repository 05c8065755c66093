"""All formats that labels are written in, in one table; knows none from inside."""

from __future__ import annotations

from typing import NamedTuple

from sever.data.formats.coco import write_coco
from sever.data.formats.cvat import write_cvat
from sever.data.formats.export import Write
from sever.data.formats.label_studio import write_label_studio
from sever.data.formats.labelme import write_labelme
from sever.data.formats.yolo import write_yolo
from sever.data.mask_folder import write_mask_folder
from sever.data.severstal import write_severstal


class LabelWriter(NamedTuple):
    """`layout`: what reads it back. `images`: the folder of the images in it. `has_scores`: what a model is sure of.
    `has_polygons`: whether it can hold outlines, which may be off by a tolerance."""

    write: Write
    layout: str
    images: str = "images"
    has_scores: bool = True
    has_polygons: bool = True


WRITERS: dict[str, LabelWriter] = {
    "coco": LabelWriter(write_coco, "coco"),
    "cvat": LabelWriter(write_cvat, "cvat"),
    "label-studio": LabelWriter(write_label_studio, "label_studio"),
    "yolo": LabelWriter(write_yolo, "yolo", has_scores=False),
    "labelme": LabelWriter(write_labelme, "labelme", images="."),
    "masks": LabelWriter(write_mask_folder, "mask_folder", has_scores=False, has_polygons=False),
    "severstal": LabelWriter(write_severstal, "severstal", images="train_images", has_scores=False, has_polygons=False),
}
