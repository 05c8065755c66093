"""The conda environment asks for what pyproject.toml gives."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


def test_the_conda_environment_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, by_pip = environment["dependencies"]
    assert SpecifierSet(project["requires-python"]).contains(f"{python.removeprefix('python=')}.0")
    assert pip == "pip"
    (line,) = by_pip["pip"]  # pip reads a requirements file of this one line
    assert line.startswith("--editable .[")
    extras = Requirement(re.sub(r"^--editable \.", project["name"], line)).extras
    assert extras <= set(project["optional-dependencies"])
    assert {"offline", "kaggle"} <= extras
