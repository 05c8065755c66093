"""`sever config`: show, check and describe configurations."""

from __future__ import annotations

import json

from sever.cli.application import app
from sever.cli.options import Configs, Set, load_experiments
from sever.cli.output import say
from sever.cli.paths import Application
from sever.config import dump_config, json_schema
from sever.errors import InputError

config_app = Application(help="Show, check and describe configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@config_app.command("show")
def config_show(config: Configs, set_: Set = None) -> None:
    """Print an experiment's whole configuration, defaults included."""
    for experiment in load_experiments(config, set_):
        say(dump_config(experiment))


@config_app.command("check")
def config_check(config: Configs, set_: Set = None) -> None:
    """Check configurations without running anything; exit code 2 and a line for every fault."""
    faults = []
    for path in config:
        try:
            load_experiments([path], set_)
            say(f"{path}: good")
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of an experiment's YAML, for editors that complete and check as you type."""
    say(json.dumps(json_schema(), indent=2))


@config_app.command("reference")
def config_reference() -> None:
    """Print the reference of every setting as Markdown (docs/reference.md)."""
    from sever.reference import reference

    print(reference(), end="")
