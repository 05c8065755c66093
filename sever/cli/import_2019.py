"""`sever import-2019`: checkpoints and configurations of the 2019 solution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson
from sever.cli.output import give, say
from sever.config import dump_config


@app.command("import-2019")
def import_2019(
    run: Annotated[
        Path,
        typer.Argument(help="A .pth of 2019, a folder of them (the best is used), or just a config.yml of 2019."),
    ],
    saved: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("saved"),
    name: Annotated[str | None, typer.Option(help="Name of the run; by default its short_name of 2019.")] = None,
    mean: Annotated[
        float | None, typer.Option(help="Mean of the pixels, in 0..1, used for normalisation; 0.3439.")
    ] = None,
    std: Annotated[float | None, typer.Option(help="Their standard deviation; 0.0383.", min=1e-6)] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a checkpoint of khornlund's 2019 solution into a run: the same network, weights, normalisation and rules.

    It can predict, be blended and be uploaded to Kaggle like any run. No code in the file is run. A config.yml alone is
    printed as an experiment in today's format.

    Example: `sever import-2019 2019/saved/sever-unet/1014_093000 --name unet-2019`
    """
    from sever.pipeline.import_2019 import experiment_of, import_run
    from sever.pipeline.settings_2019 import MEAN, STD
    from sever.progress import warn

    if run.suffix in (".yml", ".yaml"):
        translated = experiment_of(run, name)
        say(dump_config(translated.config))
        losses = translated.losses
    else:
        imported = import_run(run, saved, name, MEAN if mean is None else mean, STD if std is None else std)
        give(imported.run.folder, as_json)
        losses = imported.losses
    for sentence in losses:
        warn(sentence)
