"""A bundle's images go through in one pass on all threads: what is left is what the plain way says, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import sever
from model_maker import always, make_model, make_network
from run_maker import make_run, with_folds

from sever.data import rle
from sever.data.layouts import read_folder
from sever.deliver.runtime import backends
from sever.deliver.submission import write_submission
from sever.errors import InputError
from sever.output import OutputFolder
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference import fastest
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.one_pass import OnePass
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.one_pass_files import predict_in_one_pass
from sever.store import ProbabilityStore
from sever.store.found import FoundImage, FoundStore

BOTH = ("onnx", "openvino-f32")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Path:
    root = tmp_path_factory.mktemp("one-pass")
    run = with_folds(make_run(root / "saved" / "tiny" / "20260101-000000", strip_root), strip_root)
    export_model(run, root / "model.sever", ExportOptions(images=2, backends=(*BOTH, "torch")))
    return root / "model.sever"


@pytest.fixture(scope="module")
def images(strip_root: Path) -> Path:
    return strip_root / "test_images"


def predict(bundle: Path, images: Path, out: Path, *more: object) -> bytes:
    assert sever("predict", "--model", bundle, "--images", images, "-o", out, *more) == 0
    return (out / "submission.csv").read_bytes()


def plain_way(bundle: Path, images: Path, out: Path, backend: str) -> bytes:
    """One image after the other, as one would write it, with a network that takes one at a time."""
    model = load_model(bundle, InferenceOptions(backend=backend))
    paths = sorted(images.iterdir())
    rows = ((path.name, model.inspect(path).run_lengths) for path in paths)
    write_submission(out, rows)
    return out.read_bytes()


@pytest.mark.parametrize("backend", BOTH)
def test_it_says_what_the_plain_way_says(bundle: Path, images: Path, tmp_path: Path, backend: str) -> None:
    expected = plain_way(bundle, images, tmp_path / "plain.csv", backend)
    assert any(row.partition(",")[2] for row in expected.decode().splitlines()[1:]), "masks, or it shows nothing"
    assert predict(bundle, images, tmp_path / "out", "--backend", backend) == expected
    assert not (tmp_path / "out" / "probs").exists()
    kept = tmp_path / "kept"
    assert predict(bundle, images, kept, "--backend", backend, "--keep-maps") == expected
    model = load_model(bundle, InferenceOptions(backend=backend))
    for path in images.iterdir():
        levels = model.inspect(path).levels
        assert levels is not None
        np.testing.assert_array_equal(ProbabilityStore(kept / "probs").read(path.name, 4), levels)
    assert (kept / "sheet.png").read_bytes() == (tmp_path / "out" / "sheet.png").read_bytes()


def test_maps_are_optional_where_they_can_be(
    bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "--model", bundle, "--images", images, "-o", tmp_path / "out", "--no-keep-maps"]
    assert sever(*words, "--backend", "torch") == 2
    assert "without maps only a bundle's runtimes predict" in capsys.readouterr().err.replace("\n", " ")
    assert sever(*words, "--minutes", 5, "--backend", "onnx") == 2
    assert not (tmp_path / "out" / "submission.csv").exists()


class Interrupted(Exception):
    """What stands for a kill."""


def test_an_interrupted_one_goes_on_where_it_stopped(images: Path, tmp_path: Path) -> None:
    paths = sorted(images.iterdir())
    table = read_folder(images, ("1", "2"))
    calls: list[int] = []
    stops_at: int | None = 4

    def maps(pixels_nhwc: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == stops_at:
            raise Interrupted
        return np.stack([pixels_nhwc[..., 0], 1 - pixels_nhwc[..., 0]], axis=1)

    model = make_model([make_network(maps, always(0.9, 0.9))], 2)
    home, other = OutputFolder(tmp_path / "out"), OutputFolder(tmp_path / "other")
    with pytest.raises(Interrupted):
        predict_in_one_pass(home, model, table, "combined", True, 2)
    done = len(FoundStore(home)._places)
    assert 0 < done < len(paths)
    with FoundStore(home).partial_file.open("ab") as file:
        file.write(b'{"image": "half a li')
    stops_at = None
    calls.clear()
    # Four windows of 64 pixels lie in an image, of which all images that are not there yet are asked for.
    predict_in_one_pass(home, model, table, "combined", True, 2)
    again = len(calls)
    calls.clear()
    predict_in_one_pass(other, model, table, "combined", True, 2)
    assert again * len(paths) == len(calls) * (len(paths) - done)
    names = ("submission.csv", "found.jsonl", "labels.csv", "sheet.png", *(f"probs/{path.name}.png" for path in paths))
    for name in names:
        assert home.path(name).read_bytes() == other.path(name).read_bytes(), name
    calls.clear()
    predict_in_one_pass(home, model, table, "combined", True, 2)
    assert not calls, "all is there"


def test_a_row_counts_for_its_image_and_its_rules_alone(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.zeros((32, 32), np.uint8)
    pixels[4:12, 4:12] = 200
    assert cv2.imwrite(str(folder / "a.png"), pixels)
    network = make_network(lambda pixels_nhwc: pixels_nhwc.transpose(0, 3, 1, 2))
    home = OutputFolder(tmp_path / "out")

    def rows(**rules: object) -> list[str]:
        table = read_folder(folder, ("1",))
        predict_in_one_pass(home, make_model([network], 1, **rules), table, "combined", False, 0)
        return next(FoundStore(home).read(["a.png"])).runs

    drawn = rows(min_pixels=0)
    assert rle.decode(drawn[0], 32, 32).sum() == 64
    assert rows(min_pixels=65) == [""], "other rules"
    pixels[20:22, 20:22] = 200
    assert cv2.imwrite(str(folder / "a.png"), pixels)
    assert rle.decode(rows(min_pixels=0)[0], 32, 32).sum() == 68, "another image of the same name"


def test_found_lines_come_back_and_damage_is_told(tmp_path: Path) -> None:
    home = OutputFolder(tmp_path)
    store = FoundStore(home)
    one, two = FoundImage("ä.png", "o1", ["1 2", ""], 2), FoundImage("b.png", "o2", ["", ""], 0)
    for found in (two, one, two):
        store.add(found)
    assert list(FoundStore(home).read(["ä.png", "b.png"])) == [one, two]
    store.finish(["ä.png"])
    assert [json.loads(line)["image"] for line in store.file.read_bytes().splitlines()] == ["ä.png"]
    assert not store.partial_file.exists()
    assert store.holds("ä.png", "o1")
    store.file.write_bytes(b'{"image": 3}\n')
    with pytest.raises(InputError, match=r"found\.jsonl is damaged"):
        FoundStore(home)


# The backend ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, float]:
    """Made-up speeds, by backend, in a cache of the test's own; a backend measured is taken out of the dictionary."""
    given = {"onnx": 1.0, "openvino-f32": 2.0}
    monkeypatch.setenv("SEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fastest, "images_per_second", lambda network, image_hwc: given.pop(_library(network)))
    return given


def _library(network: Any) -> str:
    return "openvino-f32" if "openvino" in type(network.forward).__module__ else "onnx"


def test_the_fastest_backend_is_measured_once(
    bundle: Path,
    images: Path,
    tmp_path: Path,
    speeds: dict[str, float],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[backends.Backend] = []
    original = backends.Backend.forward

    def forward(self: backends.Backend, *arguments: Any) -> Any:
        used.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(backends.Backend, "forward", forward)
    first = predict(bundle, images, tmp_path / "a")
    said = " ".join(capsys.readouterr().err.split())
    assert "in openvino-f32; images/s openvino-f32 2, onnx 1, measured just now" in said
    assert not speeds, "both were measured"
    assert used[-1] == backends.BACKENDS["openvino-f32"]
    assert predict(bundle, images, tmp_path / "b") == first, "and none a second time, which would raise KeyError"
    assert "measured before on this machine" in " ".join(capsys.readouterr().err.split())
    (file,) = (tmp_path / "cache" / "speeds").iterdir()
    predict(bundle, images, tmp_path / "c", "--backend", "onnx")
    assert used[-1] == backends.BACKENDS["onnx"]
    file.write_text("{")
    speeds.update({"onnx": 3.0, "openvino-f32": 2.0})
    predict(bundle, images, tmp_path / "d")
    assert used[-1] == backends.BACKENDS["onnx"], "damaged: measured again"
    monkeypatch.setattr(fastest, "machine_name", lambda: "another machine")
    speeds.update({"onnx": 1.0, "openvino-f32": 2.0})
    predict(bundle, images, tmp_path / "e")
    assert used[-1] == backends.BACKENDS["openvino-f32"]


def test_a_cache_that_cannot_be_written_is_told_and_no_more(
    bundle: Path, images: Path, tmp_path: Path, speeds: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert predict(bundle, images, tmp_path / "a")
    assert "can't be kept" in capsys.readouterr().err
    assert not speeds


def test_speed_is_measured_by_as_many_threads_as_predicting_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "LEAST_SECONDS", 0.01)
    network = make_network(lambda pixels: pixels.transpose(0, 3, 1, 2))
    assert fastest.images_per_second(network, np.zeros((8, 8, 1), np.uint8)) > 0


def test_rows_come_in_order_from_many_threads(images: Path) -> None:
    network = make_network(lambda pixels: pixels.transpose(0, 3, 1, 2))
    model = make_model([network], 1)
    table = read_folder(images, ("1",))
    found = list(OnePass(model, model.reader()).rows(table))
    assert [row.image_id for row in found] == table.image_ids
    assert [list(row.runs) for row in found] == [model.inspect(path).run_lengths for path in table.paths]
