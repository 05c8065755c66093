"""`sever export`: a trained model as one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, SameModel, the_model
from sever.cli.output import say


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, e.g. model.sever.")],
    model: Annotated[
        Path | None,
        typer.Argument(help="A run, a checkpoint, a cross-validation, a blend, or saved/NAME (the newest)."),
    ] = None,
    run: SameModel = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Offer only this backend: onnx, openvino-f32, openvino-bf16, openvino-int8 (which takes minutes a "
            "network), torch; repeatable."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled images for the proof, instead of those that the model held out."),
    ] = None,
    images: Annotated[int, typer.Option(help="Prove it on at most this many images.", min=2)] = 100,
    calibration: Annotated[int, typer.Option(help="Training images for int8's ranges.", min=2)] = 64,
    licence: Annotated[str, typer.Option(help="Licence of the trained weights, for the model card.")] = "not stated",
    as_json: AsJson = False,
) -> None:
    """Write a trained model as one file that runs without torch, with the proof that it answers as torch does.

    Every backend is compared with torch on real images, through the full decision rules. One that is beyond its limit
    is left out, with the reason; if none is left, nothing is written.

    Example: `sever export saved/lite0-unet -o model.sever`
    """
    from sever.pipeline.export.card import certificate_lines
    from sever.pipeline.export.make import ExportOptions, export_model

    source = the_model(model, run)
    options = ExportOptions(data, images, calibration, licence=licence)
    if backend:
        options = ExportOptions(data, images, calibration, tuple(backend), licence)
    manifest = export_model(source, output, options)
    assert manifest.certificate is not None, "an export proves itself"
    if as_json:
        say(json.dumps(manifest.certificate.model_dump(mode="json"), indent=2))
    else:
        say("\n".join([*certificate_lines(manifest.certificate), str(output.absolute())]))
