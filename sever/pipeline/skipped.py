"""What `--skip-bad` left out: told at once and listed in a file, so that nothing goes missing silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sever.counted import counted
from sever.data.faults import images_of
from sever.data.layouts import Skipped
from sever.data.passed_over import PassedOver
from sever.data.table import ImageTable
from sever.names import one_line
from sever.output import OutputFolder
from sever.progress import warn

SKIPPED, SHOWN = "skipped.csv", 5


def report_skipped(
    skipped: Sequence[Skipped], home: OutputFolder, left: ImageTable | None = None, name: str = SKIPPED
) -> None:
    """Write one line a fault and image to `name` and say so on standard error; nothing where nothing was left out.

    `left`: the labelled images that are left; which classes none of them shows is said then.
    """
    if not skipped:
        return
    with home.new(name) as temporary:
        pd.DataFrame(_lines(skipped)).to_csv(temporary, index=False)
    images, idle = images_of(skipped), [fault for fault in skipped if not fault.images]
    faults = counted(len(skipped), "fault")
    nobodys = f", {len(idle)} of them for images that do not exist" if idle else ""
    warn(f"left out {counted(len(images), 'image')} ({faults}{nobodys}), listed in {home.path(name).absolute()}")
    for line in _grouped(skipped)[:SHOWN]:
        warn(line)
    if images and left is not None and (empty := _emptied(left)):
        warn(f"of the {counted(len(left), 'image that is', 'images that are')} left none {' and none '.join(empty)}")


def warn_of(found: PassedOver) -> None:
    """Say what lies among the images and is not read, so that no image is missed unseen."""
    if found:
        warn(f"skipped among the images: {found}")


def _lines(skipped: Sequence[Skipped]) -> Iterator[dict[str, object]]:
    """`image_id` is the image that is left out, and the name as written where the fault is of no image."""
    for fault in skipped:
        for image_id in fault.images or (fault.image_id,):
            left_out = "yes" if fault.images else "no"
            yield {
                "image_id": one_line(image_id),
                "row": fault.row,
                "reason": one_line(_reason(fault, image_id)),
                "left_out": left_out,
            }


def _reason(fault: Skipped, image_id: str) -> str:
    return fault.reason if image_id == fault.image_id else f"named {fault.image_id}: {fault.reason}"


def _grouped(skipped: Sequence[Skipped]) -> list[str]:
    """A line a reason, since one may hold for thousands of images."""
    by_reason: dict[str, list[Skipped]] = {}
    for fault in skipped:
        by_reason.setdefault(fault.reason, []).append(fault)
    lines = []
    for faults in by_reason.values():
        first, more = faults[0], f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        named = first.images[0] if first.images else first.image_id
        shown = one_line(named)
        said = f"left out {shown}" if first.images else f"row {first.row}, {shown}" if first.row else shown
        lines.append(f"{said}{more}: {_reason(first, named)}")
    return lines


def _emptied(left: ImageTable) -> list[str]:
    shown = left.has_class()
    absent = np.flatnonzero(np.logical_not(shown.any(axis=0)))
    return [f"shows {left.class_names[index]}" for index in absent] + ["is clean"] * bool(shown.any(axis=1).all())
