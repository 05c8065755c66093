"""What is wrong with a data set, gathered so that it is either told at once or listed as left out; reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sever.errors import InputError

_SHOWN = 3


@dataclass(frozen=True)
class Skipped:
    """One fault, and with it one image that can't be used.

    `row` is the line of the labels file as a text editor counts it, the header being line 1; None where the fault
    lies in an image or mask file.
    """

    image_id: str
    row: int | None
    reason: str

    def __str__(self) -> str:
        row = "" if self.row is None else f"row {self.row}, "
        return f"{row}image {self.image_id}: {self.reason}"


def raise_unless(skip_bad: bool, faults: Sequence[Skipped], source: object) -> None:
    """Raises InputError with the number of faults and the first few, unless bad images are to be left out."""
    if skip_bad or not faults:
        return
    lines = [f"{source}: {faults[0]}"] if len(faults) == 1 else [f"{source} has {len(faults)} faults:"]
    if len(faults) > 1:
        lines += [f"  {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"  ... and {len(faults) - _SHOWN} more")
    lines.append("Mend this, or set data.skip_bad (--skip-bad) to leave such images out and get a list of them.")
    raise InputError("\n".join(lines))
