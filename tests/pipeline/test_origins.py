"""Stored maps and labels count only where they come from this model, these settings and this very image.

Planted: a folder of maps of another model (with a predict.json that fits, and without), an image replaced under its
name, size and time, other settings, labels of another model.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import sever
from evidence_maker import make_evidence, rewrite
from run_maker import make_run

from sever.decide.ensemble import Blend
from sever.errors import InputError
from sever.output import WRITTEN
from sever.pipeline.blend.combine import BlendRequest, make_blend
from sever.pipeline.evidence import open_evidence, score_table
from sever.pipeline.inference.identity import identity_of_run
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.store import Evidence, ProbabilityStore
from sever.store.origin import Origin, digest_of, image_digest


@pytest.fixture(scope="module")
def images(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "images"
    shutil.copytree(strip_root / "test_images", folder)
    for path in sorted(folder.iterdir())[3:]:
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def runs(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models that say different things."""
    root = tmp_path_factory.mktemp("runs")
    one, other = (make_run(root / name / "20260101-000000", strip_root, seed) for seed, name in enumerate("ab"))
    return one, other


def predict(run: Path, images: Path, output: Path, *more: object) -> int:
    return sever("predict", "-r", run, "--images", images, "-o", output, "--device", "cpu", "--sheet", 0, *more)


@pytest.fixture
def expected(runs: tuple[Path, Path], images: Path, tmp_path: Path) -> bytes:
    assert predict(runs[0], images, tmp_path / "expected") == 0
    return (tmp_path / "expected" / "submission.csv").read_bytes()


def test_what_was_predicted_counts_and_is_not_predicted_again(
    runs: tuple[Path, Path], images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert predict(runs[0], images, output) == 0
    maps = {path: path.stat().st_mtime_ns for path in (output / "probs").iterdir()}
    assert predict(runs[0], images, output) == 0
    assert maps == {path: path.stat().st_mtime_ns for path in (output / "probs").iterdir()}


@pytest.mark.parametrize("with_list", [False, True])
@pytest.mark.parametrize("with_manifest", [False, True])
def test_maps_of_another_model_never_become_a_submission(
    with_manifest: bool, with_list: bool, runs: tuple[Path, Path], images: Path, tmp_path: Path, expected: bytes
) -> None:
    """Copied by hand; with the other's list of files, so that they count as ours, they are made again."""
    theirs, output = tmp_path / "theirs", tmp_path / "out"
    assert predict(runs[1], images, theirs) == 0
    shutil.copytree(theirs / "probs", output / "probs")
    foreign = {path.name: path.read_bytes() for path in (output / "probs").iterdir()}
    if with_list:
        shutil.copy(theirs / WRITTEN, output)
    if with_manifest:
        shutil.copy(tmp_path / "expected" / "predict.json", output)
        with (output / WRITTEN).open("ab") as file:
            file.write((tmp_path / "expected" / WRITTEN).read_bytes())
    code = predict(runs[0], images, output)
    if with_list:
        assert code == 0
        assert (output / "submission.csv").read_bytes() == expected
        assert (theirs / "submission.csv").read_bytes() != expected, (
            "the two models must differ for this to say anything"
        )
    else:
        assert code == 2
        assert not (output / "submission.csv").exists()
        assert foreign == {path.name: path.read_bytes() for path in (output / "probs").iterdir()}


def test_an_image_replaced_under_its_name_size_and_time_is_predicted_again(
    runs: tuple[Path, Path], images: Path, tmp_path: Path
) -> None:
    mine, output = tmp_path / "images", tmp_path / "out"
    mine.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 192), np.uint8)
    path = mine / "a.bmp"
    assert cv2.imwrite(str(path), pixels)
    before = path.stat()
    assert predict(runs[0], mine, output) == 0
    map_before = (output / "probs" / "a.bmp.png").read_bytes()
    pixels[30:34, 90:100] = 255 - pixels[30:34, 90:100]  # in its midst: head and tail of the file stay the same
    assert cv2.imwrite(str(path), pixels)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert predict(runs[0], mine, output) == 0
    assert (output / "probs" / "a.bmp.png").read_bytes() != map_before
    assert predict(runs[0], mine, tmp_path / "fresh") == 0
    assert (output / "submission.csv").read_bytes() == (tmp_path / "fresh" / "submission.csv").read_bytes()


def test_identity_is_of_weights_and_settings_and_not_of_place_or_rules(runs: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = runs
    moved = tmp_path / "elsewhere" / "20260202-000000"
    shutil.copytree(one, moved)
    identity = identity_of_run(one)
    assert identity == load_model(one, InferenceOptions("cpu")).identity == identity_of_run(moved)
    (moved / "rules.json").write_text((moved / "rules.json").read_text().replace("0.5", "0.4"))
    assert identity_of_run(moved) == identity
    assert identity_of_run(other) != identity
    for how in (InferenceOptions("cpu", flips=("width",)), InferenceOptions("cpu", precision="bf16")):
        assert load_model(one, how).identity != identity
    assert load_model(one, InferenceOptions("cpu", batch_size=3)).identity == identity
    config = (moved / "config.yml").read_text()
    (moved / "config.yml").write_text(config.replace("significant_bits: 16", "significant_bits: 12"))
    assert identity_of_run(moved) != identity


# Evidence -------------------------------------------------------------------------------------------------------------


def spoil_with_another_models(evidence: Evidence, other: Evidence) -> None:
    for image_id in list(evidence.maps)[:2]:
        levels_chw, origin = other.maps.read(image_id, 4), other.maps.origin(image_id)
        evidence.maps.write(image_id, levels_chw, origin)


def spoil_with_unknown(evidence: Evidence, other: Evidence) -> None:
    image_id = next(iter(evidence.maps))
    evidence.maps.write(image_id, other.maps.read(image_id, 4))


def spoil_with_another_images(evidence: Evidence, other: Evidence) -> None:
    first, second, *_ = evidence.maps
    shutil.copy(evidence.maps.path(second), evidence.maps.path(first))


SPOILS = {
    "another model's": spoil_with_another_models,
    "of unknown origin": spoil_with_unknown,
    "another image's": spoil_with_another_images,
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_evidence_with_foreign_maps_is_refused_wherever_it_is_used(
    spoil: str, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (Evidence(make_evidence(tmp_path / name, strip_root, seed)) for seed, name in enumerate("ab"))
    SPOILS[spoil](one, other)
    assert sever("tune", "-r", one.folder, "-o", tmp_path / "rules.json") == 2
    assert sever("report", one.folder, "-o", tmp_path / "report.html") == 2
    assert sever("blend", "-m", one.folder, "-m", other.folder, "-o", tmp_path / "blend") == 2
    with pytest.raises(InputError, match=r"another model|its image has changed"):
        score_table(open_evidence(one.folder))
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "rules.json").exists()


def test_labels_of_another_model_are_refused(strip_root: Path, tmp_path: Path) -> None:
    one, other = (make_evidence(tmp_path / name, strip_root, seed, gate=True) for seed, name in enumerate("ab"))
    shutil.copy(other / "labels.csv", one / "labels.csv")
    (one / ".sever-tables.json").unlink()  # else the digest of the whole table would tell it first
    with pytest.raises(InputError, match="labels of another model"):
        open_evidence(one)


def test_evidence_follows_its_images(strip_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(strip_root, root)
    evidence = Evidence(make_evidence(tmp_path / "a", root))
    path = root / "train_images" / next(iter(evidence.maps))
    image_hw = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(path), 255 - image_hw)
    with pytest.raises(InputError, match="its image has changed since"):
        score_table(open_evidence(evidence.folder))


def test_a_blend_makes_foreign_maps_of_its_own_again(strip_root: Path, tmp_path: Path) -> None:
    members = tuple(make_evidence(tmp_path / name, strip_root, seed) for seed, name in enumerate("ab"))
    evidence = make_blend(BlendRequest(members, Blend("mean")), tmp_path / "out")
    image_id = next(iter(evidence.maps))
    before = evidence.maps.path(image_id).read_bytes()
    evidence.maps.write(image_id, np.zeros((4, 64, 192), np.uint8), str(Origin("another", "image")))
    make_blend(BlendRequest(members, Blend("mean")), tmp_path / "out")
    assert evidence.maps.path(image_id).read_bytes() == before
    opened = open_evidence(evidence.folder)
    opened.raise_unless_mapped()


# The pieces -----------------------------------------------------------------------------------------------------------


def test_a_map_carries_its_origin_and_a_checksum(tmp_path: Path) -> None:
    store, levels_chw = ProbabilityStore(tmp_path), np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    origin = str(Origin(digest_of(["model"]), digest_of(["image"])))
    store.write("a.jpg", levels_chw, origin)
    assert store.origin("a.jpg") == origin
    assert store.holds("a.jpg", origin)
    assert not store.holds("a.jpg", "")
    np.testing.assert_array_equal(store.read("a.jpg", 1), levels_chw)
    content = bytearray(store.path("a.jpg").read_bytes())
    for at in range(40, len(content)):  # any byte behind the header
        changed = bytearray(content)
        changed[at] ^= 0xFF
        store.path("a.jpg").write_bytes(changed)
        if store.holds("a.jpg", origin):
            with pytest.raises(InputError, match="no usable map"):
                store.read("a.jpg", 1)


def test_a_map_that_says_nothing_is_of_no_origin(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.jpg.png"), np.zeros((8, 8), np.uint8))
    store = ProbabilityStore(tmp_path)
    assert store.origin("a.jpg") == store.origin("b.jpg") == ""
    assert not store.holds("a.jpg", str(Origin("model", "image")))
    assert store.read("a.jpg", 1).shape == (1, 8, 8)


def test_one_bit_of_an_image_file_changes_its_digest(tmp_path: Path) -> None:
    path, content = tmp_path / "a.bin", bytearray(100_000)
    path.write_bytes(content)
    before = image_digest(path)
    content[50_000] = 1
    path.write_bytes(content)
    assert image_digest(path) != before


def test_rewriting_keeps_an_origin(strip_root: Path, tmp_path: Path) -> None:
    """The helper that other tests plant pixels with must not be what makes them pass."""
    evidence = Evidence(make_evidence(tmp_path / "a", strip_root))
    image_id = next(iter(evidence.maps))
    rewrite(evidence, image_id, np.full((4, 64, 192), 7, np.uint8))
    opened = open_evidence(evidence.folder)
    assert (opened.levels(opened.table.image_ids.index(image_id)) == 7).all()
