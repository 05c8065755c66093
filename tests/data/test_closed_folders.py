"""What may not be opened is never taken for what is not there: an image would go missing, or count as clean."""

from __future__ import annotations

import codecs
import shutil
from pathlib import Path

import pytest
from closed import closed
from command_line import sever

from sever.config import DataSettings
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.output import OutputFolder
from sever.store.order import in_order

FORMATS = ("coco", "cvat", "label-studio", "yolo", "labelme", "masks", "severstal")
TEXT = (".json", ".xml", ".csv", ".txt", ".yaml")


def _read(root: Path) -> ImageTable:
    return read_table(DataSettings(root=root, missing_mask="clean"))[0]


@pytest.fixture(scope="module", params=FORMATS)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Path:
    root = tmp_path_factory.mktemp("formats") / "data"
    assert sever("data", "convert", strip_root, "--to", request.param, "-o", root, "--include", "*[0-4]*.jpg") == 0
    return root


def _is_seal(path: Path) -> bool:
    return path.name.startswith(".")


def test_a_folder_or_label_file_that_is_closed_is_an_error(data: Path) -> None:
    """With `missing_mask: clean`, so that nothing else stands between a mask and a clean image."""
    folders = [path for path in data.rglob("*") if path.is_dir()]
    texts = [path for path in data.rglob("*") if path.suffix in TEXT and not _is_seal(path)]
    assert folders or texts
    for path in (*folders, *texts[:3], *texts[-1:]):
        with closed(path), pytest.raises(InputError, match="Permission denied") as found:
            _read(data)
        assert str(path) in str(found.value)


def test_labels_behind_a_link_are_the_same_labels(data: Path, tmp_path: Path) -> None:
    """Images were found there and label files were not, so that all of them counted as clean."""
    linked = tmp_path / "data"
    linked.mkdir()
    for path in data.iterdir():
        (linked / path.name).symlink_to(path)
    assert _labels(_read(linked)) == _labels(_read(data))


def test_whole_folders_of_labelme_behind_a_link(strip_root: Path, tmp_path: Path) -> None:
    assert sever("data", "convert", strip_root, "--to", "labelme", "-o", tmp_path / "data") == 0
    (tmp_path / "linked").mkdir()
    shutil.copy(tmp_path / "data" / "classes.txt", tmp_path / "linked")
    (tmp_path / "linked" / "part").symlink_to(tmp_path / "data")
    assert _labels(_read(tmp_path / "linked")) == _labels(_read(tmp_path / "data"))


def _labels(table: ImageTable) -> list[tuple[object, ...]]:
    ids = [image_id.rpartition("/")[2] for image_id in table.image_ids]
    return [
        (table.class_names, *row) for row in zip(ids, *(table.frame[name] for name in table.run_columns), strict=True)
    ]


def _in_utf_16(text: str, mark: bytes, encoding: str) -> bytes:
    return mark + text.replace('encoding="utf-8"', 'encoding="utf-16"').encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_in_utf_16_is_read_by_its_mark_and_refused_without(data: Path, tmp_path: Path, encoding: str) -> None:
    """As Excel's "Unicode text" and PowerShell's `>` are. Without the mark classes.txt gave names full of zeros."""
    other = tmp_path / "data"
    shutil.copytree(data, other)
    texts = [path for path in other.rglob("*") if path.suffix in TEXT and not _is_seal(path)]
    mark = codecs.BOM_UTF16_LE if encoding.endswith("le") else codecs.BOM_UTF16_BE
    plain = {path: path.read_text("utf-8") for path in texts}
    for path, text in plain.items():
        path.write_bytes(_in_utf_16(text, mark, encoding))
    assert _labels(_read(other)) == _labels(_read(data))
    for path, text in [each for each in plain.items() if each[1]][:2]:
        path.write_bytes(_in_utf_16(text, b"", encoding))
        with pytest.raises(InputError, match="not text in UTF-8, but seems to be UTF-16") as found:
            _read(other)
        assert str(path) in str(found.value)
        path.write_bytes(_in_utf_16(text, mark, encoding))


def test_images_in_a_closed_folder_are_not_left_out_in_silence(strip_root: Path, tmp_path: Path) -> None:
    for part in "ab":
        shutil.copytree(strip_root / "test_images", tmp_path / "images" / part)
    words = ("data", "shift", tmp_path / "images" / "a", tmp_path / "images", "--no-copies", "-o", tmp_path / "out")
    with closed(tmp_path / "images" / "b"):
        assert sever(*words) == 2
    assert sever(*words) == 0


def test_a_run_that_is_closed_may_be_the_newest(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yml").touch()
    assert in_order(tmp_path, "config.yml")[-1].name == "2"
    with closed(tmp_path / "2"), pytest.raises(InputError, match="Permission denied"):
        in_order(tmp_path, "config.yml")


def test_what_a_closed_folder_holds_may_be_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with closed(tmp_path / "theirs"), pytest.raises(InputError, match="Permission denied"):
        OutputFolder(tmp_path).everything()


@pytest.mark.parametrize("name", [".hidden", "@eaDir", "lost+found", "._junk"])
def test_folders_that_hold_no_labels_may_be_closed(data: Path, name: str) -> None:
    """lost+found always is, at the top of a disk."""
    (data / name).mkdir()
    try:
        with closed(data / name):
            assert len(_read(data))
    finally:
        (data / name).rmdir()
