"""The score tables of several candidates side by side: the same images, one score each; knows no competition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sever.counted import counted
from sever.errors import InputError
from sever.pipeline.weights import read_columns
from sever.store import Evidence

NEEDED = ("image_id", "group", "class_id", "dice", "true_pixels")


@dataclass(frozen=True)
class Candidates:
    """M candidates over the same N images; `scores_nm` is the mean Dice of each image's classes."""

    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    given: tuple[str, ...]
    image_ids: list[str]
    groups_n: np.ndarray
    clean_n: np.ndarray
    scores_nm: np.ndarray

    def read_public(self, path: Path) -> np.ndarray:
        """(M,) known public scores, NaN where the CSV (columns name, public) has none. Raises InputError."""
        frame = read_columns(path, ("name", "public"))
        known_m = np.full(len(self.names), np.nan)
        for name, score in zip(frame["name"].astype(str), frame["public"], strict=True):
            at = self._position(name, path)
            if not np.isnan(known_m[at]):
                raise InputError(f"{path} gives two scores for {name}; keep one")
            if isinstance(score, float) and np.isnan(score):  # an empty cell: not known
                continue
            if isinstance(score, bool | np.bool_) or not isinstance(score, int | float) or not 0 <= score <= 1:
                raise InputError(f"{path} gives {name} the public score {score}; a score is a number from 0 to 1")
            known_m[at] = score
        return known_m

    def _position(self, name: str, path: Path) -> int:
        for names in (self.names, self.given):
            if name in names:
                return names.index(name)
        raise InputError(f"{path} names {name}, which is not a candidate; the candidates are {', '.join(self.names)}")


def read_candidates(paths: Sequence[Path]) -> Candidates:
    """Read every candidate's score table. Raises InputError where they are not about the same images and labels."""
    evidence = tuple(Evidence.find(path) for path in paths)
    if len({found.folder.resolve() for found in evidence}) < max(2, len(evidence)):
        raise InputError(
            f"a pair is chosen from at least 2 different candidates; given {', '.join(map(str, paths)) or 'none'}"
        )
    tables = [_read_pairs(found) for found in evidence]
    for found, table in zip(evidence[1:], tables[1:], strict=True):
        _raise_unless_alike(evidence[0], tables[0], found, table)
    by_image = tables[0].groupby("image_id", sort=True)
    scores_nm = np.stack([table.groupby("image_id", sort=True)["dice"].mean().to_numpy() for table in tables], axis=1)
    return Candidates(
        _names(evidence),
        evidence,
        tuple(map(str, paths)),
        [str(image_id) for image_id in by_image.groups],
        by_image["group"].first().to_numpy(dtype=object),
        by_image["true_pixels"].sum().to_numpy() == 0,
        scores_nm,
    )


def _read_pairs(evidence: Evidence) -> pd.DataFrame:
    pairs = evidence.read_pairs()
    if pairs.empty:
        raise InputError(f"{evidence.pairs_file} is empty; write it again with `sever crossval -r`")
    return pairs.sort_values(["image_id", "class_id"], ignore_index=True)


def _raise_unless_alike(first: Evidence, here: pd.DataFrame, second: Evidence, there: pd.DataFrame) -> None:
    keys = ["image_id", "class_id"]
    if not here[keys].equals(there[keys]):
        images, others = set(here["image_id"]), set(there["image_id"])
        apart = sorted(images ^ others)
        what = (
            f"{counted(len(apart), 'image is', 'images are')} in one only, as {apart[0]}"
            if apart
            else "their classes differ"
        )
        raise InputError(
            f"candidates are compared on the same images, but of {first.folder} and {second.folder} {what}; "
            "cross-validate both on the same data"
        )
    differ = here["true_pixels"].to_numpy() != there["true_pixels"].to_numpy()
    if differ.any():
        raise InputError(
            f"{first.folder} and {second.folder} were scored against different labels, as of "
            f"{here['image_id'][int(differ.argmax())]}; score both against the same"
        )
    if not here["group"].fillna("").equals(there["group"].fillna("")):
        raise InputError(f"{first.folder} and {second.folder} group the images in different ways; group them alike")


def _names(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """The name of each; with its folder where two have the same."""
    names = [found.about().name for found in evidence]
    long = [f"{name}/{found.folder.name}" for name, found in zip(names, evidence, strict=True)]
    times = Counter(names)
    chosen = [brief if times[brief] == 1 else full for brief, full in zip(names, long, strict=True)]
    return tuple(chosen if len(set(chosen)) == len(chosen) else [str(found.folder) for found in evidence])
