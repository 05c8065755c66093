"""All formats in one table: how each is recognised, read and, where it can be, written; knows none from inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.coco import looks_like_coco, read_coco
from sever.data.formats.cvat import looks_like_cvat, read_cvat
from sever.data.formats.image_labels import looks_like_image_labels, read_image_labels
from sever.data.formats.label_studio import looks_like_label_studio, read_label_studio
from sever.data.formats.label_studio_png import looks_like_label_studio_png, read_label_studio_png
from sever.data.formats.labelme import looks_like_labelme, read_labelme
from sever.data.formats.mask_beside import looks_like_mask_beside, read_mask_beside
from sever.data.formats.mvtec import looks_like_mvtec, read_mvtec
from sever.data.formats.supervisely import looks_like_supervisely, read_supervisely
from sever.data.formats.voc import looks_like_voc, read_voc
from sever.data.formats.yolo import looks_like_yolo, read_yolo
from sever.data.mask_folder import looks_like_mask_folder, read_mask_folder
from sever.data.passed_over import has_no_labels
from sever.data.severstal import looks_like_severstal, read_severstal
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.near_names import NearNames, missing
from sever.walking import entries

Read = Callable[[DataSettings, str], tuple[ImageTable, list[Skipped]]]


class Format(NamedTuple):
    """`parts`: what a folder needs to be of this format. `is_faint`: its signs are such as other formats have too."""

    looks_like: Callable[[Path], bool]
    read: Read
    parts: str
    description: str
    is_faint: Callable[[Path], bool] = lambda root: False


FORMATS: dict[str, Format] = {
    "severstal": Format(
        looks_like_severstal, read_severstal, "train.csv and train_images/", "run lengths, as in the competition"
    ),
    "mask_folder": Format(
        looks_like_mask_folder,
        read_mask_folder,
        "images/, masks/ and classes.txt",
        "mask pictures in a folder of their own",
        lambda root: not (root / "masks").is_dir(),
    ),
    "mask_beside": Format(
        looks_like_mask_beside,
        read_mask_beside,
        "x.jpg and x_mask.png (or _GT, _label)",
        "mask pictures beside the images",
    ),
    "voc": Format(
        looks_like_voc, read_voc, "JPEGImages/ and SegmentationClass/", "Pascal VOC, CVAT's segmentation masks"
    ),
    "mvtec": Format(
        looks_like_mvtec, read_mvtec, "train/good, test/CLASS and ground_truth/CLASS", "MVTec AD and its kin"
    ),
    "coco": Format(looks_like_coco, read_coco, "annotations/*.json and images/", "COCO's instances, Roboflow"),
    "yolo": Format(looks_like_yolo, read_yolo, "data.yaml, images/ and labels/*.txt", "YOLO's segmentation text"),
    "cvat": Format(looks_like_cvat, read_cvat, "annotations.xml and images/", "CVAT for images 1.1"),
    "label_studio": Format(
        looks_like_label_studio, read_label_studio, "tasks as *.json and images/", "Label Studio's JSON"
    ),
    "label_studio_png": Format(
        looks_like_label_studio_png,
        read_label_studio_png,
        "task-*-annotation-*.png, tasks as *.json and images/",
        "Label Studio's brush labels as PNG",
    ),
    "supervisely": Format(
        looks_like_supervisely, read_supervisely, "meta.json, DATASET/img and DATASET/ann", "Supervisely's projects"
    ),
    "image_labels": Format(
        looks_like_image_labels,
        read_image_labels,
        "labels.csv (image, classes) and images/",
        "labels of whole images, for classifiers and gates",
    ),
    "labelme": Format(looks_like_labelme, read_labelme, "x.jpg and x.json", "labelme's JSON beside each image"),
}
# Names in the root that one of them is recognised by.
_SIGNS: tuple[str, ...] = ("train.csv", "train_images", "images", "masks", "annotations", "annotations.xml")
_SIGNS += ("labels", "labels.csv", "data.yaml", "meta.json", "JPEGImages", "SegmentationClass", "ground_truth")
# Folders below a root without a layout that are looked into.
_LOOKED_INTO = 20
# Where a class covers the whole image that shows it.
WITHOUT_MASKS = ("image_labels",)
# Told by folder names alone, so that a faint one beside them is doubt and not noise.
_BY_FOLDERS = ("severstal", "mask_folder")


def raise_unless_masks(settings: DataSettings) -> None:
    """Raises InputError where the format labels whole images, from which nobody learns or judges masks."""
    if (name := find_format(settings)) in WITHOUT_MASKS:
        raise InputError(
            f"{settings.root} is read as {name}, which has labels of whole images and no masks: they train and score "
            "classifiers (model.task: classify), not segmenters"
        )


def has_format(settings: DataSettings) -> bool:
    """Whether the folder is a data set at all, and not just images."""
    return settings.layout != "auto" or any(each.looks_like(settings.root) for each in FORMATS.values())


def find_format(settings: DataSettings) -> str:
    """Name of the format that the folder has. Raises InputError where it has none, or looks like several."""
    root = settings.root
    if not root.is_dir():
        raise InputError(f"data.root: {missing(root, 'folder')}")
    if settings.layout != "auto":
        return settings.layout
    found = [name for name, each in FORMATS.items() if each.looks_like(root)]
    if any(name not in _BY_FOLDERS for name in found):
        found = [name for name in found if not FORMATS[name].is_faint(root)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{root} looks like several layouts; set data.layout to {' or '.join(found)}")
    wanted = "; ".join(f"{name}: {each.parts}" for name, each in FORMATS.items())
    there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    raise InputError(
        f"{root} has no layout known here ({wanted}); it holds {there}{_one_below(root) or _near_signs(root)}"
    )


def _one_below(root: Path) -> str:
    """Folders in it that have a layout: a zip often holds one folder more, and MVTec has one an object."""
    below = [path for path in entries(root) if path.is_dir() and not has_no_labels(path.name)][:_LOOKED_INTO]
    known = [path.name for path in below if any(each.looks_like(path) for each in FORMATS.values())]
    return f"; set data.root to a folder in it, such as {root / known[0]}" if known else ""


def _near_signs(root: Path) -> str:
    """Files and folders that a layout would be known by if they were named a little differently."""
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    files = {path.name for path in root.iterdir()} - folders
    hints = []
    for sign in _SIGNS:
        alike = files if Path(sign).suffix else folders  # a folder train/ is nobody's train.csv
        if sign not in alike and (hint := NearNames(alike).hint(sign)):
            hints.append(f"{sign}{hint}")
    return "".join(f"; for {hint.replace('; ', ', ', 1)}" for hint in hints[:3])
