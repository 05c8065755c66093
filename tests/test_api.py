"""The Python API: light to import, its examples run, its page is the one of today, and models answer alike."""

from __future__ import annotations

import doctest
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from evidence_maker import make_evidence
from run_maker import make_blend, make_crossval, make_run

import sever
import sever.api.data
import sever.api.models
import sever.api.page
import sever.api.training
import sever.pipeline.inference.model
from sever.data.images import read_image

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
EXAMPLES = [sever.api.data, sever.api.models, sever.api.training, sever.pipeline.inference.model]
LIGHT = "import sys, sever; print(sorted({'torch', 'cv2', 'numpy', 'pandas'} & set(sys.modules)), len(dir(sever)))"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples speak of: data, a run, two cross-validations, an image."""
    folder = tmp_path_factory.mktemp("work")
    sever.synth(folder / "data", train=8, test=2, height=64, width=96, frequencies="balanced", workers=1)
    make_run(folder / "saved" / "mine" / "1", folder / "data")
    for seed, name in enumerate("ab"):
        make_evidence(folder / "saved" / name, folder / "data", seed=seed, folds=2)
    (folder / "images").mkdir()
    image = min((folder / "data" / "test_images").iterdir())
    for target in (folder / "strip.png", folder / "images" / "strip.png"):
        shutil.copy(image, target)
    return folder


def test_importing_it_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")


def test_every_name_is_there_and_explained() -> None:
    for name in sever.__all__:
        assert name in dir(sever)
        assert getattr(sever, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = sever.lod  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", EXAMPLES, ids=lambda module: module.__name__)
def test_the_examples_run(module: ModuleType, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told: list[str] = []
    tests = [test for test in doctest.DocTestFinder().find(module, extraglobs={"sever": sever}) if test.examples]
    assert tests
    for test in tests:
        runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_the_page_is_that_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == sever.api.page.page(), "run `make docs`"


def test_every_function_has_an_example_and_says_what_it_raises() -> None:
    for name in sever.api.page.FUNCTIONS:
        text = getattr(sever, name).__doc__
        assert ">>> " in text, name
        assert "Raises InputError" in text, name


@pytest.fixture(scope="module")
def models(work: Path) -> dict[str, Path]:
    """One of each kind."""
    run = work / "saved" / "mine" / "1"
    crossval = make_crossval(work / "saved" / "folds" / "1", work / "data")
    blend = make_blend(work / "saved" / "blend", [crossval, run], (1.0, 2.0))
    return {"run": run, "checkpoint": run / "checkpoints" / "epoch-0001", "crossval": crossval, "blend": blend}


@pytest.mark.parametrize("kind", ["run", "checkpoint", "crossval", "blend"])
def test_every_kind_of_model_answers_a_path_an_array_and_a_folder_alike(
    kind: str, models: dict[str, Path], work: Path
) -> None:
    model = sever.load(models[kind], device="cpu")
    by_path = model.inspect(work / "strip.png")
    by_array = model.inspect(read_image(work / "strip.png", 3))
    (in_folder,) = model.inspect_folder(work / "images")
    assert by_path.masks.any()
    for other in (by_array, in_folder):
        np.testing.assert_array_equal(other.masks, by_path.masks)
    np.testing.assert_array_equal(in_folder.levels, by_path.levels)
    assert in_folder.name == "strip.png"
    assert len(model.colours) == 4


def test_a_model_can_be_pickled(models: dict[str, Path], work: Path) -> None:
    model = sever.load(models["blend"], device="cpu")
    copy = pickle.loads(pickle.dumps(model))
    assert copy.identity == model.identity
    np.testing.assert_array_equal(copy.inspect(work / "strip.png").levels, model.inspect(work / "strip.png").levels)


def test_progress_is_told_to_the_logger(models: dict[str, Path], work: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sever")
    list(sever.load(models["run"], device="cpu").inspect_folder(work / "images", progress=True))
    assert "inspect: 1/1" in caplog.text


def test_the_library_prints_nothing(models: dict[str, Path], work: Path, tmp_path: Path) -> None:
    code = f"import sever; sever.predict({str(models['run'])!r}, {str(work / 'images')!r}, {str(tmp_path / 'out')!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: sever.load(None), "path must be a path, as text or pathlib.Path, not None"),  # type: ignore[arg-type]
        (lambda: sever.load(3), r"path must be .* not int \(3\)"),  # type: ignore[arg-type]
        (lambda: sever.load(b"saved/mine"), "path must be"),  # type: ignore[arg-type]
        (lambda: sever.train([1]), "experiment, if it is not a dictionary of settings, must be"),  # type: ignore[arg-type]
        (lambda: sever.blend("saved/a", "both"), "members must be a list of paths"),
        (lambda: sever.blend(["saved/a", None], "both"), r"members\[1\] must be"),  # type: ignore[list-item]
        (lambda: sever.tune(["saved/a"]), "candidate must be"),  # type: ignore[arg-type]
        (lambda: sever.predict(None, "images"), "model must be"),  # type: ignore[arg-type]
        (lambda: sever.predict("saved/mine", 7), "images must be"),  # type: ignore[arg-type]
        (lambda: sever.evaluate("saved/mine", data=1.5), "data must be"),  # type: ignore[arg-type]
        (lambda: sever.synth(None), "output must be"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_path_is_one_sentence(call: Callable[[], object], named: str) -> None:
    with pytest.raises(sever.InputError, match=named):
        call()


def test_wrong_words_are_one_sentence(work: Path) -> None:
    with pytest.raises(sever.InputError, match="there is no file or folder"):
        sever.load(work / "nowhere")
    with pytest.raises(sever.InputError, match="give either a submission"):
        sever.evaluate()
    with pytest.raises(sever.InputError, match="epochz"):
        sever.train({"name": "x", "data": {"root": str(work / "data")}, "train": {"epochz": 3}})
