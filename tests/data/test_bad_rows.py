"""Labels that can't be understood: whatever is wrong with a row, its image never counts as clean, nor is it miscounted.

Each corruption is planted into labels that are known, so that the truth about every image is at hand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
import pytest
from format_files import HEIGHT, WIDTH, areas, box, save, save_images, save_json, save_text
from format_files import read as read_any
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sever.config import DataSettings
from sever.data.faults import Skipped, images_of
from sever.data.severstal import read_severstal
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.near_names import NearNames, difference
from sever.output import OutputFolder
from sever.pipeline.skipped import report_skipped

PIXELS = 60  # of an image of 6 x 10
IMAGES = ("A_1.jpg", "b.jpg", "caf\u00e9.jpg", "dir/d.png", "dir/E.jpeg", "f 1.bmp", "stra\u00dfe.jpg", "z.tif")
CLASSES = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rows")
    for name in IMAGES:
        path = root / "train_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, np.zeros((6, 10), np.uint8))[1].tobytes())
    return root


Row = tuple[str, str, str]  # image, class, run lengths

# What may go wrong with an image's name; each still means that image and no other.
MISSPELT: dict[str, Callable[[str], str]] = {
    "case": str.swapcase,
    "upper": str.upper,
    "no suffix": lambda name: name.rpartition(".")[0],
    "other suffix": lambda name: name.rpartition(".")[0] + ".gif",
    "a folder": lambda name: f"train_images/{name}",
    "an absolute path": lambda name: f"/data/strip/train_images/{name}",
    "Windows": lambda name: f"D:\\strip\\{name}".replace("/", "\\"),
    "separators": lambda name: name.replace("/", "\\"),
    "no folder": lambda name: name.rpartition("/")[2],
    "a dot": lambda name: f"./{name}",
    "decomposed": lambda name: unicodedata.normalize("NFD", name),
    "of an address": lambda name: "https://line3/strip/" + quote(name),
    "percent": lambda name: quote(name, safe="").replace(".", "%2E"),
    "two suffixes": lambda name: name + ".jpg",
    "another suffix behind": lambda name: name + ".bak",
    "quotes": lambda name: f"'{name}'",
    "hidden signs": lambda name: f"\u200b{name}\ufeff",
    "wide signs": lambda name: name.replace(".", "\uff0e").replace("_", "\uff3f"),
    "a dot behind": lambda name: name + ".",
}
# And with a row besides; None for what leaves nobody's name behind.
SPOILT: dict[str, Callable[[Row], list[Row]]] = {
    name: (lambda row, spell=spell: [(spell(row[0]), row[1], row[2])]) for name, spell in MISSPELT.items()
} | {
    "unknown": lambda row: [("7f3a-unknown", row[1], row[2])],
    "nameless": lambda row: [("", row[1], row[2])],
    "class out of range": lambda row: [(row[0], "9", row[2])],
    "class 0": lambda row: [(row[0], "0", row[2])],
    "class in words": lambda row: [(row[0], "pit", row[2])],
    "no class": lambda row: [(row[0], "", row[2])],
    "odd run lengths": lambda row: [(row[0], row[1], row[2] + " 7")],
    "run lengths beyond the image": lambda row: [(row[0], row[1], f"{PIXELS} 2")],
    "no number": lambda row: [(row[0], row[1], "1 x")],
    "twice": lambda row: [row, row],
    "misspelt and out of range": lambda row: [(row[0].swapcase(), "9", row[2])],
    "misspelt and twice": lambda row: [(row[0].swapcase(), *row[1:])] * 2,
    "misspelt without class": lambda row: [(row[0].swapcase(), "", row[2])],
}


def text_of(rows: list[Row], combined: bool) -> str:
    if combined:
        lines = [f"{name}_{number},{runs}" if number else f"{name},{runs}" for name, number, runs in rows]
        return "\n".join(["ImageId_ClassId,EncodedPixels", *lines]) + "\n"
    return "\n".join(["ImageId,ClassId,EncodedPixels", *(",".join(row) for row in rows)]) + "\n"


def read(root: Path, text: str, **more: object) -> tuple[dict[str, list[str]], list[Skipped], ImageTable]:
    (root / "train.csv").write_text(text, encoding="utf-8")
    options = {"root": root, "num_classes": CLASSES, "skip_bad": True, **more}
    table, skipped = read_severstal(DataSettings.model_validate(options))
    runs = dict(zip(table.image_ids, table.frame[table.run_columns].to_numpy().tolist(), strict=True))
    return runs, skipped, table


@given(data=st.data(), combined=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_image_counts_as_clean_or_is_miscounted(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject, combined: bool
) -> None:
    pairs = st.sets(st.sampled_from([(name, number) for name in IMAGES for number in range(1, CLASSES + 1)]))
    good = [(name, str(number), f"{number} 2") for name, number in sorted(data.draw(pairs))]
    spoilt = data.draw(st.lists(st.tuples(st.sampled_from(sorted(SPOILT)), st.integers(0, 99)), max_size=3))
    written: list[list[Row]] = [[row] for row in good]
    for kind, at in spoilt if good else []:
        written[at % len(good)] = SPOILT[kind](good[at % len(good)])
    try:
        runs, skipped, _ = read(root, text_of([row for rows in written for row in rows], combined))
    except InputError as error:
        if "no image is left" in str(error):
            return
        raise
    truth = {name: ["", "", ""] for name in IMAGES}
    for name, number, text in good:
        truth[name][int(number) - 1] = text
    # A row that is nobody's may cost an image that has others one of its classes, but never its only one.
    may_lack = any(kind in ("unknown", "nameless") for kind, _ in spoilt)
    for name, found in runs.items():
        assert any(found) == any(truth[name])
        assert found == truth[name] or (may_lack and any(found))
    report_skipped(skipped, OutputFolder(tmp_path))
    told = re.search(r"left out (\d+) images?\b", capsys.readouterr().err)
    assert (int(told[1]) if told else 0) == len(IMAGES) - len(runs)
    if told:
        listed = pd.read_csv(tmp_path / "skipped.csv", keep_default_na=False)
        assert set(listed.loc[listed["left_out"] == "yes", "image_id"]) == set(IMAGES) - set(runs)


@pytest.mark.parametrize("kind", MISSPELT)
@pytest.mark.parametrize("name", IMAGES)
def test_the_error_names_the_image_that_a_misspelt_id_means(root: Path, kind: str, name: str) -> None:
    spelt = MISSPELT[kind](name)
    if spelt == name:
        return
    text = text_of([(spelt, "1", "1 2")], combined=False)
    with pytest.raises(InputError, match="is there, which differs in") as raised:
        read(root, text, skip_bad=False)
    assert f"{name} is there" in str(raised.value)
    runs, _, _ = read(root, text)
    assert set(runs) == set(IMAGES) - {name}


@pytest.mark.parametrize(
    ("written", "there", "words"),
    [
        ("a.JPG", "a.jpg", "case"),
        ("a", "a.jpg", "suffix"),
        ("x/a.jpg", "a.jpg", "folder"),
        ("x\\a.jpg", "x/a.jpg", "separators (\\ for /)"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg", "Unicode form (NFC, NFD), though it looks the same"),
        ("D:\\x\\A.png", "a.jpg", "separators (\\ for /) and folder and suffix and case"),
        ("X/a.jpg", "x/a.jpg", "case"),
        ("./a.jpg", "a.jpg", "folder"),
        ("a.jpg\u00a0", "a.jpg", "spaces"),
        ("a.jpg.jpg", "a.jpg", "suffix"),
        ("%61%2Ejpg", "a.jpg", "suffix and encoding, or signs that nobody sees"),
        ("\u200ba.jpg", "a.jpg", "encoding, or signs that nobody sees"),
        ("'a.jpg'", "a.jpg", "suffix and quotes"),
        ("a\uff0ejpg", "a.jpg", "suffix"),
    ],
)
def test_differences_in_words(written: str, there: str, words: str) -> None:
    assert NearNames([there, "other.png"]).find(written) == [there]
    assert difference(written, there) == words


def test_the_nearest_names_come_first_and_equals_together() -> None:
    near = NearNames(["one/a.jpg", "two/a.jpg", "a.png", "b.jpg"])
    assert near.find("ONE/A.jpg") == ["one/a.jpg"]
    assert near.find("a.bmp") == ["a.png"]
    assert near.find("three/a.jpg") == ["one/a.jpg", "two/a.jpg"]
    assert "one/a.jpg or two/a.jpg" in near.hint("three/a.jpg")
    assert near.find("c.jpg") == near.find("") == near.find("/") == []
    assert near.hint("c.jpg") == ""


def test_whoever_a_name_may_mean_is_left_out(root: Path) -> None:
    (root / "train_images" / "other").mkdir(exist_ok=True)
    (root / "train_images" / "other" / "d.png").write_bytes((root / "train_images" / "dir" / "d.png").read_bytes())
    try:
        runs, skipped, _ = read(root, text_of([("third/d.png", "1", "1 2")], combined=False))
    finally:
        (root / "train_images" / "other" / "d.png").unlink()
    assert set(runs) == set(IMAGES) - {"dir/d.png"}
    assert skipped[0].images == ("dir/d.png", "other/d.png")


class TestARowOfNobody:
    """A defect of an image that is not there, nor any near one: it may be any image's that has no row."""

    DEFECTS = text_of([("b.jpg", "1", "1 2"), ("7f3a-unknown", "2", "1 2")], combined=False)

    def test_no_image_without_rows_counts_as_clean(
        self, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        runs, skipped, table = read(root, self.DEFECTS)
        assert runs == {"b.jpg": ["1 2", "", ""]}
        report_skipped(skipped, OutputFolder(tmp_path), table)
        told = capsys.readouterr().err
        for words in (
            "left out 7 images (8 faults, 1 of them for images that do not exist",
            "row 3, 7f3a-unknown",
            "none is clean",
        ):
            assert words in told
        assert "none shows 2" in told

    def test_what_has_rows_is_known(self, root: Path) -> None:
        stated = [(name, "1", "") for name in IMAGES] + [("7f3a-unknown", "2", "1 2")]
        runs, skipped, _ = read(root, text_of(stated, combined=True))
        assert set(runs) == set(IMAGES)
        assert [fault.images for fault in skipped] == [()]

    def test_a_row_without_defect_puts_nothing_in_doubt(self, root: Path) -> None:
        runs, skipped, _ = read(root, text_of([("b.jpg", "1", "1 2"), ("gone.jpg", "2", "")], combined=False))
        assert set(runs) == set(IMAGES)
        assert [(fault.image_id, fault.images) for fault in skipped] == [("gone.jpg", ())]


def test_classes_are_counted_by_the_rows_of_bad_images_too(root: Path) -> None:
    rows = [("b.jpg", "1", "1 2"), ("z.tif", "2", "1 2"), ("A_1.jpg", "3", "1")]
    runs, _, table = read(root, text_of(rows, combined=False), num_classes=None)
    assert table.class_names == ("1", "2", "3")
    assert "A_1.jpg" not in runs


class TestImagesWithoutLabelsThatCountAsClean:
    """data.missing_mask: clean, and labels that nobody owns: the same doubt in every other format."""

    @pytest.fixture
    def masks(self, tmp_path: Path) -> Path:
        save_images(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
        save(tmp_path / "masks" / "b.png", np.ones((HEIGHT, WIDTH)))
        save_text(tmp_path / "classes.txt", "pit\n")
        return tmp_path

    @pytest.mark.parametrize("orphan", ["A.png", "A_mask.png", "mask-a.png", "x/a.png"])
    def test_a_mask_of_a_near_name(self, masks: Path, orphan: str) -> None:
        save(masks / "masks" / orphan, np.ones((HEIGHT, WIDTH)))
        table, skipped = read_any(masks, skip_bad=True, missing_mask="clean")
        assert areas(table) == {"b.jpg": [80], "c.jpg": [0]}
        assert images_of(skipped) == {"a.jpg"}

    def test_a_mask_of_nobody(self, masks: Path) -> None:
        assert set(areas(read_any(masks, missing_mask="clean")[0])) == {"a.jpg", "b.jpg", "c.jpg"}
        save(masks / "masks" / "7f3a-unknown.png", np.ones((HEIGHT, WIDTH)))
        table, skipped = read_any(masks, skip_bad=True, missing_mask="clean")
        assert areas(table) == {"b.jpg": [80]}
        assert images_of(skipped) == {"a.jpg", "c.jpg"}

    @pytest.mark.parametrize(
        ("name", "marked", "left"),
        [
            ("A.JPG", True, {"b.jpg", "c.jpg"}),
            ("7f3a-unknown.jpg", True, {"b.jpg"}),
            ("7f3a-unknown.jpg", False, {"a.jpg", "b.jpg", "c.jpg"}),  # it says that whichever it is is clean
        ],
    )
    def test_annotations_of_nobody(self, tmp_path: Path, name: str, marked: bool, left: set[str]) -> None:
        save_images(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
        shapes = [{"id": at, "image_id": at, "category_id": 1, "segmentation": [box(0, 0, 3, 2)]} for at in (1, 2)]
        labels = {
            "images": [{"id": 1, "file_name": "b.jpg"}, {"id": 2, "file_name": name}],
            "categories": [{"id": 1, "name": "pit"}],
            "annotations": shapes if marked else shapes[:1],
        }
        save_json(tmp_path / "annotations" / "instances.json", labels)
        table, _ = read_any(tmp_path, skip_bad=True, missing_mask="clean")
        assert set(table.image_ids) == left
        assert areas(table)["b.jpg"] == [6]
