"""A table of images is gone through image by image."""

from __future__ import annotations

from pathlib import Path

from sever.config import DataSettings
from sever.data.layouts import read_table


def test_the_images_of_a_table_in_their_order(strip_root: Path) -> None:
    table, _ = read_table(DataSettings(root=strip_root))
    images = list(table)
    assert len(images) == len(table) == 16
    assert [image.row for image in images] == list(range(16))
    assert [image.image_id for image in images] == table.image_ids
    assert all(image.path == table.path(image.row) and image.size == table.size(image.row) for image in images)
    assert [image.image_id for image in table.take([5, 2])] == [table.image_ids[5], table.image_ids[2]]
