"""The competition's layout: both CSV forms, every way to count classes, and every fault with its row and image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.run_table import find_run_faults, read_run_table
from sever.data.severstal import read_severstal
from sever.data.table import ImageTable
from sever.errors import InputError

HEIGHT, WIDTH = 6, 10
NAMES = ("a.jpg", "b.jpg", "c.jpg")
COMBINED = "ImageId_ClassId,EncodedPixels\n"
SEPARATE = "ImageId,ClassId,EncodedPixels\n"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "severstal"


def make(root: Path, csv: str | bytes | None, names: Sequence[str] = NAMES, test: Sequence[str] = ()) -> Path:
    for folder, files in (("train_images", names), ("test_images", test)):
        (root / folder).mkdir()
        for name in files:
            data = cv2.imencode(Path(name).suffix.lower(), np.zeros((HEIGHT, WIDTH), np.uint8))[1]
            (root / folder / name).write_bytes(data.tobytes())
    if csv is not None:
        (root / "train.csv").write_bytes(csv.encode() if isinstance(csv, str) else csv)
    return root


def read(root: Path, split: str = "train", **settings: object) -> tuple[ImageTable, list[Skipped]]:
    return read_severstal(DataSettings.model_validate({"root": root, **settings}), split)


def runs(table: ImageTable) -> dict[str, list[str]]:
    return dict(zip(table.image_ids, table.frame[table.run_columns].to_numpy().tolist(), strict=True))


def fault_of(root: Path, **settings: object) -> str:
    with pytest.raises(InputError, match=r".") as raised:
        read(root, **settings)
    return str(raised.value)


EXPECTED = {"a.jpg": ["1 3", ""], "b.jpg": ["", "5 2 9 1"], "c.jpg": ["", ""]}
IN_COMBINED = COMBINED + "a.jpg_1,1 3\na.jpg_2,\nb.jpg_1,\nb.jpg_2,5 2 9 1\nc.jpg_1,\nc.jpg_2,\n"
IN_SEPARATE = SEPARATE + "b.jpg,2,5 2 9 1\na.jpg,1,1 3\n"


@pytest.mark.parametrize("csv", [IN_COMBINED, IN_SEPARATE])
def test_both_forms_give_the_same_table(tmp_path: Path, csv: str) -> None:
    table, skipped = read(make(tmp_path, csv))
    assert runs(table) == EXPECTED
    assert skipped == []
    assert table.class_names == ("1", "2")
    assert table.size(0) == (HEIGHT, WIDTH)
    assert table.path(1) == tmp_path / "train_images" / "b.jpg"
    assert table.frame["group"].isna().all()
    assert all(isinstance(path, str) for path in table.frame["path"])
    # Class 1 of a: the first three pixels of the first column.
    assert np.argwhere(table.mask(0)).tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 0]]


@pytest.mark.parametrize(
    "csv",
    [
        IN_SEPARATE.replace("\n", "\r\n"),
        "\ufeff" + IN_SEPARATE,  # Excel's "CSV UTF-8"
        IN_SEPARATE.replace(",", " , "),
        IN_SEPARATE.replace(",1,", ",1.0,").replace(",2,", ",2.,"),  # pandas after a gap
        IN_SEPARATE.replace("5 2 9 1", "  5 2  9 1 "),
        IN_SEPARATE.rstrip("\n"),
        IN_SEPARATE + "\n\n",
        IN_SEPARATE + "c.jpg,1,NaN\nc.jpg,2,\n",
        "ClassId,EncodedPixels,remark,ImageId\n2,5 2 9 1,poor,b.jpg\n1,1 3,,a.jpg\n",
        SEPARATE + '"a.jpg","1","1 3"\n"b.jpg","2","5 2 9 1"\n',
        COMBINED + "a.jpg_1,1 3\nb.jpg_2,5 2 9 1\n",  # only defective rows in the combined form
        COMBINED + "a.jpg_1,1 3\nb.jpg_2,5 2 9 1\nc.jpg_1\n",  # a row without its comma
    ],
)
def test_what_editors_and_programs_write(tmp_path: Path, csv: str) -> None:
    assert runs(read(make(tmp_path, csv))[0]) == EXPECTED


def test_underscores_in_file_names(tmp_path: Path) -> None:
    names = ["roll_7_a.png", "roll_7_b.png"]
    table, _ = read(make(tmp_path, COMBINED + "roll_7_b.png_2,1 1\nroll_7_a.png_1,2 2\n", names))
    assert runs(table) == {"roll_7_a.png": ["2 2", ""], "roll_7_b.png": ["", "1 1"]}


def test_any_suffix_and_size(tmp_path: Path) -> None:
    root = make(tmp_path, SEPARATE + "a.PNG,1,1 60\nd.tiff,1,61 60\n", ["a.PNG", "b.bmp", "c.jpeg"])
    cv2.imwrite(str(root / "train_images" / "d.tiff"), np.zeros((12, 10), np.uint16))
    table, _ = read(root)
    assert table.image_ids == ["a.PNG", "b.bmp", "c.jpeg", "d.tiff"]
    assert table.size(3) == (12, 10)


def test_a_header_alone_means_all_clean(tmp_path: Path) -> None:
    root = make(tmp_path, SEPARATE)
    table, _ = read(root, num_classes=3)
    assert not table.has_class().any()
    assert table.class_names == ("1", "2", "3")
    assert "data.num_classes" in fault_of(root)


class TestNumberOfClasses:
    CSV = SEPARATE + "a.jpg,1,1 1\nb.jpg,2,1 1\n"

    def test_the_highest_in_the_labels(self, tmp_path: Path) -> None:
        assert read(make(tmp_path, self.CSV))[0].num_classes == 2

    def test_a_gap_is_no_answer(self, tmp_path: Path) -> None:
        root = make(tmp_path, SEPARATE + "a.jpg,1,1 1\nb.jpg,3,1 1\n")
        fault = fault_of(root)
        assert "1, 3" in fault
        assert "data.num_classes" in fault
        assert read(root, num_classes=3)[0].num_classes == 3

    def test_the_sample_submission_before_the_labels(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "sample_submission.csv").write_text(COMBINED + "".join(f"t.jpg_{k},1 1\n" for k in range(1, 5)))
        assert read(root)[0].class_names == ("1", "2", "3", "4")

    def test_a_sample_submission_of_class_0_says_nothing(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "sample_submission.csv").write_text("ImageId,EncodedPixels,ClassId\nt.jpg,1 409600,0\n")
        assert read(root)[0].num_classes == 2

    def test_a_separate_sample_of_one_class_says_nothing(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "sample_submission.csv").write_text(SEPARATE + "t.jpg,1,1 1\nu.jpg,1,1 1\n")
        assert read(root)[0].num_classes == 2

    def test_a_combined_sample_of_one_class_means_one_class(self, tmp_path: Path) -> None:
        root = make(tmp_path, SEPARATE + "a.jpg,1,1 1\n")
        (root / "sample_submission.csv").write_text(COMBINED + "t.jpg_1,1 1\n")
        assert read(root)[0].num_classes == 1

    def test_classes_txt_before_the_sample(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "sample_submission.csv").write_text(COMBINED + "t.jpg_1,\n")
        (root / "classes.txt").write_text("pit\nscratch\nscab\n")
        assert read(root)[0].class_names == ("pit", "scratch", "scab")

    def test_the_settings_before_all(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "sample_submission.csv").write_text(COMBINED + "t.jpg_1,\n")
        assert read(root, num_classes=5)[0].class_names == ("1", "2", "3", "4", "5")

    def test_settings_against_classes_txt(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV)
        (root / "classes.txt").write_text("pit\nscratch\nscab\n")
        assert "has 3 names" in fault_of(root, num_classes=2)

    def test_the_data_set_knows_its_classes_whichever_labels_are_read(self, tmp_path: Path) -> None:
        root = make(tmp_path, SEPARATE + "".join(f"a.jpg,{k},{k} 1\n" for k in range(1, 5)), test=["t.jpg", "u.jpg"])
        # Of a few test images, defects of classes 1, 2 and 4 alone; none of class 4; a single class; none at all.
        for own in ([1, 2, 4], [1, 2, 3], [3], []):
            labels = tmp_path / "test_labels.csv"
            labels.write_text(SEPARATE + "".join(f"t.jpg,{k},{k} 1\n" for k in own))
            table, _ = read(root, "test", test_labels=labels)
            assert table.class_names == ("1", "2", "3", "4")
            assert np.flatnonzero(table.has_class()[0]).tolist() == [k - 1 for k in own]
            assert read(root, test_labels=labels)[0].class_names == ("1", "2", "3", "4")

    def test_labels_of_a_class_that_the_data_set_lacks_are_told(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV, test=["t.jpg"])
        labels = tmp_path / "test_labels.csv"
        labels.write_text(SEPARATE + "t.jpg,3,1 1\n")
        with pytest.raises(InputError, match=r"classes are 1\.\.2"):
            read(root, "test", test_labels=labels)
        assert read(root, "test", test_labels=labels, num_classes=3)[0].has_class().tolist() == [[False, False, True]]

    def test_what_one_file_leaves_open_both_may_tell(self, tmp_path: Path) -> None:
        root = make(tmp_path, SEPARATE + "a.jpg,1,1 1\nb.jpg,3,1 1\n", test=["t.jpg"])
        labels = tmp_path / "test_labels.csv"
        labels.write_text(SEPARATE + "t.jpg,2,1 1\n")
        for split in ("train", "test"):
            assert read(root, split, test_labels=labels)[0].num_classes == 3
        labels.write_text(SEPARATE + "t.jpg,5,1 1\n")
        with pytest.raises(InputError, match=r"train\.csv and test_labels\.csv: the classes are 1, 3, 5, with a gap"):
            read(root, "test", test_labels=labels)

    def test_without_training_labels_the_test_labels_tell(self, tmp_path: Path) -> None:
        root = make(tmp_path, self.CSV, test=["t.jpg"])
        (root / "train.csv").unlink()
        labels = tmp_path / "test_labels.csv"
        labels.write_text(SEPARATE + "t.jpg,1,1 1\nt.jpg,2,5 1\n")
        assert read(root, "test", test_labels=labels)[0].num_classes == 2

    @pytest.mark.parametrize(("text", "words"), [("", "empty"), ("a\n\nb\n", "line"), ("a\nb\na\n", "'a' twice")])
    def test_bad_classes_txt(self, tmp_path: Path, text: str, words: str) -> None:
        root = make(tmp_path, self.CSV)
        (root / "classes.txt").write_text(text)
        assert words in fault_of(root)


# (CSV, what the error must say, what is left out with skip_bad: image and row). The image is 6 x 10, 60 pixels.
FAULTS = [
    (SEPARATE + "a.jpg,1,1 1\nb.jpg,3,1 1\n", ["row 3", "b.jpg", "class 3", "1..2"], [("b.jpg", 3)]),
    (SEPARATE + "a.jpg,0,1 1\n", ["row 2", "a.jpg", "class 0", "out of range"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,-1,1 1\n", ["row 2", "a.jpg", "class -1", "out of range"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,two,1 1\n", ["row 2", "a.jpg", "'two'", "number"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1.5,1 1\n", ["row 2", "'1.5'"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,,1 1\n", ["row 2", "''"], [("a.jpg", 2)]),
    (COMBINED + "a.jpg_x,1 1\n", ["row 2", "a.jpg", "'x'"], [("a.jpg", 2)]),
    (COMBINED + "b.jpg_1,1 1\na.jpg,1 1\n", ["row 3", "a.jpg", "no class"], [("a.jpg", 3)]),
    (SEPARATE + "a.jpg,1,1 1\nb.jpg,1,\na.jpg,1,5 1\n", ["row 4", "a.jpg", "row 2"], [("a.jpg", 4)]),
    (COMBINED + "a.jpg_1,\na.jpg_1,\n", ["row 3", "a.jpg", "row 2"], [("a.jpg", 3)]),
    (COMBINED + "a.jpg_1,\na.jpg,1 1\n", ["row 3", "a.jpg", "no class"], [("a.jpg", 3)]),
    (SEPARATE + "\n\na.jpg,1,1 1 2\n", ["row 4", "a.jpg", "odd"], [("a.jpg", 4)]),  # blank lines count
    (SEPARATE + "a.jpg,1,1 x\n", ["row 2", "a.jpg", "'x'"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,0 4\n", ["row 2", "a.jpg", "start 0"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,4 0\n", ["row 2", "a.jpg", "length 0"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,4 -3\n", ["row 2", "a.jpg", "length -3"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,-2\n", ["row 2", "a.jpg", "odd count"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,9 2 4 1\n", ["row 2", "a.jpg", "not sorted"], [("a.jpg", 2)]),
    (SEPARATE + "a.jpg,1,4 3 6 1\n", ["row 2", "a.jpg", "overlap"], [("a.jpg", 2)]),
    (SEPARATE + "c.jpg,1,4 3\na.jpg,1,60 2\n", ["row 3", "a.jpg", "60 pixels"], [("a.jpg", 3)]),
]


@pytest.mark.parametrize(("csv", "words", "left_out"), FAULTS)
def test_each_fault_names_file_row_and_image(
    tmp_path: Path, csv: str, words: list[str], left_out: list[tuple[str, int]]
) -> None:
    root = make(tmp_path, csv)
    fault = fault_of(root, num_classes=2)
    for word in [*words, "train.csv"]:
        assert word in fault

    table, skipped = read(root, num_classes=2, skip_bad=True)
    assert [(one.image_id, one.row) for one in skipped] == left_out
    assert all(one.reason for one in skipped)
    assert table.image_ids == [name for name in NAMES if name not in dict(left_out)]


def test_many_faults_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    rows = "".join(f"gone{index}.jpg,1,1 1\n" for index in range(7))
    fault = fault_of(make(tmp_path, SEPARATE + "a.jpg,1,1 1\n" + rows))
    assert "7 faults" in fault
    assert "gone0.jpg" in fault
    assert "gone2.jpg" in fault
    assert "gone6.jpg" not in fault
    assert "skip_bad" in fault


def test_skip_bad_gathers_faults_of_every_kind(tmp_path: Path) -> None:
    csv = SEPARATE + "a.jpg,1,1 1\nb.jpg,9,1 1\nc.jpg,1,1\nd.jpg,1,1 1\nx.jpg,1,1 1\n"
    root = make(tmp_path, csv, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (root / "train_images" / "d.jpg").write_bytes(b"")
    table, skipped = read(root, num_classes=1, skip_bad=True)
    assert table.image_ids == ["a.jpg"]
    assert {(one.image_id, one.row) for one in skipped} == {
        ("b.jpg", 3),
        ("c.jpg", 4),
        ("d.jpg", None),
        ("x.jpg", 6),
    }


def test_nothing_left_is_an_error_with_skip_bad_too(tmp_path: Path) -> None:
    root = make(tmp_path, SEPARATE + "a.jpg,1,1\n", ["a.jpg"])
    assert "no image is left" in fault_of(root, skip_bad=True)


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (None, ["train.csv", "no file"]),
        ("", ["train.csv", "empty"]),
        ("ImageId,Pixels\na.jpg,1 1\n", ["ImageId,Pixels", "ImageId_ClassId,EncodedPixels", SEPARATE.strip()]),
        ("ImageId;ClassId;EncodedPixels\n", ["ImageId;ClassId;EncodedPixels", "lacks"]),
        ("ImageId;ClassId;EncodedPixels\na,b.jpg;1;1 1\n", ["separated by semicolons", "commas"]),
        ('"ImageId_ClassId"\t"EncodedPixels"\na.jpg_1\t1 1\n', ["separated by tabs", "commas"]),
        ("\ufeffImageId|ClassId|EncodedPixels|rest\r\n", ["separated by vertical bars"]),
        (SEPARATE + "a.jpg,1,1 1,5,6\n", ["train.csv", "more cells"]),
        (SEPARATE + "a.jpg,1,1 1\nb.jpg,1,2 2,7\n", ["train.csv", "line 3"]),
        ("ImageId, ImageId,ClassId,EncodedPixels\n", ["column twice"]),
        (SEPARATE.encode() + b"\xff\xfe.jpg,1,1 1\n", ["train.csv", "UTF-8"]),
    ],
)
def test_what_is_no_labels_file(tmp_path: Path, csv: str | bytes | None, words: list[str]) -> None:
    fault = fault_of(make(tmp_path, csv))
    for word in words:
        assert word in fault


def test_a_labels_file_of_another_case(tmp_path: Path) -> None:
    root = make(tmp_path, IN_SEPARATE)
    (root / "train.csv").rename(root / "Train.csv")
    assert f"there is no file {root}/train.csv; Train.csv is there, which differs in case" in fault_of(root)


def test_unreadable_and_cut_images(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path, SEPARATE + "b.jpg,1,1 1\n")
    a, b = root / "train_images" / "a.jpg", root / "train_images" / "b.jpg"
    a.write_text("no image")
    b.write_bytes(b.read_bytes()[:-5])
    fault = fault_of(root)
    assert "2 faults" in fault
    assert str(a) in fault
    assert "truncated" in fault
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["c.jpg"]
    assert [one.image_id for one in skipped] == ["a.jpg", "b.jpg"]
    assert capfd.readouterr().err == ""


def test_no_images(tmp_path: Path) -> None:
    root = make(tmp_path, SEPARATE, [])
    assert "no images" in fault_of(root, num_classes=1)
    (root / "train_images").rmdir()
    assert "train_images" in fault_of(root, num_classes=1)


def test_include_asks_nothing_of_the_others(tmp_path: Path) -> None:
    root = make(tmp_path, SEPARATE + "a.jpg,1,1 1\nb.jpg,1,1\n")
    (root / "train_images" / "c.jpg").write_bytes(b"")
    table, skipped = read(root, include=["a*"], skip_bad=True)
    assert (table.image_ids, skipped) == (["a.jpg"], [])
    assert read(root, include=["a*"])[0].image_ids == ["a.jpg"]
    assert "no image id matches" in fault_of(root, include=["q*"])


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    root = make(tmp_path, IN_SEPARATE, test=["y.png", "x.jpg"])
    table, _ = read(root, "test")
    assert table.image_ids == ["x.jpg", "y.png"]
    assert table.class_names == ("1", "2")
    assert not table.has_class().any()
    (root / "train.csv").unlink()
    with pytest.raises(InputError, match=r"data\.num_classes"):
        read(root, "test")
    assert read(root, "test", num_classes=4)[0].num_classes == 4
    with pytest.raises(InputError, match="train, test"):
        read(root, "validation")


def test_the_run_table_is_the_same_for_submissions(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(COMBINED + "a_b.jpg_2,1 2\na_b.jpg_1,\n")
    frame = read_run_table(path)
    assert frame.to_dict("list") == {
        "image_id": ["a_b.jpg", "a_b.jpg"],
        "class_index": [1, 0],
        "runs": ["1 2", ""],
        "row": [2, 3],
    }
    assert find_run_faults(frame, {"a_b.jpg": 2}) == []
    assert [fault.row for fault in find_run_faults(frame, {"a_b.jpg": 1})] == [2]


def test_the_order_of_files_and_rows_does_not_matter(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root, names, lines in zip(roots, (NAMES, NAMES[::-1]), (1, -1), strict=True):
        root.mkdir()
        make(root, SEPARATE + "".join(["a.jpg,1,1 3\n", "b.jpg,2,5 2\n"][::lines]), names)
    one, two = (read(root)[0].frame.drop(columns="path") for root in roots)
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real images are not at hand")
def test_real_run_lengths() -> None:
    frame = read_run_table(SHARED / "pseudo_labels_test_1801.csv")
    assert len(frame) == 7204
    assert frame["image_id"].nunique() == 1801
    assert sorted(frame["class_index"].unique()) == [0, 1, 2, 3]
    assert find_run_faults(frame, dict.fromkeys(frame["image_id"], 256 * 1600)) == []


def test_test_images_alone_have_no_labels_to_read(tmp_path: Path) -> None:
    (tmp_path / "test_images").mkdir()
    with pytest.raises(InputError, match=r"has images without labels alone, in test_images/.* train.csv and train_im"):
        read_severstal(DataSettings(root=tmp_path))
    (tmp_path / "Train.csv").write_text("")
    (tmp_path / "train_images").mkdir()
    with pytest.raises(InputError, match=r"Train\.csv is there, which differs in case"):
        read_severstal(DataSettings(root=tmp_path))
