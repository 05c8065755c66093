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

from sever.deliver.kaggle.offline_install import ROOT, Target, Wheel, plan, tags
from sever.errors import InputError

# Kernels have these; they are gigabytes, and fit the machine's GPU.
LEFT_OUT = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
# What wheels for Linux call their machine, from Kaggle's own glibc down.
PLATFORMS = [
    *(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)),
    *(f"manylinux{kind}_x86_64" for kind in ("2014", "2010", "1")),
    "linux_x86_64",
]
BUILD_FILES = ("sever", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
SOURCE = Path(__file__).parents[3]


def build_wheels(
    folder: Path, source: Path = SOURCE, with_dependencies: bool = False, python: str | None = None
) -> Path:
    """Put the wheel of the checkout `source` (or `source` itself, if a wheel) into `folder`; returns its path.

    With dependencies, the wheels of all that it needs come too, but for torch and its CUDA libraries: for `python`
    ("3.12") on Linux, or for this very Python. Raises InputError when pip fails, and where a wheel doesn't fit there.
    """
    wheel = _copied(source, folder) if source.suffix == ".whl" else _built(source, folder)
    if with_dependencies:
        target = _target(python)
        names = [name for name in _needs(wheel, target) if not _is_left_out(name.split("==")[0])]
        if names:
            _pip("download", "--no-deps", "--dest", str(folder), *target, *names)
        _complete(folder, target, target_of(python))
    return wheel


def target_of(python: str | None) -> Target:
    """A machine with this Python on Linux (None: this very one) on which nothing is installed yet."""
    if python is None:
        here = Target.here()
        return Target(here.python, here.fits, here.environment, lambda name: None)
    version = (3, int(python.split(".")[1]))
    interpreter = f"cp3{version[1]}"
    fits = [*tags.cpython_tags(version, platforms=PLATFORMS), *tags.compatible_tags(version, interpreter, PLATFORMS)]
    there = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    return Target(python, frozenset(fits), {**Target.here().environment, **there}, lambda name: None)


def _complete(folder: Path, options: list[str], target: Target) -> None:
    """Check that the wheels are all that the target needs, and that each fits it.

    pip asks which needs hold on this machine, not on that one: what only holds there is fetched now.
    """
    while True:
        wheels = [Wheel.read(path) for path in sorted(folder.glob("*.whl"))]
        strange = [wheel.path.name for wheel in wheels if not wheel.tags & target.fits]
        if strange:
            raise InputError(
                f"{', '.join(strange)} would not install with Python {target.python} on Linux (x86_64); give the "
                "kernel's own version with --python, or as `python` in kaggle.yml"
            )
        found = plan(ROOT, wheels, target, _is_left_out)
        if not found.missing:
            return
        _pip("download", "--no-deps", "--dest", str(folder), *options, *found.missing)
        if len(list(folder.glob("*.whl"))) == len(wheels):
            raise InputError("these wheels don't make sever work:\n" + "\n".join(found.faults))


def _is_left_out(name: str) -> bool:
    return LEFT_OUT.fullmatch(name) is not None


def _copied(wheel: Path, folder: Path) -> Path:
    if not wheel.is_file() or not wheel.name.startswith("sever-"):
        raise InputError(f"{wheel} is not a wheel of sever (sever-VERSION-py3-none-any.whl)")
    return Path(shutil.copy2(wheel, folder))


def _built(source: Path, folder: Path) -> Path:
    """Built from a copy: setuptools leaves a build folder behind, and packs what lies in an old one."""
    if not (source / "pyproject.toml").is_file():
        raise InputError(
            f"{source} is not a checkout of sever (it has no pyproject.toml); give one, or a wheel, with --source"
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
        _pip("install", "--dry-run", *place, "--report", str(report), f"{wheel}[train]")
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
