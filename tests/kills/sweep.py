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
from pathlib import Path

import kill_at

from kills.cases import CASES, Case, Words
from kills.fingerprint import fingerprint
from sever.cli import main
from sever.data.synthetic import SynthSettings, write_dataset


def sweep(name: str, points: int, folder: Path) -> str:
    """Kill at `points` of all writes, spread evenly (0: at all of them); returns a line on what came of it.

    Raises AssertionError where the files differ from those of a run that nobody killed.
    """
    case, data, before, work = CASES[name], folder / "data", folder / "before", folder / "work"
    write_dataset(data, SynthSettings(train=8, test=3, height=64, width=96, frequencies="balanced", seed=7, workers=1))
    work.mkdir()
    case.prepare(work, data)
    shutil.copytree(work, before)
    with case.around(work) as collect:
        count = _type(case.words(work, data), work, 0)
        collect()
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
        _kill_and_type_again(case, data, work, point, f"{name}, killed at write {point} of {count}")
        now = fingerprint(case.result(work))
        differ = sorted(key for key in whole.keys() | now.keys() if whole.get(key) != now.get(key))
        assert not differ, f"{name}, killed at write {point} of {count}: {', '.join(differ[:5])} differ"
    return f"{name}: killed at {len(chosen)} of {count} writes, {len(whole)} files equal each time"


def _kill_and_type_again(case: Case, data: Path, work: Path, point: int, what: str) -> None:
    with case.around(work) as collect:
        killed = _type(case.words(work, data), work, point)
        assert killed == -signal.SIGKILL, f"{what}: it was not, but ended with {killed}"
        code = _type(case.words(work, data), work, None)
        assert code == 0, f"{what}: typed again it ends with {code}"
        collect()


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
