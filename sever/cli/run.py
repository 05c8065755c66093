"""`sever run`: a whole story, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sever.cli.application import app
from sever.cli.output import say
from sever.errors import InputError

if TYPE_CHECKING:
    from sever.pipeline.story.run import Parsed

# Wrong words on a command line; the way to name it that all releases of typer have.
WrongWords: type[Exception] = typer.BadParameter.__bases__[0]


@app.command()
def run(
    story: Annotated[Path, typer.Argument(help="YAML of the story.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print stages, commands, expected hours and what is done; run nothing.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: set a variable of the story; repeatable.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Repeat this stage and all that follow; earlier ones are left alone.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this stage alone, even if it is done.")] = None,
) -> None:
    """Run a story: command lines in stages. Repeat the command to resume it where it stopped.

    A story is a program; trust it only as you would a Makefile. Its commands write and send files, and can build and
    run code. Read it, or look at --dry-run, before you run somebody else's.

    Progress is recorded in saved/stories/NAME/state.json. A command that fails stops the story with its exit code.

    Examples: `sever run experiments/severstal-2019/story.yml --dry-run`,
    `sever run experiments/severstal-2019/story.yml --set submit=yes`
    """
    from sever.cli.tables.story import render_scores
    from sever.pipeline.story.plan import Plan, render_plan
    from sever.pipeline.story.run import run_story
    from sever.pipeline.story.state import StoryState

    plan = Plan.make(story, dict(_name_and_value(text) for text in set_ or ()))
    if dry_run:
        say(render_plan(plan, StoryState.read(plan.saved, plan.story.name, plan.text_sha256)))
    else:
        run_story(plan, ThisProcess(), from_, only)
        say(render_scores(plan))


def _name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InputError(f"--set {text} is not NAME=VALUE, as --set submit=yes")
    return name, value


class ThisProcess:
    """Carries out commands in this process.

    Not as processes of their own: each would spend seconds on importing torch, and what a command raises arrives here
    as it is, so that its message and its exit code stay as they were. Work that wants processes (loaders, folds side by
    side) starts them itself. A process that dies takes the story with it; typed again, the story goes on there.
    """

    def __init__(self) -> None:
        self.sever: Any = typer.main.get_command(app)

    def parse(self, words: Sequence[str]) -> Parsed:
        from sever.pipeline.story.run import Parsed

        names: list[str] = []
        command, rest, context = self.sever, list(words), None
        try:
            while hasattr(command, "resolve_command"):
                if not rest:
                    raise InputError(f"no command follows `{' '.join(['sever', *names])}`")
                context = command.make_context("sever", rest, parent=context)
                name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
                names.append(str(name))
            context = command.make_context(" ".join(names), rest, parent=context)
        except WrongWords as error:
            raise InputError(error.format_message()) from error  # type: ignore[attr-defined]
        except typer.Exit as leaving:  # --help, --version
            raise InputError("this only prints something, and runs nothing") from leaving
        return Parsed(" ".join(names), context.params)

    def run(self, words: Sequence[str]) -> None:
        try:
            code = self.sever.main(list(words), prog_name="sever", standalone_mode=False)
        except WrongWords as error:
            raise InputError(error.format_message()) from error  # type: ignore[attr-defined]
        if code:
            raise typer.Exit(code)
