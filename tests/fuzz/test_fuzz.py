"""A short run of the fuzzer, as `make fuzz` makes a long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fuzz.fuzz import Counts, limited_memory, run_case
from fuzz.mutate import mutate
from fuzz.target import Target
from fuzz.world import build
from sever.errors import InputError

CASES_A_TARGET = 15


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[Target]:
    return build(tmp_path_factory.mktemp("world"))


def test_whole_files_are_read(targets: list[Target]) -> None:
    for target in targets:
        target.read()


def test_damaged_files_are_refused_or_read_and_never_more(targets: list[Target]) -> None:
    counts = Counts()
    with limited_memory():
        for number in range(CASES_A_TARGET * len(targets)):
            run_case(number, targets, counts)
    assert counts.escaped == []
    assert sum(counts.refused.values()) > 0.5 * sum(counts.read.values())
    never = {target.name for target in targets} - set(counts.refused)
    assert not never, "damage that is never noticed: the mutator, or the reader, does nothing"


def test_an_escape_is_seen(tmp_path: Path) -> None:
    """The fuzzer itself: what is no InputError is counted, too much memory included."""
    path = tmp_path / "x"
    path.write_text("x")

    def fall() -> None:
        raise KeyError("fault of ours")

    def swell() -> None:
        bytearray(8 << 30)  # more than an earlier test may have freed in this process

    counts = Counts()
    with limited_memory():
        for read in (fall, swell):
            run_case(0, [Target(read.__name__, path, read)], counts)
    assert [line.split(": ")[1] for line in counts.escaped] == ["KeyError", "MemoryError"]
    assert path.read_text() == "x"


def test_the_same_case_is_the_same_damage() -> None:
    content = b'{"a": [1, 2.5, "x"]}\n' * 20
    damaged = [mutate(content, random.Random(number)) for number in range(200)]
    assert damaged == [mutate(content, random.Random(number)) for number in range(200)]
    assert sum(each != content for each in damaged) > 190
    assert issubclass(InputError, ValueError)
