"""The files of the review page: only those of the table are given, nothing is inline, words are in every language."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest
from page_maker import get, new_answer
from serve_maker import Running, running

from sever.deliver.canvas import COLOURS
from sever.deliver.serve.routes.corrections import CorrectionGiven

PAGE = files("sever.deliver.serve.page")
SOURCES = {
    each.name: each.read_text(encoding="utf-8") for each in PAGE.iterdir() if each.name.endswith((".js", ".html"))
}
WORDS = {name: json.loads((PAGE / f"{name}.json").read_text(encoding="utf-8")) for name in ("en", "de")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/__init__.py",
        "/page/nothing.js",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/app.py",
        "/page/..%5capp.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/main.js/",
        "/page/main.js%00",
        "/page/MAIN.JS",
    ],
)
def test_what_is_not_in_the_table_is_not_given(served: Running, path: str) -> None:
    assert get(served, path).status_code in (307, 400, 404)


def test_every_file_is_given_as_what_it_is(served: Running) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "json": "application/json", "svg": "image/svg+xml"}
    for name in [each.name for each in PAGE.iterdir() if each.name.rpartition(".")[2] in kinds]:
        found = get(served, f"/page/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
        assert found.content == (PAGE / name).read_bytes()
        assert "'unsafe" not in found.headers["content-security-policy"]
    assert get(served, "/").content == (PAGE / "index.html").read_bytes()


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = SOURCES["index.html"]
    assert re.findall(r"<script[^>]*>([^<]+)", page) == []
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    for name, text in SOURCES.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
        assert set(re.findall(r"https?://[^\s\"]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        for imported in re.findall(r"from \"\./([^\"]+)\"", text):
            assert imported in SOURCES, f"{name} imports {imported}"
        assert len(text.splitlines()) <= 300, name


def test_every_word_is_there_in_every_language() -> None:
    assert WORDS["en"].keys() == WORDS["de"].keys()
    for key, text in WORDS["en"].items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", WORDS["de"][key])), key
    script = "\n".join(text for name, text in SOURCES.items() if name != "words.js")
    literal = (
        set(re.findall(r"\bsay\(\"([\w.]+)\"", script))
        | set(re.findall(r"\"([a-z]+\.[a-zA-Z]+)\"", script)) - SOURCES.keys()
    )
    prefixes = set(re.findall(r"`([a-z]+\.[a-z]*)\$\{", script))
    files_and_storage = {"sever.light", "sever.language", "coil.csv", "coil.html", "corrections.zip"}
    assert literal - files_and_storage <= WORDS["en"].keys()
    unused = {key for key in WORDS["en"] if key not in literal and not key.startswith(tuple(prefixes))}
    assert unused <= {"conflict.showTheirs", "conflict.nowMine", "draft.older", "judge.saved", "queue.begin"}, unused


def test_every_action_of_the_trail_has_words() -> None:
    """As they are noted in the service's code: `note(connection, actor, "action", ...)`, some by `_take`."""
    service = Path(str(PAGE)).parent
    calls = [
        node
        for file in service.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("note", "self._take")
    ]
    texts = (ast.Constant, ast.JoinedStr)
    noted = {ast.unparse(call.args[2]) for call in calls if len(call.args) > 2 and isinstance(call.args[2], texts)}
    noted |= {repr(f"answer {verdict}") for verdict in get_args(CorrectionGiven.model_fields["verdict"].annotation)}
    noted.remove("f'answer {given.verdict}'")
    assert len(noted) > 15
    assert {f"trail.{ast.literal_eval(action)}" for action in noted} <= WORDS["en"].keys()


def test_colours_are_those_of_the_pictures() -> None:
    listed = re.findall(r"\[(\d+), (\d+), (\d+)\]", SOURCES["colours.js"])
    assert tuple(tuple(map(int, each)) for each in listed) == COLOURS


def test_the_export_is_what_the_command_writes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("export")
    with running(folder) as served, served.client() as client:
        assert client.get("/v1/export.zip").status_code == 409, "nobody judged anything yet"
        uid = new_answer(served, coil="C1")
        client.post(f"/v1/answers/{uid}/corrections", json={"base": 0, "verdict": "accepted"})
        with served.client("viewer") as viewer:
            assert viewer.get("/v1/export.zip").status_code == 403
        found = zipfile.ZipFile(io.BytesIO(client.get("/v1/export.zip").content))
        (image,) = [name for name in found.namelist() if name.endswith(".png")]
        assert found.read(image) == client.get(f"/v1/answers/{uid}/image").content
        groups = list(csv.reader(io.StringIO(found.read("corrections/groups.csv").decode())))
        assert groups == [["image", "group"], [image.rpartition("/")[2], "C1"]]
        assert list(folder.glob(".export-*")) == []
