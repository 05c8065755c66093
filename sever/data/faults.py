"""What is wrong with a data set, gathered so that it is either told at once or listed as left out; reads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sever.errors import InputError
from sever.names import one_line

_SHOWN = 3
MEND = "Mend this, or set data.skip_bad (--skip-bad) to leave such images out and get a list of them."


@dataclass(frozen=True)
class Skipped:
    """One fault, and with it the images that can't be used.

    `image_id` is the name as written where the fault is. `row` is the line of the labels file as a text editor counts
    it, the header being line 1; None where the fault lies in an image or mask file. `may_mean` are the images that are
    there and concerned, where that is not simply `image_id`: what a misspelt name may stand for, or none at all.
    """

    image_id: str
    row: int | None
    reason: str
    may_mean: tuple[str, ...] | None = None

    def __str__(self) -> str:
        row = "" if self.row is None else f"row {self.row}, "
        return f"{row}image {one_line(self.image_id)}: {self.reason}"

    @property
    def images(self) -> tuple[str, ...]:
        """The images that are left out because of this fault."""
        return (self.image_id,) if self.may_mean is None else self.may_mean


def images_of(faults: Iterable[Skipped]) -> set[str]:
    """All images that are left out because of these faults."""
    return {image_id for fault in faults for image_id in fault.images}


def without_images(faults: Iterable[Skipped], excluded: set[str]) -> list[Skipped]:
    """The faults that concern any image beyond the `excluded`, which nobody asked for, and those that concern none."""
    kept = []
    for fault in faults:
        images = tuple(image_id for image_id in fault.images if image_id not in excluded)
        if images == fault.images:
            kept.append(fault)
        elif images:
            kept.append(replace(fault, may_mean=images))
    return kept


def raise_unless(skip_bad: bool, faults: Sequence[Skipped], source: object) -> None:
    """Raises InputError with the number of faults and the first few, unless bad images are to be left out."""
    if skip_bad or not faults:
        return
    lines = [f"{source}: {faults[0]}"] if len(faults) == 1 else [f"{source} has {len(faults)} faults:"]
    if len(faults) > 1:
        lines += [f"  {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"  ... and {len(faults) - _SHOWN} more")
    lines.append(MEND)
    raise InputError("\n".join(lines))
