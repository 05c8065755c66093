"""The review page in a real browser: from signing in to a correction that is stored to the pixel, and never lost."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from page_maker import HEIGHT, WIDTH, Desk, chromium, disc, kill_browser, masks, new_answer, versions, with_profile
from serve_maker import PASSWORD, GreyModel, Running, running, spots, wait_for

from sever.config import DataSettings
from sever.data import rle
from sever.data.layouts import read_table

BLOCK = np.zeros((HEIGHT, WIDTH), np.uint8)
BLOCK[2:6, 3:9] = 1  # what the model calls bright
SPOT = np.zeros((HEIGHT, WIDTH), np.uint8)
SPOT[12:15, 20:22] = 1  # and dark


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store"), {"security": {"logins_per_minute": 600}}) as found:
        yield found


def saved(served: Running, uid: str, count: int = 1) -> dict[str, Any]:
    wait_for(lambda: len(versions(served, uid)) >= count)
    found = versions(served, uid)
    assert len(found) == count
    return found[-1]


def test_from_signing_in_to_a_correction_in_the_store(served: Running, browser: Any) -> None:
    """Every tool once; the masks in the store are those that other means of drawing give, to the pixel."""
    uid = new_answer(served, coil="C7")
    desk = Desk(browser, served.url).sign_in(uid)
    assert desk.tab.inner_text("#answer-verdict") == "new"
    desk.press("1", "b", "[", "[")  # the class `bright`; a brush of 2 pixels
    desk.drag((14, 10), (18, 10))
    expected = BLOCK | np.maximum.reduce([disc(x, 10, 2) for x in range(14, 19)])
    desk.press("e", "[", "[")  # a single pixel
    desk.drag((4, 3), (4, 4))
    expected[3:5, 4] = 0
    desk.press("b")
    desk.drag((25, 2), (25, 2))
    desk.press("z", "y", "z")  # done, undone, done again, undone
    desk.press("f")
    desk.click(4.5, 3.5)  # the hole that was erased
    expected[3:5, 4] = 1
    desk.press("2", "l")
    for corner in ((2, 12), (8, 12), (2, 18)):
        desk.click(*corner)
    desk.press("Enter")
    triangle = np.array([[(x + 0.5 - 2) + (y + 0.5 - 12) < 6 for x in range(WIDTH)] for y in range(HEIGHT)])
    triangle[:12], triangle[:, :2] = 0, 0
    desk.press("s")
    found = masks(saved(served, uid))
    assert (found["bright"] == expected).all()
    assert (found["dark"] == (SPOT | triangle)).all()
    desk.said("Saved: corrected.")
    desk.sync("saved")
    assert saved(served, uid)["author"] == "reviewer"
    desk.close()


def test_parts_are_relabelled_removed_and_found_again_by_wand_and_threshold(served: Running, browser: Any) -> None:
    uid = new_answer(served, 1)
    desk = Desk(browser, served.url).sign_in(uid)
    desk.press("v")
    desk.click(5.5, 4.5)
    desk.said("Selected: bright, 24 px")
    desk.press("2")  # it is dark, says the reviewer
    desk.press("s")
    found = masks(saved(served, uid))
    assert not found["bright"].any()
    assert (found["dark"] == (SPOT | BLOCK)).all()
    desk.tab.goto(f"{served.url}/#review/{uid}")
    desk.wait_for(uid)
    desk.said("corrected by reviewer")
    desk.press("m", "Delete", "1", "w")  # without a mouse: the first part away
    desk.click(5.5, 4.5)
    desk.said("24 px")
    desk.press("2")
    desk.tab.click("#cut summary")
    desk.set_range("cut-level", 255 - 120)
    desk.said("8 px")  # the dark spot, and two pixels in the corner
    desk.set_range("cut-area", 4)
    levels = 255 - spots(seed=1).astype(int)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((levels >= 135).astype(np.uint8), connectivity=8)
    large = [part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= 4]
    expected = np.isin(labels, large)
    assert expected.sum() == 6
    desk.said("6 px")
    desk.press("s")
    found = masks(saved(served, uid, 2))
    assert (found["bright"] == BLOCK).all()
    assert (found["dark"] == expected).all()
    desk.close()


def test_verdicts_by_one_key_lead_to_the_next_image(served: Running, browser: Any) -> None:
    first, second = (new_answer(served, seed, coil="verdicts", position_m=10 - seed) for seed in (2, 3))
    desk = Desk(browser, served.url).sign_in()
    desk.tab.fill("#filter-coil", "verdicts")
    desk.press("Enter")
    desk.tab.select_option("#filter-order", "position")
    desk.wait_for(first)
    desk.press("a")
    desk.wait_for(second)
    assert saved(served, first)["verdict"] == "accepted"
    desk.tab.fill("#note", "scale, no <b>defect</b>")
    desk.tab.click("#judge-rejected")
    assert saved(served, second)["note"] == "scale, no <b>defect</b>"
    assert not any(mask.any() for mask in masks(saved(served, second)).values())
    desk.close()


def test_two_reviewers_are_told_of_each_other_and_lose_nothing(served: Running, browser: Any) -> None:
    uid = new_answer(served, 4)
    first = Desk(browser, served.url).sign_in(uid)
    second = Desk(browser, served.url, "admin").sign_in(uid)
    second.press("2", "b")
    second.drag((10, 16), (10, 16))
    first.tab.click("#judge-rejected")
    saved(served, uid)
    second.press("s")
    second.tab.wait_for_selector("#conflict-who")
    assert "reviewer saved version 1 (no defect)" in second.tab.inner_text("#conflict-who")
    second.sync("held")
    assert len(versions(served, uid)) == 1, "nothing is overwritten"
    second.tab.reload()  # and nothing is lost, whatever happens to the page
    second.tab.wait_for_selector("#conflict-who")
    second.tab.click("#conflict-mine")
    second.said("This is yours.")
    second.tab.click("#conflict-swap")
    second.said("This is theirs.")
    second.tab.click("#conflict-decide")
    second.tab.click("#conflict-over")
    found = saved(served, uid, 2)
    assert (masks(found)["dark"] == (SPOT | disc(10, 16, 4))).all()
    assert (masks(found)["bright"] == BLOCK).all()
    assert [each["author"] for each in versions(served, uid)] == ["reviewer", "admin"]
    second.sync("saved")
    first.close()
    second.complaints = [each for each in second.complaints if "status of 409" not in each]
    second.close()


def test_keeping_the_other_ones_word_sends_nothing(served: Running, browser: Any) -> None:
    uid = new_answer(served, 5)
    desk = Desk(browser, served.url).sign_in(uid)
    with served.client() as client:
        client.post(f"/v1/answers/{uid}/corrections", json={"base": 0, "verdict": "accepted"})
    desk.press("r")
    desk.tab.click("#conflict-drop")
    desk.sync("saved")
    assert saved(served, uid)["verdict"] == "accepted"
    desk.complaints.clear()
    desk.close()


def test_without_a_network_work_is_kept_and_sent_later(served: Running, browser: Any) -> None:
    uid = new_answer(served, 6)
    desk = Desk(browser, served.url).sign_in(uid)
    desk.context.set_offline(True)
    desk.press("b")
    desk.drag((20, 5), (20, 5))
    desk.press("s")
    desk.said("Kept in this browser")
    desk.sync("away")
    assert versions(served, uid) == []
    desk.context.set_offline(False)
    assert (masks(saved(served, uid))["bright"] == (BLOCK | disc(20, 5, 4))).all()
    desk.sync("saved")
    desk.complaints = [each for each in desk.complaints if "ERR_INTERNET_DISCONNECTED" not in each]
    desk.close()


def test_a_service_that_was_gone_gets_it_when_it_is_back(tmp_path: Path, browser: Any) -> None:
    with running(tmp_path) as first:
        uid = new_answer(first)
        desk = Desk(browser, first.url).sign_in(uid)
        port = int(first.url.rpartition(":")[2])
    desk.press("b")
    desk.drag((20, 5), (20, 5))
    desk.press("s")
    desk.said("Kept in this browser")
    with running(tmp_path, {"port": port}) as second:
        assert (masks(saved(second, uid))["bright"] == (BLOCK | disc(20, 5, 4))).all()
        desk.sync("saved")
        desk.complaints.clear()
        desk.close()


def test_unsaved_strokes_outlive_the_page(served: Running, browser: Any) -> None:
    uid = new_answer(served, 7)
    desk = Desk(browser, served.url).sign_in(uid)
    desk.press("b")
    desk.drag((20, 5), (20, 5))
    time.sleep(0.3)  # the stroke's way to the disk; a page can't be asked for it
    desk.tab.goto("about:blank")
    desk.tab.goto(f"{served.url}/#review/{uid}")
    desk.said("Your unsaved work was restored.")
    desk.press("a")
    desk.said("You changed masks.")
    assert versions(served, uid) == []
    desk.press("s")
    assert (masks(saved(served, uid))["bright"] == (BLOCK | disc(20, 5, 4))).all()
    desk.close()


def test_a_browser_killed_while_the_service_is_gone_sends_it_when_both_are_back(tmp_path: Path, browser: Any) -> None:
    profile = tmp_path / "profile"
    with running(tmp_path / "store") as first:
        said, drawn = new_answer(first), new_answer(first, 1)
        desk = Desk(with_profile(browser, profile), first.url).sign_in(drawn)
        desk.press("b")
        desk.drag((20, 15), (20, 15))
        desk.said(f"{24 + disc(20, 15, 4).sum()} px")
        desk.tab.goto(f"{first.url}/#review/{said}")
        desk.wait_for(said)
        port = int(first.url.rpartition(":")[2])
    desk.press("b")
    desk.drag((20, 5), (20, 5))
    desk.press("s")
    desk.said("Kept in this browser")
    kill_browser(profile)
    with running(tmp_path / "store", {"port": port}) as second:
        again = Desk(with_profile(browser, profile), second.url)
        again.tab.goto(f"{second.url}/#review/{drawn}")
        again.tab.wait_for_selector("#name, #classes")
        if again.tab.locator("#name").count():  # a browser writes its cookies down only now and then
            again.sign_in(drawn)
        assert (masks(saved(second, said))["bright"] == (BLOCK | disc(20, 5, 4))).all()
        again.said("Your unsaved work was restored.")
        assert versions(second, drawn) == []
        again.press("s")
        assert (masks(saved(second, drawn))["bright"] == (BLOCK | disc(20, 15, 4))).all()
        again.close()


def test_another_window_that_signs_in_anew_stops_no_saving(served: Running, browser: Any) -> None:
    uid = new_answer(served, 13)
    desk = Desk(browser, served.url).sign_in(uid)
    status = """async (about) => (await fetch("/v1/session", { method: "POST", body: JSON.stringify(about),
        headers: { "content-type": "application/json" } })).status"""
    assert desk.tab.evaluate(status, {"name": "reviewer", "password": PASSWORD}) == 200
    desk.press("a")
    assert saved(served, uid)["author"] == "reviewer"
    desk.sync("saved")
    desk.complaints = [each for each in desk.complaints if "status of 403" not in each]
    desk.close()


def test_touch_draws_and_two_fingers_do_not(served: Running, browser: Any) -> None:
    uid = new_answer(served, 8)
    desk = Desk(browser, served.url, has_touch=True).sign_in(uid)
    desk.tab.tap("#tool-brush")
    desk.tab.touchscreen.tap(*desk.place(20.5, 5.5))
    pinch = """([a, b]) => {
      const picture = document.querySelector("#picture");
      picture.setPointerCapture = () => {};
      const send = (type, id, [x, y]) => picture.dispatchEvent(new PointerEvent(type, {
        pointerId: id, pointerType: "touch", clientX: x, clientY: y, button: 0, bubbles: true }));
      send("pointerdown", 11, a); send("pointerdown", 12, b);
      send("pointermove", 12, [b[0] + 60, b[1]]); send("pointerup", 11, a); send("pointerup", 12, [b[0] + 60, b[1]]);
    }"""
    desk.tab.evaluate(pinch, [desk.place(10, 15), desk.place(14, 15)])
    desk.tab.tap("#judge-corrected")
    assert (masks(saved(served, uid))["bright"] == (BLOCK | disc(20, 5, 4))).all()
    desk.close()


def test_a_viewer_looks_only(served: Running, browser: Any) -> None:
    uid = new_answer(served, 9)
    desk = Desk(browser, served.url, "viewer").sign_in(uid)
    assert desk.tab.is_disabled("#tool-brush")
    assert desk.tab.locator("#judge-accepted").count() == 0
    desk.press("a", "b")
    desk.drag((20, 5), (20, 5))
    desk.press("s")
    assert versions(served, uid) == []
    desk.close()


def test_names_from_outside_are_words_only(tmp_path: Path, browser: Any) -> None:
    evil = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>"
    with running(tmp_path, model=GreyModel(class_names=(evil, "dark"))) as served:
        uid = new_answer(served, name=f"{evil}.png", coil=evil, position_m=1.0)
        desk = Desk(browser, served.url).sign_in(uid)
        assert desk.tab.inner_text("#answer-name") == f"{evil}.png"
        assert evil in desk.tab.inner_text("#queue li")
        desk.tab.click("#judge-accepted")
        saved(served, uid)
        for place, seen in (
            ("coils", "#coil-map h2"),
            ("trends", "#trends figure"),
            ("rules", "#rules-classes legend"),
        ):
            desk.tab.goto(f"{served.url}/#{place}")
            desk.tab.wait_for_selector(seen)
            assert evil in desk.tab.inner_text("#main")
        assert desk.tab.evaluate("window.hit") is None
        desk.close()


def test_corrections_come_back_as_training_data_by_a_button(tmp_path: Path, browser: Any) -> None:
    """The zip is what `sever train` reads: its masks are those that were drawn."""
    with running(tmp_path / "store") as served:
        uid = new_answer(served, coil="C1")
        desk = Desk(browser, served.url).sign_in(uid)
        desk.press("b")
        desk.drag((20, 5), (20, 5))
        desk.press("s")
        saved(served, uid)
        desk.tab.goto(f"{served.url}/#trends")
        with desk.tab.expect_download() as download:
            desk.tab.click("#export")
        download.value.save_as(tmp_path / "corrections.zip")
        desk.close()
    zipfile.ZipFile(tmp_path / "corrections.zip").extractall(tmp_path)
    root = tmp_path / "corrections"
    table, _ = read_table(DataSettings(root=root, groups=root / "groups.csv"))
    assert table.class_names == ("bright", "dark")
    assert (table.mask(0) == np.stack([BLOCK | disc(20, 5, 4), SPOT])).all()


def test_keys_language_light_and_looks(served: Running, browser: Any) -> None:
    desk = Desk(browser, served.url).sign_in(new_answer(served, 10))
    desk.press("?")
    assert "Next image" in desk.tab.inner_text("#sheet")
    desk.press("Escape")
    before = desk.tab.locator("#picture").screenshot()
    desk.press("c")
    raw = desk.tab.locator("#picture").screenshot()
    desk.press("x")
    beside = desk.tab.locator("#picture").screenshot()
    desk.press("x", "c")
    desk.set_range("brightness", 2)
    bright = desk.tab.locator("#picture").screenshot()
    assert len({before, raw, beside, bright}) == 4, "contours, raw image, both beside each other, and brighter"
    grounds = set()
    for light in ("light", "dark"):
        desk.tab.select_option("#light", light)
        grounds.add(desk.tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    desk.tab.select_option("#language", "de")
    desk.said("Korrektur speichern")
    assert desk.tab.evaluate("document.documentElement.lang") == "de"
    desk.tab.reload()
    desk.said("Korrektur speichern")
    desk.close()


def test_masks_of_the_page_and_ours_are_the_same(served: Running, browser: Any) -> None:
    """Run lengths both ways, and polygons against the rule of the pixel's centre, on random masks."""
    random = np.random.default_rng(3)
    desk = Desk(browser, served.url)
    desk.tab.goto(served.url)
    for height, width in ((1, 1), (7, 5), (20, 30)):
        drawn = (random.random((height, width)) < 0.4).astype(np.uint8)
        script = """async ([flat, runs, h, w]) => { const m = await import('/page/runs.js');
            return [m.encode(Uint8Array.from(flat), h, w), Array.from(m.decode(runs, h, w))]; }"""
        flat = drawn.ravel().tolist()
        encoded, decoded = desk.tab.evaluate(script, [flat, rle.encode(drawn), height, width])
        assert encoded == rle.encode(drawn)
        assert decoded == flat
    for _ in range(5):
        corners = random.integers(0, 20, (5, 2))
        script = """async (points) => { const m = await import('/page/paint.js'), mask = new Uint8Array(600);
            m.polygon(mask, 20, 30, points.map(([x, y]) => ({x, y})), 1); return Array.from(mask); }"""
        found = np.array(desk.tab.evaluate(script, corners.tolist())).reshape(20, 30)
        assert (found == [[_is_inside(x + 0.5, y + 0.5, corners) for x in range(30)] for y in range(20)]).all()
    desk.close()


def _is_inside(x: float, y: float, corners: np.ndarray) -> bool:
    """Even-odd, by how often a ray to the left crosses the sides."""
    crossed = 0
    for (x0, y0), (x1, y1) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        if (y0 <= y) != (y1 <= y):
            crossed += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
    return crossed % 2 == 1


@pytest.mark.parametrize("light", ["light", "dark"])
def test_axe_finds_no_serious_fault(served: Running, browser: Any, light: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    uid = new_answer(served, 11, coil="C9", position_m=2.0)
    desk = Desk(browser, served.url, color_scheme=light)
    desk.tab.goto(served.url)
    desk.tab.wait_for_selector("#password")
    faults = _serious(axe, desk, "sign-in")
    desk.name = "admin"  # who sees all of it
    desk.sign_in(uid)
    faults += _serious(axe, desk, "review")
    desk.tab.click("#account")
    desk.tab.click("#change-password")
    faults += _serious(axe, desk, "password")
    desk.press("Escape")
    desk.press("?")
    faults += _serious(axe, desk, "keys")
    desk.press("Escape")
    for place, seen in (
        ("coils", "#coil-map svg"),
        ("trends", "#trends figure"),
        ("rules", "#rules-count .note"),
        ("models", "#models .card"),
        ("people", "#users li"),
    ):
        desk.tab.goto(f"{served.url}/#{place}")
        desk.tab.wait_for_selector(seen)
        faults += _serious(axe, desk, place)
    assert faults == []
    desk.close()


def _serious(axe: Any, desk: Desk, place: str) -> list[str]:
    response = axe.Axe().run(desk.tab).response
    assert len(response["passes"]) > 10, "it looked"
    listed = [each for each in response["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{place}: {each['id']}: {[node['target'] for node in each['nodes']][:4]}" for each in listed]
