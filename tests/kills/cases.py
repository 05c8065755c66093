"""The commands that are killed: what lies there before, what is typed, and what must be equal afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from evidence_maker import make_evidence
from kaggle_server import KEY, USER, World, forget_account, signed_in_server
from run_maker import make_run

Words = list[str]


Collect = Callable[[], None]


@contextmanager
def _nothing_around(work: Path) -> Iterator[Collect]:
    yield lambda: None


@dataclass(frozen=True)
class Case:
    """`prepare` fills the folder in which the command works; `words` is what is typed there, also after a kill.

    `around` is what outlives the command: it gives what writes into the folder what others received.
    """

    prepare: Callable[[Path, Path], None]
    words: Callable[[Path, Path], Words]
    result: Callable[[Path], Path] = lambda work: work
    around: Callable[[Path], AbstractContextManager[Collect]] = _nothing_around


def _experiment(work: Path, data: Path) -> None:
    settings = {
        "name": "tiny",
        "data": {"root": str(data)},
        "folds": {"share": 0.25, "count": 2},
        "model": {"encoder": "resnet18", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]},
        "augment": {"recipe": "light", "crop": [32, 64]},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0, "checkpoint_steps": 1, "precision": "no"},
        "rules": {"min_pixels": 0},
    }
    (work / "tiny.yml").write_text(yaml.safe_dump(settings))


def _go_on(command: str, marker: str, *more: str) -> Callable[[Path, Path], Words]:
    """Begin anew, or go on where a folder is there that can be gone on with."""

    def words(work: Path, data: Path) -> Words:
        begun = any((work / "saved" / "tiny").glob(f"*/{marker}"))
        how = (
            ["-r", str(work / "saved" / "tiny")]
            if begun
            else ["-c", str(work / "tiny.yml"), "--saved", f"{work}/saved"]
        )
        return [command, *how, "--device", "cpu", *more]

    return words


def _newest(work: Path) -> Path:
    from sever.store.order import in_order

    return in_order(work / "saved" / "tiny", "config.yml")[-1]


def _run(work: Path, data: Path) -> None:
    make_run(work / "run" / "20260101-000000", data)


def _two(work: Path, data: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        make_evidence(work / name, data, seed, noise=0.4 + seed, gate=seed == 0)


def _several_checkpoints(work: Path, data: Path) -> None:
    run = make_run(work / "run" / "20260101-000000", data, epochs=(1, 2, 3))
    state = run / "checkpoints" / "epoch-0003" / "state.json"
    values = json.loads(state.read_text())
    values["history"] = [{"epoch": epoch, "dice": 0.1 * epoch} for epoch in (1, 2, 3)]
    state.write_text(json.dumps(values))


def _strip(work: Path, data: Path) -> None:
    (work / "there").mkdir()


_WORLDS: list[World] = []  # the servers so far, the newest last


@contextmanager
def _kaggle(work: Path) -> Iterator[Collect]:
    """A server that lives on; every version of a data set that it was given, file by file, with its page."""
    with pytest.MonkeyPatch.context() as patch:
        home = work.parent / "home"
        home.mkdir(exist_ok=True)
        forget_account(patch, home)
        patch.setenv("KAGGLE_USERNAME", USER)  # the client signs in when it is imported, and prints where it can't
        patch.setenv("KAGGLE_KEY", KEY)
        patch.setenv("TMPDIR", str(work / "tmp"))
        patch.setattr("tempfile.tempdir", None)
        with signed_in_server(patch, home) as world:
            _WORLDS.append(world)
            yield lambda: _keep(world, work / "received")


def _keep(world: World, folder: Path) -> None:
    for ref, versions in world.published.items():
        page = {name: value for name, value in versions[0].items() if name != "files"}
        place = folder / ref
        place.mkdir(parents=True)
        (place / "page.json").write_text(json.dumps(page, sort_keys=True))
        contents = [world.files(version) for version in versions]
        assert all(content == contents[0] for content in contents), "versions of one upload differ"
        for name, content in contents[0].items():
            (place / name).write_bytes(content)


@contextmanager
def _submissions(work: Path) -> Iterator[Collect]:
    """What Kaggle was sent, and by which number the leaderboard knows it: once, and as it is there."""
    with pytest.MonkeyPatch.context() as patch, _kaggle(work) as _:
        patch.setattr("sever.pipeline.kaggle.sending.SECOND_LOOK_SECONDS", 0.0)
        world = _WORLDS[-1]

        def collect() -> None:
            lines = [json.loads(line) for line in (work / "ledger.jsonl").read_text().splitlines()]
            known = [line["reference"] for line in lines if line["record"] == "submission"]
            folder = work / "received"
            folder.mkdir()
            sent = [{"message": each["submissionDescription"]} for each in world.submissions]
            (folder / "submissions.json").write_text(json.dumps({"sent": sent, "known": known}))

        yield collect


def _submit_room(work: Path, data: Path) -> None:
    rows = ["ImageId_ClassId,EncodedPixels", *(f"{n}.jpg_{k},{k} 1" for n in "ab" for k in (1, 2))]
    for name in ("sample.csv", "submission.csv"):
        (work / name).write_text("".join(f"{row}\n" for row in rows))
    (work / "tmp").mkdir()


def _upload_room(work: Path, data: Path) -> None:
    _run(work, data)
    (work / "tmp").mkdir()


CASES: dict[str, Case] = {
    "train": Case(_experiment, _go_on("train", "config.yml"), _newest),
    "crossval": Case(_experiment, _go_on("crossval", "evidence.json", "--jobs", "1"), _newest),
    "folds": Case(_experiment, _go_on("crossval", "evidence.json", "--jobs", "2"), _newest),
    "predict": Case(
        _run,
        lambda work, data: [
            "predict",
            "-r",
            f"{work}/run",
            "--data",
            f"{data}",
            "-o",
            f"{work}/out",
            "--device",
            "cpu",
        ],
    ),
    "pseudo": Case(
        _run,
        lambda work, data: [
            *("pseudo", "-r", f"{work}/run", "--data", f"{data}", "-o", f"{work}/out", "--device", "cpu"),
            *("--min-present", "0", "--min-empty", "0"),
        ],
    ),
    "blend": Case(
        _two, lambda work, data: ["blend", "-m", f"{work}/a", "-m", f"{work}/b", "-o", f"{work}/out", "--kind", "rank"]
    ),
    "tune": Case(_two, lambda work, data: ["tune", "-r", f"{work}/a", "--apply", "--draws", "20"]),
    "evaluate": Case(
        _two,
        lambda work, data: [
            *("evaluate", "-s", f"{data}/sample_submission.csv", "--data", f"{data}"),
            *("--labels", f"{data}/test_labels.csv", "-o", f"{work}/out"),
        ],
    ),
    "select": Case(_two, lambda work, data: ["select", f"{work}/a", f"{work}/b", "--draws", "20", "-o", f"{work}/out"]),
    "report": Case(_two, lambda work, data: ["report", f"{work}/a", "-o", f"{work}/r.html", "--images", "1"]),
    "average": Case(_several_checkpoints, lambda work, data: ["average", "-r", f"{work}/run", "--best", "2"]),
    "synth": Case(
        _strip,
        lambda work, data: [
            *("synth", "-o", f"{work}/made", "--train", "3", "--test", "1", "--height", "64", "--width", "96"),
            *("--workers", "1"),
        ],
    ),
    "convert": Case(_strip, lambda work, data: ["data", "convert", f"{data}", "-o", f"{work}/coco", "--to", "coco"]),
    "check": Case(_strip, lambda work, data: ["data", "check", f"{data}", "-o", f"{work}/checked"]),
    "submit": Case(
        _submit_room,
        lambda work, data: [
            *("submit", f"{work}/submission.csv", "--competition", "steel", "--sample", f"{work}/sample.csv"),
            *("-m", "gated", "--ledger", f"{work}/ledger.jsonl", "--data", f"{work}"),
        ],
        lambda work: work / "received",
        _submissions,
    ),
    "upload": Case(
        _upload_room,
        lambda work, data: ["upload", "-r", f"{work}/run", "--title", "sever tiny", "--wait", "0"],
        lambda work: work / "received",
        _kaggle,
    ),
}
