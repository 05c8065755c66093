"""`sever predict --familiarity`: the numbers of `sever data familiar`, for any batch, after any stop, by any engine."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from run_maker import make_run
from test_bundled_familiarity import with_halves
from test_shards import command, environment, skip_if_too_busy

import sever as library
from sever.pipeline import rating
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference.load import load_model
from sever.pipeline.train.normality import learn_after_training
from sever.store import Run, fingerprint
from sever.store.normality import read_normality, write_normality

TABLE = "familiarity.csv"


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny" / "20260101-000000"
    with_halves(make_run(folder, strip_root), strip_root)
    learn_after_training(Run(folder), Run(folder).best(), "cpu")
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.sever"
    export_model(run, path, ExportOptions(images=2, backends=("onnx", "openvino-f32")))
    return path


@pytest.fixture
def images(strip_root: Path, tmp_path: Path) -> Path:
    """Strip, and a stranger."""
    folder = tmp_path / "images"
    shutil.copytree(strip_root / "test_images", folder)
    noise = np.random.default_rng(0).integers(0, 256, (64, 192), dtype=np.uint8)
    assert cv2.imwrite(str(folder / "noise.png"), noise)
    return folder


def predict(model: Path, images: Path, out: Path, *more: object) -> bytes:
    assert sever("predict", "-r", model, "--images", images, "-o", out, "--device", "cpu", "--familiarity", *more) == 0
    return (out / TABLE).read_bytes()


def as_series(path: Path) -> pd.Series[float]:
    return pd.read_csv(path).set_index("image")["familiarity"]


def test_it_is_what_data_familiar_says(run: Path, images: Path, tmp_path: Path) -> None:
    predict(run, images, tmp_path / "out", "--flip", "width")
    assert sever("data", "familiar", run, "--images", images, "-o", tmp_path / "rated", "--device", "cpu") == 0
    found = as_series(tmp_path / "out" / TABLE)
    pd.testing.assert_series_equal(found, as_series(tmp_path / "rated" / TABLE))
    assert (found["noise.png"], found.is_monotonic_increasing) == (found.min(), True)
    assert found["noise.png"] == pytest.approx(load_model(run).inspect(images / "noise.png").familiarity, abs=1e-4)


def test_no_batch_and_no_number_of_threads_changes_it(
    run: Path, bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(run, images, tmp_path / "a", "--batch-size", 1) == predict(
        run, images, tmp_path / "b", "--batch-size", 5
    )
    for backend in ("onnx", "openvino-f32"):
        monkeypatch.setattr("sever.pipeline.predict.cores", lambda: 1)
        one = predict(bundle, images, tmp_path / f"{backend}-1", "--backend", backend)
        monkeypatch.setattr("sever.pipeline.predict.cores", lambda: 3)
        assert predict(bundle, images, tmp_path / f"{backend}-3", "--backend", backend) == one
        torch_says = as_series(tmp_path / "a" / TABLE)
        of_bundle = as_series(tmp_path / f"{backend}-1" / TABLE)
        pd.testing.assert_series_equal(of_bundle.sort_index(), torch_says.sort_index())


def test_typed_again_it_goes_on_where_it_stopped(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = predict(run, images, tmp_path / "whole"), tmp_path / "out"
    seen: list[str] = []
    add = rating.LabelStore.add

    def counting(store: rating.LabelStore, image_id: str, values: np.ndarray, origin: str = "") -> None:
        if len(seen) == 3 and not out.joinpath("again").exists():
            raise KeyboardInterrupt
        seen.append(image_id)
        add(store, image_id, values, origin)

    monkeypatch.setattr(rating.LabelStore, "add", counting)
    with pytest.raises(KeyboardInterrupt):
        library.predict(run, images, out, device="cpu", familiarity=True)
    out.joinpath("again").touch()
    assert predict(run, images, out) == whole
    assert len(seen) == len(set(seen)) == 7, "each image was rated once"
    assert predict(run, images, out) == whole
    assert len(seen) == 7
    # An image that changes under its name is rated again, it alone; all are when the model learns anew.
    shutil.copyfile(images / "noise.png", min(images.glob("*.jpg")))
    predict(run, images, out)
    assert len(seen) == 8
    other = Path(shutil.copytree(run, tmp_path / "copy" / "1"))
    weights = fingerprint(Run(other).best())
    normality = read_normality(other, weights)
    assert normality is not None
    write_normality(other, dataclasses.replace(normality, distances_v=normality.distances_v + 0.1), weights)
    predict(other, images, out)
    assert len(seen) == 15


def test_without_the_option_no_table_of_before_stays(run: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, images, out)
    assert sever("predict", "-r", run, "--images", images, "-o", out, "--device", "cpu") == 0
    assert not (out / TABLE).exists()
    (out / TABLE).write_text("mine\n")
    assert sever("predict", "-r", run, "--images", images, "-o", out, "--device", "cpu") == 0
    assert (out / TABLE).read_text() == "mine\n"


def test_what_it_says(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(run, images, tmp_path / "out")
    assert "too few validation images (the least familiarity is 0.11)" in capsys.readouterr().out
    monkeypatch.setattr(rating, "STRANGE", 0.12)
    predict(run, images, tmp_path / "out")
    assert "unfamiliar: 2 images, stranger than 88% of normal ones" in capsys.readouterr().out
    predict(run, images, tmp_path / "out", "--json")
    assert json.loads(capsys.readouterr().out)["unfamiliar"] == 2


def test_faults_are_told_before_any_work(
    strip_root: Path, run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = make_run(tmp_path / "bare" / "1", strip_root)
    words = ["predict", "--images", images, "-o", tmp_path / "out", "--device", "cpu", "--familiarity"]
    assert sever(*words, "-r", bare) == 2
    assert "has not learnt what is normal; first run: sever data familiar" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert sever(*words, "-r", run, "--minutes", 5) == 2
    assert "--minutes does not plan the time that --familiarity takes" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / TABLE).write_text("mine\n")
    assert sever(*words, "-r", run) == 2
    assert "which sever did not write there" in capsys.readouterr().err


def test_classifiers_rate_too(strip_root: Path, images: Path, tmp_path: Path) -> None:
    gate = {"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    run = with_halves(make_run(tmp_path / "gate" / "1", strip_root, model=gate), strip_root)
    learn_after_training(Run(run), Run(run).best(), "cpu")
    assert predict(run, images, tmp_path / "out").startswith(b"image,familiarity,origin\n")
    assert len(as_series(tmp_path / "out" / TABLE)) == 7


def test_ray_writes_the_same_table(bundle: Path, images: Path, tmp_path: Path) -> None:
    expected = predict(bundle, images, tmp_path / "one", "--backend", "onnx")
    words = command(bundle, images, tmp_path / "out", "--backend", "onnx", "--familiarity")
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        skip_if_too_busy(done.stdout + done.stderr)
    assert (tmp_path / "out" / TABLE).read_bytes() == expected
    table = pd.read_parquet(tmp_path / "out" / "results.parquet").set_index("image_id")["familiarity"]
    pd.testing.assert_series_equal(
        table.round(4).sort_index(), as_series(tmp_path / "one" / TABLE).sort_index(), check_names=False, rtol=1e-3
    )
