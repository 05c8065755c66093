"""The words of the documentation hold: links lead somewhere, commands parse, YAML validates, messages exist.

Nothing is executed: commands go through the parser of the command line itself, settings through its validation.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel

from sever.cli import app
from sever.config import parse_config
from sever.config.ensemble import EnsembleSettings
from sever.config.kaggle import KaggleSettings
from sever.config.serve import ServeSettings
from sever.config.story import StorySettings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)

FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ +)*(?:\S*/)?sever +(?P<arguments>.*)$")
SHELL_ENDS = {"|", ">", ">>", "&&", "||", ";", "&", "<"}
# Files beside experiments, each known by a key of its own.
OTHER_FILES: dict[str, type[BaseModel]] = {
    "members": EnsembleSettings,
    "owner": KaggleSettings,
    "stages": StorySettings,
    "port": ServeSettings,
}
MINIMAL: dict[str, Any] = {"name": "x", "data": {"root": "d"}}


def blocks(text: str, *kinds: str) -> list[str]:
    return [match["body"] for match in FENCE.finditer(text) if match["kind"] in kinds]


def prose(text: str) -> str:
    """The page without code blocks and comments."""
    return re.sub(r"<!--.*?-->", "", FENCE.sub("", text), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """What follows the word `sever` in every command line of a page's code blocks, up to a pipe or a comment."""
    for block in blocks(text, "", "sh", "bash", "console"):
        for line in re.sub(r"\\\n *", "", block).splitlines():
            # A loop's body stands on the loop's line.
            for part in re.split(r"(?:;|&&|\bdo\b)", line.strip().removeprefix("$ ")):
                if match := COMMAND.match(part.strip()):
                    words = shlex.split(match["arguments"], comments=True)
                    end = next((at for at, word in enumerate(words) if word in SHELL_ENDS), len(words))
                    yield words[:end]


def parse(words: list[str]) -> None:
    """Run the words through the parser alone; it raises for an unknown command, option or choice."""
    command: Any = typer.main.get_command(app)
    context, name = None, "sever"
    while True:
        try:
            context = command.make_context(name, list(words), parent=context)
        except typer.Exit:  # --help and the like
            return
        rest = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command"):
            assert rest == [], f"left over: {rest}"
            return
        if not rest:
            assert context.params.get("version"), f"no command in {words}"
            return
        name, command, words = command.resolve_command(context, rest)


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: merge(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(over[key], dict)}
    return under | over | both


@each_page
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    dead = []
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


@each_page
def test_commands_exist_with_their_options(page: Path) -> None:
    refused = []
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            parse(words)
        except Exception as error:  # the parser's own errors; all are listed at once
            refused.append(f"sever {shlex.join(words)}: {type(error).__name__}: {error}")
    assert refused == []


WRONG = """
sever trian -c x.yml
sever train --sede 3
sever predict -r run
sever config shwo -c x.yml
sever predict -r run -o out --form wide
sever average -r run --best many
sever train -c x.yml extra
make demo && sever evaluate --run
for i in 1 2; do sever train --fold $i; done
"""


@pytest.mark.parametrize("line", WRONG.split("\n")[1:-1])
def test_a_wrong_command_would_be_found(line: str) -> None:
    (words,) = commands(f"```sh\n{line}\n```\n")
    with pytest.raises(Exception, match=r".+"):
        parse(words)


def test_commands_are_found_wherever_they_stand() -> None:
    block = "X=1 .venv/bin/sever train \\\n    -c a.yml  # why\nsever config show -c a.yml > b.yml\nuv run other\n"
    assert list(commands(f"```sh\n{block}```\n")) == [["train", "-c", "a.yml"], ["config", "show", "-c", "a.yml"]]


@each_page
def test_yaml_blocks_are_valid_settings(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "yaml", "yml"):
        values = yaml.safe_load(block)
        other = next((model for key, model in OTHER_FILES.items() if key in values), None)
        if other is not None:
            other.model_validate(values)
        else:
            parse_config(merge(MINIMAL, values), source=f"{page.name}: {block}")


@each_page
def test_experiments_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"experiments/[\w.-]+\.ya?ml", page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def test_every_command_is_in_the_readme_once() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `sever ([\w-]+)` \|", readme, re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    missing = {page.name for page in index.parent.glob("*.md")} - set(LINK.findall(index.read_text(encoding="utf-8")))
    assert missing == {"index.md"}


@each_page
def test_a_table_is_in_one_piece(page: Path) -> None:
    """A row that begins a paragraph heads a table: a blank line inside one would make its rest plain text."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = [rest.split("\n") for rest in re.split(r"\n\s*\n", text) if rest.lstrip().startswith("|")]
    assert [lines[0] for lines in heads if len(lines) < 2 or not re.fullmatch(r"\s*\|[-:| ]+\|", lines[1])] == []


@pytest.mark.parametrize("page", ["howto.md", "decide.md", "competition.md"])
def test_messages_in_the_troubleshooting_tables_are_ours(page: str) -> None:
    """The first column quotes messages; `…` stands for what differs from case to case."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "sever").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code).replace('\\"', '"')  # sentences that go on in the next line
    table = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("## Error messages")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 5
    parts = [part.strip() for message in messages for part in message.split("…")]
    assert [part for part in parts if part not in code] == []
