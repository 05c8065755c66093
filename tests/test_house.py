"""How the house is kept: names that mean one thing, files with one idea, a library that prints nothing."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import typer
from typer.core import TyperGroup

import sever
from sever.cli import app

PACKAGE = Path(sever.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300
# Standard output belongs to the command line, to pages that are written there, and to the script of a Kaggle kernel,
# which is a program of its own.
MAY_PRINT = ("cli", "api/page.py", "deliver/kaggle/script.py", "deliver/kaggle/offline_install.py")


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(file))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_a_file_has_one_idea_and_says_which() -> None:
    texts = {name_of(file): file.read_text(encoding="utf-8") for file in FILES}
    too_long = {name: lines for name, text in texts.items() if (lines := len(text.splitlines())) > MOST_LINES}
    assert too_long == {}
    assert [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))] == []


def test_the_library_prints_nothing() -> None:
    printing = [
        name_of(file)
        for file in FILES
        if not name_of(file).startswith(MAY_PRINT)
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_a_table_for_the_terminal_is_made_by_the_command_line() -> None:
    """A stage of the pipeline returns what it found; how a terminal shows it is no matter of its own."""
    made = [name_of(file) for file in FILES if "rich.table" in file.read_text()]
    assert made
    assert all(name.startswith("cli/tables/") for name in made)


def test_no_test_file_shares_its_name_with_another() -> None:
    """pytest takes a test file for a module of its bare name, and refuses two of one name."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []


def test_a_command_has_a_file_of_its_own() -> None:
    """Of its name, in which a group of commands has a file, or a folder with one for each."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    names = {name.replace("-", "_") for name in command.commands}
    there = {path.stem for path in (PACKAGE / "cli").iterdir() if not path.name.startswith("_")}
    assert names <= there
    assert there - names == {"application", "kaggle_options", "logs", "options", "output", "paths", "tables"}


COUNTED = re.compile(r" (images|faults|labels|pairs|rows|submissions)\b")
# Where it is two at least; and a program of its own.
NEVER_ONE = ("data/faults.py", "data/formats/pairing.py", "store/bundle/manifest.py", "deliver/kaggle/script.py")


def test_what_is_counted_may_be_one() -> None:
    """`left out 1 images`: a message that counts a list, but for `2 of 7 images`, takes `sever.counted`."""
    found = []
    for file in FILES:
        for node in ast.walk(tree_of(file)):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for before, part, after in zip([None, *parts], parts, parts[1:], strict=False):
                is_length = isinstance(part, ast.FormattedValue) and ast.unparse(part.value).startswith("len(")
                follows = isinstance(after, ast.Constant) and COUNTED.match(str(after.value))
                is_whole = isinstance(before, ast.Constant) and str(before.value).endswith("of ")
                if is_length and follows and not is_whole:
                    found.append(f"{name_of(file)}, line {node.lineno}: {ast.unparse(node)}")
    assert [each for each in found if not each.startswith(NEVER_ONE)] == []
