"""The offline kernel: its folder as the real client reads it, and its script run in a fresh place without a network."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from kaggle_server import SECRETS, USER, Fault, Naps, World
from run_maker import make_blend, make_run

from sever.config import KaggleSettings
from sever.deliver.kaggle.kernel import Kernel, kernel_title, write_kernel
from sever.deliver.kaggle.patience import Patience
from sever.errors import InputError
from sever.pipeline.export.pack import pack_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.kaggle.kernel import Sources, make_kernel, push_kernel
from sever.pipeline.kaggle.upload import Names, upload_model, upload_wheels
from sever.pipeline.predict import ImageSource, predict_images
from sever.store.bundle.bundle import Bundle

COMPETITION = "severstal-steel-defect-detection"
KERNEL = Kernel(USER, "sever predict tiny", f"{USER}/sever-tiny", f"{USER}/sever-wheels", COMPETITION, 55.0)
NO_SOCKETS = """
import socket
def refuse(self, address, *more):
    raise OSError(f"no network here: {address}")
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
"""


def test_the_kernel_predicts_offline_what_sever_predict_does(
    world: World, patience: Patience, strip_root: Path, tmp_path: Path
) -> None:
    """Upload a blend and the wheel, push the kernel, then run what the server received as Kaggle would."""
    members = [make_run(tmp_path / name / "1", strip_root, seed, flips=["width"]) for seed, name in enumerate("ab")]
    blend = make_blend(tmp_path / "final", members, weights=(2.0, 1.0))
    model = upload_model(blend, (), KaggleSettings(), Names(), 1, patience)
    wheels = upload_wheels(KaggleSettings(), Names(), 1, patience=patience)
    folder = make_kernel(blend, tmp_path / "kernel", KaggleSettings(owner=USER), Sources())
    pushed = push_kernel(folder, 1, patience)
    assert (pushed.ref, pushed.status) == (f"{USER}/sever-predict-final", "complete")
    sent = world.kernels[0]
    assert sent["datasetDataSources"] == [model.ref, wheels.ref]
    assert sent["competitionDataSources"] == [COMPETITION]
    assert sent["enableGpu"]
    assert not sent.get("enableInternet")

    inputs, working = tmp_path / "input", tmp_path / "working"
    working.mkdir()
    mount(inputs / "sever-wheels", world.files(world.published[wheels.ref][0]))
    mount(inputs / "sever-final", world.files(world.published[model.ref][0]))
    images = competition(inputs / "competitions" / COMPETITION, strip_root)
    script = tmp_path / "main.py"
    script.write_text(sent["text"])
    python = fresh_python(tmp_path / "fresh")
    done = subprocess.run(
        [*isolation(), str(python), str(script)],
        env={
            "SEVER_INPUT": str(inputs),
            "SEVER_WORKING": str(working),
            "OMP_NUM_THREADS": "1",
            "PATH": os.environ["PATH"],
        },
        cwd=working,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Successfully installed sever" in done.stdout
    assert [path.name for path in working.iterdir()] == ["submission.csv"]
    ours = predict_images(blend, ImageSource(images, None), tmp_path / "ours", "combined", InferenceOptions("cpu"))
    assert (working / "submission.csv").read_text() == (ours.folder / "submission.csv").read_text()
    assert sum(ours.found_per_class.values())  # there is something in it to be equal


def mount(folder: Path, files: dict[str, bytes]) -> None:
    """As Kaggle shows a data set: archives unpacked into folders of their names."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(folder / name.removesuffix(".zip"))
        else:
            (folder / name).write_bytes(content)


def competition(folder: Path, strip_root: Path) -> Path:
    """Hidden test images and their sample; returns the images' folder."""
    images = folder / "test_images"
    images.mkdir(parents=True)
    for path in sorted((strip_root / "test_images").iterdir())[:3]:
        shutil.copy2(path, images)
    with (folder / "sample_submission.csv").open("w", newline="") as file:
        rows = [(f"{path.name}_{number}", "1 1") for path in sorted(images.iterdir()) for number in range(1, 5)]
        csv.writer(file).writerows([("ImageId_ClassId", "EncodedPixels"), *rows])
    return images


def fresh_python(folder: Path) -> Path:
    """A virtual environment that sees our libraries but for sever, and no network."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    libraries = folder / "libraries"
    libraries.mkdir()
    for place in site.getsitepackages():
        for path in Path(place).iterdir():
            if not path.name.startswith(("sever", "__editable__")) and not (libraries / path.name).exists():
                (libraries / path.name).symlink_to(path)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text(f"{libraries}\n")
    (own / "sitecustomize.py").write_text(NO_SOCKETS)
    python = folder / "bin" / "python"
    alone = subprocess.run([str(python), "-c", "import sever"], capture_output=True, cwd=folder, check=False)
    assert alone.returncode == 1, "the checkout shines through"
    return python


def isolation() -> list[str]:
    """A namespace without a network, where this machine allows one; sockets are refused anyway."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if allowed and allowed.returncode == 0 else []


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """main.py as a module; only its functions run."""
    folder = write_kernel(tmp_path / "kernel", KERNEL)
    spec = importlib.util.spec_from_file_location("kernel_main", folder / "main.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernel_main", module)
    spec.loader.exec_module(module)
    return module


def test_settings_arrive_in_the_script(script: ModuleType) -> None:
    assert {
        "competition": COMPETITION,
        "model": f"{USER}/sever-tiny",
        "wheels": f"{USER}/sever-wheels",
        "minutes": 55.0,
    } == script.SETTINGS


@pytest.mark.parametrize("where", ["name", "datasets/name", "datasets/owner/name"])
def test_inputs_are_found_wherever_kaggle_mounts_them(
    where: str, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "INPUT", tmp_path)
    (tmp_path / where).mkdir(parents=True)
    assert script.mounted("name") == tmp_path / where
    with pytest.raises(SystemExit, match="other is not among the kernel's inputs"):
        script.mounted("other")


@pytest.mark.parametrize("unpacked", [True, False])
def test_the_model_is_found_unpacked_or_not(unpacked: bool, script: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "uploaded"
    file = folder / "model.sever"
    pack_model(make_run(tmp_path / "tiny" / "1", tmp_path), file)
    if unpacked:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder / "model")
        file.unlink()
    assert Bundle.open(script.model_path(folder)).manifest.name == "tiny"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="no model of sever"):
        script.model_path(tmp_path / "empty")


def test_rows_come_in_the_samples_order_and_unread_images_are_clean(script: ModuleType, tmp_path: Path) -> None:
    found, sample, written = (tmp_path / name for name in ("found.csv", "sample.csv", "written.csv"))
    found.write_text("ImageId_ClassId,EncodedPixels\na.jpg_1,1 2\nb.jpg_1,\n")
    sample.write_text("ImageId_ClassId,EncodedPixels\r\nb.jpg_1,1 1\r\nc.jpg_1,1 1\r\na.jpg_1,1 1\r\n")
    assert script.form_of(sample) == "combined"
    script.write_submission(found, sample, "combined", written)
    assert written.read_text() == "ImageId_ClassId,EncodedPixels\nb.jpg_1,\nc.jpg_1,\na.jpg_1,1 2\n"


def test_a_lacking_wheel_is_told(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="sever upload --wheel"):
        script.install(tmp_path, tmp_path / "site")


def test_sources_that_kaggle_does_not_know(world: World, patience: Patience, tmp_path: Path) -> None:
    folder = write_kernel(tmp_path / "kernel", KERNEL)
    with pytest.raises(InputError, match=f"Kaggle has no {USER}/sever-tiny, {USER}/sever-wheels"):
        push_kernel(folder, 1, patience)


@pytest.fixture
def kernel_folder(world: World, tmp_path: Path) -> Path:
    world.published = {KERNEL.model: [], KERNEL.wheels: []}
    return write_kernel(tmp_path / "kernel", KERNEL)


def test_the_run_is_waited_for(world: World, patience: Patience, naps: Naps, kernel_folder: Path) -> None:
    world.kernel_states = [("QUEUED", ""), ("RUNNING", ""), ("RUNNING", ""), ("COMPLETE", "")]
    world.faults.append(Fault("GetKernelSessionStatus", 500))
    assert push_kernel(kernel_folder, 10, patience).status == "complete"
    assert naps.slept == [1.0, 20.0, 20.0, 20.0]
    noted = json.loads((kernel_folder / "pushed.json").read_text())
    assert noted == {
        "version": 1,
        "kernel": f"{USER}/sever-predict-tiny/1",
        "url": f"https://www.kaggle.com/code/{USER}/sever-predict-tiny",
        "status": "complete",
    }


def test_a_wait_that_ends_before_the_run_is_gone_on_with(world: World, patience: Patience, kernel_folder: Path) -> None:
    """Also when it is cut: the version that runs is waited for, and none is pushed beside it."""
    world.kernel_states = [("RUNNING", "")]
    with pytest.raises(InputError, match=r"tiny/1 is running after 1 minutes; repeat the same command to wait longer"):
        push_kernel(kernel_folder, 1, patience)
    write_kernel(kernel_folder, KERNEL)
    world.kernel_states = [("RUNNING", ""), ("COMPLETE", "")]
    assert push_kernel(kernel_folder, 1, patience).status == "complete"
    assert world.count("SaveKernel") == 1
    assert push_kernel(kernel_folder, 1, patience).version == 2  # it has ended, so this asks for another run
    world.kernel_states = [("RUNNING", "")]
    assert push_kernel(kernel_folder, 0, patience).status == "queued"
    write_kernel(kernel_folder, replace(KERNEL, minutes=10.0))  # another kernel in the same place
    world.kernel_states = [("COMPLETE", "")]
    assert push_kernel(kernel_folder, 1, patience).version == 4


def test_data_sets_that_are_not_ready_are_waited_for(
    world: World, patience: Patience, naps: Naps, kernel_folder: Path
) -> None:
    world.dataset_states = ["BLOBS_RECEIVED", "BLOBS_RECEIVED", "READY"]
    push_kernel(kernel_folder, 10, patience)
    assert naps.slept == [10.0]
    world.dataset_states = ["BLOBS_RECEIVED"]
    with pytest.raises(InputError, match=f"{USER}/sever-tiny is not ready after 1 minutes"):
        push_kernel(kernel_folder, 1, patience)
    assert world.count("SaveKernel") == 1


def test_a_classifier_makes_no_kernel(strip_root: Path, tmp_path: Path) -> None:
    model = {"task": "classify", "encoder": "mobilenet_v2", "weights": "none"}
    run = make_run(tmp_path / "labels" / "1", strip_root, model=model)
    with pytest.raises(InputError, match="draws no masks, so it makes no submission"):
        make_kernel(run, tmp_path / "kernel", KaggleSettings(owner=USER), Sources())


def test_a_run_that_fails(world: World, patience: Patience, kernel_folder: Path) -> None:
    world.kernel_states = [("RUNNING", ""), ("ERROR", "Notebook exceeded its time")]
    with pytest.raises(InputError, match=r"ended with error: Notebook exceeded its time; its log is at https://"):
        push_kernel(kernel_folder, 10, patience)


@pytest.mark.parametrize("fault", [Fault("SaveKernel", 500), Fault("SaveKernel", cut=0)])
def test_a_kernel_is_not_pushed_twice(
    fault: Fault, world: World, patience: Patience, kernel_folder: Path, silent: io.StringIO
) -> None:
    world.faults.append(fault)
    with pytest.raises(InputError, match="may have arrived all the same"):
        push_kernel(kernel_folder, 1, patience)
    assert world.count("SaveKernel") == 1
    assert not any(secret in silent.getvalue() for secret in SECRETS)


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    with pytest.raises(InputError, match="something other than a kernel"):
        write_kernel(tmp_path / "mine", KERNEL)
    write_kernel(tmp_path / "kernel", KERNEL)
    write_kernel(tmp_path / "kernel", KERNEL)  # its own is replaced


def test_names_of_data_sets_need_their_owner() -> None:
    with pytest.raises(InputError, match="--wheels wheels is not OWNER/NAME"):
        Sources(wheels="wheels")


def test_titles_fit_kaggle() -> None:
    assert len(kernel_title("predict " + "long-" * 20)) <= 50
    assert not kernel_title("predict " + "long-" * 20).endswith("-")
