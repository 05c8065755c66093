"""The long run, in the folder tests: python -m fuzz --cases 1000000 --counts fuzz.json; stopped, it goes on there."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from fuzz.fuzz import Counts, limited_memory, run_case
from fuzz.world import build

SAVE_EVERY = 2000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--counts", type=Path, default=Path("fuzz.json"))
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    logging.getLogger("sever").setLevel(logging.CRITICAL)
    counts, done = _read(options.counts)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        targets = build(Path(folder))
        with limited_memory():
            while done < options.cases and time.monotonic() < end:
                run_case(done, targets, counts)
                done += 1
                if done % SAVE_EVERY == 0:
                    _write(options.counts, counts, done)
    _write(options.counts, counts, done)
    refused = sum(counts.refused.values())
    print(f"{done} damaged files of {len(counts.read)} kinds: {refused} refused, {len(counts.escaped)} escaped")
    print("\n".join(counts.escaped[:50]))
    return 1 if counts.escaped else 0


def _read(file: Path) -> tuple[Counts, int]:
    if not file.is_file():
        return Counts(), 0
    values = json.loads(file.read_text())
    counts = Counts(escaped=values["escaped"])
    counts.read.update(values["read"])
    counts.refused.update(values["refused"])
    return counts, values["done"]


def _write(file: Path, counts: Counts, done: int) -> None:
    values = {"done": done, "read": dict(counts.read), "refused": dict(counts.refused), "escaped": counts.escaped}
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(json.dumps(values, indent=1))
    temporary.replace(file)


if __name__ == "__main__":
    sys.exit(main())
