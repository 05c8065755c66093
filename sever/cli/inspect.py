"""`sever inspect`: what such a file holds."""

from __future__ import annotations

import json

from sever.cli.application import app
from sever.cli.options import AsJson, BundleArgument, SameModel, the_model
from sever.cli.output import say


@app.command()
def inspect(
    bundle: BundleArgument = None,
    run: SameModel = None,
    as_json: AsJson = False,
) -> None:
    """Show what a bundle holds, after checking every part of it.

    Example: `sever inspect model.sever`
    """
    from sever.pipeline.export.show import as_text, read_whole

    whole = read_whole(the_model(bundle, run, "a bundle"))
    say(json.dumps(whole.manifest.as_json(), indent=2) if as_json else as_text(whole))
