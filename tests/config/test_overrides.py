"""`--set KEY=VALUE` and the options of single settings: typed as YAML, put in place, misspelt ones told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import sever
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import dump_config, known_keys, load_config, parse_config, read_assignments, with_overrides
from sever.config.experiment import ExperimentConfig
from sever.errors import InputError

GOOD: dict[str, Any] = {"name": "x", "data": {"root": "d"}, "rules": {"gate": {"factor": 10}}}

# With the sections that are null by default.
EVERY_SECTION: dict[str, Any] = {
    "name": "x",
    "data": {"root": "d"},
    "distill": {"teacher": "t", "share": 0.5},
    "pseudo": {"labels": "l", "images": "i"},
    "augment": {"enhance": {"blur": 1}, "flips": {"width": 1}},
}
TYPED = [
    ("train.epochs=7", {"train": {"epochs": 7}}),
    ("optim.encoder_learning_rate=1e-3", {"optim": {"encoder_learning_rate": 1e-3}}),
    ("augment.crop=[64, 128]", {"augment": {"crop": (64, 128)}}),
    ("augment.crop=null", {"augment": {"crop": None}}),
    ("train.precision=no", {"train": {"precision": "no"}}),  # which YAML reads as false
    ("rules.gate.kind=none", {"rules": {"gate": {"kind": "none", "factor": 10}}}),  # what stands beside it stays
    ("rules.gate={threshold: 0.25}", {"rules": {"gate": {"threshold": 0.25}}}),  # a whole section replaces
    ("name=y=z", None),  # the value may hold an equals sign; this one is no name
    ("data.include=['a=1/*']", {"data": {"root": "d", "include": ("a=1/*",)}}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.yml"
    file.write_text(yaml.safe_dump(GOOD))
    return file


@pytest.mark.parametrize(("text", "wanted"), TYPED, ids=lambda value: str(value)[:30])
def test_values_are_typed_and_put_in_place(path: Path, text: str, wanted: dict[str, Any] | None) -> None:
    assigned = read_assignments([text])
    if wanted is None:
        with pytest.raises(InputError, match=r"with --set name: setting `name` is 'y=z'"):
            load_config(path, None, assigned)
    else:
        assert load_config(path, None, assigned) == parse_config(GOOD | wanted, "hand")


def take_out(values: Any, key: str) -> Any:
    """What stands at a dotted key, which a mark replaces."""
    *path, last = key.split(".")
    for part in path:
        values = values[part]
    found, values[last] = values[last], "taken out"
    return found


@settings(deadline=None)
@given(st.sampled_from(sorted(known_keys())), st.none() | st.integers() | st.lists(st.booleans()))
def test_every_setting_can_be_set_and_nothing_else_changes(key: str, value: Any) -> None:
    """Against a second way: walk to the place by hand."""
    whole = parse_config(EVERY_SECTION, "hand")
    before, original = (yaml.safe_load(dump_config(whole)) for _ in range(2))
    changed = with_overrides(before, {}, read_assignments([f"{key}={json.dumps(value)}"]))
    assert take_out(changed, key) == value
    take_out(original, key)
    assert changed == original
    assert take_out(before, key) != "taken out"
    take_out(before, key)
    assert before == original  # what was given was left as it was


WRONG = [
    # what was typed, what the message must name
    ("model.encodr=x", ["--set model.encodr=x", "`model.encoder`"]),
    ("encoder=x", ["`encoder`", "`model.encoder`"]),
    ("train.learning_rate=1", ["`train.learning_rate`", "`optim.encoder_learning_rate`"]),
    ("Train.Epochs=1", ["`Train.Epochs`", "`train.epochs`"]),
    ("rules.gate.factr=1", ["`rules.gate.factor`"]),
    ("zzzzzz=1", ["unknown setting `zzzzzz`", "sever config show"]),
    ("train.epochs", ["is not KEY=VALUE"]),
    ("=3", ["is not KEY=VALUE"]),
    ("train.epochs=[1", ["not valid YAML"]),
    ("train.epochs.first=1", ["unknown setting"]),
]


@pytest.mark.parametrize(("text", "named"), WRONG)
def test_a_wrong_one_is_told_with_the_nearest_right_ones(text: str, named: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_assignments([text])
    assert [part for part in named if part not in str(caught.value)] == []
    assert len(str(caught.value).splitlines()) == 1


def test_one_setting_is_given_once(path: Path) -> None:
    with pytest.raises(InputError, match=r"`train\.seed` twice"):
        read_assignments(["train.seed=1", "train.seed=2"])
    with pytest.raises(InputError, match=r"--set train.seed and another option both give"):
        load_config(path, {"train.seed": 3}, {"train.seed": 4})
    assert load_config(path, {"train.seed": None}, {"train.seed": 4}).train.seed == 4


def test_a_section_that_is_none_is_made(path: Path) -> None:
    assigned = read_assignments(["pseudo.labels=l.csv", "pseudo.images=i", "pseudo.share=0.25"])
    pseudo = load_config(path, None, assigned).pseudo
    assert pseudo is not None
    assert pseudo.share == 0.25


def test_known_keys_are_those_of_the_whole_configuration() -> None:
    def leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
        inner = {prefix + key for key in values}
        return inner.union(*(leaves(v, f"{prefix}{k}.") for k, v in values.items() if isinstance(v, dict)))

    whole = parse_config(EVERY_SECTION, "hand")
    assert set(known_keys(ExperimentConfig)) == leaves(whole.model_dump())


@pytest.mark.parametrize("command", ["show", "check"])
def test_wherever_a_configuration_is_read(command: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("config", command, "-c", path, "--set", "train.epochs=7") == 0
    assert ("epochs: 7" if command == "show" else "good") in capsys.readouterr().out
    assert sever("config", command, "-c", path, "--set", "train.epochs=0") == 2
    assert "x.yml with --set train.epochs: setting `train.epochs` is 0" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "crossval"])
@pytest.mark.parametrize("words", [("--set", "train.epochs=7"), ("--data", "elsewhere")])
def test_what_goes_on_keeps_its_settings(
    command: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever(command, "-r", tmp_path, *words) == 2
    assert "keeps its own settings: leave --data, --set" in capsys.readouterr().err
