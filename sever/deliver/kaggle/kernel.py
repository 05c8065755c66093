"""The folder of an offline inference kernel, pushed and waited for; knows no networks. What runs there is script.py."""

from __future__ import annotations

import json
import pprint
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from sever.deliver.kaggle.client import Kaggle
from sever.deliver.kaggle.upload import LONGEST_NAME, raise_unless_slug, slug_of
from sever.errors import InputError
from sever.output import OutputFolder
from sever.reading import read_json

SCRIPT = Path(__file__).with_name("script.py")
INSTALLER = Path(__file__).with_name("offline_install.py")
METADATA, CODE = "kernel-metadata.json", "main.py"
PUSHED = "pushed.json"  # how far its run has come
FILES = (METADATA, CODE, PUSHED)
_MARK = "SETTINGS: dict[str, Any] = {}"
_INSTALLER_MARK = "from sever.deliver.kaggle.offline_install import environment_with, install\n"
_ENDED = ("complete", "error", "cancel_acknowledged")


@dataclass(frozen=True)
class Kernel:
    """One inference kernel. `model` and `wheels` are data sets OWNER/NAME; `minutes` is what the competition gives."""

    owner: str
    title: str
    model: str
    wheels: str
    competition: str
    minutes: float
    gpu: bool = True

    @property
    def slug(self) -> str:
        return slug_of(self.title)


@dataclass(frozen=True)
class Pushed:
    """A version of a kernel that Kaggle has taken; `status` is how its run ended, or how far it is."""

    ref: str
    version: int
    url: str
    status: str

    def __str__(self) -> str:
        return f"{self.ref}/{self.version}"

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED


def write_kernel(folder: Path, kernel: Kernel) -> Path:
    """Write kernel-metadata.json and main.py, ready for `kaggle kernels push` too; returns `folder`.

    A folder that holds this very kernel is left as it is, with the note of how far its run has come.
    """
    raise_unless_slug("kernel", kernel.slug)
    home = OutputFolder(folder)
    home.claim(FILES)
    if folder.exists() and not (folder / METADATA).is_file() and any(folder.iterdir()):
        raise InputError(f"-o {folder} holds something other than a kernel; give another folder")
    settings = {
        "competition": kernel.competition,
        "model": kernel.model,
        "wheels": kernel.wheels,
        "minutes": kernel.minutes,
    }
    source = _with_installer(SCRIPT.read_text(encoding="utf-8"))
    assert source.count(_MARK) == 1
    stated = _MARK.replace("{}", pprint.pformat(settings, sort_dicts=False))
    files = {METADATA: json.dumps(_metadata(kernel), indent=2) + "\n", CODE: source.replace(_MARK, stated)}
    if any(not (folder / name).is_file() or (folder / name).read_text("utf-8") != text for name, text in files.items()):
        home.remove([PUSHED])  # it is about what was here before
        for name, text in files.items():
            home.write_text(name, text)
    return folder


def _with_installer(source: str) -> str:
    """One file: where the kernel begins there is no sever yet to import from."""
    assert source.count(_INSTALLER_MARK) == 1
    first = "from __future__ import annotations\n"
    installer = INSTALLER.read_text(encoding="utf-8").replace(first, "")
    return source.replace(_INSTALLER_MARK, f"# ---- offline_install.py\n{installer}# ---- script.py, on\n")


def data_sources(folder: Path) -> list[str]:
    """The data sets, OWNER/NAME, that the kernel in this folder reads."""
    return list(_read_metadata(folder).dataset_sources)


def push(kaggle: Kaggle, folder: Path) -> Pushed:
    """Send a kernel's folder, which runs it. Raises InputError, also where Kaggle doesn't know one of its sources."""
    ref = _read_metadata(folder).id
    what = f"cannot push kernel {ref}"
    kaggle.api.config_values.setdefault("username", kaggle.owner)
    response = kaggle.call(what, lambda: kaggle.api.kernels_push(str(folder)), repeatable=False)
    if response.error:
        raise InputError(f"{what}: Kaggle says: {kaggle.redact(response.error)}")
    unknown = [
        *(response.invalid_dataset_sources or []),
        *(response.invalid_competition_sources or []),
    ]
    if unknown:
        raise InputError(
            f"{what}: Kaggle has no {', '.join(unknown)} that this account may use; upload the model and the wheels "
            "first (`sever upload`), accept the competition's rules, and push again"
        )
    return Pushed(ref, int(response.version_number), response.url, "queued")


def wait_for_kernel(
    kaggle: Kaggle, pushed: Pushed, seconds: float, info: Callable[[str], None], every: float = 20.0
) -> Pushed:
    """Ask until the run has ended, or the time is over. Raises InputError when the run failed."""
    end, told = kaggle.patience.clock() + seconds, pushed.status
    while True:
        status, failure = _status(kaggle, pushed)
        if status in ("error", "cancel_acknowledged"):
            said = f": {kaggle.redact(failure)}" if failure else ""
            raise InputError(f"kernel {pushed} ended with {status}{said}; its log is at {pushed.url}")
        now = replace(pushed, status=status)
        if now.has_ended or kaggle.patience.clock() >= end:
            return now
        if status != told:
            info(f"kernel {pushed}: {status}")
            told = status
        kaggle.patience.sleep(every)


def kernel_title(name: str) -> str:
    """A title that Kaggle takes, of a run's or a blend's name."""
    return f"sever {name}"[:LONGEST_NAME].rstrip(" -_")


class _Metadata(BaseModel):
    """What we need of a kernel's metadata, which a person may have edited."""

    id: str = Field(pattern=r"^[^/]+/[^/]+$")
    dataset_sources: tuple[Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")], ...]


def _read_metadata(folder: Path) -> _Metadata:
    try:
        return _Metadata.model_validate(read_json(folder / METADATA))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise InputError(f"{folder / METADATA}: `{where}`: {fault['msg']}; run `sever kernel` again") from error


def _metadata(kernel: Kernel) -> dict[str, object]:
    return {
        "id": f"{kernel.owner}/{kernel.slug}",
        "title": kernel.title,
        "code_file": CODE,
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": kernel.gpu,
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": list(dict.fromkeys([kernel.model, kernel.wheels])),
        "competition_sources": [kernel.competition],
        "kernel_sources": [],
        "model_sources": [],
    }


def _status(kaggle: Kaggle, pushed: Pushed) -> tuple[str, str]:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

    request = ApiGetKernelSessionStatusRequest()
    request.user_name, request.kernel_slug = pushed.ref.split("/")
    ask = kaggle.client.kernels.kernels_api_client.get_kernel_session_status
    response = kaggle.call(f"cannot ask how kernel {pushed} is doing", lambda: ask(request))
    return str(response.status.name).lower(), str(response.failure_message or "")
