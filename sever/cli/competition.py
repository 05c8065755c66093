"""The competition on Kaggle, end to end: download, upload, kernel, submit. Needs the extra `sever[kaggle]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import LEDGER, AsJson, Ledger, RunPath
from sever.cli.output import give
from sever.config import KaggleSettings, load_kaggle
from sever.errors import InputError

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML with owner, licence, competition, ...; by default kaggle.yml.")
]
Competition = Annotated[str | None, typer.Option(help="Name of the competition, as in its address.")]
Owner = Annotated[str | None, typer.Option(help="Account that owns it; by default the one signed in.")]
Title = Annotated[str | None, typer.Option(help="Title on Kaggle; by default made from the model's name.")]
WaitMinutes = Annotated[float, typer.Option("--wait", help="Minutes to wait for Kaggle; 0 does not wait.", min=0)]


def _settings(file: Path | None, **options: object) -> KaggleSettings:
    return load_kaggle(file, {name: value for name, value in options.items() if value is not None})


@app.command()
def download(
    name: Annotated[str | None, typer.Argument(help="Name of a competition, as in its address.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set instead of a competition: OWNER/NAME.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to unpack into; by default data/raw/NAME.")
    ] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Download and unpack a competition's data, or a data set. Resumes where it stopped; a second run does nothing.

    Examples: `sever download`, `sever download --dataset OWNER/NAME -o data/raw/extra`
    """
    if name is not None and dataset is not None:
        raise InputError("give a competition's NAME or --dataset OWNER/NAME, not both")
    wanted_name = dataset or name or _settings(settings).competition
    from sever.pipeline.kaggle.download import WantedData, download_data

    give(download_data(WantedData(wanted_name, dataset is not None), output), as_json)


@app.command()
def upload(
    run: Annotated[
        Path | None,
        typer.Option("--run", "-r", help="A run, a checkpoint, a cross-validation or a blend."),
    ] = None,
    epoch: Annotated[
        list[int] | None, typer.Option("--epoch", "-e", help="With a run: checkpoint of this epoch; repeatable.")
    ] = None,
    blend: Annotated[Path | None, typer.Option(help="The same as -r.")] = None,
    wheel: Annotated[bool, typer.Option("--wheel", help="Upload the wheel of sever itself, for kernels.")] = False,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="With --wheel: also its dependencies, except torch.")
    ] = False,
    python: Annotated[
        str | None, typer.Option(help="With --with-dependencies: Python version on Linux; by default 3.12.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="With --wheel: a checkout of sever, or a wheel of it.")] = None,
    title: Title = None,
    slug: Annotated[str | None, typer.Option(help="Name in the address; by default made from the title.")] = None,
    notes: Annotated[str | None, typer.Option(help="What is new in this version.")] = None,
    owner: Owner = None,
    licence: Annotated[str | None, typer.Option(help="Kaggle's name for the licence, e.g. CC0-1.0.")] = None,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Who can see it.")] = None,
    wait: WaitMinutes = 30.0,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Upload checkpoints, a blend or sever itself as a data set, or as a new version of an existing one.

    Examples: `sever upload -r saved/lite0-unet -e 12 -e 20`, `sever upload --blend saved/final`, `sever upload --wheel`
    """
    if [run is not None, blend is not None, wheel].count(True) != 1:
        raise InputError("give one of -r RUN, --blend FOLDER and --wheel")
    if not wheel and (with_dependencies or python or source):
        raise InputError("--with-dependencies, --python and --source go with --wheel")
    chosen = _settings(settings, owner=owner, licence=licence, public=public)
    from sever.pipeline.kaggle.upload import Names, upload_model, upload_wheels
    from sever.progress import tell

    names = Names(title, slug, notes)
    if wheel:
        done = upload_wheels(chosen, names, wait, source, with_dependencies, python)
    else:
        path = run or blend
        assert path is not None
        done = upload_model(path, epoch or (), chosen, names, wait)
    text = f"{done.ref}\n{'created' if done.created else 'new version'}: {done.url}"
    give({"ref": done.ref, "url": done.url, "created": done.created} if as_json else text, as_json)
    if not done.created and (title, licence, public) != (None, None, None):
        tell("title, licence and who can see it stay as they are; change them on the site")


@app.command()
def kernel(
    run: RunPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the kernel.")] = Path("kernel"),
    push: Annotated[
        bool, typer.Option("--push", help="Send it to Kaggle, which runs it, and wait for the run.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Data set of the model; by default `sever upload -r`'s.")] = None,
    wheels: Annotated[
        str | None, typer.Option(help="Data set of the wheels; by default `sever upload --wheel`'s.")
    ] = None,
    title: Title = None,
    minutes: Annotated[float | None, typer.Option(help="How long it may take.", min=1)] = None,
    gpu: Annotated[bool, typer.Option(help="Whether it gets a GPU.")] = True,
    competition: Competition = None,
    owner: Owner = None,
    wait: WaitMinutes = 120.0,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an inference kernel from an uploaded model; it needs no internet and keeps to its time limit.

    Example: `sever kernel -r saved/final -o kernel --push`
    """
    chosen = _settings(settings, owner=owner, competition=competition, minutes=minutes)
    from sever.pipeline.kaggle.kernel import Sources, make_kernel, push_kernel

    folder = make_kernel(run, output, chosen, Sources(model, wheels), title, gpu)
    give(folder, as_json)
    if push:
        pushed = push_kernel(folder, wait)
        give(pushed if as_json else f"{pushed}: {pushed.status}", as_json)


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
    chosen = _settings(settings, competition=competition)
    from sever.deliver.kaggle.submit import KernelVersion
    from sever.pipeline.kaggle.submit import SubmissionEntry, check_file, default_name
    from sever.pipeline.kaggle.submit import submit as submit_entry

    version = KernelVersion.parse(kernel) if kernel is not None else None
    checked = check_file(file, chosen.competition, sample, data, chosen.overlap_allowed)
    good = f"{file}: good, {checked.images} images, {checked.rows} rows, {checked.defective_pairs} with a defect"
    give(checked if as_json else good, as_json)
    if not dry_run:
        entry = SubmissionEntry(file, chosen.competition, name or default_name(file), message, version, blend)
        give(submit_entry(entry, wait, ledger), as_json)
