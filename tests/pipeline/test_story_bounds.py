"""A story is a small file; with its variables filled in it stays one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import yaml

from sever.errors import InputError
from sever.pipeline.story.plan import Plan


def story(folder: Path, variables: dict[str, str], command: str = "sever synth -o {saved}") -> Path:
    values = {
        "name": "mine",
        "about": "A test.",
        "variables": variables,
        "stages": [{"name": "one", "about": "One.", "commands": [command]}],
    }
    path = folder / "story.yml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def filled_in(path: Path) -> tuple[str, ...]:
    plan = Plan.make(path, {})
    return plan.lines(plan.story.stages[0], "begun")


DOUBLES = {"v0": "x" * 100} | {f"v{number}": f"{{v{number - 1}}}" * 10 for number in range(1, 12)}


@pytest.mark.parametrize(
    ("variables", "command", "said"),
    [
        ({"width": "1"}, "sever synth -o {width:>800000000}", "takes no format"),
        ({"width": "1", "wide": "{width:>800000000}"}, "sever synth -o {wide}", "takes no format"),
        ({"width": "1"}, "sever synth -o {width:{saved}}", "takes no format"),
        ({"width": "1"}, "sever synth -o {width!r}", "takes no format"),
        ({"width": "1"}, "sever synth -o {width.__class__}", "variables known there"),
        (DOUBLES, "sever synth -o {v11}", "longer than 100,000 characters"),
        ({"v": "x" * 2_000}, "sever synth -o " + "{v}" * 100, "longer than 100,000 characters"),
    ],
)
def test_no_story_grows_without_bound(variables: dict[str, str], command: str, said: str, tmp_path: Path) -> None:
    path = story(tmp_path, variables, command)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=said):
            filled_in(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 << 20


def test_doubled_brackets_are_brackets(tmp_path: Path) -> None:
    assert filled_in(story(tmp_path, {"v": "a{{b}}"}, "sever synth -o {v}")) == ("sever synth -o a{b}",)
