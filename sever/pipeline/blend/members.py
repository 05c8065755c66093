"""The members of a blend, opened and held against each other: same classes, same images, same folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from sever.counted import counted
from sever.errors import InputError
from sever.store import Evidence
from sever.store.origin import UNKNOWN, Origin

NAMED = 3  # examples in a message


@dataclass(frozen=True)
class Member:
    """One folder of evidence. A classifier has no maps; its label probabilities alone take part."""

    evidence: Evidence
    class_names: tuple[str, ...]
    folds: pd.DataFrame
    has_maps: bool

    @staticmethod
    def open(path: Path) -> Member:
        """Raises InputError where there is no evidence, or it isn't complete."""
        evidence = Evidence.find(path)
        has_maps = evidence.has_maps
        member = Member(evidence, evidence.about().class_names, evidence.read_folds(), has_maps)
        missing = evidence.maps.missing(member.image_ids) if has_maps else []
        if missing or not (has_maps or evidence.labels_file.is_file()):
            what = f"{len(missing)} of {len(member.folds)} images have" if missing else "its images have"
            raise InputError(
                f"{evidence.folder} is not finished: {what} no out-of-fold map; resume the `sever crossval` or "
                "`sever blend` that made it"
            )
        return member

    def raise_unless_own(self) -> None:
        """Raises InputError for maps that another model made, or that were made with other settings."""
        models = dict(zip(self.image_ids, self.evidence.models_of(self.folds["fold"]), strict=True))
        foreign = [image_id for image_id, origin in self.origins.items() if origin.model != models[image_id]]
        if foreign:
            raise InputError(
                f"{self.folder}: {len(foreign)} of {len(models)} maps or labels were made by another model or with "
                f"other settings ({', '.join(foreign[:NAMED])}); {self.evidence.remedy()}"
            )

    @cached_property
    def origins(self) -> dict[str, Origin]:
        """What each image's map, of a classifier its label, says of where it comes from."""
        if self.has_maps:
            return {image_id: Origin.parse(self.evidence.maps.origin(image_id)) for image_id in self.image_ids}
        labels = self.evidence.labels.read_labels(self.num_classes)
        return {image_id: Origin.parse(labels[image_id].origin) for image_id in self.image_ids if image_id in labels}

    @property
    def folder(self) -> Path:
        return self.evidence.folder

    @property
    def name(self) -> str:
        return self.evidence.about().name

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def has_labels(self) -> bool:
        return self.evidence.labels_file.is_file()

    @cached_property
    def image_ids(self) -> list[str]:
        return self.folds["image_id"].tolist()

    def read(self, image_id: str) -> np.ndarray:
        """(C, H, W) uint8 levels."""
        return self.evidence.maps.read(image_id, self.num_classes)

    def label_probs(self, image_ids: list[str]) -> np.ndarray | None:
        """(N, C) float32 in the order of `image_ids`; None without a classifier."""
        origins = [str(self.origins.get(image_id, UNKNOWN)) for image_id in image_ids]
        return self.evidence.read_label_probs(image_ids, self.num_classes, origins)


def open_members(paths: Sequence[Path], output: Path) -> list[Member]:
    """The members, those with maps first, since weights are theirs. Raises InputError where they don't fit together."""
    members = [Member.open(path) for path in paths]
    if len(members) < 2:
        raise InputError(f"a blend has at least two members, but {len(members)} was given; repeat -m")
    folders = [member.folder.resolve() for member in members]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} was given twice; for more of it give it a larger --weight")
    if output.resolve() in folders:
        raise InputError(f"-o {output} is one of the members; give another folder")
    members.sort(key=lambda member: not member.has_maps)
    if not members[0].has_maps:
        raise InputError("none of the members has probability maps; a blend needs a segmenter beside its classifiers")
    for member in members[1:]:
        _raise_unless_alike(members[0], member)
    for member in members:
        member.raise_unless_own()
    for member in members[1:]:
        _raise_unless_same_images(members[0], member)
    return members


def mean_label_probs(members: Sequence[Member], image_ids: list[str]) -> np.ndarray | None:
    """The gate of a blend: (N, C) float32, the plain mean of all members' label probabilities; None without any."""
    labels = [label_probs for member in members if (label_probs := member.label_probs(image_ids)) is not None]
    return np.asarray(np.mean(labels, axis=0, dtype=np.float32)) if labels else None


def _raise_unless_alike(first: Member, other: Member) -> None:
    if first.class_names != other.class_names:
        raise InputError(
            f"{first.folder} and {other.folder} know different classes: {', '.join(first.class_names)} and "
            f"{', '.join(other.class_names)}"
        )
    here, there = (dict(zip(each.image_ids, each.folds["fold"], strict=True)) for each in (first, other))
    only = sorted(here.keys() ^ there.keys())
    if only:
        raise InputError(
            f"{first.folder} and {other.folder} are about different images: {len(only)} are in one of them alone, "
            f"e.g. {', '.join(only[:NAMED])}; cross-validate both on the same data"
        )
    moved = [image_id for image_id, fold in here.items() if there[image_id] != fold]
    if moved:
        raise InputError(
            f"{first.folder} and {other.folder} have different folds: "
            f"{counted(len(moved), 'image is', 'images are')} in another one, e.g. "
            f"{moved[0]} in fold {here[moved[0]]} and {there[moved[0]]}. A blend is out of fold only where no member "
            "saw the image: cross-validate both with the same folds.count, folds.seed and data.groups"
        )


def _raise_unless_same_images(first: Member, other: Member) -> None:
    changed = [image_id for image_id, origin in first.origins.items() if other.origins[image_id].image != origin.image]
    if changed:
        raise InputError(
            f"{first.folder} and {other.folder} saw different images under the same name: {len(changed)}, e.g. "
            f"{changed[0]}. They must have changed between the two: resume both (`sever crossval -r`)"
        )
