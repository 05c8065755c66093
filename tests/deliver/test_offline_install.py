"""The kernel's installation: an image at odds with itself stays as it is, what is missing comes, faults are named."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheel_shelf import fake_wheel, only_from

from sever.deliver.kaggle import offline_install
from sever.deliver.kaggle.offline_install import Target, Wheel, plan
from sever.deliver.kaggle.wheels import build_wheels, target_of
from sever.errors import InputError

VERSIONS = ("3.11", "3.12")
INSTALL = (
    "import sys; from pathlib import Path; from kernel import install; install(Path(sys.argv[1]), Path(sys.argv[2]))"
)
# The image of the issue: its torch asks for setuptools 77, and has 65.5. Its timm is too old, its numpy is fine.
IMAGE = {
    "torch": ("2.7", ["setuptools>=77", "numpy"]),
    "setuptools": ("65.5", []),
    "numpy": ("2.1", []),
    "timm": ("0.9", ["torch"]),
}
SHELF = {
    "sever": ("9.0", ["torch>=2.6", "numpy>=1.26", "timm>=1.0", "typer", "colour; sys_platform == 'win32'"]),
    "timm": ("1.1", ["torch", "numpy", "safetensors>=0.5"]),
    "typer": ("0.15", []),
    "safetensors": ("0.6", []),
    "numpy": ("9.9", []),  # newer than what the image has, which will do
}


def interpreter(version: str) -> Path:
    """A Python of this version on this machine; skips where there is none."""
    found = [shutil.which(f"python{version}")]
    if pyenv := shutil.which("pyenv"):
        known = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        for name in known.split():
            if name.startswith(f"{version}."):
                at = subprocess.run([pyenv, "prefix", name], capture_output=True, text=True, check=False).stdout.strip()
                found.append(f"{at}/bin/python")
    for path in found:
        if path and not subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode:
            return Path(path)
    pytest.skip(f"there is no Python {version} on this machine")


def shelf_of(folder: Path, packages: dict[str, tuple[str, list[str]]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (version, needs) in packages.items():
        fake_wheel(folder, name, version, needs)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def image(folder: Path, python: Path) -> str:
    """A virtual environment with our pip and the packages of IMAGE; returns its Python."""
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(folder)], check=True)
    (place,) = folder.glob("lib/python*/site-packages")
    found = importlib.util.find_spec("pip")
    assert found
    assert found.origin
    (place / "pip").symlink_to(Path(found.origin).parent)
    for wheel in shelf_of(folder / "wheels", IMAGE).iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
    return str(folder / "bin" / "python")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_that_disagrees_with_itself_is_left_as_it_is(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = image(tmp_path / "image", interpreter(version))
    shelf = shelf_of(tmp_path / "shelf", SHELF)
    only_from(shelf, monkeypatch)
    before = tree(tmp_path / "image" / "lib")
    # The plant works: a plain installation resolves the image's own packages, and gives up.
    plain = subprocess.run([python, "-m", "pip", "install", "--dry-run", "sever"], capture_output=True, check=False)
    assert plain.returncode == 1

    shutil.copyfile(offline_install.__file__, tmp_path / "kernel.py")
    site = tmp_path / "site"
    command = [python, "-c", INSTALL, str(shelf), str(site)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree(tmp_path / "image" / "lib") == before
    installed = {path.name.partition("-")[0] for path in site.glob("*.dist-info")}
    assert installed == {"sever", "timm", "typer", "safetensors"}  # not numpy, nor what torch asks for
    assert "timm 0.9 -> 1.1" in done.stdout
    seen = subprocess.run(
        [python, "-c", "from importlib.metadata import version as v; print(v('timm'), v('setuptools'), v('numpy'))"],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.split() == ["1.1", "65.5", "2.1"]


def here(installed: dict[str, str], python: str = "3.12") -> Target:
    stated = target_of(python)
    return Target(python, stated.fits, stated.environment, installed.get)


def read(folder: Path) -> list[Wheel]:
    return [Wheel.read(path) for path in sorted(folder.glob("*.whl"))]


FAULTS: list[tuple[dict[str, str], Sequence[str], str]] = [
    # what the image has, which wheels are not uploaded, what must be said
    ({}, ["typer"], "torch is not here, and sever asks for torch>=2.6; no wheel of it was uploaded"),
    ({"torch": "2.1"}, [], "torch 2.1 is here, and sever asks for torch>=2.6; no wheel of it was uploaded"),
    ({"torch": "2.7"}, ["safetensors"], "safetensors is not here, and timm asks for safetensors>=0.5; no wheel"),
    ({"torch": "2.7", "typer": "1"}, ["timm"], "timm is not here, and sever asks for timm>=1.0; no wheel"),
]


@pytest.mark.parametrize(("installed", "without", "said"), FAULTS)
def test_what_really_is_wrong_is_named(
    installed: dict[str, str], without: Sequence[str], said: str, tmp_path: Path
) -> None:
    shelf = shelf_of(tmp_path, {name: about for name, about in SHELF.items() if name not in without})
    found = plan("sever", read(shelf), here(installed))
    assert any(fault.startswith(said) for fault in found.faults), found.faults
    assert not any("setuptools" in fault or "colour" in fault for fault in found.faults)
    assert len({fault.split()[0] for fault in found.faults}) == len(found.faults)  # each package once


def test_all_faults_are_told_at_once_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = {"sever": ("9.0", ["certainly-missing", "another>=3"]), "another": ("2.0", [])}
    shelf = shelf_of(tmp_path / "shelf", packages)
    with pytest.raises(SystemExit) as stop:
        offline_install.install(shelf, tmp_path / "site")
    lines = str(stop.value).splitlines()
    assert lines[0].startswith("sever can't be installed here (Python 3.")
    assert lines[1:3] == [
        "  certainly-missing is not here, and sever asks for certainly-missing; no wheel of it was uploaded",
        "  another is not here, and sever asks for another>=3; only another-2.0-py3-none-any.whl was uploaded",
    ]
    assert lines[3].startswith("upload what is missing with: sever upload --wheel --with-dependencies --python 3.")
    assert not (tmp_path / "site").exists()
    (shelf / "broken-1-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(SystemExit, match=r"broken-1-py3-none-any\.whl is not a wheel, or is damaged"):
        offline_install.install(shelf, tmp_path / "site")


def tagged(folder: Path, name: str, tag: str) -> Path:
    """The same wheel under another tag."""
    plain = fake_wheel(folder, name)
    return plain.rename(plain.with_name(f"{name}-9.0-{tag}.whl"))


def test_wheels_of_another_python_are_no_wheels_here(tmp_path: Path) -> None:
    fake_wheel(tmp_path, "sever", needs=["fast"])
    tagged(tmp_path, "fast", "cp311-cp311-manylinux_2_17_x86_64")
    assert plan("sever", read(tmp_path), here({}, "3.11")).faults == []
    (fault,) = plan("sever", read(tmp_path), here({}, "3.12")).faults
    assert "fast-9.0-cp311-cp311-manylinux_2_17_x86_64.whl is for another Python or system" in fault


FITTING = [
    ("py3-none-any", True),
    ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
    ("cp39-abi3-manylinux_2_28_x86_64", True),
    ("cp311-cp311-manylinux2014_x86_64", False),
    ("cp312-cp312-manylinux_2_17_aarch64", False),
    ("cp312-cp312-macosx_11_0_arm64", False),
    ("cp312-cp312-win_amd64", False),
    ("cp313-abi3-manylinux2014_x86_64", False),
]


@pytest.mark.parametrize(("tag", "fits"), FITTING)
def test_each_wheels_tags_are_checked_when_the_upload_is_built(
    tag: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, folder = tmp_path / "shelf", tmp_path / "folder"
    shelf.mkdir()
    folder.mkdir()
    source = fake_wheel(shelf, "sever", needs=["needed"])
    fake_wheel(shelf, "needed")
    tagged(folder, "extra", tag)  # as if pip had brought it
    only_from(shelf, monkeypatch)
    if fits:
        assert build_wheels(folder, source, with_dependencies=True, python="3.12").is_file()
        return
    with pytest.raises(InputError, match=r"extra-9\.0-.* would not install with Python 3\.12 on Linux"):
        build_wheels(folder, source, with_dependencies=True, python="3.12")


def test_what_only_the_stated_python_needs_comes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks for markers on this machine; a need that holds on the other Python alone must not be lost."""
    other = "3.12" if sys.version_info[:2] != (3, 12) else "3.11"
    shelf, folder = tmp_path / "shelf", tmp_path / "folder"
    shelf.mkdir()
    folder.mkdir()
    source = fake_wheel(shelf, "sever", needs=[f"only-there>=1; python_version == '{other}'", "torch"])
    fake_wheel(shelf, "only-there", needs=["deeper; python_full_version >= '3.9'"])
    fake_wheel(shelf, "deeper")
    fake_wheel(shelf, "torch")
    only_from(shelf, monkeypatch)
    build_wheels(folder, source, with_dependencies=True, python=other)
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == ["deeper", "only_there", "sever"]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("abcd"), max_size=3)),
    st.sets(st.sampled_from("abcd")),
)
def test_what_is_chosen_is_what_can_be_reached_and_is_not_there(
    needs: dict[str, list[str]], installed: set[str]
) -> None:
    """Against a second way: a walk over the graph, also one with circles."""

    def wheel(name: str, asks: Sequence[str]) -> Wheel:
        version, tags = offline_install.utils.Version("1"), offline_install.tags.parse_tag("py3-none-any")
        return Wheel(Path(f"{name}-1-py3-none-any.whl"), name, version, tags, tuple(asks))

    graph = {name: needs.get(name, []) for name in "abcd"} | {"sever": list(needs)}
    wanted, edge = set(), ["sever"]
    while edge:
        name = edge.pop()
        if name not in wanted and name not in installed:
            wanted.add(name)
            edge += graph[name]
    found = plan("sever", [wheel(name, asks) for name, asks in graph.items()], here(dict.fromkeys(installed, "1")))
    assert set(found.chosen) == wanted
    assert found.faults == []


def test_two_who_ask_for_different_versions_get_one_for_both(tmp_path: Path) -> None:
    fake_wheel(tmp_path, "sever", needs=["a", "b"])
    fake_wheel(tmp_path, "a", needs=["shared<2"])
    fake_wheel(tmp_path, "b", needs=["shared>=1"])
    for version in ("0.5", "1.5", "2.5"):
        fake_wheel(tmp_path, "shared", version)
    found = plan("sever", read(tmp_path), here({"shared": "0.7"}))
    assert (str(found.chosen["shared"].version), found.faults) == ("1.5", [])
    assert found.replaced == ["shared 0.7 -> 1.5"]


def test_the_kernel_is_one_file_that_needs_no_sever(tmp_path: Path) -> None:
    from sever.deliver.kaggle.kernel import Kernel, write_kernel

    kernel = Kernel("owner", "sever predict tiny", "owner/model", "owner/wheels", "steel", 55.0)
    text = (write_kernel(tmp_path / "kernel", kernel) / "main.py").read_text()
    assert "from sever" not in text
    assert text.count("from __future__") == 1
    compile(text, "main.py", "exec")
