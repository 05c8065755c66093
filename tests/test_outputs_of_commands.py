"""Every command with -o, asked to write where somebody's own files lie: it says which they are, and they stay.

A new command with -o fails here until it stands in the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from command_line import sever
from evidence_maker import make_evidence
from lock_holder import another
from run_maker import make_run

from sever.cli.application import app
from sever.deliver.serve.storage.store import Store

MINE = b"mine, and nobody else's"


class Inputs:
    """What the commands need, made once and small."""

    def __init__(self, root: Path, strip_root: Path) -> None:
        self.data = strip_root
        self.images = strip_root / "test_images"
        self.run = make_run(root / "tiny" / "20260101-000000", strip_root, epochs=(1, 2))
        self.evidence = [make_evidence(root / name, strip_root, seed) for seed, name in enumerate("ab")]
        self.ledger = root / "ledger.jsonl"
        table = ("-s", strip_root / "test_labels.csv")
        assert sever("leaderboard", "add", "--name", "one", *table, "--public", 0.9, "--ledger", self.ledger) == 0
        self.store = root / "served"
        Store(self.store, durable=False).close()
        self.experiment = root / "tiny.yml"
        self.experiment.write_text(yaml.safe_dump({"name": "tiny", "data": {"root": str(strip_root)}}))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("given"), strip_root)


def predicting(command: str) -> Callable[[Inputs, Path], list[object]]:
    return lambda given, out: [command, "-r", given.run, "--images", given.images, "-o", out, "--device", "cpu"]


def training(command: str) -> Callable[[Inputs, Path], list[object]]:
    return lambda given, out: [command, "-c", given.experiment, "-o", out, "--device", "cpu"]


# Of each command the words to type, given where -o leads, and files that it would write there.
FOLDERS: dict[str, tuple[Callable[[Inputs, Path], list[object]], tuple[str, ...]]] = {
    "predict": (
        predicting("predict"),
        (
            "submission.csv",
            "skipped.csv",
            "sheet.png",
            "predict.json",
            "labels.csv",
            "found.jsonl",
            "probs/{image}.png",
        ),
    ),
    "predict --overwrite": (
        lambda given, out: [*predicting("predict")(given, out), "--overwrite"],
        ("submission.csv", "skipped.csv", "probs/{image}.png"),
    ),
    "pseudo": (predicting("pseudo"), ("pseudo.csv", "pseudo.json", "skipped.csv", "probs/{image}.png")),
    "evaluate": (
        lambda given, out: ["evaluate", "-r", given.run, "--data", given.data, "-o", out, "--device", "cpu"],
        ("scores.json", "images.csv", "sheet.png"),
    ),
    "blend": (
        lambda given, out: ["blend", "-m", given.evidence[0], "-m", given.evidence[1], "-o", out],
        ("blend.json", "rules.json", "pairs.csv", "folds.csv", "tune.json"),
    ),
    "blend --overwrite": (
        lambda given, out: ["blend", "-m", given.evidence[0], "-m", given.evidence[1], "-o", out, "--overwrite"],
        ("probs/{train}.png", "evidence.json"),
    ),
    "select": (lambda given, out: ["select", *given.evidence, "-o", out], ("select.json", "clouds.png")),
    "kernel": (
        lambda given, out: ["kernel", "-r", given.run, "-o", out, "--owner", "somebody"],
        ("kernel-metadata.json", "main.py", "pushed.json"),
    ),
    "train": (training("train"), ("mine.txt", "checkpoints/mine.txt")),
    "crossval": (training("crossval"), ("mine.txt", "fold-0/mine.txt")),
    "serve export": (
        lambda given, out: ["serve", "export", "--store", given.store, "-o", out],
        ("train.csv", "mine.txt"),
    ),
    "synth": (lambda given, out: ["synth", "-o", out, "--train", 1, "--test", 1], ("train.csv", "mine.txt")),
    "demo": (lambda given, out: ["demo", "-o", out], ("report.html", "mine.txt")),
    "download": (lambda given, out: ["download", "some-competition", "-o", out], ("train.csv",)),
    "data convert": (
        lambda given, out: ["data", "convert", given.data, "--to", "coco", "-o", out],
        ("mine.txt",),
    ),
    "data check": (
        lambda given, out: ["data", "check", given.data, "-o", out],
        ("groups.csv", "duplicates.csv", "check.json", "pairs.png"),
    ),
    "data doubts": (
        lambda given, out: ["data", "doubts", given.evidence[0], "-o", out],
        ("doubts.csv", "doubts.json", "doubts.png"),
    ),
    "data next": (
        lambda given, out: ["data", "next", given.run, "--images", given.images, "-o", out, "--device", "cpu"],
        ("next.csv", "next.json", "next.png"),
    ),
    "data familiar": (
        lambda given, out: ["data", "familiar", given.run, "--images", given.images, "-o", out, "--device", "cpu"],
        ("familiarity.csv",),
    ),
    "data shift": (
        lambda given, out: ["data", "shift", given.data, given.images, "-o", out, "--no-copies"],
        ("shift.json", "shift.png", "weights.csv"),
    ),
}
FILES: dict[str, tuple[Callable[[Inputs, Path], list[object]], str]] = {
    "export": (lambda given, out: ["export", given.run, "-o", out], "model.sever"),
    "tune": (lambda given, out: ["tune", "-r", given.evidence[0], "-o", out], "rules.json"),
    "report": (lambda given, out: ["report", given.evidence[0], "-o", out], "report.html"),
    "leaderboard draw": (lambda given, out: ["leaderboard", "draw", "-o", out, "--ledger", given.ledger], "a.svg"),
    "gate": (lambda given, out: ["gate", "-o", out], "gate.png"),
    "data stats": (lambda given, out: ["data", "stats", given.data, "-o", out], "page.html"),
    "data preview": (lambda given, out: ["data", "preview", "-c", given.experiment, "-o", out], "preview.png"),
    "serve backup": (lambda given, out: ["serve", "backup", "--store", given.store, "-o", out], "served.tar"),
    "plan": (lambda given, out: ["plan", given.data, "-o", out, "--hours", 1], "plan.yml"),
}


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_with_an_output_is_put_to_the_test() -> None:
    group = typer.main.get_command(app)
    with_output = {name for name, command in commands(group) if any("-o" in each.opts for each in command.params)}
    assert with_output == {name.removesuffix(" --overwrite") for name in (*FOLDERS, *FILES)}


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, (_, names) in FOLDERS.items() for name in names]
)
def test_a_file_of_somebody_elses_stays(
    command: str, name: str, given: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {"image": min(path.name for path in given.images.iterdir())}
    ids["train"] = min(path.name for path in (given.data / "train_images").iterdir())
    mine = tmp_path / "out" / name.format(**ids)
    mine.parent.mkdir(parents=True)
    mine.write_bytes(MINE)
    assert sever(*FOLDERS[command][0](given, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "out") in said.replace("\n", "")
    assert "Traceback" not in said
    assert mine.read_bytes() == MINE
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine], "and nothing is put beside it"


@pytest.mark.parametrize("command", FILES)
def test_a_file_in_the_place_of_the_result_stays(
    command: str, given: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, name = FILES[command]
    mine = tmp_path / name
    mine.write_bytes(MINE)
    assert sever(*words(given, mine)) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert mine.read_bytes() == MINE


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("command", [name for name in FOLDERS if "--overwrite" not in name])
def test_a_folder_that_another_process_writes_is_left_to_it(
    command: str, kind: str, given: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether that process fills the folder, or will put it there whole by a rename."""
    out = tmp_path / "out"
    with another(out, kind) as (process, _):
        there = sorted(tmp_path.rglob("*"))
        assert sever(*FOLDERS[command][0](given, out)) == 2
        said = capsys.readouterr().err
        assert f"is being written by another sever (process {process.pid}," in said
        assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize("command", FILES)
def test_a_file_that_another_process_writes_is_left_to_it(
    command: str, given: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, name = FILES[command]
    with another(tmp_path / name, "file") as (process, _):
        there = sorted(tmp_path.rglob("*"))
        assert sever(*words(given, tmp_path / name)) == 2
        said = capsys.readouterr().err
        assert f"is being written by another sever (process {process.pid}," in said
        assert sorted(tmp_path.rglob("*")) == there


def test_average_keeps_what_lies_in_its_folder(given: Inputs, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no -o; its folder is checkpoints/average-N, which is replaced whole. Without scores it has nothing to go
    by, and says what is damaged."""
    history = [{"epoch": epoch, "dice": 0.5} for epoch in (1, 2)]
    state = given.run / "checkpoints" / "epoch-0002" / "state.json"
    lacking = {name: value for name, value in json.loads(state.read_text()).items() if name != "history"}
    state.write_text(json.dumps(lacking))
    command = ["average", "-r", given.run, "--best", 2]
    assert sever(*command) == 2
    said = capsys.readouterr().err.replace("\n", "")
    assert "state.json is damaged: it lacks `history`; delete this checkpoint's folder" in said
    assert not (given.run / "checkpoints" / "average-2").exists()
    state.write_text(json.dumps(lacking | {"history": history}))
    assert [sever(*command), sever(*command)] == [0, 0], "its own is replaced"
    mine = given.run / "checkpoints" / "average-2" / "notes.txt"
    mine.write_bytes(MINE)
    assert sever(*command) == 2
    assert mine.read_bytes() == MINE


def test_predicting_into_the_images_folder_any_number_of_times(given: Inputs, tmp_path: Path) -> None:
    """Into a folder below the images, and into the very same one; a picture of one's own there stays an image."""
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(given.images.iterdir())[:2]:
        (images / path.name).write_bytes(path.read_bytes())
    for output in (images / "out", images / "deep" / "er", images):
        before: bytes | None = None
        for _ in range(3):
            words = ["predict", "-r", given.run, "--images", images, "-o", output, "--device", "cpu"]
            assert sever(*words) == 0
            submission = (output / "submission.csv").read_bytes()
            assert submission.count(b"\n") == 1 + 2 * 4
            assert before in (None, submission)
            before = submission
    own = images / "out" / "new.jpg"
    own.write_bytes(min(images.glob("*.jpg")).read_bytes())
    assert sever("predict", "-r", given.run, "--images", images, "-o", tmp_path / "more", "--device", "cpu") == 0
    assert "out/new.jpg_1" in (tmp_path / "more" / "submission.csv").read_text()
