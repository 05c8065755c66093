"""What `sever data check`, `doubts` and `shift` left in a folder, as far as others show it; knows not what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from sever.errors import InputError
from sever.records import Count, Part, Probability, Record

DOUBTS = "doubts"  # in the folder of the evidence, where a report looks by itself
AGAIN = "make it again with the command that wrote it"
# More is kept in the files than is shown.
SOME = ConfigDict(extra="ignore")


class DuplicatesRecord(Record):
    """check.json of `sever data check`."""

    model_config = SOME
    what_to_do = AGAIN

    images: Count
    least_overlap: Probability
    equal_pairs: Count
    near_pairs: Count
    groups: Count
    largest_group: Count
    pairs_across_parts: Count
    pairs_with_different_masks: Count


class KindRecord(Part):
    images: Count
    first: tuple[str, ...]


class DoubtRecord(Part):
    model_config = SOME

    image: str
    kind: str
    class_name: Annotated[str, Field(alias="class")]
    instead: str
    score: Annotated[float, Field(ge=0)]
    pixels: Count


class DoubtsRecord(Record):
    """doubts.json of `sever data doubts`."""

    model_config = SOME
    what_to_do = AGAIN

    images: Count
    kinds: dict[str, KindRecord]
    worst: tuple[DoubtRecord, ...]


class SetRecord(Part):
    model_config = SOME

    root: str
    images: Count


class AreaRecord(Part):
    mean: Probability
    low: Probability
    high: Probability


class StatisticRecord(Part):
    name: str
    area: Probability
    median_a: float
    median_b: float


class ShiftRecord(Record):
    """shift.json of `sever data shift`."""

    model_config = SOME
    what_to_do = AGAIN

    sets: Annotated[tuple[SetRecord, ...], Field(min_length=2, max_length=2)]
    area: AreaRecord
    verdict: str
    differs: bool
    statistics: tuple[StatisticRecord, ...]
    effective_images: Annotated[float, Field(ge=0)]


FILES: dict[str, tuple[str, type[Record]]] = {
    "duplicates": ("check.json", DuplicatesRecord),
    "doubts": ("doubts.json", DoubtsRecord),
    "shift": ("shift.json", ShiftRecord),
}


def read_findings(evidence: Path, folders: tuple[Path, ...]) -> dict[str, Any]:
    """By name what there is in the folders, and in doubts/ of the evidence; None for what was not computed.

    Raises InputError for a folder that holds nothing of the kind, a damaged file, and two answers to one question.
    """
    found: dict[str, Any] = dict.fromkeys(FILES)
    for folder in folders:
        here = {name: folder / file for name, (file, _) in FILES.items() if (folder / file).is_file()}
        if not here:
            wanted = ", ".join(file for file, _ in FILES.values())
            raise InputError(f"--with {folder} holds none of {wanted}; give a folder that `sever data ...` wrote to")
        for name, path in here.items():
            if found[name] is not None:
                raise InputError(f"--with gives {name} twice ({path}); give one of them")
            found[name] = _read(name, path)
    own = evidence / DOUBTS / FILES["doubts"][0]
    if found["doubts"] is None and own.is_file():
        found["doubts"] = _read("doubts", own)
    return found


def _read(name: str, path: Path) -> dict[str, Any]:
    record = FILES[name][1].read(path)
    return record.model_dump(mode="json", exclude={"version"}, by_alias=True) | {"folder": str(path.parent)}
