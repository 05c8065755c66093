"""`sever submit`: a submission, checked, sent and recorded. Needs the extra `sever[kaggle]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.kaggle_options import Competition, SettingsFile, WaitMinutes, kaggle_settings
from sever.cli.options import LEDGER, AsJson, Ledger
from sever.cli.output import give
from sever.counted import counted


@app.command()
def submit(
    file: Annotated[
        Path, typer.Argument(help="The submission's CSV; with --kernel, the file it should write, to check and record.")
    ],
    competition: Competition = None,
    name: Annotated[str | None, typer.Option(help="Name in `sever leaderboard`; by default folder and time.")] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What is new in it.")] = "",
    sample: Annotated[
        Path | None, typer.Option(help="The sample to compare with; by default the one in --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The competition's data; by default data/raw/COMPETITION.")] = None,
    kernel: Annotated[
        str | None, typer.Option(help="For a code competition: OWNER/NAME/VERSION of the kernel to submit.")
    ] = None,
    blend: Annotated[Path | None, typer.Option(help="The blend or cross-validation that it came from.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
    wait: WaitMinutes = 120.0,
    ledger: Ledger = LEDGER,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a submission against the sample, send it, wait for its score, and record it in `sever leaderboard`.

    Example: `sever submit out/submission.csv -m "gated blend"`
    """
    chosen = kaggle_settings(settings, competition=competition)
    from sever.deliver.kaggle.submit import KernelVersion
    from sever.pipeline.kaggle.submit import SubmissionEntry, check_file
    from sever.pipeline.kaggle.submit import submit as submit_entry

    version = KernelVersion.parse(kernel) if kernel is not None else None
    checked = check_file(file, chosen.competition, sample, data, chosen.overlap_allowed)
    rows = counted(checked.rows, "row")
    good = f"{file}: good, {counted(checked.images, 'image')}, {rows}, {checked.defective_pairs} with a defect"
    give(checked if as_json else good, as_json)
    if not dry_run:
        entry = SubmissionEntry(file, chosen.competition, name, message, version, blend)
        give(submit_entry(entry, wait, ledger), as_json)
