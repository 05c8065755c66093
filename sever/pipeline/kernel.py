"""`sever kernel`: the folder of an offline inference kernel, on request pushed and waited for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sever.config import KaggleSettings
from sever.deliver.kaggle.client import sign_in
from sever.deliver.kaggle.kernel import Kernel, Pushed, kernel_title, push, wait_for_kernel, write_kernel
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.upload import slug_of
from sever.errors import InputError
from sever.files import write_json
from sever.pipeline.pack import model_name
from sever.pipeline.progress import tell
from sever.pipeline.upload import WHEELS_TITLE, model_title

PUSHED = "pushed.json"


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
    return write_kernel(output, kernel)


def push_kernel(folder: Path, wait_minutes: float, patience: Patience | None = None) -> Pushed:
    """Push the folder, wait for its run to end, and note both in pushed.json. Raises InputError when the run fails."""
    with sign_in(patience) as kaggle:
        pushed = push(kaggle, folder)
        tell(f"pushed {pushed}: {pushed.url}")
        _note(folder, pushed)
        if wait_minutes:
            pushed = wait_for_kernel(kaggle, pushed, 60 * wait_minutes, tell)
            _note(folder, pushed)
    return pushed


def _note(folder: Path, pushed: Pushed) -> None:
    write_json(folder / PUSHED, {"kernel": str(pushed), "url": pushed.url, "status": pushed.status})


def _account() -> str:
    with sign_in() as kaggle:
        return kaggle.owner
