"""Which layout a folder has, its groups, and plain folders of images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from sever.config import DataSettings
from sever.config.data import LayoutName
from sever.data.faults import Skipped
from sever.data.formats.registry import FORMATS, find_format
from sever.data.layouts import read_folder, read_images, read_table
from sever.data.table import ImageTable
from sever.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def read(root: Path, split: str = "train", **settings: object) -> tuple[ImageTable, list[Skipped]]:
    return read_table(DataSettings.model_validate({"root": root, **settings}), split)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A mask folder with the ids new/x.png, new/y.png, old/x.png and old/z.png."""
    for name in ("new/x", "new/y", "old/x", "old/z"):
        save(tmp_path / "images" / f"{name}.png", np.zeros((2, 2), np.uint8))
        save(tmp_path / "masks" / f"{name}.png", np.ones((2, 2), np.uint8))
    (tmp_path / "classes.txt").write_text("pit\n")
    return tmp_path


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    save(tmp_path / "train_images" / "a.png", np.zeros((2, 2), np.uint8))
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 1\n")
    return tmp_path


def groups_of(table: ImageTable) -> dict[str, object]:
    return dict(zip(table.image_ids, table.frame["group"].tolist(), strict=True))


def write_groups(root: Path, text: str) -> Path:
    path = root / "groups.csv"
    path.write_text(text)
    return path


def fault_of(root: Path, **settings: object) -> str:
    with pytest.raises(InputError, match=r".") as raised:
        read(root, **settings)
    return str(raised.value)


def test_each_layout_is_recognised(competition: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert read(competition)[0].frame["runs_0"].tolist() == ["1 1"]
    assert read(competition, layout="severstal")[0].image_ids == ["a.png"]


def test_mask_folder_is_recognised(nested: Path) -> None:
    table, skipped = read(nested)
    assert (table.image_ids, skipped) == (["new/x.png", "new/y.png", "old/x.png", "old/z.png"], [])
    assert groups_of(table) == dict.fromkeys(table.image_ids)


def test_a_missing_csv_is_what_is_missing(competition: Path) -> None:
    (competition / "train.csv").unlink()
    assert "train.csv" in fault_of(competition)


def test_both_layouts_at_once(competition: Path) -> None:
    (competition / "images").mkdir()
    fault = fault_of(competition)
    assert "data.layout" in fault
    assert read(competition, layout="severstal")[0].image_ids == ["a.png"]


def test_no_layout(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    fault = fault_of(tmp_path)
    for word in ("train.csv", "classes.txt", "pictures"):
        assert word in fault
    assert "no folder" in fault_of(tmp_path / "nowhere")


def test_a_data_set_one_folder_down_is_told(nested: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    above = tmp_path_factory.mktemp("above")
    shutil.copytree(nested, above / "mine")
    assert f"set data.root to a folder in it, such as {above / 'mine'}" in fault_of(above)


def test_include(nested: Path) -> None:
    assert read(nested, include=["old/*", "*/y.png"])[0].image_ids == ["new/y.png", "old/x.png", "old/z.png"]
    assert "no image id matches" in fault_of(nested, include=["*.bmp"])
    assert "new/x.png is there, which differs in separators" in fault_of(nested, include=["new\\x.png"])


def test_an_id_with_signs_of_a_glob_includes_itself(nested: Path) -> None:
    for name in ("a[x]", "ax", "b*", "bb"):
        save(nested / "images" / f"{name}.png", np.zeros((2, 2), np.uint8))
        save(nested / "masks" / f"{name}.png", np.ones((2, 2), np.uint8))
    assert read(nested, include=["a[x].png"])[0].image_ids == ["a[x].png", "ax.png"]
    assert read(nested, include=["b[*].png"])[0].image_ids == ["b*.png"]


class TestGroups:
    def test_by_id(self, nested: Path) -> None:
        path = write_groups(nested, "image,group\nnew/x.png,1\nnew/y.png,1\nold/x.png,01\nold/z.png,\n")
        # Text stays text: 1 and 01 are two groups. An empty one is unknown.
        assert list(groups_of(read(nested, groups=path)[0]).values()) == ["1", "1", "01", None]

    def test_by_name_where_only_one_image_has_it(self, nested: Path) -> None:
        path = write_groups(nested, "group,image\nA,new/x.png\nB,y.png\nC,old/x.png\nD,z.png\n")
        assert list(groups_of(read(nested, groups=path)[0]).values()) == ["A", "B", "C", "D"]

    def test_by_split(self, nested: Path) -> None:
        text = "split,image,group\nold,x.png,C\nold,z.png,D\nnew,x.png,A\nnew,y.png,B\n"
        path = write_groups(nested, text)
        assert list(groups_of(read(nested, groups=path)[0]).values()) == ["A", "B", "C", "D"]
        # The same CSV serves a part; x.png of the other part must not give its group away.
        part, _ = read(nested, groups=path, include=["new/*"])
        assert groups_of(part) == {"new/x.png": "A", "new/y.png": "B"}

    def test_a_name_of_two_images(self, nested: Path) -> None:
        path = write_groups(nested, "image,group\nx.png,A\n")
        fault = fault_of(nested, groups=path)
        for word in ("row 2", "new/x.png", "old/x.png"):
            assert word in fault

    def test_an_image_without_row(self, nested: Path) -> None:
        path = write_groups(nested, "image,group\nnew/x.png,A\ny.png,B\n")
        fault = fault_of(nested, groups=path)
        for word in ("2 faults", "old/x.png", "old/z.png", "groups.csv"):
            assert word in fault
        table, skipped = read(nested, groups=path, skip_bad=True)
        assert table.image_ids == ["new/x.png", "new/y.png"]
        assert [one.image_id for one in skipped] == ["old/x.png", "old/z.png"]

    def test_a_row_that_may_mean_the_image(self, nested: Path) -> None:
        path = write_groups(nested, "image,group\nnew/x.png,A\nnew/y.png,A\nold/X.PNG,B\nold/z.png,B\n")
        assert "old/X.PNG is there, which differs in case" in fault_of(nested, groups=path)

    def test_two_groups_for_an_image(self, nested: Path) -> None:
        rows = "new/x.png,A\nnew/y.png,A\nold/x.png,B\nold/z.png,B\nnew/x.png,A\nnew/y.png,C\n"
        fault = fault_of(nested, groups=write_groups(nested, "image,group\n" + rows))
        for word in ("row 7", "new/y.png", "C", "A"):
            assert word in fault

    def test_missing_file_or_column(self, nested: Path) -> None:
        assert "nowhere.csv" in fault_of(nested, groups=nested / "nowhere.csv")
        fault = fault_of(nested, groups=write_groups(nested, "image,family\nnew/x.png,A\n"))
        assert "image,group" in fault

    @pytest.mark.skipif(not (SHARED / "neu_seg").is_dir(), reason="the real data set is not at hand")
    def test_neu_seg(self) -> None:
        root = SHARED / "neu_seg"
        table, _ = read(root, include=["test/*"], groups=root / "groups.csv")
        assert len(table) == 840
        assert table.frame["group"].notna().all()
        assert (table.frame["group"] == "composite").sum() == 232


def test_plain_folder(nested: Path) -> None:
    table = read_folder(nested / "images", ("pit", "scab"))
    assert table.image_ids == ["new/x.png", "new/y.png", "old/x.png", "old/z.png"]
    assert table.class_names == ("pit", "scab")
    assert table.size(0) == (2, 2)
    assert table.has_class().shape == (4, 2)
    assert not table.has_class().any()
    assert table.mask(0).shape == (2, 2, 2)


def test_plain_folder_with_a_bad_image(nested: Path) -> None:
    (nested / "images" / "new" / "bad.jpg").write_text("text")
    with pytest.raises(InputError, match=r"bad\.jpg"):
        read_folder(nested / "images", ("pit",))
    table, skipped = read_images(nested / "images", ("pit",), skip_bad=True)
    assert len(table) == 4
    assert [one.image_id for one in skipped] == ["new/bad.jpg"]


def test_plain_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        read_folder(tmp_path, ("pit",))
    with pytest.raises(InputError, match="nowhere"):
        read_folder(tmp_path / "nowhere", ("pit",))


def test_each_layout_of_the_settings_is_in_the_table() -> None:
    assert get_args(LayoutName) == ("auto", *FORMATS)


def test_a_folder_is_not_named_where_a_file_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "classes.txt").write_text("a\n")
    with pytest.raises(InputError) as raised:
        find_format(DataSettings(root=tmp_path))
    assert "it holds classes.txt, train" in str(raised.value)
    assert "train is there" not in str(raised.value)
