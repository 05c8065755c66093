"""Familiarity in a bundle: the same as torch's, of a run, a blend and a large image, and left out where it isn't."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import sever
from run_maker import make_blend, make_run

import sever as api
from sever.decide.familiarity import Normality, as_arrays
from sever.deliver.runtime.backends import BACKENDS
from sever.errors import InputError
from sever.pipeline.export import normality as exported
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference import familiar
from sever.pipeline.inference.familiar import Sight
from sever.pipeline.train.normality import learn_after_training
from sever.store import Run
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import BundleRecord
from sever.store.bundle.normality import normality_part, read_normality_part
from sever.store.normality import NORMALITY, read_normality
from sever.store.tables import write_table

OPTIONS = ExportOptions(images=3, backends=("onnx", "openvino-f32", "torch"))


def with_halves(folder: Path, strip_root: Path) -> Path:
    """Every other image trains, the others were held out."""
    names = sorted(path.name for path in (strip_root / "train_images").iterdir())
    parts = ["train", "validation"] * (len(names) // 2)
    write_table(Run(folder).folds_file, pd.DataFrame({"image_id": names, "group": None, "fold": 0, "part": parts}))
    return folder


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny" / "20260101-000000"
    with_halves(make_run(folder, strip_root, flips=["width"]), strip_root)
    learn_after_training(Run(folder), Run(folder).best(), "cpu")
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.sever"
    export_model(run, path, OPTIONS)
    return path


def images_to_rate(strip_root: Path) -> list[Path | np.ndarray]:
    """Strip, noise, sizes that are no multiple of anything, colours."""
    rng = np.random.default_rng(0)
    odd = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((64, 192), (33, 71), (50, 97, 3))]
    return [*sorted((strip_root / "test_images").iterdir()), *odd]


def of(model: api.Model, images: list[Path | np.ndarray]) -> list[float | None]:
    return [found.familiarity for found in model.inspect(images)]


@pytest.mark.parametrize("backend", OPTIONS.backends)
def test_it_is_that_of_torch_in_every_backend(backend: str, bundle: Path, run: Path, strip_root: Path) -> None:
    images = images_to_rate(strip_root)
    expected = of(api.load(run, device="cpu"), images)
    assert min(value for value in expected if value is not None) == pytest.approx(1 / 9), "noise is a stranger"
    assert len(set(expected)) > 2
    assert of(api.load(bundle, backend=backend), images) == pytest.approx(expected, abs=1e-9)


def test_a_blend_has_the_mean_of_its_members(run: Path, strip_root: Path, tmp_path: Path) -> None:
    gate = {"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    other = with_halves(make_run(tmp_path / "other" / "1", strip_root, seed=3, model=gate), strip_root)
    shutil.copytree(run, tmp_path / "one" / "1")
    run = tmp_path / "one" / "1"
    blend = make_blend(tmp_path / "blend", [run, other], gate={"kind": "multiply"})
    images = images_to_rate(strip_root)
    assert set(of(api.load(blend, device="cpu"), images)) == {None}, "one of the members does not know"
    learn_after_training(Run(other), Run(other).best(), "cpu")
    for each in (run, other):  # this blend was made by hand, and has no folds of its own to tell statistics of
        Run(each).folds_file.unlink()
    export_model(blend, tmp_path / "model.sever", dataclasses.replace(OPTIONS, data=strip_root, backends=("onnx",)))
    members = [of(api.load(each, device="cpu"), images) for each in (run, other)]
    assert members[0] != members[1]
    mean = np.mean(np.array(members, float), axis=0)
    assert of(api.load(blend, device="cpu"), images) == pytest.approx(mean)
    assert of(api.load(tmp_path / "model.sever"), images) == pytest.approx(mean)


def test_a_bundle_rates_a_folder(
    bundle: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = strip_root / "test_images"
    assert sever("data", "familiar", bundle, "--images", images, "-o", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    assert sever("data", "familiar", bundle) == 2
    assert "only a run learns what is normal" in capsys.readouterr().err.replace("\n", " ")
    assert sever("inspect", bundle) == 0
    assert "how familiar an image is" in capsys.readouterr().out


def test_an_image_that_is_too_large_is_the_mean_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: parts of 4x4 of an image of 4x7 pixels are two, of 16 and 12 pixels, whose means are 1 and 3."""
    monkeypatch.setattr(familiar, "MOST_AT_ONCE", (4, 4))
    image_hwc = np.ones((4, 7, 1), np.uint8)
    image_hwc[:, 4:] = 3
    sight = Sight(lambda pixels_nhwc: pixels_nhwc.mean(axis=(1, 2)), 1, 4)
    assert sight([image_hwc])[0].tolist() == [pytest.approx((16 * 1 + 12 * 3) / 28)]


def test_features_of_another_network_are_left_out(
    run: Path, strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sever.pipeline.export.trained import read_trained

    stranger = read_trained(make_run(tmp_path / "other" / "1", strip_root, seed=8)).first.build()
    graph = exported.features_graph
    monkeypatch.setattr(exported, "features_graph", lambda network: graph(stranger))
    manifest = export_model(run, tmp_path / "model.sever", dataclasses.replace(OPTIONS, backends=("onnx",)))
    assert manifest.networks[0].normality is None
    assert not [name for name in manifest.parts if "features" in name or "normality" in name]
    assert "familiarity is left out: onnx sees other features" in capsys.readouterr().err.replace("\n", " ")


def test_damage_is_one_sentence(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    record = opened.manifest.networks[0].normality
    assert record is not None
    content = opened.read(record.part)
    for wrong, said in ((content[:-4], "bytes, not those"), (b"\0" * len(content), "don't fit"), (b"", "0 bytes")):
        with pytest.raises(InputError, match=said):
            read_normality_part(wrong, record)
    values = opened.manifest.as_json()
    values["networks"][0]["normality"]["features"] = 0
    with pytest.raises(InputError, match="features"):
        BundleRecord.parse(json.dumps(values), "a bundle")
    with pytest.raises(InputError, match="features answers"):
        BACKENDS["onnx"].features(opened.read(record.graph), 3)(np.zeros((1, 32, 32, 1), np.uint8))


def test_the_numbers_make_a_round_trip(bundle: Path, run: Path) -> None:
    record = Bundle.open(bundle).manifest.networks[0].normality
    assert record is not None
    expected = read_normality(run, Bundle.open(bundle).manifest.networks[0].weights_sha256)
    assert isinstance(expected, Normality)
    found = as_arrays(read_normality_part(normality_part(expected), record))
    for name, array in as_arrays(expected).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_compressed_file_is_no_bomb(run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / NORMALITY, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean_f.npy", bytes(1 << 20))
    with pytest.raises(InputError, match="compressed"):
        read_normality(tmp_path, "0" * 64)
