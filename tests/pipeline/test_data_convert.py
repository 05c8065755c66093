"""`sever data convert`: every format there and back, what it loses, and what a model predicted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import sever
from run_maker import make_blend, make_run

from sever.config import DataSettings
from sever.data.formats.writers import WRITERS
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.pipeline.data.convert import Predicted, convert, measure_losses
from sever.pipeline.export.make import ExportOptions, export_model
from sever.store.maps import ProbabilityStore
from sever.store.origin import Origin, image_digest


def save(path: Path, pixels: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.asarray(pixels, np.uint8))[1].tobytes())


def ragged() -> np.ndarray:
    """A label map with a ring around a hole, areas that touch at a corner, single pixels and a border at the edge."""
    labels = np.zeros((24, 32), np.uint8)
    labels[2:12, 2:14] = 1
    labels[5:9, 5:10] = 0
    labels[6, 6] = 2  # an island in the hole
    labels[12:15, 14:20] = 1  # touches the ring at a corner
    labels[20:, 28:] = 2
    labels[0, 31] = 2
    labels[17:22, 3:9] = np.random.default_rng(0).integers(0, 3, (5, 6))
    return labels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for at, (name, labels) in enumerate({"coil 1/ä.png": ragged(), "b.jpg": ragged().T[:, ::-1] * 0}.items()):
        save(folder / "images" / name, np.full(labels.shape, 100 + at))
        save((folder / "masks" / name).with_suffix(".png"), labels)
    (folder / "classes.txt").write_text("scratch\npit\nnever seen\n")
    return folder


def read(root: Path, **settings: Any) -> ImageTable:
    return read_table(DataSettings.model_validate({"root": root, **settings}))[0]


@pytest.mark.parametrize(
    ("to", "tolerance"), [*((to, None) for to in WRITERS), *((to, 0.0) for to in WRITERS if WRITERS[to].has_polygons)]
)
def test_there_and_back_is_exact(root: Path, tmp_path: Path, to: str, tolerance: float | None) -> None:
    before = read(root)
    numbers = convert(DataSettings(root=root), "train", to, tmp_path / "out", tolerance)
    assert [each["pixels_that_differ"] for each in numbers["classes"].values()] == [0, 0, 0]
    after = read(tmp_path / "out")  # found by itself, and nothing has to be set
    assert after.class_names == before.class_names
    assert after.image_ids == before.image_ids
    assert [after.mask(row).tolist() for row in range(2)] == [before.mask(row).tolist() for row in range(2)]
    copied = [after.path(row).read_bytes() for row in range(2)]
    assert copied == [before.path(row).read_bytes() for row in range(2)]


@pytest.mark.parametrize("to", ["masks", "severstal"])
def test_a_tolerance_of_no_polygons_is_told(root: Path, tmp_path: Path, to: str) -> None:
    with pytest.raises(InputError, match=rf"polygons, and {to} has none: leave it out, or convert to coco, cvat"):
        convert(DataSettings(root=root), "train", to, tmp_path / "out", 0.0)
    assert not (tmp_path / "out").exists()


def test_a_tolerance_loses_what_is_said(root: Path, tmp_path: Path) -> None:
    numbers = convert(DataSettings(root=root), "train", "coco", tmp_path / "out", 1.5)
    before, after = read(root), read(tmp_path / "out")
    old, new = (table.mask(1)[0] == 1 for table in (before, after))
    scratch = numbers["classes"]["scratch"]
    assert scratch["pixels_that_differ"] == np.count_nonzero(old != new) > 0
    assert scratch["iou"] == pytest.approx((old & new).sum() / (old | new).sum())
    assert numbers["classes"]["never seen"]["iou"] is None


def test_overlaps_are_lost_in_label_maps_alone(root: Path, tmp_path: Path) -> None:
    convert(DataSettings(root=root), "train", "severstal", tmp_path / "csv")
    lines = (tmp_path / "csv" / "train.csv").read_text().replace("b.jpg_1,", "b.jpg_1,1 6")
    (tmp_path / "csv" / "train.csv").write_text(lines.replace("b.jpg_2,", "b.jpg_2,4 6"))
    lost = convert(DataSettings(root=tmp_path / "csv"), "train", "masks", tmp_path / "masks")["classes"]["pit"]
    assert lost["pixels"] - lost["pixels_after"] == lost["pixels_that_differ"] == 3
    kept = convert(DataSettings(root=tmp_path / "csv"), "train", "coco", tmp_path / "coco")["classes"]["pit"]
    assert kept["pixels_that_differ"] == 0


def test_ignored_pixels(root: Path, tmp_path: Path) -> None:
    labels = ragged()
    labels[:, 20:25] = 255
    save(root / "masks" / "coil 1" / "ä.png", labels)
    settings = DataSettings.model_validate({"root": root, "ignore_value": 255})
    assert convert(settings, "train", "masks", tmp_path / "masks")["ignored_pixels_lost"] == 0
    assert read(tmp_path / "masks", ignore_value=255).mask(1).tolist() == read(root, ignore_value=255).mask(1).tolist()
    assert convert(settings, "train", "cvat", tmp_path / "cvat")["ignored_pixels_lost"] == 24 * 5


def test_losses_by_hand(root: Path, tmp_path: Path) -> None:
    before = read(root, include=["b.jpg"])
    frame = before.frame.assign(runs_0="1 6")
    other = ImageTable(frame.assign(runs_0="4 6"), before.class_names)
    found = measure_losses(ImageTable(frame, before.class_names), other)["classes"]["scratch"]
    assert found == {"pixels": 6, "pixels_after": 6, "pixels_that_differ": 6, "iou": pytest.approx(3 / 9)}


@pytest.fixture
def predicted(root: Path, tmp_path: Path) -> Predicted:
    """What `sever predict` leaves of two images: a box of probability 0.8, half of it 0.6, in b.jpg."""
    folder = tmp_path / "predicted"
    maps = ProbabilityStore(folder / "probs")
    levels = np.zeros((3, 32, 24), np.uint8)
    levels[0, 2:6, 3:7] = 204
    levels[0, 2:4, 3:7] = 153
    for name, levels_chw in (("b.jpg", levels), ("coil 1/ä.png", np.zeros((3, 24, 32), np.uint8))):
        maps.write(name, levels_chw, str(Origin("model", image_digest(root / "images" / name))))
    rows = ["b.jpg_1,99 4 131 4 163 4 195 4", "b.jpg_2,", "b.jpg_3,"]
    rows += [f"coil 1/ä.png_{number}," for number in (1, 2, 3)]
    (folder / "submission.csv").write_text("ImageId_ClassId,EncodedPixels\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (root / "images" / "classes.txt").write_text((root / "classes.txt").read_text())
    return Predicted(folder)


def test_predictions_of_label_studio_have_scores(root: Path, predicted: Predicted, tmp_path: Path) -> None:
    numbers = convert(
        DataSettings(root=root / "images"), "train", "label-studio", tmp_path / "out", predicted=predicted
    )
    assert numbers["classes"]["scratch"]["pixels_after"] == 16
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [list(task) for task in tasks] == [["id", "data", "predictions"]] * 2
    (region,) = tasks[0]["predictions"][0]["result"]
    assert region["score"] == tasks[0]["predictions"][0]["score"] == pytest.approx(0.7)
    assert region["value"]["brushlabels"] == ["scratch"]
    # As long as nobody has accepted them they are no labels.
    with pytest.raises(InputError):
        read(tmp_path / "out")


@pytest.mark.parametrize("to", WRITERS)
def test_predictions_without_maps_have_no_scores_and_say_so(
    root: Path, predicted: Predicted, tmp_path: Path, to: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a bundle's prediction leaves it, which keeps no maps."""
    shutil.rmtree(predicted.folder / "probs")
    settings = DataSettings(root=root / "images")
    numbers = convert(settings, "train", to, tmp_path / "out", predicted=predicted)
    assert [each["pixels_that_differ"] for each in numbers["classes"].values()] == [0, 0, 0]
    assert ("without a probability map" in caplog.text) == WRITERS[to].has_scores
    if to == "label-studio":
        tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
        found = next(task["predictions"][0] for task in tasks if task["predictions"][0]["result"])
        assert "score" not in found
        assert "score" not in found["result"][0]


def test_any_model_names_the_classes(root: Path, predicted: Predicted, tmp_path: Path, strip_root: Path) -> None:
    run = make_run(tmp_path / "run" / "1", strip_root)
    export_model(run, tmp_path / "model.sever", ExportOptions(images=1, backends=("onnx",), data=strip_root))
    blend = make_blend(tmp_path / "blend", [run])
    with (predicted.folder / "submission.csv").open("a", encoding="utf-8") as file:
        file.write("b.jpg_4,\ncoil 1/ä.png_4,\n")
    for at, model in enumerate((run, tmp_path / "model.sever", blend)):
        named = Predicted(predicted.folder, model)
        convert(DataSettings(root=root / "images"), "train", "masks", tmp_path / f"out-{at}", predicted=named)
        assert (tmp_path / f"out-{at}" / "classes.txt").read_text() == "1\n2\n3\n4\n"


def test_predictions_of_other_tools(root: Path, predicted: Predicted, tmp_path: Path) -> None:
    for to in ("coco", "cvat", "labelme", "yolo", "masks", "severstal"):
        convert(DataSettings(root=root / "images"), "train", to, tmp_path / to, predicted=predicted)
        table = read(tmp_path / to)
        assert table.mask(0)[0].sum() == table.mask(0)[0, 2:6, 3:7].sum() == 16
    (annotation,) = json.loads((tmp_path / "coco" / "annotations" / "instances_default.json").read_text())[
        "annotations"
    ]
    assert annotation["score"] == pytest.approx(0.7)
    assert annotation["bbox"] == [3, 2, 4, 4]
    assert '<attribute name="score">0.7000</attribute>' in (tmp_path / "cvat" / "annotations.xml").read_text()
    assert "score 0.7000" in (tmp_path / "labelme" / "b.json").read_text()


def test_predictions_of_other_images(root: Path, predicted: Predicted, tmp_path: Path) -> None:
    other = DataSettings(root=root / "masks", num_classes=3)
    with pytest.raises(InputError, match=r"1 image .* the very folder that was predicted"):
        convert(other, "train", "coco", tmp_path / "out", predicted=predicted)


@pytest.mark.parametrize("origin", ["", "model.another image", "another model.{image}"])
def test_scores_of_other_maps(origin: str, root: Path, predicted: Predicted, tmp_path: Path) -> None:
    said = origin.format(image=image_digest(root / "images" / "b.jpg"))
    ProbabilityStore(predicted.folder / "probs").write("b.jpg", np.zeros((3, 32, 24), np.uint8), said)
    with pytest.raises(InputError, match=r"maps are of other images|maps of several models"):
        convert(DataSettings(root=root / "images"), "train", "label-studio", tmp_path / "out", predicted=predicted)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(root: Path, tmp_path: Path) -> None:
    save(tmp_path / "out" / "mine.png", np.zeros((2, 2)))
    with pytest.raises(InputError, match="not empty"):
        convert(DataSettings(root=root), "train", "coco", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.png"]


def test_links(root: Path, tmp_path: Path) -> None:
    convert(DataSettings(root=root), "train", "yolo", tmp_path / "out", link=True)
    assert read(tmp_path / "out").path(0).is_symlink()


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("data", "convert", root, "-o", tmp_path / "out", "--to", "cvat", "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"]["pit"]["iou"] == 1.0
    assert sever("data", "convert", root, "-o", tmp_path / "two", "--to", "yolo") == 0
    assert "read back" in capsys.readouterr().out
    (root / "classes.txt").unlink()
    values = "data.mask_values={1: pit, 2: pit}"
    assert sever("data", "convert", root, "-o", tmp_path / "three", "--to", "masks", "--set", values) == 0
    assert read(tmp_path / "three").class_names == ("pit",)
    assert sever("data", "convert", root, "-o", tmp_path / "four", "--to", "masks") == 2
    assert "classes.txt" in capsys.readouterr().err
    assert not (tmp_path / "four").exists()


@pytest.mark.parametrize("to", ["coco", "labelme"])
def test_no_output_among_the_images_of_the_data_set(
    to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """labelme's files may lie anywhere below a folder: each image would be there twice, and train beside its copy."""
    save(tmp_path / "data" / "images" / "a.png", np.zeros((24, 32)))
    save(tmp_path / "data" / "masks" / "a.png", ragged())
    (tmp_path / "data" / "classes.txt").write_text("pit\nscratch\n")
    assert sever("data", "convert", tmp_path / "data", "--to", "labelme", "-o", tmp_path / "labelme") == 0
    for root in (tmp_path / "data", tmp_path / "labelme"):
        assert sever("data", "convert", root, "--to", to, "-o", root / "out") == 2
        assert "name a folder elsewhere" in capsys.readouterr().err
        assert not (root / "out").exists()
