"""The time of a step: over the timed steps alone, by the clock that was given, and without a trace on disk."""

from itertools import count
from pathlib import Path

import pytest

from sever.config import load_config
from sever.data.layouts import read_table
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.speed import TIMED_STEPS, step_seconds


def test_a_step_is_timed_by_the_clock(tiny_experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(tiny_experiment)
    table, _ = read_table(config.data)
    ticks = count()
    before = set(tmp_path.iterdir())
    seconds = step_seconds(
        config, DatasetFacts(table.class_names, (0.3,), (0.1,)), table, "cpu", lambda: 12.0 * next(ticks)
    )
    assert seconds == 12 / TIMED_STEPS  # two looks at the clock, one tick apart
    assert set(tmp_path.iterdir()) == before
