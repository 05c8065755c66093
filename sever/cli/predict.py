"""`sever predict`: a shell around `sever.predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    AsJson,
    BackendOption,
    CsvForm,
    Device,
    Engine,
    Flip,
    Include,
    MaxPixels,
    ModelPath,
    Output,
    PrecisionOption,
    SkipBad,
    Split,
)
from sever.cli.output import give


@app.command()
def predict(
    run: ModelPath,
    output: Output,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="<path>",
            help="Folder of images, searched recursively, or one image. With --engine ray also a list (.csv or "
            ".parquet with a column `path`), or an object store such as s3://bucket/strips.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data set root in a known layout, instead of --images.")] = None,
    split: Annotated[Split, typer.Option(help="With --data: which images.")] = Split.test,
    include: Include = None,
    form: Annotated[CsvForm, typer.Option(help="Form of submission.csv.")] = CsvForm.combined,
    flip: Annotated[
        list[Flip] | None,
        typer.Option(help="Also average over this flip; repeatable; `none` for no flip at all."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per batch.", min=1)] = None,
    sheet: Annotated[int, typer.Option(help="Draw this many images with found defects into sheet.png.", min=0)] = 12,
    skip_bad: SkipBad = False,
    max_pixels: MaxPixels = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the maps of another run in the output folder.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="Finish within this many minutes: drops flips, then models, if necessary.", min=0.001),
    ] = None,
    as_json: AsJson = False,
    keep_maps: Annotated[
        bool | None,
        typer.Option(
            "--keep-maps/--no-keep-maps",
            help="Store every image's probability maps. By default a trained run's are stored, a bundle's are not.",
        ),
    ] = None,
    familiarity: Annotated[
        bool,
        typer.Option(
            "--familiarity",
            help="Also rate how familiar each image is to the model (familiarity.csv, the strangest first); takes "
            "another pass of the encoder.",
        ),
    ] = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
    backend: BackendOption = None,
    engine: Annotated[
        Engine, typer.Option(help="local: this process; ray: the workers of a Ray cluster, by the shard.")
    ] = Engine.local,
    workers: Annotated[
        int | None,
        typer.Option(help="With --engine ray: how many; by default one for each core of the cluster.", min=1),
    ] = None,
    worker_cores: Annotated[int, typer.Option(help="With --engine ray: cores of each worker.", min=1)] = 1,
    shard_images: Annotated[
        int, typer.Option(help="With --engine ray: images that are handed out, and committed, together.", min=1)
    ] = 256,
) -> None:
    """Predict submission.csv, and probability maps (probs/ID.png). An interrupted prediction resumes where it stopped.

    Example: `sever predict -r saved/lite0-unet --images my/images -o out`
    """
    import sever

    done = sever.predict(
        run,
        images,
        output,
        data=data,
        split=split.value,
        include=include or (),
        form=form.value,
        sheet=sheet,
        skip_bad=skip_bad,
        overwrite=overwrite,
        minutes=minutes,
        keep_maps=keep_maps,
        familiarity=familiarity,
        device=device,
        precision=precision,
        flips=None if flip is None else [name.value for name in flip if name is not Flip.none],
        batch_size=batch_size,
        max_pixels=max_pixels,
        backend=backend,
        engine=engine.value,
        workers=workers,
        worker_cores=worker_cores,
        shard_images=shard_images,
    )
    give(done, as_json)
