"""Damage files, read them, count what came of it; case N is the same whenever it is run again."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutate import mutate
from fuzz.target import Target
from sever.errors import InputError

MOST_BYTES = 1 << 30


@dataclass
class Counts:
    """How many files of each kind were read, and how many of them were refused; what escaped, with its case."""

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    escaped: list[str] = field(default_factory=list)


def run_case(number: int, targets: list[Target], counts: Counts) -> None:
    """Damage one file, have it read, and put it back."""
    rng = random.Random(number)
    target = targets[number % len(targets)]
    whole = target.whole()
    target.path.write_bytes(mutate(whole, rng))
    counts.read[target.name] += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read()
    except InputError as error:
        counts.refused[target.name] += 1
        if "\x1b" in str(error).replace(str(target.path), "") and "yml" not in target.name:
            pass  # shown, it is written out: see sever.names.visible
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        counts.escaped.append(f"case {number}, {target.name}: {type(error).__name__}: {str(error)[:200]} ({where})")
    finally:
        target.path.write_bytes(whole)


@contextlib.contextmanager
def limited_memory(most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """A case that wants more than this above what is there now fails with MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
