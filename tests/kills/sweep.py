"""Kill a command at its writes, one after the other, and type it again: python -m kills.sweep train --points 10.

One process has everything imported and forks a child for each time that the command is typed.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kill_at
import yaml
from evidence_maker import make_evidence
from run_maker import make_run

from kills.fingerprint import fingerprint
from sever.cli import main
from sever.data.synthetic import SynthSettings, write_dataset

Words = list[str]


@dataclass(frozen=True)
class Case:
    """`prepare` fills the folder in which the command works; `words` is what is typed there, also after a kill."""

    prepare: Callable[[Path, Path], None]
    words: Callable[[Path, Path], Words]
    result: Callable[[Path], Path] = lambda work: work


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
}


def sweep(name: str, points: int, folder: Path) -> str:
    """Kill at `points` of all writes, spread evenly (0: at all of them); returns a line on what came of it.

    Raises AssertionError where the files differ from those of a run that nobody killed.
    """
    case, data, before, work = CASES[name], folder / "data", folder / "before", folder / "work"
    write_dataset(data, SynthSettings(train=8, test=3, height=64, width=96, frequencies="balanced", seed=7, workers=1))
    work.mkdir()
    case.prepare(work, data)
    shutil.copytree(work, before)
    count = _type(case.words(work, data), work, 0)
    whole = fingerprint(case.result(work))
    assert whole, "nothing was written"
    chosen = (
        range(1, count + 1)
        if not points
        else sorted({1 + at * (count - 1) // max(1, points - 1) for at in range(points)})
    )
    for point in chosen:
        shutil.rmtree(work)
        shutil.copytree(before, work)
        killed = _type(case.words(work, data), work, point)
        assert killed == -signal.SIGKILL, f"{name}, write {point} of {count}: ended with {killed}"
        code = _type(case.words(work, data), work, None)
        assert code == 0, f"{name}, killed at write {point} of {count}: typed again it ends with {code}"
        now = fingerprint(case.result(work))
        differ = sorted(key for key in whole.keys() | now.keys() if whole.get(key) != now.get(key))
        assert not differ, f"{name}, killed at write {point} of {count}: {', '.join(differ[:5])} differ"
    return f"{name}: killed at {len(chosen)} of {count} writes, {len(whole)} files equal each time"


def _type(words: Words, work: Path, kill_at_change: int | None) -> int:
    """Type a command in a child; returns how many changes it made (0), or how it ended."""
    count_file = work.parent / "count"
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _be_the_command(words, work, kill_at_change, count_file)
    status = os.waitpid(child, 0)[1]
    if kill_at_change == 0:
        assert status == 0, f"{' '.join(words)} ended with {status}"
        return int(count_file.read_text())
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _be_the_command(words: Words, work: Path, kill_at_change: int | None, count_file: Path) -> None:
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        if not os.environ.get("SHOW"):
            os.dup2(nowhere.fileno(), 2)
    counter = kill_at.Counter(str(work), kill_at_change or 0)
    if kill_at_change is not None:
        sys.addaudithook(counter)
    code: object = 1
    try:
        sys.argv = ["sever", *words]
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        changes = counter.count
        if kill_at_change == 0:
            count_file.write_text(str(changes))
        os._exit(code if isinstance(code, int) else 1)


def main_sweep() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=list(CASES))
    parser.add_argument("--points", type=int, default=0, help="how many writes of each; 0: all")
    options = parser.parse_args()
    logging.getLogger("sever").setLevel(logging.ERROR)
    random.seed(0)
    for name in options.commands:
        with tempfile.TemporaryDirectory() as folder:
            print(sweep(name, options.points, Path(folder)), flush=True)
    return 0


if __name__ == "__main__":
    # Imported before the first fork: afterwards each child has them at once.
    import torch  # noqa: F401

    import sever.pipeline.blend.combine
    import sever.pipeline.crossval
    import sever.pipeline.demo  # noqa: F401

    sys.exit(main_sweep())
