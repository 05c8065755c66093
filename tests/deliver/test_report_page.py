"""The page of a report, from numbers made by hand or from random images; no files but those of reading back."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.config import GateSettings, RuleSettings
from sever.decide.postprocess import draw_masks
from sever.decide.report.counts import ReportCounts, ReportedImage
from sever.decide.report.images import choose_images, gallery_numbers
from sever.decide.report.numbers import report_numbers
from sever.decide.rules import resolve_rules
from sever.deliver.canvas import palette
from sever.deliver.report import FORM, draw_picture, read_numbers, render_page, rules_in_words, verdict_in_words
from sever.deliver.report.axes import Axis, room_around, round_ticks, short
from sever.deliver.report.embedded import embed
from sever.deliver.report.page import columns, show_number
from sever.errors import InputError

NASTY = '</script><b onmouseover="x">&'


def _numbers(names: tuple[str, ...] = (NASTY, "2"), clean: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers and pictures over six random images; `clean`: nothing is there and nothing is drawn."""
    generator = np.random.default_rng(3)
    rules = RuleSettings(min_pixels=(3, 3), gate=GateSettings(kind="soft"))
    counts = ReportCounts(resolve_rules(rules, 2))
    for number in range(6):
        true_chw = (generator.random((2, 12, 40)) < 0.2 * (number % 2)).astype(np.uint8) * (not clean)
        levels_chw = np.where(true_chw, 220, generator.integers(0, 150, true_chw.shape)).astype(np.uint8) * (not clean)
        gate_c = generator.random(2).astype(np.float32)
        masks_chw = draw_masks(levels_chw, counts.rules, gate_c)
        counts.add(ReportedImage(f"{number}{NASTY}", levels_chw, masks_chw, true_chw, gate_c))
    numbers = report_numbers(counts, names, [f"g{number}" for number in range(6)], np.arange(6) % 2)
    numbers["galleries"] = gallery_numbers(choose_images(counts, 2), counts, names)
    numbers["changes"] = None
    numbers["data"] = {"duplicates": None, "doubts": None, "shift": None}
    numbers["form"] = FORM
    numbers["about"] = {
        "name": NASTY,
        "kind": "run",
        "source": "saved/x",
        "members": [],
        "data": "data/x",
        "made": "2026-11-23",
        "rules": rules.model_dump(mode="json"),
        "tuned_on_these_images": False,
        "rules_in_words": rules_in_words(rules, names),
        "verdict": verdict_in_words(numbers),
        "weights": [],
        "versions": {"sever": "1"},
    }
    grey = np.full((12, 40, 3), 90, np.uint8)
    empty = np.zeros((2, 12, 40), np.uint8)
    pictures = {
        image["image_id"]: draw_picture(grey, empty, empty, palette(2), 10_000)
        for gallery in numbers["galleries"]
        for image in gallery["images"]
    }
    return numbers, pictures


class _Tags(HTMLParser):
    """Collects what the page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("clean", [False, True], ids=["defects", "nothing there, nothing drawn"])
def test_page_is_whole_and_needs_nothing_from_outside(clean: bool) -> None:
    text = render_page(*_numbers(clean=clean))
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert re.findall(r"https?:", text) == []
    links = [value for _, name, value in tags.attributes if name in ("src", "href", "data", "action")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert len(tags.ids) == len(set(tags.ids))
    assert {value[1:] for value in links if value.startswith("#")} <= set(tags.ids)
    shown = re.sub(r"base64,[^\"]*", "", text.split("<main>")[1].split("</main>")[0])
    assert re.search(r"\b(nan|None|inf)\b", shown) is None


def test_names_from_files_cannot_become_markup() -> None:
    text = render_page(*_numbers())
    tags = _Tags()
    tags.feed(text)
    assert not any(tag == "b" or name.startswith("on") for tag, name, _ in tags.attributes)
    assert json.loads(_embedded(text))["classes"][0]["name"] == NASTY


def test_every_picture_and_chart_says_what_it_shows() -> None:
    numbers, pictures = _numbers()
    tags = _Tags()
    tags.feed(render_page(numbers, pictures))
    spoken = [value for tag, name, value in tags.attributes if (tag, name) in (("img", "alt"), ("svg", "aria-label"))]
    charts = sum(value == "chart" for tag, name, value in tags.attributes if tag == "svg" and name == "class")
    assert charts == 1 + 4 * 2  # the intervals; thresholds, areas, calibration and gate of two classes
    assert len(spoken) == charts + 2 * len(pictures)
    assert all(spoken)


def _embedded(text: str) -> str:
    return text.split('id="report-numbers">')[1].split("</script>")[0]


def test_numbers_come_back_from_page_and_json(tmp_path: Path) -> None:
    numbers = _numbers()[0] | {"form": FORM, "name": NASTY, "values": [0.1, None, "<!--"]}
    numbers["pairs"] = {"image_ids": [NASTY], "dice": [[0.5, 1.0]]}
    numbers = json.loads(json.dumps(numbers))  # tuples are lists there
    page, plain = tmp_path / "r.html", tmp_path / "r.json"
    page.write_text(f"<html>{embed(numbers)}</html>")
    plain.write_text(json.dumps(numbers))
    assert read_numbers(page) == read_numbers(plain) == numbers


DAMAGED = [
    # content, what the message must say
    (b"<html></html>", "holds no numbers of a report"),
    (b'<script type="application/json" id="report-numbers">{"form": </script>', "holds no numbers of a report"),
    (b'{"form": "sever-report 0"}', "'sever-report 0'"),
    (b"[1]", "None"),
    (b"\xff\xfe\x00", "cannot read the report"),
]


@pytest.mark.parametrize(("content", "said"), DAMAGED, ids=lambda value: str(value)[:40])
def test_damaged_report_is_told(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "old.html"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(said)):
        read_numbers(path)


def test_missing_report_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave --against out"):
        read_numbers(tmp_path / "none.html")


def test_charts_fill_their_rows_as_well_as_they_can() -> None:
    assert [columns(count, 4) for count in (1, 4, 5, 6, 8, 9, 12)] == [1, 4, 3, 3, 4, 3, 4]
    assert columns(6, 5) == 3


def test_number_is_found_by_its_path_and_written_in_its_form() -> None:
    numbers = {"a": [{"b": -0.51239}, {"b": None}]}
    assert show_number(numbers, "a.0.b") == '<data value="-0.51239" data-path="a.0.b">-0.5124</data>'
    assert ">−0.5124<" in show_number(numbers, "a.0.b", "signed")
    assert "–" in show_number(numbers, "a.1.b")


@given(low=st.floats(-50, 50), length=st.floats(1e-3, 1e5))
def test_ticks_are_round_evenly_spaced_and_inside(low: float, length: float) -> None:
    ticks = round_ticks(low, low + length)
    assert 2 <= len(ticks) <= 11
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    assert f"{steps[0]:.0e}"[0] in "125"
    assert min(ticks) >= low - 1e-6 * length - 1e-9
    assert max(ticks) <= low + length + 1e-6 * length + 1e-9


def test_axes_place_values_and_keep_what_is_outside_on_the_border() -> None:
    straight = Axis(0, 10, 100, 200)
    assert [straight.at(value) for value in (0, 5, 10, -3, 99)] == [100, 150, 200, 100, 200]
    bent = Axis(0, 99, 0, 100, logarithmic=True)
    assert [bent.at(value) for value in (0, 9, 99)] == pytest.approx([0, 50, 100])
    assert bent.ticks() == [0, 1, 10]
    assert Axis(0, 1, 200, 100).at(1) == 100  # upwards, as y runs


@given(values=st.lists(st.floats(0, 1), min_size=1))
def test_room_around_scores_holds_them_all(values: list[float]) -> None:
    low, high = room_around(values)
    assert 0 <= low <= min(values) <= max(values) <= high <= 1
    assert high - low >= 0.0099


def test_short_labels() -> None:
    assert [short(value) for value in (0.25, 3.0, 1000.0, 20_000.0)] == ["0.25", "3", "1k", "20k"]


def test_rules_as_sentences() -> None:
    plain = rules_in_words(RuleSettings(min_pixels=0), ("a", "b"))
    assert plain == [
        "A pixel belongs to a class above the probability 0.5.",
        "Where classes overlap, the most probable one keeps the pixel.",
        "No class is dropped for its size.",
    ]
    full = " ".join(
        rules_in_words(
            RuleSettings(
                gate=GateSettings(kind="veto", threshold=(0.3, 0.4)),
                label_threshold=0.8,
                seed_threshold=0.7,
                fill_holes=True,
                erode_pixels=1,
                dilate_pixels=(2, 2),
                overlap="allow",
                min_component_pixels=9,
                min_pixels=(600, 1000),
            ),
            ("scratch", "4"),
        )
    )
    for part in (
        "0.3 (scratch), 0.4 (class 4)",
        "0.8",
        "0.7",
        "Holes",
        "shrink by 1",
        "grow by 2",
        "600 (scratch)",
        "9",
    ):
        assert part in full


def _pixels(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/webp;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


SIZES = [
    # image, shown, strip?
    ((40, 40), (320, 320), False),
    ((256, 1600), (144, 900), True),
    ((400, 500), (400, 500), False),
]


@pytest.mark.parametrize(("size", "shown", "is_strip"), SIZES)
def test_picture_has_both_contours_at_a_fitting_size(
    size: tuple[int, int], shown: tuple[int, int], is_strip: bool
) -> None:
    height, width = size
    true_chw, drawn_chw = np.zeros((2, 1, height, width), np.uint8)
    true_chw[0, : height // 2, : width // 2] = 1
    picture = draw_picture(np.full((*size, 3), 100, np.uint8), true_chw, drawn_chw, [(255, 0, 0)], 1_000_000)
    assert (picture.height, picture.width, picture.is_strip) == (*shown, is_strip)
    true, drawn = _pixels(picture.true), _pixels(picture.predicted)
    assert true.shape == drawn.shape == (*shown, 3)
    reddish = (true[..., 0].astype(int) - true[..., 2]) > 60
    assert reddish.any()
    rows, columns = np.nonzero(reddish)
    assert rows.max() <= shown[0] // 2 + 3
    assert columns.max() <= shown[1] // 2 + 3
    assert np.abs(drawn.astype(int) - 100).max() < 12


def test_picture_gets_coarser_where_bytes_are_scarce() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 600, 3)).astype(np.uint8)
    empty = np.zeros((1, 300, 600), np.uint8)
    fine = draw_picture(noise, empty, empty, [(255, 0, 0)], 10_000_000)
    coarse = draw_picture(noise, empty, empty, [(255, 0, 0)], len(fine.true) // 6)
    assert len(coarse.true) <= len(fine.true) / 6 + 30
