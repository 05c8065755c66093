"""Which mask belongs to which image, by their names: equal, with the image's suffix kept, or with _mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from sever.errors import InputError

# As KolektorSDD (_label), KolektorSDD2 (_GT), DAGM (_label), MVTec AD (_mask) and many a script write them.
ENDINGS = ("_mask", "_gt", "_label", "_labels", "_seg")


def stem_of(image_id: str) -> str:
    """The id without its suffix."""
    return str(PurePosixPath(image_id).with_suffix(""))


def without_ending(stem: str) -> str | None:
    """x of x_mask or x_Mask; None where the name has no such ending."""
    lower = stem.lower()
    return next((stem[: -len(each)] for each in ENDINGS if lower.endswith(each) and len(stem) > len(each)), None)


def pair(image_ids: Iterable[str], masks: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, str], list[str]]:
    """Image -> its mask; image -> why it can't be told; and the masks of no image. `masks`: by path with suffix.

    A mask x.png belongs to x.jpg, and so do x.jpg.png and x_mask.png. Where two images or two masks could be meant,
    that is told.
    """
    exact, ended = _by_stem(masks)
    ids = list(image_ids)
    claimed = {name for image_id in ids for key in (image_id, stem_of(image_id)) for name in exact.get(key, ())}
    owners: dict[str, list[str]] = defaultdict(list)
    chosen: dict[str, list[str]] = {}
    for image_id in ids:
        # The more exact name first: of x.jpg and x.png, x.jpg.png is the mask of x.jpg alone; and x_mask.png is no
        # mask of x.jpg where there is an image x_mask.jpg.
        stem = stem_of(image_id)
        spare = [name for name in ended.get(stem, ()) if name not in claimed]
        chosen[image_id] = exact.get(image_id) or [*exact.get(stem, ()), *spare]
        for name in chosen[image_id]:
            owners[name].append(image_id)
    pairs, unclear = {}, {}
    for image_id, names in chosen.items():
        if len(names) > 1:
            unclear[image_id] = f"its mask may be {' or '.join(sorted(names)[:3])}; keep one of them"
        elif names and len(owners[names[0]]) > 1:
            unclear[image_id] = f"{len(owners[names[0]])} images have this name but for the suffix, and one mask"
        elif names:
            pairs[image_id] = masks[names[0]]
    return pairs, unclear, [name for name in masks if name not in owners]


def _by_stem(names: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Names by what they are without suffix, and by that without _mask and the like."""
    exact, ended = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name in names:
        stem = stem_of(name)
        exact[stem].append(name)
        if (short := without_ending(stem)) is not None:
            ended[short].append(name)
    return dict(exact), dict(ended)


def named_masks(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Masks by their path below `folder`."""
    found = {path.relative_to(folder).as_posix(): path for path in paths}
    if not found:
        raise InputError(f"there are no masks in {folder}")
    return found
