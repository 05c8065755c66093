"""`sever upload`: a model, or sever itself, to Kaggle. Needs the extra `sever[kaggle]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.kaggle_options import Owner, SettingsFile, Title, WaitMinutes, kaggle_settings
from sever.cli.options import AsJson
from sever.cli.output import give
from sever.errors import InputError


@app.command()
def upload(
    run: Annotated[
        Path | None,
        typer.Option("--run", "-r", help="A run, a checkpoint, a cross-validation or a blend."),
    ] = None,
    epoch: Annotated[
        list[int] | None, typer.Option("--epoch", "-e", help="With a run: checkpoint of this epoch; repeatable.")
    ] = None,
    blend: Annotated[Path | None, typer.Option(help="The same as -r.")] = None,
    wheel: Annotated[bool, typer.Option("--wheel", help="Upload the wheel of sever itself, for kernels.")] = False,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="With --wheel: also its dependencies, except torch.")
    ] = False,
    python: Annotated[
        str | None, typer.Option(help="With --with-dependencies: Python version on Linux; by default 3.12.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="With --wheel: a checkout of sever, or a wheel of it.")] = None,
    title: Title = None,
    slug: Annotated[str | None, typer.Option(help="Name in the address; by default made from the title.")] = None,
    notes: Annotated[str | None, typer.Option(help="What is new in this version.")] = None,
    owner: Owner = None,
    licence: Annotated[str | None, typer.Option(help="Kaggle's name for the licence, e.g. CC0-1.0.")] = None,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Who can see it.")] = None,
    wait: WaitMinutes = 30.0,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Upload checkpoints, a blend or sever itself as a data set, or as a new version of an existing one.

    Examples: `sever upload -r saved/lite0-unet -e 12 -e 20`, `sever upload --blend saved/final`, `sever upload --wheel`
    """
    if [run is not None, blend is not None, wheel].count(True) != 1:
        raise InputError("give one of -r RUN, --blend FOLDER and --wheel")
    if not wheel and (with_dependencies or python or source):
        raise InputError("--with-dependencies, --python and --source go with --wheel")
    chosen = kaggle_settings(settings, owner=owner, licence=licence, public=public)
    from sever.pipeline.kaggle.upload import Names, upload_model, upload_wheels
    from sever.progress import info

    names = Names(title, slug, notes)
    if wheel:
        done = upload_wheels(chosen, names, wait, source, with_dependencies, python)
    else:
        path = run or blend
        assert path is not None
        done = upload_model(path, epoch or (), chosen, names, wait)
    text = f"{done.ref}\n{'created' if done.created else 'new version'}: {done.url}"
    give({"ref": done.ref, "url": done.url, "created": done.created} if as_json else text, as_json)
    if not done.created and (title, licence, public) != (None, None, None):
        info("title, licence and who can see it stay as they are; change them on the site")
