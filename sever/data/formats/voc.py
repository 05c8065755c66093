"""Pascal VOC's folders: JPEGImages/ and SegmentationClass/, with palettes or the colours of labelmap.txt.

CVAT writes the same as "Segmentation mask 1.1", without the images; these may then lie in images/.
"""

from __future__ import annotations

import re
from pathlib import Path

from sever.config import DataSettings
from sever.config.mask_values import plain_value
from sever.data.faults import Skipped
from sever.data.formats.annotations import IMAGE_FOLDER
from sever.data.formats.coding import coding_of
from sever.data.formats.mask_table import mask_table, name_faults
from sever.data.formats.near_masks import NearMasks
from sever.data.formats.pairing import named_masks, pair
from sever.data.images import list_images
from sever.data.listing import list_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.reading import MIB, read_text

MASK_FOLDER, LABEL_MAP = "SegmentationClass", "labelmap.txt"
IMAGE_FOLDERS = ("JPEGImages", IMAGE_FOLDER)
_LINE = re.compile(r"([^:]+):([0-9]+,[0-9]+,[0-9]+)?(?::[^:]*)?(?::[^:]*)?")


def looks_like_voc(root: Path) -> bool:
    return (root / MASK_FOLDER).is_dir()


def read_voc(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """The images with their class masks; those of single objects (SegmentationObject/) are not read."""
    root = settings.root
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()]
    folder = next((folder for folder in folders if list_images(folder)), None)
    if folder is None:
        raise InputError(f"{root} has no images in {' or '.join(IMAGE_FOLDERS)}; put them there, named as their masks")
    images = list_table(folder)
    mask_folder = settings.labels or root / MASK_FOLDER
    masks = named_masks(mask_folder, list_images(mask_folder))
    pairs, unclear, orphans = pair(images.image_ids, masks)
    faults = name_faults(unclear, orphans, masks)
    path = root / LABEL_MAP
    table = read_label_colours(path) if path.is_file() else None
    coding = coding_of(settings, table, str(path))
    return mask_table(settings, split, images, pairs, coding, NearMasks(mask_folder, pairs.values()).expected, faults)


def read_label_colours(path: Path) -> dict[str, str]:
    """Colour -> name by a labelmap.txt with lines `name:red,green,blue:parts:actions`. Raises InputError.

    Where no line has a colour, the k-th line has the k-th colour of VOC's own palette, background being the first.
    """
    table, bare = dict[str, str](), list[str]()
    for number, line in enumerate(read_text(path, MIB).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(
                f"{path}, row {number}: {line.strip()[:60]!r} is not of the form name:red,green,blue:parts:actions"
            )
        name = match[1].strip()
        if match[2] is None:
            bare.append(name)
            continue
        colour = _colour(match[2], path, number)
        if colour in table or name in table.values():
            raise InputError(f"{path}, row {number}: the colour {match[2]} or the name {name!r} appears twice")
        table[colour] = name
    if table and bare:
        raise InputError(f"{path} gives {bare[0]!r} no colour, but others have one; give all of them one, or none")
    table |= {voc_colour(at): name for at, name in enumerate(bare)}
    if not table:
        raise InputError(f"{path} names no class")
    return table


def voc_colour(index: int) -> str:
    """The colour of a number in VOC's palette: its bits in threes, from the highest bit of red, green and blue on."""
    red, green, blue = (sum((index >> (3 * at + part) & 1) << (7 - at) for at in range(8)) for part in range(3))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour(text: str, path: Path, number: int) -> str:
    try:
        return plain_value(text)
    except ValueError as error:
        raise InputError(
            f"{path}, row {number}: {text} is not a colour, which is three numbers from 0 to 255"
        ) from error
