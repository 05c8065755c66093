"""Paths as words of a command: `~` is the home folder, also where no shell saw it (`--images=~/x`, stories)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sever.names import expand_home


class PathCommand(TyperCommand):
    """A command whose paths, in options and arguments, have `~` expanded."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        ctx.params = {name: _expanded(value) for name, value in ctx.params.items()}
        return rest


class PathGroup(TyperGroup):
    """A group of commands whose own options, such as `--log-file`, are read in the same way."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        ctx.params = {name: _expanded(value) for name, value in ctx.params.items()}
        return rest


class Application(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, **more: Any) -> Any:
        return super().command(name, **({"cls": PathCommand} | more))


def _expanded(value: Any) -> Any:
    if isinstance(value, Path):
        return expand_home(value)
    return type(value)(map(_expanded, value)) if isinstance(value, list | tuple) else value
