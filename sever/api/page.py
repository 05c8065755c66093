"""The page of the Python API as Markdown, written from the docstrings, so that it can't go stale: docs/api.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import sever

HEAD = """# Python API

Written by `make docs` from the docstrings; don't edit by hand. Every example on this page is run by the tests.

    import sever

    model = sever.load("saved/mine")            # run, checkpoint, cross-validation, blend or bundle
    found = model.inspect("strip.jpg")          # a path, a numpy image, or a list of them
    found.masks, found.areas, found.boxes, found.probabilities
    found                                       # in a notebook: shown as a picture

`import sever` is light: torch is imported where a trained network is loaded, and not before. What you can mend is
raised as `sever.InputError`, with one sentence that says what was given, what is allowed and what to do. Progress and
warnings go to the logger `sever`: `logging.basicConfig(level="INFO")` shows them.

Shapes: n images, c classes, h and w height and width in pixels. Classes come in the order of `model.classes`.
"""
FUNCTIONS = ("load", "train", "crossval", "blend", "tune", "predict", "evaluate", "synth")
CLASSES = ("Model", "Inspection")


def page() -> str:
    texts = [HEAD.strip(), "## Functions", *(_function(f"sever.{name}", getattr(sever, name)) for name in FUNCTIONS)]
    for name in CLASSES:
        texts += _class(name, getattr(sever, name))
    texts += ["## InputError", _text(inspect.getdoc(sever.InputError) or "")]
    return "\n\n".join(texts) + "\n"


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"## {name}"
    yield _text(inspect.getdoc(kind) or "")
    for member, found in _members(kind):
        if callable(found):
            yield _function(f"{name}.{member}", found)
        else:
            yield f"### {name}.{member}\n\n{_text(inspect.getdoc(found) or '')}"


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """What is public and explained, in the order in which it is written."""
    for name, found in vars(kind).items():
        inner = found.__func__ if isinstance(found, staticmethod) else found
        if not name.startswith("_") and inspect.getdoc(inner) and not isinstance(inner, str | tuple | int):
            yield name, inner


def _function(name: str, function: Any) -> str:
    words = re.sub(r"\bself(, )?", "", str(inspect.signature(function)))
    words = re.sub(r"(: |-> )'([^']*)'", r"\1\2", words)  # annotations are texts
    return f"### {name}\n\n```python\n{name}{words}\n```\n\n{_text(inspect.getdoc(function) or '')}"


def _text(docstring: str) -> str:
    """Examples as blocks of code."""
    parts: list[str] = []
    for block in docstring.split("\n\n"):
        is_example = block.startswith(">>>")
        parts.append(f"```python\n{block}\n```" if is_example else block)
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
