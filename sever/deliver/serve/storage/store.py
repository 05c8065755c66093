"""The database and the images of one service, opened and closed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from sever.deliver.serve.storage.database import open_database, usable
from sever.deliver.serve.storage.remote_pictures import open_pictures
from sever.deliver.serve.storage.writer import Writer
from sever.errors import InputError
from sever.near_names import missing

T = TypeVar("T")
DATABASE = "sever.db"


def url_of(folder: Path, url: str | None) -> str:
    """The database that was asked for, or the one in the store's folder."""
    return url or f"sqlite:///{(folder / DATABASE).absolute()}"


@contextmanager
def open_existing(folder: Path, url: str | None, images: str | None = None) -> Iterator[Store]:
    """Raises InputError where there is none: a mistyped folder is not made into a store."""
    if url is None and not (folder / DATABASE).is_file():
        raise InputError(f"{missing(folder / DATABASE, 'file')}; give the store of a `sever serve`")
    store = Store(folder, url, images=images)
    try:
        with usable(store.url):
            yield store
    finally:
        store.close()


class Store:
    """`url` None: SQLite in the folder. `images` None: in it, too; else another folder, or an address of fsspec.

    Raises InputError where one of them can't be used."""

    def __init__(self, folder: Path, url: str | None = None, durable: bool = True, images: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = url_of(folder, url)
        self.engine = open_database(self.url, durable)
        self.pictures = open_pictures(folder, images, durable)
        self.writer = Writer(self.engine)

    def read(self, call: Callable[[Connection], T]) -> T:
        """Run a call that only reads."""
        with self.engine.connect() as connection:
            return call(connection)

    def write(self, call: Callable[[Connection], T]) -> T:
        """Run a call that writes, and commit it; from any thread but the event loop's."""
        return self.writer.write(call)

    async def write_soon(self, call: Callable[[Connection], T]) -> T:
        return await self.writer.write_soon(call)

    def close(self) -> None:
        self.writer.stop()
        self.engine.dispose()
