"""Uploads by the real client: what arrives can be loaded and predicts the same, whatever happens on the way."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from kaggle_server import SECRETS, TOKEN, USER, Fault, Naps, World
from run_maker import make_blend, make_crossval, make_run
from wheel_shelf import fake_wheel, only_from

from sever import cli
from sever.config import KaggleSettings, load_kaggle
from sever.data.images import read_image
from sever.deliver.kaggle import wheels as wheels_module
from sever.deliver.kaggle.client import sign_in
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.upload import DatasetPage, publish, put, slug_of
from sever.deliver.kaggle.wheels import build_wheels
from sever.errors import InputError
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.kaggle.upload import Names, upload_model, upload_wheels
from sever.store.bundle.bundle import Bundle

SETTINGS = KaggleSettings()


class Silence:
    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def advance(self, amount: int = 1, note: str = "") -> None:
        assert amount > 0


def no_meter(title: str, total: int, done: int) -> Silence:
    return Silence()


def arrived(world: World, ref: str, folder: Path) -> Path:
    """Unpack what the server has of a model, and return what `-r` takes."""
    (content,) = world.files(world.published[ref][-1]).values()
    folder.mkdir(parents=True)
    file = folder.with_name("model.sever")
    file.write_bytes(content)
    bundle = Bundle.open(file)
    bundle.check()
    assert bundle.manifest.torch is not None
    return bundle.unpack("torch", folder) / bundle.manifest.torch


def answers(path: Path, data_root: Path) -> list[np.ndarray]:
    """Masks of the test images."""
    loaded = load_model(path, InferenceOptions("cpu"))
    images = [read_image(image, channels=1) for image in sorted((data_root / "test_images").iterdir())[:2]]
    return [found.masks for found in loaded.inspect(images)]


def assert_same_answers(there: Path, here: Path, data_root: Path) -> None:
    ours, theirs = answers(here, data_root), answers(there, data_root)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert any(mask.any() for mask in ours)
    assert not all(mask.all() for mask in ours)


def test_an_uploaded_checkpoint_predicts_the_same(
    world: World, patience: Patience, strip_root: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "tiny" / "1", strip_root, epochs=(1, 2, 3))
    done = upload_model(run, [2], SETTINGS, Names(), 1, patience)
    assert (done.ref, done.created) == (f"{USER}/sever-tiny", True)
    page = world.published[done.ref][0]
    assert (page["title"], page["licenseName"], page["isPrivate"]) == ("sever tiny", "other", True)
    there = arrived(world, done.ref, tmp_path / "there")
    assert there.name == "epoch-0002"
    assert_same_answers(there, run / "checkpoints" / "epoch-0002", strip_root)
    # No optimiser state travels, and neither do other checkpoints.
    assert {path.name for path in (tmp_path / "there").rglob("*.safetensors")} == {"model.safetensors"}
    assert [path.name for path in there.parent.iterdir()] == ["epoch-0002"]


def test_several_epochs_and_a_second_version(
    world: World, patience: Patience, strip_root: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "tiny" / "1", strip_root, epochs=(1, 2, 3))
    upload_model(run, [1], SETTINGS, Names(), 1, patience)
    done = upload_model(run, [3, 1], SETTINGS, Names(notes="now with 3"), 1, patience)
    assert not done.created
    _, second = world.published[done.ref]
    assert second["versionNotes"] == "now with 3"
    there = arrived(world, done.ref, tmp_path / "there")
    assert sorted(path.name for path in (there / "checkpoints").iterdir()) == ["epoch-0001", "epoch-0003"]
    assert_same_answers(there, run, strip_root)  # both mean the best one, epoch 3


def test_an_averaged_checkpoint(world: World, patience: Patience, strip_root: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "tiny" / "1", strip_root)
    averaged = run / "checkpoints" / "average-2"
    (run / "checkpoints" / "epoch-0001").rename(averaged)
    (averaged / "state.json").write_text('{"averaged_epochs": [1, 2]}')
    done = upload_model(averaged, (), SETTINGS, Names(), 0, patience)
    assert_same_answers(arrived(world, done.ref, tmp_path / "there"), averaged, strip_root)


def test_a_blend_of_a_cross_validation_and_a_run_travels_whole(
    world: World, patience: Patience, strip_root: Path, tmp_path: Path
) -> None:
    members = [make_crossval(tmp_path / "folds" / "1", strip_root), make_run(tmp_path / "tiny" / "1", strip_root, 9)]
    gate = make_run(
        tmp_path / "gate" / "1", strip_root, 4, model={"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    )
    blend = make_blend(tmp_path / "final", [*members, gate], weights=(1.0, 3.0), gate={"kind": "veto"})
    members.append(gate)
    done = upload_model(blend, (), SETTINGS, Names(), 1, patience)
    assert done.ref == f"{USER}/sever-final"
    there = arrived(world, done.ref, tmp_path / "elsewhere" / "there")
    for member in members:
        member.parent.rename(tmp_path / f"gone-{member.parent.name}")  # nothing of the original is needed
    loaded = load_model(there, InferenceOptions("cpu"))
    assert loaded.blend.weights == (1.0, 3.0)
    assert loaded.rules.classes[0].min_pixels == 5
    assert len(loaded.checkpoints) == 4
    assert loaded.labels_images
    assert all(tmp_path / "elsewhere" in checkpoint.resolve().parents for checkpoint in loaded.checkpoints)
    for member in members:
        (tmp_path / f"gone-{member.parent.name}").rename(member.parent)
    assert_same_answers(there, blend, strip_root)


def test_where_data_lay_at_home_is_not_told(world: World, patience: Patience, strip_root: Path, tmp_path: Path) -> None:
    crossval = make_crossval(tmp_path / "five" / "1", strip_root)
    blend = make_blend(tmp_path / "final", [crossval, make_run(tmp_path / "one" / "1", strip_root)])
    assert strip_root.is_absolute()
    upload_model(blend, (), SETTINGS, Names(), 1, patience)
    arrived(world, f"{USER}/sever-final", tmp_path / "arrived")
    texts = {path: path.read_text() for path in (tmp_path / "arrived").rglob("*") if path.suffix in (".yml", ".json")}
    assert len(texts) > 6
    for path, text in texts.items():
        assert str(tmp_path.parent) not in text, path
        assert str(strip_root.parent) not in text, path
    configs = [text for path, text in texts.items() if path.name == "config.yml"]
    assert all(f"root: {strip_root.name}\n" in text for text in configs)


def test_epochs_that_are_not_there(strip_root: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "tiny" / "1", strip_root, epochs=(1, 2))
    with pytest.raises(InputError, match="no checkpoint of epoch 7; it has 1, 2"):
        upload_model(run, [1, 7], SETTINGS, Names(), 1)
    with pytest.raises(InputError, match="is a checkpoint already"):
        upload_model(run / "checkpoints" / "epoch-0001", [1], SETTINGS, Names(), 1)
    with pytest.raises(InputError, match="not a single run"):
        upload_model(make_blend(tmp_path / "blend", [run, run]), [1], SETTINGS, Names(), 1)


def test_settings_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    file = tmp_path / "kaggle.yml"
    file.write_text("owner: steelworks\nlicence: CC0-1.0\n")
    assert load_kaggle(file, {"licence": "other"}) == KaggleSettings(owner="steelworks", licence="other")
    file.write_text("licens: CC0-1.0\n")
    with pytest.raises(InputError, match="unknown setting `licens`; did you mean `licence`"):
        load_kaggle(file, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.bin").write_bytes(random.Random(2).randbytes(200_000))
    (folder / "empty").touch()
    return folder


PAGE = DatasetPage("steelworks", "some-strips", "some strips", "CC0-1.0", public=True)


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Fault("PUT a.bin", cut=70_000)],
        [Fault("PUT a.bin", cut=70_000), Fault("PUT a.bin", cut=50_000), Fault("PUT a.bin", status=503)],
        [Fault("PUT a.bin", 500, times=2)],
        [Fault("PUT a.bin", 429, headers={"Retry-After": "9"})],
        [Fault("StartBlobUpload", 500), Fault("GetDatasetStatus", 429)],
    ],
)
def test_all_bytes_arrive_whatever_happens(
    faults: list[Fault], world: World, patience: Patience, naps: Naps, folder: Path
) -> None:
    world.faults += faults
    with sign_in(patience) as kaggle:
        publish(kaggle, folder, PAGE, no_meter)
    (version,) = world.published["steelworks/some-strips"]
    assert world.files(version) == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not version.get("isPrivate")
    assert (9.0 in naps.slept) == any("Retry-After" in fault.headers for fault in faults)


def test_after_a_cut_only_the_rest_is_sent(world: World, patience: Patience, folder: Path) -> None:
    world.faults.append(Fault("PUT a.bin", cut=70_000))
    with sign_in(patience) as kaggle:
        publish(kaggle, folder, PAGE, no_meter)
    sent = [line for line in world.log if line.startswith("PUT a.bin")]
    assert sent == ["PUT a.bin", "PUT a.bin bytes */200000", "PUT a.bin bytes 70000-199999/200000"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("PUT a.bin", cut=0, times=99), "cut or refused, again and again"),
        (Fault("PUT a.bin", 500, times=99), "storage answers 500, again and again"),
        (Fault("PUT a.bin", 410, times=99), r"upload has expired \(410\)"),
        (Fault("PUT a.bin", 302, headers={"Location": "/elsewhere"}), r"Kaggle refuses it \(302\)"),
        (Fault("StartBlobUpload", 401, times=99), "does not accept these credentials"),
        (Fault("CreateDataset", 500), "may have arrived all the same"),
    ],
)
def test_a_file_that_does_not_arrive_makes_no_data_set(
    fault: Fault, said: str, world: World, patience: Patience, folder: Path, silent: io.StringIO
) -> None:
    world.faults.append(fault)
    with sign_in(patience) as kaggle, pytest.raises(InputError, match=said) as caught:
        publish(kaggle, folder, PAGE, no_meter)
    assert world.published == {}
    assert not any(secret in silent.getvalue() + str(caught.value) for secret in SECRETS)


def test_what_kaggle_itself_refuses(world: World, patience: Patience, folder: Path) -> None:
    page = DatasetPage("steelworks", "some-strips", "some strips", "none-such")
    with sign_in(patience) as kaggle, pytest.raises(InputError, match="Kaggle says: The license name is not valid"):
        publish(kaggle, folder, page, no_meter)


@pytest.mark.parametrize(
    ("slug", "title"),
    [("short", "a good title"), ("no_underscores", "a good title"), ("x" * 51, "a good title"), ("good-slug", "tiny")],
)
def test_names_that_kaggle_would_refuse(slug: str, title: str) -> None:
    with pytest.raises(InputError, match="6 to 50"):
        DatasetPage("steelworks", slug, title, "other")


def test_titles_become_addresses() -> None:
    assert slug_of("Sever: Lite0_unet, 2nd  try!") == "sever-lite0-unet-2nd-try"
    with pytest.raises(InputError, match="letters that an address can't hold"):
        slug_of("Übergrößen")


@pytest.mark.parametrize("owner", ["some body", "a/b", "-", ""])
def test_an_owner_that_is_none(owner: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="owner"):
        load_kaggle(None, {"owner": owner})


def test_the_data_set_is_waited_for(
    world: World, patience: Patience, naps: Naps, strip_root: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "tiny" / "1", strip_root)
    world.dataset_states = ["BLOBS_RECEIVED", "BLOBS_DECOMPRESSED", "READY"]
    upload_model(run, (), SETTINGS, Names(), 5, patience)
    assert naps.slept == [10.0, 10.0]
    world.dataset_states = ["READY", "FAILED"]
    with pytest.raises(InputError, match="could not make a data set"):
        upload_model(run, (), SETTINGS, Names(), 5, patience)


def test_an_empty_file_can_be_put(world: World, patience: Patience, folder: Path) -> None:
    with sign_in(patience) as kaggle:
        from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest

        request = ApiStartBlobUploadRequest()
        request.type, request.name = ApiBlobType.DATASET, "empty"
        url = kaggle.client.blobs.blob_api_client.start_blob_upload(request).create_url
        put(kaggle, folder / "empty", url, no_meter)
    assert world.count("PUT empty") == 1


def test_the_wheel_is_uploaded_and_holds_everything(
    world: World, patience: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    done = upload_wheels(SETTINGS, Names(), 1, patience=patience)
    assert done.ref == f"{USER}/sever-wheels"
    files = world.files(world.published[done.ref][0])
    (name,) = [name for name in files if name.endswith(".whl")]
    with zipfile.ZipFile(io.BytesIO(files[name])) as wheel:
        packed = {path for path in wheel.namelist() if path.startswith("sever/")}
    source = Path(wheels_module.SOURCE)
    modules = {path.relative_to(source).as_posix() for path in (source / "sever").rglob("*.py")}
    assert modules <= packed
    assert not (source / "build").exists()
    assert not any(secret.encode() in content for content in files.values() for secret in SECRETS)


def test_dependencies_come_too_but_for_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip resolves and fetches, from a folder of made-up wheels in place of an index."""
    shelf, target = tmp_path / "shelf", tmp_path / "target"
    shelf.mkdir()
    target.mkdir()
    needs = {"sever": ["torch>=2", "timm"], "torch": ["nvidia-cublas", "triton"], "timm": ["torch", "pyyaml>=6"]}
    for name in ("sever", "torch", "timm", "pyyaml", "nvidia-cublas", "triton"):
        fake_wheel(shelf, name, needs=needs.get(name, []))
    only_from(shelf, monkeypatch)
    wheel = build_wheels(target, shelf / "sever-9.0-py3-none-any.whl", with_dependencies=True)
    assert wheel.name == "sever-9.0-py3-none-any.whl"
    assert sorted(path.name.partition("-")[0] for path in target.iterdir()) == ["pyyaml", "sever", "timm"]
    (shelf / "timm-9.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match="pip install failed"):
        build_wheels(target, shelf / "sever-9.0-py3-none-any.whl", with_dependencies=True)


def test_a_source_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a checkout of sever"):
        build_wheels(tmp_path, tmp_path)
    with pytest.raises(InputError, match="not a wheel of sever"):
        build_wheels(tmp_path, tmp_path / "other-1.whl")


def test_one_thing_at_a_time() -> None:
    command = [sys.executable, "-m", "sever", "upload"]
    done = subprocess.run([*command, "--wheel", "-r", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "one of -r RUN, --blend FOLDER and --wheel" in done.stderr


def test_the_commands(
    world: World, strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings from kaggle.yml, a data set, and a kernel that names it by default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kaggle.yml").write_text("owner: steelworks\nlicence: CC0-1.0\ncompetition: steel\nminutes: 30\n")
    make_run(tmp_path / "saved" / "tiny" / "1", strip_root, epochs=(1, 2))

    def type_in(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["sever", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out

    shown = type_in("upload", "-r", "saved/tiny", "-e", "1", "-e", "2", "--licence", "other")
    assert shown == "steelworks/sever-tiny\ncreated: https://www.kaggle.com/datasets/steelworks/sever-tiny\n"
    assert world.published["steelworks/sever-tiny"][0]["licenseName"] == "other"
    world.published["steelworks/sever-wheels"] = []
    shown = type_in("kernel", "-r", "saved/tiny", "-o", "offline", "--push", "--minutes", "40")
    assert shown == f"{tmp_path / 'offline'}\nsteelworks/sever-predict-tiny/1: complete\n"
    sent = world.kernels[0]
    assert sent["datasetDataSources"] == ["steelworks/sever-tiny", "steelworks/sever-wheels"]
    assert sent["competitionDataSources"] == ["steel"]
    assert "'minutes': 40.0" in sent["text"]
