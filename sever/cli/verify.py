"""`sever verify`: its proof, repeated on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, BundleArgument, SameModel, the_model
from sever.cli.output import say


@app.command()
def verify(
    bundle: BundleArgument = None,
    run: SameModel = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, searched recursively, or one image.")] = None,
    data: Annotated[Path | None, typer.Option(help="Labelled images instead: scores are compared, too.")] = None,
    count: Annotated[int, typer.Option(help="At most this many images.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Repeat a bundle's certificate on this machine and these images, in all backends that it offers.

    The reference is torch in full precision where it is installed, else the first backend of full precision. The exit
    code is 2 if a backend is beyond its limit.

    Example: `sever verify model.sever --images data/new`
    """
    from sever.pipeline.export.card import certificate_lines
    from sever.pipeline.export.verify import raise_if_beyond, verify_bundle

    certificate = verify_bundle(the_model(bundle, run, "a bundle"), images, data, count)
    if as_json:
        say(json.dumps(certificate.model_dump(mode="json"), indent=2))
    else:
        say("\n".join(certificate_lines(certificate)))
    raise_if_beyond(certificate)
