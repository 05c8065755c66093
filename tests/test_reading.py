"""Files of any origin are read within bounds: small ones that would grow, deep ones, endless ones."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sever.config import load_config, load_ensemble, load_kaggle, load_story, loading
from sever.errors import InputError
from sever.reading import MOST_DEPTH, parse_json, parse_yaml, read_json, read_text

LOADERS: dict[str, Callable[[Path], object]] = {
    "experiment": load_config,
    "recipe": load_ensemble,
    "story": load_story,
    "kaggle": lambda path: load_kaggle(path, {}),
}
# Each level holds ten times the one before; written out they are 10^9 values, or as many merged keys.
_LEVELS = list(zip("abcdefghi", "bcdefghij", strict=True))
LAUGHS = "a: &a [x]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{b}'] * 10)}]\n" for b, c in _LEVELS)
MERGES = "a: &a {k: 1}\n" + "".join(f"{c}: &{c} {{<<: [{', '.join([f'*{b}'] * 10)}]}}\n" for b, c in _LEVELS)

YAML_BOMBS = {
    "aliases": LAUGHS,
    "merged aliases": MERGES,
    "an alias of itself": "a: &a [*a]\n",
    "unknown keys": "".join(f"key{number}: 1\n" for number in range(20_000)),
    "lists in lists": "a: " + "[" * 100_000,
    "sections in sections": "".join(" " * depth + "a:\n" for depth in range(900)),
    "a number of parts": "name: " + "1:" * 100_000 + "1\n",
    "digits": "name: " + "9" * 5_000 + "\n",
    "a day that is none": "name: 2019-02-31\n",
    "a number of no digit": 'name: !!int ""\n',
    "code": "name: !!python/object/apply:os.getcwd []\n",
    "megabytes": "name: x\n" * 300_000,
    "a list as a key": "? [a]\n: b\n",
}
JSON_BOMBS = {
    "lists in lists": "[" * 1_000_000,
    "objects in objects": '{"a":' * 100_000,
    "many lists": "[" + "[]," * 2_000_000 + "1]",
    "an open string": '"\\' * 500_000,
    "no number": '{"a": NaN}',
    "digits": "9" * 10_000,
    "megabytes": "[" + "1," * 10_000_000 + "1]",
}


@contextmanager
def bounded(most_mib: int) -> Iterator[None]:
    """Refused with one sentence, and with little memory (what Python allocates, at its peak)."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as refusal:
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most_mib << 20
    assert len(str(refusal.value)) < 8_000
    assert len(str(refusal.value).splitlines()) <= 25


@pytest.mark.parametrize("kind", YAML_BOMBS)
@pytest.mark.parametrize("loader", LOADERS)
def test_no_yaml_grows_beyond_its_bounds(loader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yml"
    path.write_text(YAML_BOMBS[kind])
    with bounded(most_mib=200):
        LOADERS[loader](path)


@pytest.mark.parametrize("kind", JSON_BOMBS)
def test_no_json_grows_beyond_its_bounds(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    path.write_text(JSON_BOMBS[kind])
    with bounded(most_mib=200):
        read_json(path)


def test_the_nearest_names_are_looked_for_only_where_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cost 18 seconds for 20,000 unknown keys: each was held against all that are known."""
    asked: list[str] = []
    monkeypatch.setattr(loading.difflib, "get_close_matches", lambda word, *_, **__: asked.append(word) or [])
    path = tmp_path / "keys.yml"
    path.write_text(YAML_BOMBS["unknown keys"])
    with pytest.raises(InputError, match="more faults"):
        load_config(path)
    assert len(asked) <= loading.SHOWN


def test_what_has_no_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    endless = tmp_path / "endless.json"
    endless.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="too large"):
        read_json(endless)


def test_a_small_file_takes_little_memory_whatever_is_allowed(tmp_path: Path) -> None:
    """Python's file.read(n) takes n bytes at once: a gibibyte for ten bytes, which a limit on memory refuses."""
    path = tmp_path / "small.json"
    path.write_text('{"a": 12}\n')
    tracemalloc.start()
    try:
        assert read_text(path, 1 << 30) == '{"a": 12}\n'
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_text_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"\xff\xfd")
    with pytest.raises(InputError, match="UTF-8"):
        read_text(path, 100)
    with pytest.raises(InputError, match="cannot read"):
        read_text(tmp_path, 100)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_is_within_bounds_is_read_as_it_was_written(value: object) -> None:
    text = json.dumps(value, allow_nan=True)
    if "Infinity" not in text:
        assert parse_json(text, "test") == value


@given(st.dictionaries(st.text(min_size=1), json_values, min_size=1, max_size=4))
def test_yaml_is_read_as_pyyaml_itself_reads_it(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text, "test") == yaml.safe_load(text)


def test_depth_is_counted_where_brackets_open_and_not_in_words() -> None:
    assert parse_json('["' + "[" * 200 + '"]', "test") == ["[" * 200]
    deepest = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(deepest, "test") == json.loads(deepest)
    with pytest.raises(InputError, match="levels deep"):
        parse_json(f"[{deepest}]", "test")


def test_an_alias_that_is_used_as_intended_works() -> None:
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nagain: *base\n"
    assert parse_yaml(text, "test") == {
        "base": {"a": 1, "b": 2},
        "other": {"a": 1, "b": 3},
        "again": {"a": 1, "b": 2},
    }
