"""What labels let fear before training: told or refused; knows not how labels are read."""

from __future__ import annotations

from collections.abc import Mapping

from sever.config import SOFTMAX_LOSSES, ExperimentConfig
from sever.counted import counted
from sever.data.label_doubts import like_background, overlapping_images
from sever.data.layouts import WITHOUT_MASKS, find_format
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.progress import warn

SHOWN = 3


def tell_doubts(config: ExperimentConfig, table: ImageTable) -> None:
    """Warn of labels that are proper ones, but can't be learnt or drawn as they are, or are likely others."""
    covering = like_background(table)
    if covering and find_format(config.data) not in WITHOUT_MASKS:
        name, share = covering
        warn(
            f"class {name} covers {share:.0%} of all pixels, as only background does; in a mask 0 is "
            "background and k the k-th class: are the labels off by one, or black and white the wrong way round?"
        )
    overlaps = overlapping_images(table) if config.model.task == "segment" else {}
    if overlaps:
        image_id, first = next(iter(overlaps.items()))
        said = f"in {len(overlaps)} of {len(table)} images classes overlap (first: {image_id}, {first})"
        for consequence in _of_overlaps(config):
            warn(f"{said}, but {consequence}")


def _of_overlaps(config: ExperimentConfig) -> list[str]:
    told = []
    if config.loss.name in SOFTMAX_LOSSES:
        told.append(
            f"with loss.name {config.loss.name} classes exclude each other: such a pixel is learnt as the first of its "
            "classes alone; take bce_dice, focal, iou or lovasz to keep them all"
        )
    if config.rules.overlap != "allow":
        told.append(f"rules.overlap: {config.rules.overlap} leaves a pixel to one class; `allow` keeps them all")
    return told


def raise_if_relabelled(began_with: Mapping[str, str], table: ImageTable, work: object) -> None:
    """Raises InputError where the labels of an image are not those that `work` began with (digests by image)."""
    now = dict(zip(table.image_ids, table.label_digests(), strict=True)) if began_with else {}
    changed = [image_id for image_id, digest in began_with.items() if now.get(image_id, digest) != digest]
    if changed:
        first = ", ".join(changed[:SHOWN]) + (" ..." if len(changed) > SHOWN else "")
        raise InputError(
            f"the labels of {counted(len(changed), 'image')} have changed since {work} "
            f"began: {first}; put the old labels back "
            "to resume it, or start a new run to learn the new ones"
        )
