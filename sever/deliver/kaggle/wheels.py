"""The wheel of sever itself, and those of what it needs, for a machine without a network; knows no account."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sever.errors import InputError

# Kernels have these; they are gigabytes, and fit the machine's GPU.
LEFT_OUT = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
BUILD_FILES = ("sever", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
SOURCE = Path(__file__).parents[3]


def build_wheels(
    folder: Path, source: Path = SOURCE, with_dependencies: bool = False, python: str | None = None
) -> Path:
    """Put the wheel of the checkout `source` (or `source` itself, if a wheel) into `folder`; returns its path.

    With dependencies, the wheels of all that it needs come too, but for torch and its CUDA libraries: for `python`
    ("3.11") on Linux, or for this very Python. Raises InputError when pip fails.
    """
    wheel = _copied(source, folder) if source.suffix == ".whl" else _built(source, folder)
    if with_dependencies:
        target = _target(python)
        names = [name for name in _needs(wheel, target) if not LEFT_OUT.fullmatch(name.split("==")[0])]
        _pip("download", "--no-deps", "--dest", str(folder), *target, *names)
    return wheel


def _copied(wheel: Path, folder: Path) -> Path:
    if not wheel.is_file() or not wheel.name.startswith("sever-"):
        raise InputError(f"{wheel} is not a wheel of sever (sever-VERSION-py3-none-any.whl)")
    return Path(shutil.copy2(wheel, folder))


def _built(source: Path, folder: Path) -> Path:
    """Built from a copy: setuptools leaves a build folder behind, and packs what lies in an old one."""
    if not (source / "pyproject.toml").is_file():
        raise InputError(
            f"{source} is no checkout of sever (it has no pyproject.toml); give one, or a wheel, with --source"
        )
    with tempfile.TemporaryDirectory(prefix="sever-wheel-") as temporary:
        for name in BUILD_FILES:
            path = source / name
            if path.is_dir():
                shutil.copytree(path, Path(temporary) / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.is_file():
                shutil.copy2(path, temporary)
        isolation = ["--no-build-isolation"] if _can_build() else []
        _pip("wheel", "--no-deps", *isolation, "--wheel-dir", str(folder), temporary)
    return max(folder.glob("sever-*.whl"), key=lambda path: path.stat().st_mtime)


def _can_build() -> bool:
    """Whether the setuptools that is here is new enough; else pip fetches one."""
    try:
        return importlib.util.find_spec("setuptools") is not None and int(version("setuptools").split(".")[0]) >= 77
    except (PackageNotFoundError, ValueError):
        return False


def _target(python: str | None) -> list[str]:
    if python is None:
        return []
    if not re.fullmatch(r"3\.\d+", python):
        raise InputError(f"--python {python} is not a version like 3.11")
    platforms = [f"--platform=manylinux{kind}_x86_64" for kind in ("2014", "_2_17", "_2_28")]
    return ["--only-binary=:all:", f"--python-version={python}", *platforms]


def _needs(wheel: Path, target: list[str]) -> list[str]:
    """All that a fresh machine would install for the wheel, as NAME==VERSION; resolved without installing anything."""
    with tempfile.TemporaryDirectory(prefix="sever-wheel-") as temporary:
        report = Path(temporary) / "report.json"
        place = ["--target", str(Path(temporary) / "nowhere"), *target] if target else ["--ignore-installed"]
        _pip("install", "--dry-run", *place, "--report", str(report), str(wheel))
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {(_normal(item["metadata"]["name"]), item["metadata"]["version"]) for item in installs}
    return sorted(f"{name}=={number}" for name, number in found if name != "sever")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise InputError(f"pip {arguments[0]} failed; it says:\n{said}")
