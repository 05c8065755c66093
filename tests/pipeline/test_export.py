"""A trained model goes into one file and answers there as before; a backend that doesn't is left out, or nothing is
written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import sever
from run_maker import make_blend, make_run, with_folds

from sever.data.rle import decode
from sever.deliver.runtime import backends
from sever.errors import InputError
from sever.pipeline.export import make
from sever.pipeline.export.make import ExportOptions, export_model
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import BundleRecord

FULL = ("onnx", "openvino-f32")
# Of 295,000 pixels of six images: random weights say about a half everywhere, and float32 has its last digit.
MOST_TIES = 10
QUICK = ExportOptions(images=4, calibration=4, backends=(*FULL, "openvino-bf16", "torch"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Path:
    saved = tmp_path_factory.mktemp("saved")
    made = make_run(saved / "tiny" / "20260101-000000", strip_root, flips=["width"], tile=[48, 128], tile_overlap=16)
    return with_folds(made, strip_root).rename(saved / "elsewhere")  # as `train -o` leaves it: no name in its path


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.sever"
    export_model(run, path, QUICK)
    return path


def submission(model: Path, images: Path, out: Path, *more: str) -> str:
    assert sever("predict", "-r", model, "--images", images, "-o", out, "--sheet", 0, *more) == 0
    return (out / "submission.csv").read_text()


def differing_pixels(one: str, other: str) -> int:
    """Of all rows of two submissions of the same images."""
    rows = [dict(line.split(",") for line in text.splitlines()[1:]) for text in (one, other)]
    assert rows[0].keys() == rows[1].keys()
    return sum(int((decode(rows[0][key], 64, 192) != decode(rows[1][key], 64, 192)).sum()) for key in rows[0])


def test_the_file_answers_as_the_run_does(bundle: Path, run: Path, strip_root: Path, tmp_path: Path) -> None:
    images = strip_root / "test_images"
    ours = submission(run, images, tmp_path / "torch", "--device", "cpu")
    assert ours.count("\n") > 1
    assert submission(bundle, images, tmp_path / "unpacked", "--backend", "torch") == ours
    for backend in FULL:
        theirs = submission(bundle, images, tmp_path / backend, "--backend", backend)
        assert differing_pixels(ours, theirs) <= MOST_TIES, backend


def test_its_manifest_says_what_is_in_it(bundle: Path, run: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    assert (manifest.name, manifest.kind, manifest.class_names) == ("tiny", "run", ("1", "2", "3", "4"))
    (network,) = manifest.networks
    assert (network.flips, network.tile, network.tile_overlap) == (("width",), (48, 128), 16)
    assert manifest.statistics is not None
    assert (manifest.statistics.images, manifest.statistics.sizes) == (12, ((64, 192, 12),))
    assert manifest.scores is not None
    assert manifest.scores.images == 4
    assert manifest.certificate is not None
    assert [each.backend for each in manifest.certificate.backends] == list(QUICK.backends)
    assert all(each.taken and each.rows == 16 for each in manifest.certificate.backends)
    assert str(run.parent.parent) not in json.dumps(manifest.as_json()), "where it lay at home is nobody's business"


def test_inspect_shows_it_and_refuses_a_damaged_one(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever("inspect", bundle) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("# tiny", "Parity certificate", "openvino-bf16", "networks/0/network.onnx"))
    assert sever("inspect", bundle, "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"
    damaged = tmp_path / "model.sever"
    damaged.write_bytes(bundle.read_bytes()[:-1000])
    assert sever("inspect", damaged) == 2
    assert "does not end with its seal" in capsys.readouterr().err.replace("\n", " ")


def test_verify_repeats_the_certificate(bundle: Path, strip_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("verify", bundle, "--images", strip_root / "test_images", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["reference"] == "torch in full precision"
    assert [each["backend"] for each in said["backends"]] == list(QUICK.backends)
    assert all(each["taken"] and each["score"] is None for each in said["backends"])
    assert sever("verify", bundle, "--data", strip_root, "--count", 3, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"] == 3
    assert all(each["score"] is not None for each in said["backends"])


def spoiling(monkeypatch: pytest.MonkeyPatch, *names: str, by: float = 0.2) -> None:
    """These backends answer with other probabilities from now on."""

    def forward(self: backends.Backend, *arguments: Any) -> Any:
        real = original(self, *arguments)
        if not any(backends.BACKENDS[name] == self for name in names):
            return real

        def spoilt(pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
            maps, labels = real(pixels)
            return None if maps is None else np.clip(maps + np.float32(by), 0, 1), labels

        return spoilt

    original = backends.Backend.forward
    monkeypatch.setattr(backends.Backend, "forward", forward)


def test_a_backend_beyond_its_limit_is_left_out_with_the_reason(
    run: Path, tmp_path: Path, strip_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiling(monkeypatch, "openvino-f32")
    manifest = export_model(run, tmp_path / "model.sever", QUICK)
    assert "openvino-f32 is left out: a probability differs by 0.2" in capsys.readouterr().err.replace("\n", " ")
    assert manifest.certificate is not None
    assert {each.backend for each in manifest.certificate.backends if not each.taken} == {"openvino-f32"}
    words = ["predict", "-r", tmp_path / "model.sever", "--images", strip_root / "test_images", "-o", tmp_path / "out"]
    assert sever(*words, "--backend", "openvino-f32") == 2
    assert "can't run in openvino-f32: a probability differs" in capsys.readouterr().err.replace("\n", " ")


def test_where_no_backend_is_left_nothing_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling(monkeypatch, *FULL, by=0.01)
    with pytest.raises(InputError, match="no backend answers as the trained model does, so nothing was written"):
        export_model(run, tmp_path / "model.sever", ExportOptions(images=4, backends=FULL))
    assert not (tmp_path / "model.sever").exists()


def test_verify_finds_a_machine_that_answers_otherwise(
    bundle: Path, strip_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiling(monkeypatch, "onnx")
    assert sever("verify", bundle, "--images", strip_root / "test_images") == 2
    assert "beyond the limit on this machine: onnx" in capsys.readouterr().err.replace("\n", " ")


def test_a_blend_with_a_gate_of_its_own(strip_root: Path, tmp_path: Path) -> None:
    """A run twice, with weights, and a classifier that gates."""
    gate = {"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    members = [
        make_run(tmp_path / "one" / "1", strip_root, 3, flips=["height"]),
        make_run(tmp_path / "gate" / "1", strip_root, 4, model=gate),
    ]
    blend = make_blend(tmp_path / "final", [*members, members[0]], weights=(1.0, 2.0), gate={"kind": "multiply"})
    options = ExportOptions(data=strip_root, images=3, backends=("onnx", "torch"))
    manifest = export_model(blend, tmp_path / "model.sever", options)
    assert [network.draws_masks for network in manifest.networks] == [True, False, True]
    images = strip_root / "test_images"
    ours = submission(blend, images, tmp_path / "torch", "--device", "cpu")
    theirs = submission(tmp_path / "model.sever", images, tmp_path / "onnx", "--backend", "onnx")
    assert differing_pixels(ours, theirs) <= MOST_TIES
    assert (tmp_path / "onnx" / "labels.csv").is_file()


def test_a_classifier_goes_the_same_way(strip_root: Path, tmp_path: Path) -> None:
    gate = {"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    run = with_folds(make_run(tmp_path / "gate" / "1", strip_root, model=gate), strip_root)
    manifest = export_model(run, tmp_path / "model.sever", ExportOptions(images=4, backends=("onnx",)))
    assert manifest.certificate is not None
    assert manifest.certificate.backends[0].rows == 16
    words = ["predict", "--images", strip_root / "test_images", "-o"]
    assert sever(*words, tmp_path / "a", "-r", tmp_path / "model.sever") == 0
    assert sever(*words, tmp_path / "b", "-r", run, "--device", "cpu") == 0
    read = [np.genfromtxt(tmp_path / each / "labels.csv", delimiter=",", skip_header=1)[:, 1:5] for each in "ab"]
    np.testing.assert_allclose(*read, atol=1e-4)


def test_int8_is_calibrated_on_training_images(
    run: Path, tmp_path: Path, strip_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is kept depends on the network; random weights at a half everywhere hardly keep their masks."""
    monkeypatch.setattr("sever.decide.parity.MOST_SCORE", 1.0)
    monkeypatch.setattr("sever.pipeline.export.int8.MOST_SCORE", 1.0)
    options = ExportOptions(images=4, calibration=4, backends=("onnx", "openvino-int8"))
    manifest = export_model(run, tmp_path / "model.sever", options)
    assert manifest.networks[0].graphs["openvino-int8"] == "networks/0/int8.xml"
    sizes = {name: part.bytes for name, part in manifest.parts.items()}
    assert sizes["networks/0/int8.bin"] < 0.6 * sizes["networks/0/network.onnx"]
    images = strip_root / "test_images"
    assert submission(tmp_path / "model.sever", images, tmp_path / "out", "--backend", "openvino-int8")


def test_what_can_not_be_exported_is_told_before_the_work(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="unknown backend tensorrt"):
        ExportOptions(backends=("tensorrt",))
    with pytest.raises(InputError, match="at least one backend"):
        ExportOptions(backends=("torch",))
    monkeypatch.setattr(backends.Backend, "fault", lambda self: "ONNX Runtime is not installed here")
    with pytest.raises(InputError, match=r"sever\[export\]"):
        export_model(run, tmp_path / "model.sever", QUICK)


def test_a_graph_that_is_another_networks_is_found(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is on the file's own graphs, not on what they were made of."""
    other = make_run(tmp_path / "other" / "1", tmp_path, seed=8)
    graph = make.onnx_graph
    from sever.pipeline.export.trained import read_trained

    stranger = read_trained(other).first.build()
    monkeypatch.setattr(make, "onnx_graph", lambda network, *more: graph(stranger, *more))
    with pytest.raises(InputError, match="nothing was written"):
        export_model(run, tmp_path / "model.sever", ExportOptions(images=4, backends=("onnx",)))


def test_damage_in_a_certificate_is_told(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    values = manifest.as_json()
    values["certificate"]["backends"][0]["pixels_changed"] = 2
    with pytest.raises(InputError, match="pixels_changed"):
        BundleRecord.parse(json.dumps(values), "a bundle")
