"""What a user reads (docs, help, settings, messages, the page), held against phrases that no native engineer writes.

The phrases are kinds of faults that were found and mended, each with what to write instead. A phrase that is right in
its place belongs into ALLOWED, with its whole sentence part.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from sever.cli import app

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)

# What is wrong -> what to write instead.
PHRASES = {
    r"(?:is|are|was|were) told(?! apart)": "logged, shown, reported, gives an error",
    r"(?:tells?|told) (?!(?:apart|you|us|the (?:two|sets)|them|images|A from)\b)": "says, shows, reports, gives",
    r"unless told otherwise": "by default",
    r"in place of": "instead of",
    r"(?:goes|went|going) on\b": "continues, resumes",
    r"\bto go on\b": "to continue, to resume",
    r"\bspeaks? of\b": "mentions, names",
    r"\bhears?\b": "is notified, receives",
    r"typed again|type the command again": "run again",
    r"\bparted by\b": "separated by",
    r"\bstands? twice\b": "appears twice",
    r"\b(?:an?|the) \w+ of (?:its|their) own\b": "its own, a separate",
    r"\b(?:lies?|lay) (?:in a folder|beside|at the same path)\b": "is in, is beside",
    r"\banew\b": "again",
    r"\b(?:is|are) laid\b(?! out)": "is put, is added",
    r"\b[Nn]o such \w+ (?:is|are) known\b": "unknown; choose one of",
    r"(?<![tTw]here )\b(?:is|are) no (?!longer\b|more\b|less\b|\w+er\b|\w+ (?:is|are|has|was|left)\b)\w+": "is not a",
    r"(?<!of )(?<!have )\b(?:is|are) none of\b": "is not one of",
    r"\bkept no longer\b": "no longer kept",
    r"\bknows not\b": "doesn't know",
    r"\bone sentence each\b": "gives a one-sentence error",
    r"\b1 (?:images|rows|faults|classes|folds|networks|submissions|epochs)\b": "1 image",
}
ALLOWED = (
    "tell the two sets apart",
    "tell them apart",
    "how well each region of the image tells",
    "where there is no",
    "there is no",
)
# Calls whose text a user reads.
SPOKEN = {"InputError", "Refusal", "Skipped", "ValueError", "warning", "info", "error", "warn", "say"}


def pages() -> Iterator[tuple[str, str]]:
    generated = {"api.md"}  # from docstrings, which programmers read
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if page.name not in generated:
            yield page.name, FENCE.sub("", page.read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    yield "CHANGELOG.md, Unreleased", changes.partition("## [Unreleased]")[2].partition("\n## [")[0]


def help_texts() -> Iterator[tuple[str, str]]:
    def each(command: object, name: str) -> Iterator[tuple[str, str]]:
        yield name, getattr(command, "help", None) or ""
        for option in getattr(command, "params", ()):
            yield f"{name} {option.name}", getattr(option, "help", None) or ""
        for inner in getattr(command, "commands", {}).values():
            yield from each(inner, f"{name} {inner.name}")

    return each(typer.main.get_command(app), "sever")


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "sever").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _name(call.func) in SPOKEN:
                for argument in call.args:
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", _text(argument)


def page_texts() -> Iterator[tuple[str, str]]:
    path = ROOT / "sever" / "deliver" / "serve" / "page" / "en.json"
    yield from json.loads(path.read_text(encoding="utf-8")).items()


SOURCES = {"pages": pages, "help": help_texts, "messages": messages, "page of the service": page_texts}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.AST) -> str:
    """A literal as a user sees it, with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return ""


def faults_of(text: str) -> list[str]:
    plain = re.sub(r"\s+", " ", re.sub(r"`[^`]*`", "`…`", text))
    for allowed in ALLOWED:
        plain = plain.replace(allowed, "")
    return [
        f"{plain[max(0, found.start() - 40) : found.end() + 30]!r}: write {instead}"
        for phrase, instead in PHRASES.items()
        for found in re.finditer(phrase, plain)
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_user_reads_is_native_english(source: str) -> None:
    texts = list(SOURCES[source]())
    assert len(texts) > 10
    assert [f"{where}: {fault}" for where, text in texts for fault in faults_of(text)] == []


def test_the_phrases_are_found() -> None:
    for text in (
        "A misspelt key is told with the nearest right one.",
        "typed again it goes on",
        "hears the gate",
        "x is no image",
        "in a folder of its own",
        "left out 1 images",
    ):
        assert faults_of(text), text
    assert not faults_of("A classifier can tell them apart; there is no image in it.")
