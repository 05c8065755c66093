"""How long a command takes until it begins to work: `sever COMMAND --help`, and the import of what it then needs.

    python benchmarks/startup.py

Commands that only read stored maps, tables and records need no torch; `predict` with a trained run does. Each is a
process of its own, started several times in turn; processor seconds of the process, which other work hardly moves.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
from common import describe_machine, make_parser, parse, print_ratio, print_table

# What a command imports once its words are understood.
NEEDED = {
    "blend": "sever.pipeline.blend.combine",
    "tune": "sever.pipeline.tune",
    "select": "sever.pipeline.select.choose",
    "leaderboard": "sever.pipeline.leaderboard",
    "report": "sever.pipeline.report.write",
    "predict": "sever.pipeline.predict",
    "train": "sever.pipeline.train.starting",
}


def seconds_of(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--times", type=int, default=7)
    options = parse(parser, {"times": 1})
    print(describe_machine())
    helps: dict[str, list[float]] = {name: [] for name in NEEDED}
    works: dict[str, list[float]] = {name: [] for name in NEEDED}
    for _ in range(options.times):
        for name, module in NEEDED.items():
            helps[name].append(seconds_of("-m", "sever", name, "--help"))
            works[name].append(seconds_of("-c", f"import sever.cli, {module}"))
    medians = {name: (float(np.median(helps[name])), float(np.median(works[name]))) for name in NEEDED}
    rows = [(name, f"{shown:.2f}", f"{ready:.2f}") for name, (shown, ready) in medians.items()]
    print_table(("command", "--help, s", "ready to work, s"), rows)
    print_ratio(medians["train"][1] / medians["tune"][1], "start of train, with torch, over that of tune")


if __name__ == "__main__":
    main()
