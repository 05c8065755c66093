"""What an image lacks for sever, from a folder of wheels, without a network and without touching what is there.

`sever kernel` writes this into main.py, so it needs nothing but Python and pip. What the image has is never installed
anew, nor resolved: an image's own packages may well disagree with each other. What it lacks, or has too old, goes into
a folder of our own, which sever's processes alone see.
"""

from __future__ import annotations

import email.parser
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    from packaging import markers, requirements, tags, utils
except ImportError:  # pip has one of its own
    from pip._vendor.packaging import markers, requirements, tags, utils  # type: ignore[no-redef]

# With what predicting in torch needs.
ROOT = "sever[train]"
REMEDY = "upload what is missing with: sever upload --wheel --with-dependencies --python {python}"


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file's name and metadata."""

    path: Path
    name: str
    version: Any
    tags: frozenset[Any]
    needs: tuple[str, ...]

    @staticmethod
    def read(path: Path) -> Wheel:
        """Raises ValueError for a file that is no wheel."""
        name, version, _, fits = utils.parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            about = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
            said = email.parser.Parser().parsestr(archive.read(about).decode("utf-8"))
        return Wheel(path, name, version, fits, tuple(said.get_all("Requires-Dist") or ()))


@dataclass(frozen=True)
class Target:
    """Where wheels are to work: tags that fit, values for markers, and the version of what is there (None: not)."""

    python: str
    fits: frozenset[Any]
    environment: Mapping[str, Any]
    version_of: Callable[[str], str | None]

    @staticmethod
    def here() -> Target:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return Target(
            python, frozenset(tags.sys_tags()), dict[str, Any](markers.default_environment()), installed_version
        )


@dataclass
class InstallPlan:
    """Which wheels to install, and of everything that none of them gives what is asked for and what is wrong."""

    chosen: dict[str, Wheel] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


def installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def plan(
    root: str, wheels: Iterable[Wheel], target: Target, ignored: Callable[[str], bool] = lambda name: False
) -> InstallPlan:
    """What `root` needs of the wheels, and what those need in turn; what is there and new enough is left alone."""
    found, on_shelf = InstallPlan(), list(wheels)
    wanted = requirements.Requirement(root)
    waiting = [(wanted, "this kernel")]
    asked: dict[str, Any] = {}  # all that was asked of a package so far
    lacking: set[str] = set()
    while waiting:
        need, asker = waiting.pop(0)
        name = utils.canonicalize_name(need.name)
        asked[name] = need.specifier & asked[name] if name in asked else need.specifier
        here = None if name == wanted.name else target.version_of(name)
        there = str(found.chosen[name].version) if name in found.chosen else here
        is_there = there is not None and asked[name].contains(there, prereleases=True)
        if is_there or ignored(name) or name in lacking:
            continue
        wheel, why = _best(asked[name], name, on_shelf, target)
        if wheel is None:
            state = f"{name} {here} is here" if here is not None else f"{name} is not here"
            found.faults.append(f"{state}, and {asker} asks for {need.name}{need.specifier}; {why}")
            found.missing.append(f"{name}{asked[name]}")
            lacking.add(name)
            continue
        found.chosen[name] = wheel
        if here is not None:
            found.replaced.append(f"{name} {here} -> {wheel.version}")
        waiting += [(inner, wheel.name) for inner in _needs(wheel, need.extras, target)]
    return found


def read_wheels(folder: Path) -> list[Wheel]:
    """Exits naming a file that is no wheel, or a damaged one."""
    wheels = []
    for path in sorted(folder.rglob("*.whl")):
        try:
            wheels.append(Wheel.read(path))
        except (ValueError, StopIteration, zipfile.BadZipFile) as error:
            sys.exit(f"{path} is not a wheel, or is damaged ({error or 'no METADATA'}); upload the wheels again")
    return wheels


def install(folder: Path, place: Path, target: Target | None = None) -> Path:
    """Install sever and what is missing from the wheels in `folder` into `place`; exits naming all that is wrong."""
    target = target or Target.here()
    wheels = read_wheels(folder)
    if not any(wheel.name == "sever" for wheel in wheels):
        sys.exit(f"{folder} holds no wheel of sever; upload it with: sever upload --wheel")
    found = plan(ROOT, wheels, target)
    if found.faults:
        lines = "\n".join(f"  {fault}" for fault in found.faults)
        sys.exit(
            f"sever can't be installed here (Python {target.python}):\n{lines}\n{REMEDY.format(python=target.python)}"
        )
    for change in found.replaced:
        print(f"too old for sever, which gets its own: {change}", flush=True)
    # Without dependencies pip resolves nothing, and looks at nothing that is there.
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    files = [str(wheel.path) for wheel in found.chosen.values()]
    if subprocess.run([*command, "--target", str(place), *files], check=False).returncode:
        sys.exit(f"pip could not unpack {', '.join(Path(file).name for file in files)}; what it says stands above")
    return place


def environment_with(place: Path) -> dict[str, str]:
    """The environment of a process that sees `place` first."""
    before = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *([before] if before else [])])}


def _best(asked: Any, name: str, wheels: list[Wheel], target: Target) -> tuple[Wheel | None, str]:
    """The newest wheel that will do, or why none does."""
    own = [wheel for wheel in wheels if wheel.name == name]
    right = [wheel for wheel in own if asked.contains(wheel.version, prereleases=True)]
    fitting = [wheel for wheel in right if wheel.tags & target.fits]
    if fitting:
        return max(fitting, key=lambda wheel: wheel.version), ""
    if not own:
        return None, "no wheel of it was uploaded"
    named = ", ".join(wheel.path.name for wheel in right or own)
    return None, f"{named} is for another Python or system" if right else f"only {named} was uploaded"


def _needs(wheel: Wheel, extras: Iterable[str], target: Target) -> Iterator[Any]:
    for text in wheel.needs:
        need = requirements.Requirement(text)
        worlds = [{**target.environment, "extra": extra} for extra in ("", *extras)]
        if need.marker is None or any(need.marker.evaluate(world) for world in worlds):
            yield need
