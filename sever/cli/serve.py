"""`sever serve`: the inspection service, and the care of its store. Heavy imports happen inside the commands."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sever.cli.application import app
from sever.cli.options import Device, Set
from sever.cli.output import say
from sever.cli.paths import Application
from sever.counted import counted
from sever.errors import InputError

NEEDED = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "prometheus_client", "argon2", "multipart")


class ModelFirst(TyperGroup):
    """`sever serve MODEL`: what is no command of the group is a model for `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_help = not args or args[0] in ("-h", "--help")
        return super().parse_args(ctx, args if is_help or args[0] in self.commands else ["run", *args])


service = Application(
    name="serve",
    cls=ModelFirst,
    no_args_is_help=True,
    help="Serve a model over HTTP: `sever serve MODEL`; the other commands look after what it keeps.",
)
app.add_typer(service)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML of the service's settings.")]
StoreFolder = Annotated[Path | None, typer.Option("--store", help="Folder of images and embedded database.")]
Database = Annotated[
    str | None,
    typer.Option("--db", help="sqlite:///FILE or postgresql://USER@HOST/NAME; by default SQLite in --store."),
]


@service.command()
def run(
    models: Annotated[
        list[Path],
        typer.Argument(help="A bundle, run, cross-validation or blend; more of them can take over while it runs."),
    ],
    config: Config = None,
    store: StoreFolder = None,
    db: Database = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate, for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    json_log: Annotated[bool, typer.Option(help="Log lines on standard error as JSON.")] = False,
    models_folder: Annotated[
        Path | None,
        typer.Option("--models", help="Folder whose bundles can take over while it runs, including those added later."),
    ] = None,
    set_: Set = None,
    backend: Annotated[
        str | None, typer.Option(help="Backend of a bundle, as `sever inspect` lists them; by default the fastest.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Serve a model: images in, answers out, kept and corrected.

    Prints the address and, at its first start, the first password. Ends at SIGTERM or Ctrl-C, once everything it
    accepted is answered.

    Example: `sever serve saved/mine --store served`
    """
    settings = _settings(
        config,
        set_,
        store=store,
        database=db,
        host=host,
        port=port,
        security__tls_certificate=tls_certificate,
        security__tls_key=tls_key,
        models=models_folder,
    )
    from sever.cli.logs import LOGGER
    from sever.deliver.serve.json_logs import JsonFormatter
    from sever.pipeline.serve import serve_models

    if json_log:
        for handler in LOGGER.handlers:
            handler.setFormatter(JsonFormatter())
    serve_models(models, settings, device, backend, lambda text: print(text, flush=True))


@service.command()
def demo(
    model: Annotated[Path, typer.Argument(help="The model that answers, such as the demo's: demo/model.sever.")],
    store: Annotated[Path, typer.Option(help="Folder of images and database.")] = Path("serve-demo"),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8350,
    seconds: Annotated[float, typer.Option(help="Seconds between two images of the camera.", min=0.01)] = 1.0,
    coils: Annotated[int | None, typer.Option(help="Coils to play; by default without end.", min=1)] = None,
    device: Device = "auto",
) -> None:
    """Serve a model while a simulated camera plays synthetic coils: answers, alarms and coil maps to look at.

    Example: `sever serve demo demo/model.sever`
    """
    settings = _settings(None, None, store=store, port=port)
    from sever.pipeline.serve_demo import serve_demo

    serve_demo(model, settings, seconds, device, lambda text: print(text, flush=True), coils)


@service.command()
def backup(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, a .tar.")],
    config: Config = None,
    store: StoreFolder = None,
    db: Database = None,
) -> None:
    """Write a whole store, answers, people and images, as one file; the service may run meanwhile.

    Example: `sever serve backup --store served -o served.tar`
    """
    settings = _settings(config, None, store=store, database=db)
    from sever.deliver.serve.storage.backup import back_up

    for name, count in back_up(settings.store, settings.database, output, settings.images).items():
        say(f"{name}: {count:,}")


@service.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file of `sever serve backup`.")],
    config: Config = None,
    store: StoreFolder = None,
    db: Database = None,
) -> None:
    """Fill a new store from a backup; also from SQLite to PostgreSQL, or back.

    Example: `sever serve restore served.tar --store new`
    """
    settings = _settings(config, None, store=store, database=db)
    from sever.deliver.serve.storage.backup import restore as fill

    for name, count in fill(source, settings.store, settings.database, settings.images).items():
        say(f"{name}: {count:,}")


@service.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The data set's folder, a new one.")],
    config: Config = None,
    store: StoreFolder = None,
    db: Database = None,
) -> None:
    """Write what people accepted, rejected or corrected as a data set for `sever train`, with groups by coil.

    Example: `sever serve export --store served -o data/corrected`
    """
    settings = _settings(config, None, store=store, database=db)
    from sever.deliver.serve.storage.export import export as write
    from sever.deliver.serve.storage.store import open_existing

    with open_existing(settings.store, settings.database, settings.images) as found:
        images, lost = write(found, output)
    gone = f"; {counted(lost, 'more is', 'more are')} no longer there, or damaged" if lost else ""
    say(f"{counted(images, 'image')}{gone}")


@service.command()
def password(
    name: Annotated[str, typer.Argument(help="The user.")] = "admin",
    config: Config = None,
    store: StoreFolder = None,
    db: Database = None,
) -> None:
    """Give a user a new random password, printed once: for an admin who lost theirs. Ends the user's sessions."""
    settings = _settings(config, None, store=store, database=db)
    from sever.deliver.serve.server import new_password

    say(new_password(settings, name))


def _settings(config: Path | None, set_: list[str] | None, **options: Any) -> Any:
    """The service's settings; raises InputError where its libraries are not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"the service needs {', '.join(missing)}; pip install 'sever[serve]'")
    from sever.config import read_assignments
    from sever.config.loading import load_serve
    from sever.config.serve import ServeSettings

    overrides = {name.replace("__", "."): value for name, value in options.items()}
    return load_serve(config, overrides, read_assignments(set_ or (), ServeSettings))
