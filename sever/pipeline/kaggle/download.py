"""`sever download`: a competition's data, or a data set, into a folder; unpacked whole or not at all, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sever.deliver.kaggle.client import Kaggle, sign_in
from sever.deliver.kaggle.download import DownloadPart, download
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.submit import rules_hints
from sever.deliver.kaggle.unpack import BrokenArchive, unpack
from sever.errors import InputError
from sever.locks import one_writer_of
from sever.names import fault_of
from sever.progress import info, meter
from sever.store.records import DownloadRecord, RemoteRecord

# Written into the folder last, so that a folder with it is complete.
ABOUT = "download.json"


@dataclass(frozen=True)
class WantedData:
    """What to download: a competition's data (`name`), or a data set (`name` is OWNER/NAME)."""

    name: str
    is_dataset: bool = False

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if len(parts) != (2 if self.is_dataset else 1) or any(map(fault_of, parts)):
            form = "--dataset OWNER/NAME" if self.is_dataset else "the competition's NAME, as in its address"
            raise InputError(f"{self.name!r} is not {form}")

    @property
    def slug(self) -> str:
        return self.name.rpartition("/")[2]

    def hints(self) -> dict[int, str]:
        if not self.is_dataset:
            return rules_hints(self.slug)
        return {
            403: f"data set {self.name} is private, or does not exist (403); look at the spelling",
            404: f"there is no data set {self.name} on Kaggle (404)",
        }

    def ask(self, kaggle: Kaggle) -> Callable[[], Any]:
        """The client's call that leads to the archive."""
        if self.is_dataset:
            from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

            dataset = ApiDownloadDatasetRequest()
            dataset.owner_slug, dataset.dataset_slug = self.name.split("/")
            return lambda: kaggle.client.datasets.dataset_api_client.download_dataset(dataset)
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

        files = ApiDownloadDataFilesRequest()
        files.competition_name = self.name
        return lambda: kaggle.client.competitions.competition_api_client.download_data_files(files)


def download_data(wanted: WantedData, output: Path | None = None, patience: Patience | None = None) -> Path:
    """Download and unpack into `output` (data/raw/NAME); returns it. What is there already is left alone.

    An interrupted download goes on where it stopped. Raises InputError.
    """
    output = output or Path("data") / "raw" / wanted.slug
    with one_writer_of(output):
        return _download(wanted, output, patience)


def _download(wanted: WantedData, output: Path, patience: Patience | None) -> Path:
    if _is_there(output, wanted):
        info(f"{output} holds {wanted.name} already; delete the folder to download it again")
        return output
    part = DownloadPart(output.with_name(f"{output.name}.zip"))
    with sign_in(patience) as kaggle:
        remote = download(kaggle, f"cannot download {wanted.name}", wanted.ask(kaggle), part, meter, wanted.hints())

    def finish(folder: Path) -> None:
        archive = RemoteRecord(**asdict(remote))
        DownloadRecord(name=wanted.name, is_dataset=wanted.is_dataset, archive=archive).write(folder / ABOUT)

    try:
        files = unpack(part.path, output, meter, finish)
    except BrokenArchive as error:
        part.delete()  # it would be taken for a whole one next time
        raise InputError(f"{error}; it was deleted: run the same command again") from error
    part.delete()
    info(f"{files} files")
    return output


def _is_there(output: Path, wanted: WantedData) -> bool:
    if not output.exists():
        return False
    if (output / ABOUT).is_file():
        held = DownloadRecord.read(output / ABOUT)
        if (held.name, held.is_dataset) == (wanted.name, wanted.is_dataset):
            return True
        raise InputError(f"{output} holds {held.name}; give another -o")
    if not output.is_dir() or any(output.iterdir()):
        raise InputError(f"{output} holds something that `sever download` did not write; give another -o, or move it")
    return False
