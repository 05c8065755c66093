"""The reference of every setting as Markdown, written from the settings themselves, so that it can't go stale."""

from __future__ import annotations

from typing import Any

from sever.config import Settings, json_schema
from sever.config.ensemble import EnsembleSettings
from sever.config.kaggle import KaggleSettings
from sever.config.serve import ServeSettings
from sever.config.story import StorySettings

# Files beside experiments: how each is called, and its settings.
OTHER_FILES: dict[str, type[Settings]] = {
    "A recipe for `sever blend --recipe`": EnsembleSettings,
    "`kaggle.yml`": KaggleSettings,
    "A story for `sever run`": StorySettings,
    "A configuration for `sever serve`": ServeSettings,
}
HEAD = """# Reference: settings of an experiment

Written by `sever config reference` from the settings themselves; don't edit by hand (`make docs` rewrites it).

An experiment is one YAML file with a `name`, a `data` section with at least `root`, and whatever differs from the
defaults below. `sever config check -c FILE` checks one, `sever config show -c FILE` prints it with all defaults,
`sever config schema` prints the JSON schema for editors.
"""


def reference() -> str:
    """The whole page."""
    schema = json_schema()
    texts = [HEAD.strip(), *_sections("", schema, schema["$defs"])]
    for title, settings in OTHER_FILES.items():
        schema = settings.model_json_schema()
        texts += [f"# {title}", *_sections("", schema, schema.get("$defs", {}))]
    return "\n\n".join(texts) + "\n"


def _sections(name: str, definition: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """A section, then those inside it, under their full names."""
    texts = [_section(name, definition)]
    for key, field in definition["properties"].items():
        inner = definitions.get(_target(field))
        if inner is not None:
            texts += _sections(f"{name}.{key}".lstrip("."), inner, definitions)
    return texts


def _target(field: dict[str, Any]) -> str:
    """The section that a setting holds, or may hold, if it is one."""
    options = [field, *field.get("anyOf", ()), field.get("items", {}), field.get("additionalProperties", {})]
    options = [option for option in options if isinstance(option, dict)]
    return next((str(option["$ref"]).rpartition("/")[2] for option in options if "$ref" in option), "")


def _section(name: str, definition: dict[str, Any]) -> str:
    rows = [
        f"| `{key}` | {_allowed(field)} | {_default(field, key in definition.get('required', ()))} "
        f"| {field.get('description', '')} |"
        for key, field in definition["properties"].items()
        if not _target(field)
    ]
    return "\n".join(
        [
            f"## `{name}`" if name else "## Top level",
            "",
            "| setting | allowed | default | meaning |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in field:
        return " or ".join(_allowed(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kind = field.get("type", "")
    if kind == "array":
        return f"list of {_allowed(field.get('items', {'type': 'number'})) if 'items' in field else _fixed(field)}"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "null": "null"}
    names |= {"object": "names and values"}
    if kind == "string" and field.get("format") == "path":
        return "path"
    return names[kind] + _range(field)


def _fixed(field: dict[str, Any]) -> str:
    kinds = [_allowed(item) for item in field.get("prefixItems", [])]
    return f"{len(kinds)}: {kinds[0]}"


def _range(field: dict[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    parts = [f"{word} {field[key]:g}" for key, word in words.items() if key in field]
    return f", {' and '.join(parts)}" if parts else ""
