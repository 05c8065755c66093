"""`pip install 'sever[runtime]'` brings all that a bundle needs, and no torch: run with those packages alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from run_maker import make_run, with_folds

from sever.pipeline.export.make import ExportOptions, export_model

ROOT = Path(__file__).parents[1]
LOOK = """
import json, os, sys
import sever
model = sever.load(sys.argv[1])
found = model.inspect([os.path.join(sys.argv[2], name) for name in sorted(os.listdir(sys.argv[2]))[:2]])
print(json.dumps({"areas": [each.areas.tolist() for each in found], "torch": "torch" in sys.modules}))
"""


def needed(extra: str) -> set[str]:
    """The distributions that the project and one extra ask for, and what those ask for in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"][extra])]
    found: set[str] = set()
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in found:
            continue
        found.add(name)
        for need in map(Requirement, metadata.requires(name) or ()):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(need)
    return found


def linked(folder: Path, names: Iterable[str]) -> Path:
    """A folder with these distributions and nothing else."""
    folder.mkdir()
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (own,) = (folder / "venv").glob("lib/python*/site-packages")
    (own / "sever.pth").write_text(f"{linked(folder / 'libraries', needed('runtime'))}\n{ROOT}\n")
    return folder / "venv" / "bin" / "python"


def run(python: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(python), *map(str, words)], env=environment, capture_output=True, text=True, check=False)


def test_the_runtime_brings_no_torch() -> None:
    names = needed("runtime")
    assert {"numpy", "opencv-python-headless", "onnxruntime"} <= names
    assert not names & {"torch", "torchvision", "timm", "segmentation-models-pytorch", "openvino", "scikit-learn"}


def test_a_bundle_answers_there_as_the_training_side_does(python: Path, strip_root: Path, tmp_path: Path) -> None:
    # Rules far from a half, about which random weights speak: there a last digit would decide.
    trained = with_folds(make_run(tmp_path / "tiny" / "1", strip_root, flips=["width"]), strip_root)
    rules = json.loads((trained / "rules.json").read_text()) | {"pixel_threshold": 0.55}
    (trained / "rules.json").write_text(json.dumps(rules))
    bundle, images = tmp_path / "model.sever", strip_root / "test_images"
    export_model(trained, bundle, ExportOptions(images=3, backends=("onnx",)))
    answers = []
    for interpreter, model in ((python, bundle), (Path(sys.executable), trained)):
        out = tmp_path / f"out-{model.name}"
        done = run(interpreter, "-m", "sever", "predict", "-r", model, "--images", images, "-o", out)
        assert done.returncode == 0, done.stderr
        answers.append((out / "submission.csv").read_text())
    assert answers[0] == answers[1]
    looked = run(python, "-c", LOOK, bundle, images)
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["torch"] is False
    shown = run(python, "-m", "sever", "inspect", bundle)
    assert "Parity certificate" in shown.stdout, shown.stderr
    alone = run(python, "-m", "sever", "verify", bundle, "--images", images)
    assert alone.returncode == 2
    assert "runs in onnx here, so there is nothing to compare it with" in " ".join(alone.stderr.split())


def test_what_needs_torch_says_so(python: Path, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("name: a\ndata: {root: nowhere}\n")
    done = run(python, "-m", "sever", "train", "-c", tmp_path / "a.yml")
    assert done.returncode == 2
    assert "which is not installed here: pip install 'sever[train]'" in done.stderr
    assert "Traceback" not in done.stderr
