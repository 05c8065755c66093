"""`sever data doubts`: labels that look wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import AsJson, Candidate, Device, PrecisionOption, SameModel, the_model
from sever.cli.output import say


@data_app.command()
def doubts(
    candidate: Candidate = None,
    run: SameModel = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; by default doubts/ in the candidate's folder."),
    ] = None,
    sheet: Annotated[int, typer.Option(help="Number of doubts of each kind in doubts.png.", min=0)] = 6,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Rank labels that look wrong, by networks that have not seen them: missing, extra, moved, or of another class.

    Writes doubts.csv (worst first), doubts.png and doubts.json. `sever data convert --listed` makes a task for a
    labelling tool from the CSV.

    Example: `sever data doubts saved/neu-grouped -o doubts`, then `sever data convert data/neu_seg -o task --to cvat
    --listed doubts/doubts.csv --first 50`
    """
    from sever.pipeline.data.doubts import default_folder, doubt_labels, render
    from sever.pipeline.inference.options import InferenceOptions

    judged = the_model(candidate, run)
    folder = output or default_folder(judged)
    numbers = doubt_labels(judged, folder, InferenceOptions(device, precision), sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, folder))
