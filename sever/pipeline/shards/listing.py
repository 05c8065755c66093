"""Which images a job has: a folder, a list in a table, or an object store; opens no image.

`stamp` is what shows, without opening a file, that it is another one than before: its size and time, or its ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sever.data.images import IMAGE_SUFFIXES
from sever.data.listing import list_table
from sever.errors import InputError
from sever.names import fault_of
from sever.reading import encoding_of

URL = "://"
_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")


class ListedImage(NamedTuple):
    """One image: its name in the results, and where it is, a path or a URL."""

    image_id: str
    url: str
    stamp: str = ""


def list_job(images: str) -> list[ListedImage]:
    """All images, in the order of their ids. Raises InputError where there is none, or two of one name."""
    suffix = Path(images).suffix.lower()
    reader = _of_store if URL in images and suffix not in TABLES else _of_table if suffix in TABLES else _of_folder
    found = sorted(reader(images))
    if not found:
        raise InputError(f"{images} holds no images; there must be files {', '.join(IMAGE_SUFFIXES)}")
    for one, other in pairwise(found):
        if one.image_id == other.image_id:
            raise InputError(f"{images} has the image {one.image_id} twice: {one.url} and {other.url}")
    bad = next(((each, fault) for each in found if (fault := fault_of(each.image_id))), None)
    if bad is not None:
        raise InputError(f"image {bad[0].image_id!r} has a name that results can't take: {bad[1]}; rename it")
    return found


def content_of_url(url: str) -> bytes:
    """Raises InputError where it can't be read."""
    try:
        if URL not in url:
            return Path(url).read_bytes()
        with filesystem(url)[0].open(url, "rb") as file:
            return bytes(file.read())
    except Exception as error:  # every store has errors of its own
        raise InputError(f"image {url} can't be read: {' '.join(str(error).split())[:160]}") from error


def filesystem(url: str) -> tuple[Any, str]:
    """The store of a URL, and the path in it. Raises InputError for one that is not known here."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} can't be opened: {error}; for object stores: pip install 'sever[ray]'") from error


def digest_of_list(images: Sequence[ListedImage]) -> str:
    return hashlib.sha256("\n".join("\t".join(each) for each in images).encode()).hexdigest()[:16]


def _of_folder(images: str) -> list[ListedImage]:
    folder = Path(images).absolute()
    if not folder.is_dir():
        raise InputError(f"--images {images} is neither a folder, nor a list (.csv, .parquet), nor a URL such as s3://")
    table = list_table(folder)
    places = list(map(str, table.paths))
    return [
        ListedImage(name, place, _stamp_of_file(place)) for name, place in zip(table.image_ids, places, strict=True)
    ]


def _of_table(images: str) -> list[ListedImage]:
    """A column `path` of paths, relative to the list, or URLs; `image_id` where names are to be others."""
    try:
        frame = TABLES[Path(images).suffix.lower()](images)
    except Exception as error:  # readers of Parquet have errors of their own
        raise InputError(f"cannot read the list {images}: {' '.join(str(error).split())[:160]}") from error
    if "path" not in frame:
        raise InputError(f"the list {images} has the columns {', '.join(map(str, frame))}; it needs `path`")
    for name in {"path", "image_id"} & set(frame):
        if len(empty := np.flatnonzero(frame[name].isna())):
            raise InputError(f"the list {images} has no `{name}` in row {empty[0] + 1} below its heading")
    paths = frame["path"].astype(str).tolist()
    ids = frame["image_id"].astype(str).tolist() if "image_id" in frame else [Path(path).name for path in paths]
    base = Path(images).absolute().parent
    places = [path if URL in path else str(base / path) for path in paths]
    return [ListedImage(image_id, place, _stamp_of_file(place)) for image_id, place in zip(ids, places, strict=True)]


def _of_store(images: str) -> list[ListedImage]:
    store, root = filesystem(images)
    try:
        found = store.find(root, detail=True)
    except Exception as error:  # every store has errors of its own
        raise InputError(f"cannot list {images}: {' '.join(str(error).split())[:160]}") from error
    below = root.rstrip("/") + "/"
    return [
        ListedImage(path.removeprefix(below), str(store.unstrip_protocol(path)), _stamp(about))
        for path, about in found.items()
        if path.lower().endswith(IMAGE_SUFFIXES)
    ]


def _stamp_of_file(place: str) -> str:
    """Of a URL in a list, and of what is not there, nothing is known."""
    try:
        stat = Path(place).stat()
    except (OSError, ValueError):
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _stamp(about: dict[str, Any]) -> str:
    return " ".join(str(about[name]) for name in ("size", *_STAMPS) if name in about)


def _read_csv(images: str) -> pd.DataFrame:
    encoding = "utf-8-sig" if URL in images else encoding_of(Path(images))
    return pd.read_csv(images, dtype=str, keep_default_na=False, encoding=encoding)


def _read_parquet(images: str) -> pd.DataFrame:
    """Its form says "the same a billion times" in a few bytes; but images have names of their own."""
    if URL not in images:
        from pyarrow.parquet import ParquetFile

        rows, size = ParquetFile(images).metadata.num_rows, Path(images).stat().st_size
        if rows > size:
            raise InputError(f"it claims {rows:,} rows in {size:,} bytes; every image needs its own name")
    return pd.read_parquet(images)


TABLES: dict[str, Callable[[str], pd.DataFrame]] = {".csv": _read_csv, ".parquet": _read_parquet}
