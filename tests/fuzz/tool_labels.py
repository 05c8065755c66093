"""A label file of every annotation tool's format, as `sever data convert` writes it, and the reader of its layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fuzz.target import Target
from sever.config import DataSettings
from sever.data.formats.export import Exported, Wish
from sever.data.formats.writers import WRITERS
from sever.data.layouts import read_table

NAMES = ("pit", "scratch")
# For Label Studio itself; and a second image's labels are read as the first one's.
UNREAD = {"label_config.xml", "b.txt", "b.json", "b.png"}


def tool_labels(root: Path) -> list[Target]:
    """Run lengths and masks of every format, and polygons where it writes them."""
    targets = []
    for name in WRITERS:
        for form, tolerance in (("", None), ("polygons of ", 0.0)):
            folder = root / f"{form}{name}".replace(" ", "-")
            layout = write_labels(folder, name, Wish(tolerance))
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "images" not in path.parent.name and path.name not in UNREAD:
                    what = f"{form}{name}: {path.relative_to(folder).as_posix()}"
                    targets.append(Target(what, path, partial(read_labels, folder, layout)))
    return _different(targets)


def write_labels(folder: Path, name: str, wish: Wish) -> str:
    """Two small images with labels in the format of a writer; returns the name of its layout."""
    writer = WRITERS[name]
    masks = (np.random.default_rng(3).random((2, 8, 10)) < 0.3).astype(np.uint8)
    for image in ("a.png", "b.png"):
        path = folder / writer.images / image
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((8, 10), 99, np.uint8))
    (folder / "classes.txt").write_text("".join(f"{each}\n" for each in NAMES))
    writer.write(folder, (Exported("a.png", masks), Exported("b.png", masks[::-1])), NAMES, wish)
    return writer.layout


def read_labels(folder: Path, layout: str) -> None:
    """All masks, since some formats draw them only when they are asked for."""
    settings = DataSettings.model_validate({"root": folder, "layout": layout, "missing_mask": "clean"})
    table, _ = read_table(settings)
    for row in range(len(table)):
        table.mask(row)


def _different(targets: list[Target]) -> list[Target]:
    """Without files that say the same as one before: not every format has polygons, and masks come in pairs."""
    seen: set[tuple[str, bytes]] = set()
    kept = []
    for target in targets:
        key = target.path.suffix, target.whole()
        if key not in seen:
            kept.append(target)
        seen.add(key)
    return kept
