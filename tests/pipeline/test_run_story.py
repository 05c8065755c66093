"""`sever run`: the 2019 story whole, on a tiny competition; and a story that is stopped, changed or wrong."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from command_line import sever
from kaggle_server import USER, Fault, Stored, World, forget_account, signed_in_server, zipped
from wheel_shelf import fake_wheel, only_from

from sever.cli.run import ThisProcess
from sever.cli.tables.story import render_scores
from sever.config import load_config, load_story, parse_config, read_assignments, with_overrides
from sever.config.story import variables_in
from sever.data.synthetic import SynthSettings, write_dataset
from sever.errors import InputError
from sever.pipeline import crossval
from sever.pipeline.leaderboard import course
from sever.pipeline.story.plan import Plan, render_plan
from sever.pipeline.story.run import Parsed, run_story
from sever.pipeline.story.state import StoryState
from sever.store import Evidence, Run

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STORY = EXPERIMENTS / "severstal-2019" / "story.yml"


# The whole story


def shrink(file: Path, data: Path, saved: Path) -> dict[str, Any]:
    """The experiment with its name and kind, but a tiny network, tiny crops, two folds and one epoch."""
    values = yaml.safe_load(file.read_text())
    model = {key: values["model"][key] for key in ("task", "architecture") if key in values["model"]}
    model |= {"encoder": "tf_mobilenetv3_small_minimal_100", "weights": "none"}
    model["in_channels"] = "mean" if values["model"]["in_channels"] == "rgb" else values["model"]["in_channels"]
    if model.get("architecture") == "Unet":
        model |= {"decoder_channels": [8, 8, 8, 8, 8]}
    small = {
        "name": values["name"],
        "data": {"root": str(data)},
        "folds": {"count": 2},
        "model": model,
        "augment": {"recipe": "none", "crop": [64, 64]},
        "train": {"epochs": 1, "batch_size": 5, "workers": 0, "precision": "no", "keep_best": 1},
    }
    small["train"]["seed"] = values["train"].get("seed", 0)
    if "rules" in values:
        small["rules"] = values["rules"]
    if "pseudo" in values:
        paths = {
            "labels": values["pseudo"]["labels"].replace("saved/", f"{saved}/"),
            "images": values["pseudo"]["images"].replace("data/raw/severstal-steel-defect-detection", str(data)),
        }
        small["pseudo"] = values["pseudo"] | paths | {"share": 0.2, "keep": 1.0}
    return small


@dataclass(frozen=True)
class Competition:
    """A tiny competition that a Kaggle on loopback holds, and the story's experiments made tiny."""

    folder: Path
    kaggle: World

    @property
    def saved(self) -> Path:
        return self.folder / "saved"

    def run(self, *options: object, **variables: object) -> int:
        settings: dict[str, object] = {
            "saved": self.saved,
            "data": self.folder / "data",
            "experiments": self.folder / "experiments",
            "public_images": 4,
            "private_images": 8,
            "sure": 0,
            "draws": 20,
        }
        words = [word for name, value in (settings | variables).items() for word in ("--set", f"{name}={value}")]
        return sever("run", self.folder / "experiments" / "severstal-2019" / "story.yml", *words, *options)

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.saved / "stories" / "severstal-2019" / "state.json").read_text())["stages"])


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Competition]:
    folder = tmp_path_factory.mktemp("competition")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        forget_account(patch, folder / "home")
        with signed_in_server(patch, folder / "home") as kaggle:
            kaggle.competitions["severstal-steel-defect-detection"] = Stored(zipped_folder(make_data(folder / "made")))
            write_tiny_story(folder)
            (folder / "shelf").mkdir()
            project = tomllib.loads((EXPERIMENTS.parent / "pyproject.toml").read_text())["project"]
            for need in (*project["dependencies"], *project["optional-dependencies"]["train"]):
                fake_wheel(folder / "shelf", need.partition(">=")[0], "99.0")
            only_from(folder / "shelf", patch)
            yield Competition(folder, kaggle)


def make_data(folder: Path) -> Path:
    """In the competition's form of today: labels of defects only, and a sample that names class 0 throughout."""
    settings = SynthSettings(
        train=12, test=4, height=64, width=96, frequencies="balanced", seed=3, workers=1, csv_form="separate"
    )
    write_dataset(folder, settings)
    names = sorted(path.name for path in (folder / "test_images").iterdir())
    sample = ["ImageId,EncodedPixels,ClassId", *(f"{name},1 6144,0" for name in names)]
    (folder / "sample_submission.csv").write_text("\n".join(sample) + "\n")
    (folder / "test_labels.csv").unlink()
    return folder


def zipped_folder(folder: Path) -> bytes:
    return zipped(
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )


def write_tiny_story(folder: Path) -> None:
    """The story's own file and recipes as they are, its experiments shrunk."""
    for file in [*EXPERIMENTS.glob("severstal-2019-*.yml"), *EXPERIMENTS.glob("severstal-2019/*-pseudo.yml")]:
        target = folder / "experiments" / file.relative_to(EXPERIMENTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(shrink(file, folder / "data", folder / "saved")))
    for recipes in ("ensembles", "severstal-2019/ensembles"):
        shutil.copytree(EXPERIMENTS / recipes, folder / "experiments" / recipes)
    shutil.copy(STORY, folder / "experiments" / "severstal-2019")


class Folds:
    """Counts the folds that are trained, one at a time in this process; `stop_at` interrupts that one's training."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.stop_at: int | None = None
        self.run_fold = crossval.run_fold
        patch.setattr(crossval, "run_fold", self.count)
        patch.setattr(crossval, "default_jobs", lambda device: 1)

    def count(self, evidence: Evidence, fold: int, device: str) -> None:
        if len(self.trained) == self.stop_at:
            raise KeyboardInterrupt
        self.trained.append(f"{evidence.about().name} {fold}")
        self.run_fold(evidence, fold, device)


@pytest.fixture(scope="module")
def told(competition: Competition) -> tuple[Competition, list[str]]:
    """The story, interrupted in the fourth of its 34 folds, then told to its end; with the folds trained."""
    with pytest.MonkeyPatch.context() as patch:
        folds = Folds(patch)
        folds.stop_at = 3
        assert competition.run() not in (0, 2)
        folds.stop_at = None
        assert competition.run() == 0
        return competition, folds.trained


def test_every_stage_is_carried_out_once(told: tuple[Competition, list[str]]) -> None:
    competition, trained = told
    stages = [stage.name for stage in load_story(STORY).stages]
    assert list(competition.state()) == [name for name in stages if name not in ("upload", "submit")]
    assert all(record["ended"] for record in competition.state().values())
    # 6 singles, 3 copies and 8 with pseudo-labels, 2 folds each; the one that was interrupted went on where it was.
    assert len(trained) == 34
    assert len(list((competition.saved / "severstal-2019-unet-efficientnet-b5").iterdir())) == 1
    classifier = Evidence.find(competition.saved / "severstal-2019-classifier")
    assert len(pd.read_csv(classifier.labels_file)) == 12
    assert len(list((competition.folder / "data" / "train_images").iterdir())) == 12
    assert competition.kaggle.count("DownloadDataFiles") == 1


def test_the_models_with_pseudo_labels_saw_test_images(told: tuple[Competition, list[str]]) -> None:
    competition, _ = told
    test_images = {path.name for path in (competition.folder / "data" / "test_images").iterdir()}
    folders = list(competition.saved.glob("severstal-2019-*-pseudo/*/fold-0"))
    assert len(folders) == 8
    for folder in folders:
        assert set(Run(folder).part("pseudo")) <= test_images
        assert Run(folder).part("pseudo")


def test_the_ensembles_have_the_eight_members_of_2019(told: tuple[Competition, list[str]]) -> None:
    competition, _ = told
    eight = {"unet-se_resnext50": 2, "unet-efficientnet-b5": 1}
    eight |= {"fpn-se_resnext50": 3, "fpn-efficientnet-b5": 1, "fpn-inceptionv4": 1}
    for suffix in ("", "-pseudo"):
        for name, kind, factor in (
            ("mean", "mean", 5),
            ("rms", "rms", 5),
            ("gated-5", "mean", 5),
            ("gated-10", "mean", 10),
            ("gated-20", "mean", 20),
        ):
            evidence = Evidence.find(competition.saved / f"severstal-2019-{name}{suffix}")
            members = [member.resolve() for member in evidence.members()]
            assert len(set(members)) == len(members)
            names = [member.parent.name.removeprefix("severstal-2019-") for member in members]
            segmenters = [member for member in names if member != "classifier"]
            assert len(segmenters) == 8
            assert all(member.endswith("-pseudo") == bool(suffix) for member in segmenters)
            plain = [member.removesuffix("-pseudo").removesuffix("-g").removesuffix("-b") for member in segmenters]
            assert pd.Series(plain).value_counts().to_dict() == eight
            # Copies differ by the first layer's colour and by their seed.
            configs = [load_config(member / "config.yml") for member in members]
            starts = {(c.model.architecture, c.model.in_channels, c.train.seed) for c in configs}
            assert {("Unet", "g", 1), ("FPN", "g", 1), ("FPN", "b", 2)} < starts
            assert ("classifier" in names) == name.startswith("gated")
            assert json.loads((evidence.folder / "blend.json").read_text())["blend"]["kind"] == kind
            gate = json.loads(evidence.rules_file.read_text())["gate"]
            assert (gate["kind"], gate["factor"]) == ("soft" if name.startswith("gated") else "none", factor)


def test_all_of_them_are_candidates(told: tuple[Competition, list[str]]) -> None:
    competition, _ = told
    select = json.loads((competition.saved / "severstal-2019" / "select" / "select.json").read_text())
    wanted = {
        f"severstal-2019-{name}{suffix}"
        for name in ("mean", "rms", "gated-5", "gated-10", "gated-20", "tuned")
        for suffix in ("", "-pseudo")
    }
    assert {candidate["name"] for candidate in select["candidates"]} == wanted


def test_two_different_submissions_are_left_and_recorded(
    told: tuple[Competition, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    competition, _ = told
    work = competition.saved / "severstal-2019"
    chosen = json.loads((work / "select" / "select.json").read_text())["chosen"]
    assert len(set(chosen)) == 2
    lines = [json.loads(line) for line in (competition.saved / "leaderboard.jsonl").read_text().splitlines()]
    begun = competition.state()["record"]["begun"]
    assert [line["name"] for line in lines] == [f"{name}-{begun}" for name in chosen]
    for line, name, place in zip(lines, chosen, ("first", "second"), strict=True):
        pairs = Evidence.find(competition.saved / name).read_pairs()
        assert line["cv"] == pytest.approx(pairs["dice"].mean())
        assert set(pd.read_csv(work / place / "submission.csv")) == {"ImageId", "ClassId", "EncodedPixels"}
    for name in ("mean-pseudo", "gated-5", "gated-5-pseudo", "tuned-pseudo"):
        assert "<html" in (work / "reports" / f"{name}.html").read_text()
    assert (work / "course.png").is_file()
    # Told again, it has nothing to do, and prints our scores beside those of 2019.
    before = competition.state()
    capsys.readouterr()
    assert competition.run() == 0
    shown = capsys.readouterr()
    assert competition.state() == before
    assert "sever crossval" not in shown.err
    assert "0.91023" in shown.out
    assert f"{lines[0]['cv']:.5f}" in shown.out


def test_the_plan_says_what_is_done(told: tuple[Competition, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    competition, _ = told
    capsys.readouterr()
    assert competition.run("--dry-run", submit="yes") == 0
    plan = capsys.readouterr().out
    # `record` has no part in a story that submits, and what was downloaded is there.
    assert plan.count(": done 20") == len(competition.state()) - 2
    assert "download: left out" in plan
    assert "record: left out: submit is yes" in plan
    assert "$ sever submit" in plan
    assert "upload: to do, expected 2 h on Kaggle's GPU" in plan
    assert "Expected for all that is to do: 2 h on Kaggle's GPU." in plan


def test_both_are_sent_to_kaggle_and_scored(
    told: tuple[Competition, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The story once more with submit=yes, cut in the middle: what was done stays, and nothing is sent twice."""
    competition, _ = told
    kaggle, before = competition.kaggle, competition.state()
    chosen = json.loads((competition.saved / "severstal-2019" / "select" / "select.json").read_text())["chosen"]
    slugs = [f"sever-{name}" for name in chosen]
    kernels = [f"sever-predict-{name}" for name in chosen]
    kaggle.scores = [
        {"status": "COMPLETE", "publicScore": f"0.9{number}", "privateScore": f"0.8{number}"} for number in (1, 2)
    ]
    kaggle.faults.append(Fault("CreateCodeSubmission", 400, message="Daily limit reached"))
    assert competition.run(submit="yes") == 2
    shown = capsys.readouterr().err
    assert "Daily limit reached" in shown
    assert f"submit stopped at: sever submit {competition.saved}/severstal-2019/first/submission.csv" in shown
    assert competition.run(submit="yes") == 0
    shown = capsys.readouterr().out
    after = competition.state()
    assert all(after[name] == before[name] for name in before if name != "leaderboard")
    assert set(kaggle.published) == {f"{USER}/sever-wheels", *(f"{USER}/{slug}" for slug in slugs)}
    assert all(len(versions) == 1 for versions in kaggle.published.values())
    wheels = kaggle.files(kaggle.published[f"{USER}/sever-wheels"][0])
    assert {"timm-99.0-py3-none-any.whl", "wheels.json"} < set(wheels)
    assert not any(name.startswith("torch-") for name in wheels)
    assert [sent["slug"] for sent in kaggle.kernels] == [f"{USER}/{kernel}" for kernel in kernels]
    sources = [sent["datasetDataSources"] for sent in kaggle.kernels]
    assert sources == [[f"{USER}/{slug}", f"{USER}/sever-wheels"] for slug in slugs]
    assert [sent["kernelSlug"] for sent in kaggle.submissions] == kernels
    scored = [(found.public, found.private) for found in course(competition.saved / "leaderboard.jsonl")][-2:]
    assert scored == [(0.91, 0.81), (0.92, 0.82)]
    assert all(f"{score:.5f}" in shown for score in (0.91, 0.81, 0.92, 0.82, 0.91023))


PAGE = EXPERIMENTS.parent / "docs" / "severstal-2019.md"
# The headings of the 2019 report, in its order.
PARAGRAPHS = [
    "Results", "Models, Encoders", "Decoders", "Other", "Scores", "GPU", "Loss", "Targets", "Optimizer", "LR Schedule",
    "Image Sizes", "Grayscale Input", "Augmentation", "Validation", "Pseudo Labels", "Apex Mixed Precision", "TTA",
    "Prediction Thresholds", "Defect Pixel Thresholds", "Component Domination", "Dilation", "Ensemble Averaging",
    "Classification Model", "Final Ensemble", "Submission Scores", "Submission Kernels",
    "Improvements: softmax with background", "Improvements: Lovasz loss", "Improvements: in-place batch norm",
    "Improvements: two diverse submissions", "Questions: label smoothing", "Usage: Environment", "Usage: Download",
    "Usage: Training", "Usage: Upload Trained Model", "Usage: Tensorboard Visualization",
]  # fmt: skip


def page_rows() -> dict[str, str]:
    """Paragraph of the 2019 report -> what does it here."""
    table = PAGE.read_text().partition("## The report, paragraph by paragraph")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)[1:]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_the_page_has_a_row_for_each_paragraph_of_the_report() -> None:
    assert list(page_rows()) == PARAGRAPHS
    assert all("`" in here or "](" in here for here in page_rows().values())


def page_settings() -> list[str]:
    said = [quoted for here in page_rows().values() for quoted in re.findall(r"`([a-z]+\.[\w.]+: [^`]+)`", here)]
    return sorted(set(said))


@pytest.mark.parametrize("said", page_settings())
def test_a_setting_on_the_page_is_one(said: str) -> None:
    """Each by itself, beside the few that it needs or excludes."""
    key, _, value = said.partition(": ")
    needs: dict[str, dict[str, Any]] = {
        "model.decoder_dropout_at: blocks": {"model.decoder_dropout": 0.1},
        "model.fpn_merge: cat": {"model.architecture": "FPN"},
        "rules.gate.kind: soft": {"model.label_head": True},
        "loss.label_smoothing: 0.000001": {"loss.name": "bce_dice"},
        "pseudo.share: 0.12": {"pseudo.labels": "p.csv", "pseudo.images": "p"},
        "pseudo.keep: 0.6": {"pseudo.labels": "p.csv", "pseudo.images": "p"},
    }
    assigned = needs.get(said, {}) | read_assignments([f"{key}={value}"])
    minimal = {"name": "x", "data": {"root": "d"}}
    found: Any = parse_config(with_overrides(minimal, {}, assigned), said).model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    expected = yaml.safe_load(value)
    assert (found | expected if isinstance(expected, dict) else found) == found
    assert found == expected or isinstance(expected, dict)


def test_the_commands_of_the_page_run_on_a_tiny_competition(
    told: tuple[Competition, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In their order, in a folder where the story was told; last of its tests, since it leaves more there."""
    competition, _ = told
    monkeypatch.chdir(competition.folder)
    lines = [line for here in page_rows().values() for line in re.findall(r"`(sever \w[^`]* [^`]+)`", here)]
    assert len(lines) > 15
    tiny = {"data/raw/severstal-steel-defect-detection": "data", "-present 0.8": "-present 0", "-empty 0.8": "-empty 0"}
    failed = []
    for line in lines:
        for real, small in tiny.items():
            line = line.replace(real, small)
        if code := sever(*shlex.split(line)[1:]):
            failed.append(f"{line}: exit {code}: {capsys.readouterr().err.splitlines()[-1:]}")
    assert failed == []
    for left in (
        "saved/by-mean/pairs.csv",
        "saved/labels/pseudo.csv",
        "out/submission.csv",
        "data/downloaded/train.csv",
    ):
        assert (competition.folder / left).is_file()


def test_the_plan_of_the_real_story_names_real_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert sever("run", STORY, "--dry-run", "--set", f"saved={tmp_path}") == 0
    plan = capsys.readouterr().out
    for stage in load_story(STORY).stages:
        assert f". {stage.name}: " in plan
    assert not list(tmp_path.iterdir())
    named = {word for word in plan.split() if word.startswith("experiments/") and word.endswith(".yml")}
    assert len(named) == 6 + 3 + 8 + 12
    assert all((EXPERIMENTS.parent / name).is_file() for name in named)
    for path in EXPERIMENTS.glob("severstal-2019/*-pseudo.yml"):
        twin = load_config(EXPERIMENTS / f"severstal-2019-{path.stem.removesuffix('-pseudo')}.yml")
        config = load_config(path)
        assert config.name == f"{twin.name}-pseudo"
        assert config.model_copy(update={"name": twin.name, "pseudo": None}) == twin
        assert config.pseudo is not None
        assert config.pseudo.share == 0.12


# What a story does, with commands that are only noted


@dataclass
class Noted:
    """A shell that carries nothing out; `faults` maps a command line to what it raises, once."""

    faults: dict[str, BaseException] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)

    parser: ThisProcess = field(default_factory=ThisProcess)

    def parse(self, words: Sequence[str]) -> Parsed:
        return self.parser.parse(words)

    def run(self, words: Sequence[str]) -> None:
        line = " ".join(words)
        if line in self.faults:
            raise self.faults.pop(line)
        self.typed.append(line)


def write_story(folder: Path, **changes: Any) -> Path:
    values: dict[str, Any] = {
        "name": "tale",
        "about": "Three stages.",
        "variables": {"saved": str(folder / "saved"), "seed": 1, "send": "no", "place": "{saved}/d"},
        "reads": {"best": {"file": "{place}/choice.json", "key": "chosen.1.name"}},
        "stages": [
            {
                "name": "make",
                "about": "a",
                "commands": ["sever synth -o {place} --seed {seed}", "sever synth -o b c/../e"],
            },
            {
                "name": "look",
                "about": "b",
                "hours": {"A100": 2.5},
                "commands": ["sever report {place}/{best} -o 'x y.html'"],
            },
            {
                "name": "send",
                "about": "c",
                "only_when": {"send": "yes"},
                "commands": ["sever submit f --name n-{begun}"],
            },
        ],
    }
    values["stages"][0]["commands"][1] = "sever synth -o b"
    path = folder / "tale.yml"
    path.write_text(yaml.safe_dump(values | changes, sort_keys=False))
    (folder / "saved" / "d").mkdir(parents=True, exist_ok=True)
    (folder / "saved" / "d" / "choice.json").write_text('{"chosen": [{"name": "p"}, {"name": "q"}]}')
    return path


def plan_of(folder: Path, given: dict[str, str] | None = None, **changes: Any) -> Plan:
    return Plan.make(write_story(folder, **changes), given or {})


def first_lines(folder: Path, seed: int = 1) -> list[str]:
    place = f"{folder}/saved/d"
    return [f"synth -o {place} --seed {seed}", "synth -o b", f"report {place}/q -o x y.html"]


def test_commands_run_in_order_with_variables_and_what_a_file_decides(tmp_path: Path) -> None:
    shell = Noted()
    run_story(plan_of(tmp_path), shell)
    assert shell.typed == first_lines(tmp_path)
    assert render_scores(plan_of(tmp_path)) == ""  # it keeps none
    run_story(plan_of(tmp_path), shell)
    assert shell.typed == first_lines(tmp_path)  # nothing is done twice


@pytest.mark.parametrize("fault", [InputError("no such thing"), KeyboardInterrupt(), RuntimeError("ours")])
def test_a_stopped_story_goes_on_at_the_command_that_failed(
    fault: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = first_lines(tmp_path)
    shell = Noted({lines[1]: fault})
    with pytest.raises(type(fault)) as raised:
        run_story(plan_of(tmp_path), shell)
    assert "stage 1 of 3, make stopped at: sever synth -o b" in capsys.readouterr().err + str(raised.value)
    assert shell.typed == lines[:1]
    run_story(plan_of(tmp_path), shell)
    assert shell.typed == lines


def test_from_does_a_stage_and_what_follows_again_and_only_does_it_alone(tmp_path: Path) -> None:
    lines, shell = first_lines(tmp_path), Noted()
    run_story(plan_of(tmp_path), shell)
    shell.typed.clear()
    run_story(plan_of(tmp_path), shell, only="make")
    assert shell.typed == lines[:2]
    shell.typed.clear()
    run_story(plan_of(tmp_path), shell, start_at="look")
    assert shell.typed == lines[2:]
    shell.typed.clear()
    run_story(plan_of(tmp_path), shell, start_at="make")
    assert shell.typed == lines
    with pytest.raises(InputError, match=r"no stage 'mak'; its stages are make, look, send"):
        run_story(plan_of(tmp_path), shell, only="mak")
    with pytest.raises(InputError, match="either --from or --only"):
        run_story(plan_of(tmp_path), shell, "make", "make")


def test_a_stage_that_runs_anew_makes_those_after_it_run_anew(tmp_path: Path) -> None:
    """The stage `send` was left out; when it runs in the middle of the story, what follows is made from it again."""
    stages = yaml.safe_load(write_story(tmp_path).read_text())["stages"]
    order, shell = [stages[0], stages[2], stages[1]], Noted()
    run_story(plan_of(tmp_path, stages=order), shell)
    assert shell.typed == first_lines(tmp_path)
    shell.typed.clear()
    plan = plan_of(tmp_path, {"send": "yes"}, stages=order)
    run_story(plan, shell)
    begun = StoryState.read(plan.saved, "tale", "").stages["send"].begun
    assert shell.typed == [f"submit f --name n-{begun}", first_lines(tmp_path)[2]]


def test_other_commands_than_those_that_were_done_are_refused(tmp_path: Path) -> None:
    shell = Noted()
    run_story(plan_of(tmp_path), shell)
    changed = plan_of(tmp_path, {"seed": "2"})
    with pytest.raises(InputError, match=r"(?s)stage make .*--seed 1\n.*--seed 2\ngive --from make"):
        run_story(changed, shell)
    with pytest.raises(InputError, match="--from make"):
        render_plan(changed, StoryState.read(changed.saved, "tale", ""))
    assert len(shell.typed) == 3
    run_story(changed, shell, start_at="make")
    assert shell.typed[3:] == first_lines(tmp_path, seed=2)


def test_a_command_line_that_was_added_or_taken_away_is_noticed(tmp_path: Path) -> None:
    shell = Noted()
    stages = yaml.safe_load(write_story(tmp_path).read_text())["stages"]
    run_story(plan_of(tmp_path), shell)
    for commands in (stages[0]["commands"][:1], [*stages[0]["commands"], "sever synth -o z"]):
        with pytest.raises(InputError, match="stage make was carried out with other commands"):
            run_story(plan_of(tmp_path, stages=[stages[0] | {"commands": commands}, *stages[1:]]), shell)


def test_wrong_words_and_settings_are_told_before_anything_runs(tmp_path: Path, tiny_experiment: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(tiny_experiment.read_text().replace("epochs", "epoch"))
    recipe = tmp_path / "recipe.yml"
    recipe.write_text("name: x\nmember: []\n")
    commands = [
        "sever synth -o {place}",
        "sever trian -c x",
        "sever train --sede 3",
        f"sever crossval -c {bad}",
        f"sever blend --recipe {recipe} -o x",
        "sever leaderboard",
        "sever train --help",
        "sever leaderboard ad",
        "sever predict -r x",
    ]
    shell = Noted()
    with pytest.raises(InputError) as raised:
        run_story(plan_of(tmp_path, stages=[{"name": "s", "about": "", "commands": commands}]), shell)
    said = str(raised.value)
    for words in (
        "trian",
        "--sede",
        "epoch",
        "member",
        "leaderboard: no command follows `sever leaderboard`",
        "--help: this only prints",
        "'ad'",
        "--output",
    ):
        assert words in said
    assert not shell.typed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # what is wrong with the story, what the message must say
        ({"stages": []}, "stages"),
        ({"stages": [{"name": "a", "about": "", "commands": ["rm -r x"]}]}, "does not begin with `sever`"),
        ({"stages": [{"name": "a", "about": "", "commands": ["sever {sede}"]}]}, "{sede}; variables known there"),
        ({"stages": [{"name": "a", "about": "", "commands": ["sever }"]}]}, "curly bracket"),
        ({"stages": [{"name": "a", "about": "", "comands": ["sever x"]}]}, "did you mean `commands`"),
        ({"stages": [{"name": "a", "about": "", "commands": ["sever x"]}] * 2}, "stage a appears twice"),
        ({"variables": {"a": "{b}", "b": "c"}}, "variables.a"),
        ({"stages": [{"name": "a", "about": "", "only_when": {"b": "c"}, "commands": ["sever x"]}]}, "no variable b"),
        ({"reads": {"a": {"file": "{b}", "key": "c"}}}, "reads.a.file"),
        ({"reads": {"a": {"file": "b", "key": "c", "fyle": "d"}}}, "reads.a.fyle`; did you mean `file`"),
        ({"reads": {"file": {"file": "b", "key": "c", "zzz": "d"}}}, "allowed here: file, key"),
    ],
)
def test_a_wrong_story_is_one_message(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_story(write_story(tmp_path, **change))
    assert said in str(raised.value)


def test_a_variable_that_the_story_does_not_have_and_a_file_without_the_value(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no variable sede to set; it has saved, seed, send, place"):
        plan_of(tmp_path, {"sede": "1"})
    plan = plan_of(tmp_path)
    (tmp_path / "saved" / "d" / "choice.json").write_text('{"chosen": []}')
    with pytest.raises(InputError, match=r"(?s)choice.json has no chosen.1.name, .*stage 2 of 3, look stopped at"):
        run_story(plan, Noted())
    run_story(plan_of(tmp_path, {"best": "mine"}), shell := Noted())  # a user may decide in the file's place
    assert shell.typed == [f"report {tmp_path}/saved/d/mine -o x y.html"]


def test_an_interrupted_cross_validation_goes_on_in_its_folder(tmp_path: Path, tiny_experiment: Path) -> None:
    saved = tmp_path / "saved"
    line = f"crossval -c {tiny_experiment} --seed 3 --saved {saved} --device cpu"
    stages = [{"name": "s", "about": "", "commands": [f"sever {line}"]}]
    for name in ("19990101-000000", "29990101-000000", "29990101-000000-1"):
        (saved / "tiny" / name).mkdir(parents=True)
    (saved / "tiny" / "19990101-000000" / "evidence.json").touch()  # somebody else's, older than the story
    shell = Noted({line: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run_story(plan_of(tmp_path, stages=stages, reads={}), shell)
    # It was stopped before its folder was complete: it begins anew.
    shell.faults = {line: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run_story(plan_of(tmp_path, stages=stages, reads={}), shell)
    (saved / "tiny" / "29990101-000000" / "evidence.json").touch()
    run_story(plan_of(tmp_path, stages=stages, reads={}), shell)
    assert shell.typed == [f"crossval -r {saved}/tiny/29990101-000000 --device cpu --jobs 0"]


def test_only_one_process_carries_a_story_on(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with (
        StoryState.locked(plan.saved, "tale", ""),
        pytest.raises(InputError, match="another `sever run` is at work on tale"),
    ):
        run_story(plan, Noted())


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run_story(plan, Noted())
    file = tmp_path / "saved" / "stories" / "tale" / "state.json"
    values = json.loads(file.read_text())
    for broken, said in [
        (values | {"version": 99}, "another release"),
        (values | {"stages": {"make": {"begun": "x"}}}, "is damaged"),
    ]:
        file.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=said):
            run_story(plan, Noted())


def test_exit_codes_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 for what the user can mend, with the command's own message; 1 for our fault, with its traceback."""
    story = {"stages": [{"name": "s", "about": "", "commands": [f"sever train -r {tmp_path}/nowhere"]}], "reads": {}}
    path = write_story(tmp_path, **story)
    assert sever("run", path) == 2
    shown = capsys.readouterr().err
    assert f"there is no file or folder {tmp_path}/nowhere" in shown
    assert "stage 1 of 1, s stopped at: sever train -r" in shown
    assert "Traceback" not in shown

    def fail(path: Path, device: str, epochs: int | None) -> None:
        raise RuntimeError("ours")

    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "config.yml").write_text("name: x\ndata: {root: d}\n")
    monkeypatch.setattr("sever.pipeline.train.resuming.resume", fail)
    assert sever("run", path) == 1
    shown = capsys.readouterr().err
    assert "stage 1 of 1, s stopped at: sever train -r" in shown
    assert "RuntimeError: ours" in shown


def test_variables_in_brackets_are_found() -> None:
    assert variables_in("a {b} c{d}{b} {{e}}") == {"b", "d"}
