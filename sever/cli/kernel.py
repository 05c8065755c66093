"""`sever kernel`: an inference kernel for Kaggle. Needs the extra `sever[kaggle]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.kaggle_options import Competition, Owner, SettingsFile, Title, WaitMinutes, kaggle_settings
from sever.cli.options import AsJson, RunPath
from sever.cli.output import give


@app.command()
def kernel(
    run: RunPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the kernel.")] = Path("kernel"),
    push: Annotated[
        bool, typer.Option("--push", help="Send it to Kaggle, which runs it, and wait for the run.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Data set of the model; by default `sever upload -r`'s.")] = None,
    wheels: Annotated[
        str | None, typer.Option(help="Data set of the wheels; by default `sever upload --wheel`'s.")
    ] = None,
    title: Title = None,
    minutes: Annotated[float | None, typer.Option(help="How long it may take.", min=1)] = None,
    gpu: Annotated[bool, typer.Option(help="Whether it gets a GPU.")] = True,
    competition: Competition = None,
    owner: Owner = None,
    wait: WaitMinutes = 120.0,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an inference kernel from an uploaded model; it needs no internet and keeps to its time limit.

    Example: `sever kernel -r saved/final -o kernel --push`
    """
    chosen = kaggle_settings(settings, owner=owner, competition=competition, minutes=minutes)
    from sever.pipeline.kaggle.kernel import Sources, make_kernel, push_kernel

    folder = make_kernel(run, output, chosen, Sources(model, wheels), title, gpu)
    give(folder, as_json)
    if push:
        pushed = push_kernel(folder, wait)
        give(pushed if as_json else f"{pushed}: {pushed.status}", as_json)
