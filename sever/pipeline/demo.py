"""`sever demo`: the whole story on embedded data, from nothing to chosen, scored and drawn masks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sever.config import ExperimentConfig, load_config
from sever.data.synthetic import SynthSettings
from sever.decide.pseudo_labels import Sureness
from sever.errors import InputError
from sever.files import write_text
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline import leaderboard as board
from sever.pipeline import pseudo, tune
from sever.pipeline.blend.combine import BlendRequest, make_blend
from sever.pipeline.blend.scores import compare
from sever.pipeline.crossval import crossvalidate, start
from sever.pipeline.evaluate import Truth, evaluate_submission
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.plan.make import PlanWish, make_plan
from sever.pipeline.predict import ImageSource, predict_images
from sever.pipeline.report.write import write_report
from sever.pipeline.select.choose import Selection, SelectSettings, select_submissions
from sever.pipeline.synth import synthesize
from sever.progress import info

# Half the competition's height and width, to learn something in minutes; classes as often as there.
STRIP = SynthSettings(train=400, test=120, height=128, width=800, seed=2019)
# Of one training of four; the plan leaves room for what varies.
HOURS = 20 / 3600
# What the demo asks beyond its plan: two folds, whose maps are the validation, and a label head, which is the gate.
EVERY = {"folds.count": 2, "train.validate_every": None, "folds.find_copies": False}
MODELS: dict[str, dict[str, Any]] = {
    "demo-first": {"model.label_head": True, "loss.label_min_pixels": 50, "rules.gate.kind": "veto"},
    "demo-second": {"train.seed": 1},
}
MARKER, UNFINISHED_MARKER = ".sever-demo", ".sever-demo.part"


@dataclass(frozen=True)
class DemoModels:
    """What is cross-validated: the experiments, or, where there are none, the demo's plan with `changes` over it.

    `machine`: where a plan finds or leaves what a step takes here.
    """

    experiments: tuple[ExperimentConfig, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    machine: Path | None = None


@dataclass(frozen=True)
class DemoResults:
    """What the stages of a demo found, in their order: the reports of the commands they stand for."""

    output: Path
    comparison: dict[str, Any]
    tuning: dict[str, Any]
    selection: Selection
    pseudo_labels: dict[str, Any]
    evaluation: dict[str, Any]
    submissions: list[board.Submission]
    seconds: float


@writes_to("output", whole=True)
def run_demo(models: DemoModels, output: Path, device: str) -> DemoResults:
    """Make strip, plan, cross-validate two models on it, blend, tune, choose, predict the held-out images, score.

    Everything lands in `output`, replacing an earlier demo's results. Raises InputError where `output` holds anything
    else.
    """
    started = time.monotonic()
    _clear(output)
    try:
        return _run(models, output, device, started)
    finally:  # from now on all that lies there is known to be the demo's; only a kill leaves it unknown
        home = OutputFolder(output, UNFINISHED_MARKER)
        home.adopt(name for name in home.everything() if name != MARKER)
        home.list_file.replace(output / MARKER)


def _run(models: DemoModels, output: Path, device: str, started: float) -> DemoResults:
    data = output / "data"
    _headline(
        1, f"making {STRIP.train} images of synthetic steel strip to learn from, and {STRIP.test} to be judged on"
    )
    synthesize(data, STRIP)
    candidates = []
    for config in models.experiments or _planned(models, data, output / "plan.yml", device):
        _headline(2, f"cross-validating {config.name}: {config.model.architecture} on {config.model.encoder}")
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": data})})
        candidates.append(crossvalidate(start(config, output / "saved"), device, jobs=1).folder)
    _headline(3, "blending the models' out-of-fold maps")
    blend = make_blend(BlendRequest(tuple(candidates)), output / "saved" / "demo-blend")
    candidates.append(blend.folder)
    compared = compare(blend)
    _headline(4, "choosing thresholds, smallest areas and the gate on some folds, judging them on the others")
    tuned = tune.tune_candidate(blend.folder, tune.TuneOptions(apply=True))
    _headline(5, "choosing which two of the candidates to submit")
    chosen = select_submissions(candidates, SelectSettings(draws=500))
    _headline(6, "predicting the test images with the blend, scoring and drawing")
    strips, ledger = ImageSource(images=None, data=data), output / "saved" / "leaderboard.jsonl"
    predict_images(blend.folder, strips, output, "combined", InferenceOptions(device))
    sure = pseudo.label_images(blend.folder, strips, output, Sureness(), InferenceOptions(device))
    evaluation = evaluate_submission(output / "submission.csv", Truth(data, labels=data / "test_labels.csv"), output)
    write_report(blend.folder, output / "report.html", None, InferenceOptions(device))
    submission = board.draft_submission(
        "demo-blend", output / "submission.csv", blend=blend.folder, private=evaluation["dice"], message="sever demo"
    )
    board.record_submission(submission, ledger)
    seconds = time.monotonic() - started
    return DemoResults(output, compared, tuned, chosen, sure, evaluation, board.course(ledger), seconds)


def _planned(models: DemoModels, data: Path, plan_file: Path, device: str) -> Iterator[ExperimentConfig]:
    """The plan of this data and machine, as two experiments that differ in their seed."""
    wish = PlanWish(data, HOURS, name="demo", strip=True, device=device, machine=models.machine)
    write_text(plan_file, make_plan(wish)[0])
    for name, own in MODELS.items():
        changes = {key: value for key, value in (EVERY | own).items() if key not in models.changes}
        yield load_config(plan_file, {"name": name}, changes | dict(models.changes))


def _headline(stage: int, text: str) -> None:
    info(f"{stage}/6  {text}")


def _clear(output: Path) -> None:
    """An earlier demo makes way; anybody else's files don't. What a killed demo left is not known file by file, so that
    it is moved aside and not deleted."""
    home = OutputFolder(output, MARKER)
    if output.exists() and any(output.iterdir()):
        if not home.list_file.exists():
            raise InputError(f"{output} holds files that no demo made; give another folder with -o")
        if home.list_file.stat().st_size:
            home.claim(home.everything())
            for child in sorted(output.iterdir(), key=lambda child: child == home.list_file):  # it, by name, last
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        else:
            info(f"an unfinished demo was moved from {output} to {_moved_aside(output)}")
    output.mkdir(parents=True, exist_ok=True)
    home.list_file.touch()


def _moved_aside(output: Path) -> Path:
    free = next(place for number in count(1) if not (place := Path(f"{output}-unfinished-{number}")).exists())
    return output.rename(free)
