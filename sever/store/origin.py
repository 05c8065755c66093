"""Where a stored map or label comes from: which model with which settings, and which image; knows what neither is.

An origin travels with what it is about: in a chunk of text of a map's PNG, in a column of labels.csv. What has another
one than is asked for, or none, is as good as not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sever.errors import InputError
from sever.files import content_of

UNKNOWN = ""
# Small files are hashed in lumps: handing each to a thread by itself costs more than reading it.
LUMP = 64


@dataclass(frozen=True)
class Origin:
    """Digests of a model with its settings, and of an image file."""

    model: str
    image: str

    def __str__(self) -> str:
        return f"{self.model}.{self.image}"

    @staticmethod
    def parse(text: str) -> Origin:
        """Of what says nothing, both parts are empty: it equals no real origin."""
        model, _, image = text.partition(".")
        return Origin(model, image)


def digest_of(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Of settings and digests, as JSON writes them: the same on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_of_content(content: bytes) -> str:
    """What `image_digest` says of a file with this content."""
    return hashlib.sha256(content).hexdigest()


def image_digest(path: Path) -> str:
    """Of the whole file: a file may change in its midst alone, and its name, size and time may stay the same.

    That costs a small share of decoding it (benchmarks/origins.py). Raises InputError.
    """
    try:
        return content_of(path)[1]
    except OSError as error:
        raise InputError(f"image {path} can't be read: {error.strerror or error}") from error


def image_digests(paths: Iterable[Path]) -> list[str]:
    """Of many image files, in their order."""
    files = list(paths)
    lumps = [files[start : start + LUMP] for start in range(0, len(files), LUMP)]
    one: Callable[[Path], str] = image_digest
    with ThreadPoolExecutor() as pool:
        return [digest for lump in pool.map(lambda lump: [one(file) for file in lump], lumps) for digest in lump]
