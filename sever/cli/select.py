"""`sever select`: choose two submissions of several candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson
from sever.cli.output import say


@app.command()
def select(
    candidates: Annotated[
        list[Path],
        typer.Argument(help="Output folders of `sever crossval` or `sever blend`, over the same images; at least 2."),
    ],
    public: Annotated[
        Path | None, typer.Option(help="CSV of the public scores known so far: name,public (some or all candidates).")
    ] = None,
    public_share: Annotated[
        float | None,
        typer.Option(help="Share of the test images that are public; by default 0.327 (2019)."),
    ] = None,
    public_images: Annotated[int | None, typer.Option(help="Number of public images (2019: 1801).", min=1)] = None,
    private_images: Annotated[int | None, typer.Option(help="Number of private images (2019: 3705).", min=1)] = None,
    scenarios: Annotated[
        str | None,
        typer.Option(
            help="How the test images may differ, separated by commas: none, weights, clusters, clean. "
            "By default all that these images can show."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="For the scenario weights: CSV image_id,weight; a weight says how test-like an image is."),
    ] = None,
    test_images: Annotated[
        Path | None,
        typer.Option(help="For the scenario weights: folder of test images, to compute the weights from."),
    ] = None,
    clusters: Annotated[
        str, typer.Option(help="For the scenario clusters: features (k-means of simple statistics) or groups.")
    ] = "features",
    draws: Annotated[int, typer.Option(help="Number of outcomes to draw.", min=1)] = 2000,
    drift: Annotated[
        float,
        typer.Option(
            help="Standard deviation of a submitted model's score from its folds'; similar models drift together."
        ),
    ] = 0.001,
    seed: Annotated[int, typer.Option(help="The same seed makes the same draws.", min=0)] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for select.json and clouds.png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose the two submissions whose better private score is expected to be the highest.

    Uses only the score tables (pairs.csv): draws public and private sets from the images, whole groups at a time, also
    for test images that differ from those at hand. A known public score is evidence, but noisy.

    Example: `sever select saved/a saved/b saved/blend --public scores.csv --public-images 1801 --private-images 3705`
    """
    from sever.cli.tables.selection import render_selection
    from sever.deliver.charts import require_charts
    from sever.output import OutputFolder
    from sever.pipeline.select.choose import SelectSettings, select_submissions
    from sever.pipeline.select.words import RESULTS, as_dict, write_selection

    settings = SelectSettings(
        public=public,
        public_share=public_share,
        public_images=public_images,
        private_images=private_images,
        scenarios=tuple(name.strip() for name in (scenarios or "").split(",") if name.strip()),
        weights=weights,
        test_images=test_images,
        clusters=clusters,
        draws=draws,
        drift=drift,
        seed=seed,
    )
    if output is not None:
        require_charts()  # told before the work, not after it
        OutputFolder(output).claim(RESULTS)
    selection = select_submissions(candidates, settings)
    if output is not None:
        write_selection(selection, output)
    say(json.dumps(as_dict(selection), indent=2) if as_json else render_selection(selection))
