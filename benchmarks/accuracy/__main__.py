"""Claim: `sever` learns better than a plain loop or nnU-Net in the same time. One run, one row of docs/accuracy.csv.

    python -m benchmarks.accuracy --protocol neu-grouped --contender plain --seed 0 --minutes 45
    python -m benchmarks.accuracy --protocol neu-grouped --contender sever --variant from=neu-grouped loss.name=ce_dice
    python -m benchmarks.accuracy --table --protocol neu-grouped

A run that was stopped goes on when it is typed again, and one that stands in the table is not run again. The budget is
for all until the last weights: reading, measuring the machine, training. Scores are of the last weights on the test
images, from label maps, by the same code for every contender. On a busy machine take --clock cpu, whose minutes are
those of all processors together, or --clock epochs; only a quiet one may take --clock wall.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sever.errors import InputError
from sever.models.device import has_bf16_units

from .budget import Budget, Stopwatch
from .contenders.registry import CONTENDERS
from .protocols import PROTOCOLS, Split
from .results import KEY, add_row, find_row, read_rows
from .scoring import Scorer
from .summary import print_summary
from .task import Task, Trained

ROOT = Path(__file__).parents[2]
CPU_FILE = Path("/proc/cpuinfo")


def main() -> None:
    options = make_parser().parse_args()
    try:
        if options.table:
            print_summary(read_rows(options.results), options.protocol)
        else:
            run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", choices=list(PROTOCOLS), default="neu-grouped")
    parser.add_argument("--contender", choices=list(CONTENDERS), default="plain")
    parser.add_argument(
        "--variant", nargs="*", default=[], metavar="NAME=VALUE", help="what differs from its usual settings"
    )
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of the training; the split has none")
    parser.add_argument("--minutes", type=float, default=45.0, help="of the clock wall or cpu")
    parser.add_argument(
        "--epochs", type=float, default=4.0, help="passes over the training images, with --clock epochs"
    )
    parser.add_argument("--clock", choices=["wall", "cpu", "epochs"], default="wall")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of neu_seg/ and magnetic_tile/")
    parser.add_argument("--work", type=Path, default=Path("saved/accuracy"), help="where runs keep their checkpoints")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "accuracy.csv")
    parser.add_argument("--nnunet-python", type=Path, help="Python of an environment with nnunetv2")
    parser.add_argument(
        "--table", action="store_true", help="print what is known, a mean over seeds a row, and run nothing"
    )
    return parser


def run(options: argparse.Namespace) -> None:
    key = key_of(options)
    done = find_row(read_rows(options.results), key)
    if done is not None:
        print(f"done on {done['date']}: mean IoU {done['mean_iou']}, with background {done['mean_iou_background']}")
        return
    split = PROTOCOLS[options.protocol](options.data, options.fold)
    folder = options.work / name_of(key)
    print(f"{folder}: {len(split.train)} images train, {len(split.test)} test", flush=True)
    budget = Budget(options.clock, key["budget"])
    with Stopwatch(folder / "spent.json") as stopwatch:
        variant = parse_variant(options.variant)
        task = Task(split, options.seed, budget, folder, stopwatch, variant, options.nnunet_python)
        trained = CONTENDERS[options.contender](task)
        spent = stopwatch.spent()
    row = {
        "date": time.strftime("%Y-%m-%d"),
        **key,
        "wall_seconds": round(spent.wall),
        "cpu_seconds": round(spent.cpu, 1),
        "images_seen": trained.images_seen,
        **score(split, trained),
        "commit": commit(),
    }
    add_row(options.results, row)
    print("  ".join(f"{name} {value}" for name, value in row.items()))


def key_of(options: argparse.Namespace) -> dict[str, Any]:
    variant = parse_variant(options.variant)
    return {
        "host": describe_host(),
        "protocol": options.protocol,
        "fold": options.fold,
        "contender": options.contender,
        "variant": " ".join(f"{name}={value}" for name, value in sorted(variant.items())),
        "seed": options.seed,
        "clock": options.clock,
        "budget": options.epochs if options.clock == "epochs" else options.minutes,
    }


def parse_variant(words: list[str]) -> dict[str, str]:
    """NAME=VALUE words by name. Raises InputError for others, and for a name that appears twice."""
    pairs = [word.partition("=") for word in words]
    if wrong := [word for word, (name, sign, _) in zip(words, pairs, strict=True) if not (name and sign)]:
        raise InputError(f"--variant takes NAME=VALUE, but got {wrong[0]!r}")
    values = {name: value for name, _, value in pairs}
    if len(values) < len(pairs):
        raise InputError(f"a name appears twice in --variant {' '.join(words)}")
    return values


def name_of(key: Mapping[str, object]) -> str:
    """A folder's name for a run; characters that a path can't hold become dashes."""
    return re.sub(r"[^\w.=+-]+", "-", "_".join(str(key[name]) for name in KEY if key[name] != ""))


def score(split: Split, trained: Trained) -> dict[str, str]:
    scorer = Scorer(split.num_classes)
    for index, labels_hw in enumerate(trained.predict(split.test)):
        if split.shown is None:
            scorer.add(split.test[index].name, labels_hw, split.test[index].read_labels())
        else:
            scorer.add_shown(labels_hw, split.shown[index])
    assert len(scorer.areas) == len(split.test), "every test image has one answer"
    return scorer.scores()


def describe_host() -> str:
    """Kind of processor, number of cores, and whether bf16 is slow there; no machine's name."""
    info = CPU_FILE.read_text(encoding="utf-8") if CPU_FILE.is_file() else ""
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    units = "" if has_bf16_units(torch.device("cpu")) else ", no bf16 units"
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores{units}"


def commit() -> str:
    """The commit at hand, with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "sever", "benchmarks"], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


if __name__ == "__main__":
    main()
