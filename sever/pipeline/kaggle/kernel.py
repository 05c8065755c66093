"""`sever kernel`: the folder of an offline inference kernel, on request pushed and waited for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sever.config import KaggleSettings
from sever.deliver.kaggle.client import Kaggle, sign_in
from sever.deliver.kaggle.kernel import (
    PUSHED,
    Kernel,
    Pushed,
    data_sources,
    kernel_title,
    push,
    wait_for_kernel,
    write_kernel,
)
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.upload import dataset_status, slug_of, wait_until_ready
from sever.errors import InputError
from sever.locks import one_writer_of
from sever.output import OutputFolder
from sever.pipeline.export.trained import model_name
from sever.pipeline.inference.load import draws_masks
from sever.pipeline.kaggle.upload import WHEELS_TITLE, model_title
from sever.progress import info
from sever.store.records import PushedRecord


@dataclass(frozen=True)
class Sources:
    """The data sets that a kernel reads, OWNER/NAME; what is None is where `sever upload` puts it by default."""

    model: str | None = None
    wheels: str | None = None

    def __post_init__(self) -> None:
        for option, ref in (("--model", self.model), ("--wheels", self.wheels)):
            if ref is not None and (ref.count("/") != 1 or not all(ref.split("/"))):
                raise InputError(f"{option} {ref} is not OWNER/NAME, a data set as `sever upload` prints it")


def make_kernel(
    path: Path, output: Path, settings: KaggleSettings, sources: Sources, title: str | None = None, gpu: bool = True
) -> Path:
    """Write the kernel's folder for a run, a cross-validation or a blend; returns it. Raises InputError.

    Without an owner in the settings, the account that is signed in is asked for.
    """
    if not draws_masks(path):
        raise InputError(
            f"{path} labels images and draws no masks, so it makes no submission; blend it with segmenters"
        )
    owner = settings.owner or _account()
    kernel = Kernel(
        owner=owner,
        title=title or kernel_title(f"predict {model_name(path)}"),
        model=sources.model or f"{owner}/{slug_of(model_title(path))}",
        wheels=sources.wheels or f"{owner}/{slug_of(WHEELS_TITLE)}",
        competition=settings.competition,
        minutes=settings.minutes,
        gpu=gpu,
    )
    with one_writer_of(output):
        return write_kernel(output, kernel)


def push_kernel(folder: Path, wait_minutes: float, patience: Patience | None = None) -> Pushed:
    """Push the folder, wait for its run to end, and note both in pushed.json.

    What was pushed from this folder before, and had not ended, is waited for and not pushed again. Raises InputError
    when the run fails, or does not end in time.
    """
    with one_writer_of(folder), sign_in(patience) as kaggle:
        if pushed := _under_way(folder):
            info(f"{pushed} was pushed before, and this waits for it; delete {folder / PUSHED} to push again")
        else:
            if wait_minutes:
                _wait_for_sources(kaggle, folder, wait_minutes)
            pushed = push(kaggle, folder)
            info(f"pushed {pushed}: {pushed.url}")
            _note(folder, pushed)
        if wait_minutes:
            pushed = wait_for_kernel(kaggle, pushed, 60 * wait_minutes, info)
            _note(folder, pushed)
            if not pushed.has_ended:
                raise InputError(
                    f"kernel {pushed} is {pushed.status} after {wait_minutes:g} minutes; repeat the same command to "
                    "wait longer"
                )
    return pushed


def _wait_for_sources(kaggle: Kaggle, folder: Path, minutes: float) -> None:
    """A kernel can't read what Kaggle is still unpacking. Of what isn't there at all, pushing tells."""
    for ref in data_sources(folder):
        if dataset_status(kaggle, ref) is not None and not wait_until_ready(kaggle, ref, 60 * minutes, info):
            raise InputError(f"data set {ref} is not ready after {minutes:g} minutes; repeat the same command later")


def _under_way(folder: Path) -> Pushed | None:
    """What the folder's note says of a run that has not ended."""
    if not (folder / PUSHED).is_file():
        return None
    noted = PushedRecord.read(folder / PUSHED)
    ref, _, version = noted.kernel.rpartition("/")
    pushed = Pushed(ref, int(version), noted.url, noted.status)
    return None if pushed.has_ended else pushed


def _note(folder: Path, pushed: Pushed) -> None:
    noted = PushedRecord(kernel=str(pushed), url=pushed.url, status=pushed.status)
    OutputFolder(folder).write_json(PUSHED, noted.as_json())


def _account() -> str:
    with sign_in() as kaggle:
        return kaggle.owner
