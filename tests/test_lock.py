"""requirements.lock answers pyproject.toml, everything in it has a hash, and nothing installed is under the AGPL."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKED_EXTRAS = ("train", "offline", "kaggle", "serve", "postgresql", "plant", "dev")


def locked() -> list[tuple[Requirement, str]]:
    """Each locked requirement, and the lines below it."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^([a-z0-9][^\\\n]*)\\\n((?:    --hash=.*\n?)+)", text, re.MULTILINE)
    return [(Requirement(line.strip()), hashes) for line, hashes in entries]


def asked_for() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in LOCKED_EXTRAS for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in project["dependencies"] + extras]


@pytest.mark.parametrize("wanted", asked_for(), ids=lambda wanted: wanted.name)
def test_lock_answers_pyproject(wanted: Requirement) -> None:
    versions = [
        next(iter(entry.specifier)).version
        for entry, _ in locked()
        if canonicalize_name(entry.name) == canonicalize_name(wanted.name)
    ]
    assert versions, f"{wanted.name} stands in pyproject.toml and not in requirements.lock; run: make lock"
    assert all(wanted.specifier.contains(version) for version in versions), f"{wanted} is locked at {versions}"


def test_lock_pins_everything_with_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    named = re.findall(r"^[a-z0-9]", text, re.MULTILINE)
    assert len(locked()) == len(named) > 100
    for entry, hashes in locked():
        assert [clause.operator for clause in entry.specifier] == ["=="], entry
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", hashes), entry


def test_lock_names_no_registry() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_nothing_installed_is_under_the_agpl() -> None:
    found = {}
    for package in metadata.distributions():
        about = package.metadata
        words = [about.get("License-Expression") or "", (about.get("License") or "")[:200]]
        words += [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
        found[about["Name"]] = " ".join(words)
    assert len(found) > 100
    assert not {name: words for name, words in found.items() if "affero" in words.lower() or "agpl" in words.lower()}
