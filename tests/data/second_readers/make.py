"""Makes the files beside it with the labelling tools' own libraries, which don't install beside OpenCV 5.

    python tests/data/second_readers/make.py write OURS
    python -m venv second && second/bin/pip install label-studio-sdk pycocotools supervision
    second/bin/python tests/data/second_readers/make.py tools OURS
    python -m venv third && third/bin/pip install datumaro
    third/bin/python tests/data/second_readers/make.py datumaro OURS

Made with label-studio-sdk 2.1.2, pycocotools 2.0.11, supervision 0.31.2 and datumaro 1.13.12.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).parent
OURS = Path(sys.argv[-1])
# What we write for others to read: format and tolerance.
WRITTEN = (("coco", None), ("coco", 0.0), ("yolo", 0.0), ("label-studio", None), ("cvat", 0.0), ("cvat", None))
NAMES = ("pit", "scratch")


def label_map() -> np.ndarray:
    """A ring with an island in its hole, areas that touch at a corner, single pixels, a border at the edge."""
    labels = np.zeros((24, 32), np.uint8)
    labels[2:12, 2:14] = 1
    labels[5:9, 5:10] = 0
    labels[6, 6] = 2
    labels[12:15, 14:20] = 1
    labels[20:, 28:] = 2
    labels[17:22, 3:9] = np.random.default_rng(0).integers(0, 3, (5, 6))
    return labels


def masks() -> np.ndarray:
    return np.stack([label_map() == 1, label_map() == 2]).astype(np.uint8)


def write() -> None:
    for to, tolerance in WRITTEN:
        write_ours(OURS / f"{to} {tolerance}", to, tolerance)
    np.save(OURS / "filled.npy", np.stack([fill_ours(points) for points in random_polygons()]))


def write_ours(folder: Path, to: str, tolerance: float | None) -> None:
    """Our own files of a.png with its masks and b.png, clean."""
    from sever.data.formats.export import Exported, Wish
    from sever.data.formats.writers import WRITERS

    (folder / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / "images" / name), np.full(label_map().shape, 99, np.uint8))
    images = (Exported("a.png", masks()), Exported("b.png", masks() * 0))
    WRITERS[to].write(folder, images, NAMES, Wish(tolerance))


def random_polygons() -> list[np.ndarray]:
    """200 of 3 to 8 corners, 5 to 40 pixels from the middle of 100 x 100."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        corners = rng.integers(3, 9)
        angles, radii = np.sort(rng.random(corners)) * 2 * np.pi, rng.uniform(5, 40, corners)
        found.append(np.stack([50 + radii * np.cos(angles), 50 + radii * np.sin(angles)], axis=1))
    return found


def fill_ours(points: np.ndarray) -> np.ndarray:
    from sever.data.formats.geometry import fill_polygon

    return fill_polygon(points, 100, 100)


def digest(folder: Path) -> str:
    """Of all that we wrote but the images."""
    text = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "images":
            text.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return text.hexdigest()


def note(reader: str, to: str, tolerance: float | None, read: Any) -> None:
    """Keep how many pixels of each class the reader finds in our files, and how many of them differ from the truth."""
    file = HERE / "read.json"
    notes = json.loads(file.read_text()) if file.exists() else {}
    folder = OURS / f"{to} {tolerance}"
    found = np.asarray(read(folder)) != 0
    notes[f"{reader} {to} {tolerance}"] = {
        "sha256": digest(folder),
        "pixels": found.sum(axis=(1, 2)).tolist(),
        "differ": (found != (masks() != 0)).sum(axis=(1, 2)).tolist(),
    }
    file.write_text(json.dumps(dict(sorted(notes.items())), indent=1) + "\n")


def tools() -> None:
    import supervision
    from label_studio_sdk.converter import brush
    from pycocotools.coco import COCO

    def by_pycocotools(folder: Path) -> np.ndarray:
        coco = COCO(folder / "annotations" / "instances_default.json")
        found = np.zeros_like(masks())
        for annotation in coco.loadAnns(coco.getAnnIds([1])):
            found[annotation["category_id"] - 1] |= coco.annToMask(annotation)
        return found

    def by_supervision(dataset: Any) -> np.ndarray:
        found = np.zeros_like(masks())
        for path, _, detections in dataset:
            if Path(path).name == "a.png":
                for mask_hw, number in zip(detections.mask, detections.class_id, strict=True):
                    found[NAMES.index(dataset.classes[number])] |= mask_hw.astype(np.uint8)
        return found

    def coco_by_supervision(folder: Path) -> np.ndarray:
        path = folder / "annotations" / "instances_default.json"
        return by_supervision(
            supervision.DetectionDataset.from_coco(str(folder / "images"), str(path), force_masks=True)
        )

    def yolo_by_supervision(folder: Path) -> np.ndarray:
        parts = (str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))
        return by_supervision(supervision.DetectionDataset.from_yolo(*parts, force_masks=True))

    def by_label_studio(folder: Path) -> np.ndarray:
        found = np.zeros_like(masks())
        for region in json.loads((folder / "tasks.json").read_text())[0]["annotations"][0]["result"]:
            picture = np.reshape(brush.decode_rle(region["value"]["rle"]), (*label_map().shape, 4))[..., 3]
            found[NAMES.index(region["value"]["brushlabels"][0])] |= (picture != 0).astype(np.uint8)
        return found

    _note_random_polygons()
    note("pycocotools", "coco", None, by_pycocotools)
    note("pycocotools", "coco", 0.0, by_pycocotools)
    note("supervision", "coco", None, coco_by_supervision)
    note("supervision", "coco", 0.0, coco_by_supervision)
    note("supervision", "yolo", 0.0, yolo_by_supervision)
    note("label-studio-sdk", "label-studio", None, by_label_studio)
    _label_studio_files(brush)
    _supervision_files(supervision)


def _note_random_polygons() -> None:
    from pycocotools import mask

    ours = np.load(OURS / "filled.npy") != 0
    theirs = (
        np.stack([mask.decode(mask.frPyObjects([p.ravel().tolist()], 100, 100)[0]) for p in random_polygons()]) != 0
    )
    found = {"pixels": int(ours.sum()), "iou": round(float((ours & theirs).sum() / (ours | theirs).sum()), 4)}
    (HERE / "polygons.json").write_text(json.dumps(found) + "\n")


def _label_studio_files(brush: Any) -> None:
    folder = HERE / "label_studio"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "png").mkdir(parents=True)
    results = [
        {"type": "brushlabels", "original_width": 32, "original_height": 24, "from_name": "tag", "to_name": "image"}
        | {"value": {"format": "rle", "rle": brush.mask2rle(mask_hw * 255), "brushlabels": [name]}}
        for mask_hw, name in zip(masks(), NAMES, strict=True)
    ]
    data = [{"image": "/data/upload/3/0123abcd-a.png"}, {"image": "/data/upload/3/89abcdef-b.png"}]
    tasks = [
        {"id": 7, "data": data[0], "annotations": [{"id": 70, "completed_by": 1, "result": results}]},
        {"id": 8, "data": data[1], "annotations": [{"id": 80, "completed_by": 1, "result": []}]},
    ]
    (folder / "project.json").write_text(json.dumps(tasks))
    flat = [{**region["value"], **region} for region in results]
    brush.save_brush_images_from_annotation(7, 70, {"email": "one@mill.org"}, "tag", flat, str(folder / "png"), "png")


def _supervision_files(supervision: Any) -> None:
    folder = HERE / "supervision"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    solid = np.zeros_like(masks())
    solid[0, 2:12, 2:14], solid[1, 15:20, 4:9] = 1, 1
    boxes = np.array([[2, 2, 14, 12], [4, 15, 9, 20]], np.float32)
    detections = supervision.Detections(boxes, mask=solid != 0, class_id=np.array([0, 1]))
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place) / "a.png")
        cv2.imwrite(path, np.full(label_map().shape, 99, np.uint8))
        dataset = supervision.DetectionDataset(list(NAMES), [path], {path: detections})
        dataset.as_coco(annotations_path=str(folder / "coco.json"))
        dataset.as_yolo(annotations_directory_path=str(folder / "labels"), data_yaml_path=str(folder / "data.yaml"))


def datumaro() -> None:
    import datumaro

    shapes = [datumaro.Polygon([2, 2, 14, 2, 14, 12, 2, 12], label=0), datumaro.Bbox(20, 15, 6, 4, label=1)]
    pixels = [datumaro.Mask(mask_hw != 0, label=number) for number, mask_hw in enumerate(masks())]
    picture = datumaro.Image.from_numpy(np.full((*label_map().shape, 3), 99, np.uint8))
    for name, marks, form in (
        ("cvat", shapes, "cvat"),
        ("voc", pixels, "voc_segmentation"),
        ("coco", pixels, "coco_instances"),
    ):
        folder = HERE / "datumaro" / name
        shutil.rmtree(folder, ignore_errors=True)
        item = datumaro.DatasetItem("a", subset="train", media=picture, annotations=marks)
        dataset = datumaro.Dataset.from_iterable([item], categories=list(NAMES), media_type=datumaro.Image)
        dataset.export(str(folder), form, save_media=False)

    def read(folder: Path, form: str) -> np.ndarray:
        found = np.zeros_like(masks())
        dataset = datumaro.Dataset.import_from(str(folder), form)
        names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
        for item in dataset:
            for each in item.annotations if item.id.endswith("a") else []:
                if not isinstance(each, (datumaro.Mask, datumaro.Polygon)):
                    continue
                found[NAMES.index(names[each.label])] |= _drawn(each)
        return found

    note("datumaro", "coco", None, lambda folder: read(folder, "coco"))
    note("datumaro", "cvat", 0.0, lambda folder: read(folder, "cvat"))


def _drawn(annotation: Any) -> np.ndarray:
    if hasattr(annotation, "image"):
        return np.asarray(annotation.image).astype(np.uint8)
    from pycocotools import mask

    height, width = label_map().shape
    return mask.decode(mask.merge(mask.frPyObjects([list(annotation.points)], height, width)))


if __name__ == "__main__":
    {"write": write, "tools": tools, "datumaro": datumaro}[sys.argv[1]]()
