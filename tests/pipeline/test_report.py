"""`sever report` from end to end, on made-up evidence, and in a real browser where there is one."""

from __future__ import annotations

import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evidence_maker import make_evidence, rewrite

from sever.cli import main
from sever.config import DataSettings, GateSettings, RuleSettings
from sever.decide.bootstrap import paired_interval
from sever.deliver.report import read_numbers
from sever.errors import InputError
from sever.pipeline.data.check import check_data
from sever.pipeline.data.doubts import doubt_labels
from sever.pipeline.data.shift import compare_sets
from sever.pipeline.evaluate import evaluate_run
from sever.pipeline.evidence import open_evidence
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.report.write import write_report
from sever.store import write_rules

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CPU = InferenceOptions("cpu")
HEADINGS = (
    "What changed",
    "Scores per class",
    "Pixel thresholds",
    "Smallest areas",
    "Calibration",
    "Is there a defect?",
    "The gate",
    "Images",
    "Errors",
    "The data",
    "About this report",
)
SOFT = RuleSettings(min_pixels=(20, 20, 40, 40), gate=GateSettings(kind="soft", factor=10))


def sever(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["sever", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def evidence(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "candidate"
    return make_evidence(folder, strip_root, seed=1, noise=0.15, gate=True, rules=SOFT)


@pytest.fixture(scope="module")
def other(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over the same images, worse, and without a gate."""
    return make_evidence(tmp_path_factory.mktemp("report") / "other", strip_root, seed=2, noise=0.3)


@pytest.fixture(scope="module")
def findings(evidence: Path, strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder in which check, doubts and shift left what they found."""
    folder = tmp_path_factory.mktemp("findings") / "data"
    check_data(DataSettings(root=strip_root), 0.95, folder, 0)
    doubt_labels(evidence, folder, CPU, 0)
    test = DataSettings(root=strip_root / "test_images")
    compare_sets((DataSettings(root=strip_root), test), folder, copies=False, draws=20, num_shown=0)
    return folder


@pytest.fixture(scope="module")
def page(evidence: Path, other: Path, findings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section: with a gate, against an older report, and with findings about the data."""
    folder = tmp_path_factory.mktemp("pages")
    older = write_report(other, folder / "older.html", None, CPU, images=2).page
    return write_report(evidence, folder / "report.html", older, CPU, images=2, findings=(findings,)).page


class _Numbers(HTMLParser):
    """The <data> elements: place, value, what a person reads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "data"
        if self.inside:
            values = dict(attrs)
            self.found.append([values["data-path"] or "", values["value"] or "", ""])

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1][2] += data


def test_numbers_of_the_page_are_those_of_the_json_beside_it(page: Path) -> None:
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert read_numbers(page) == numbers
    reader = _Numbers()
    reader.feed(page.read_text())
    assert len(reader.found) > 200
    for place, written, shown in reader.found:
        value: Any = numbers
        for step in place.split("."):
            value = value[int(step)] if isinstance(value, list) else value[step]
        assert float(written) == value
        wanted = value * 100 if "%" in shown else value
        digits = len(shown.partition(".")[2].rstrip(" %"))
        plain = shown.replace("−", "-").replace(",", "").rstrip(" %")
        assert float(plain) == pytest.approx(wanted, abs=0.5001 * 10**-digits)


def test_findings_about_the_data_are_shown_where_they_are(
    page: Path, findings: Path, evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_numbers(page)["data"]
    assert data["duplicates"]["images"] == json.loads((findings / "check.json").read_text())["images"]
    assert data["doubts"]["worst"][0]["image"] == pd.read_csv(findings / "doubts.csv")["image"][0]
    assert data["shift"]["area"] == json.loads((findings / "shift.json").read_text())["area"]
    folder = shutil.copytree(evidence, tmp_path / "e")
    bare = write_report(folder, None, None, CPU, images=0)
    assert bare.numbers["data"] == {"duplicates": None, "doubts": None, "shift": None}
    assert "The data</h2>" not in bare.page.read_text()
    doubt_labels(folder, folder / "doubts", CPU, 0)
    assert write_report(folder, None, None, CPU, images=0).numbers["data"]["doubts"]["images"] == 16
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    assert sever("report", folder, "--with", damaged, monkeypatch=monkeypatch) == 2, "nothing of the kind is there"
    (damaged / "shift.json").write_text('{"sets": []}')
    assert sever("report", folder, "--with", damaged, monkeypatch=monkeypatch) == 2
    assert sever("report", folder, "--with", findings, "--with", findings, monkeypatch=monkeypatch) == 2, "twice"


def test_scores_are_those_of_the_score_table(page: Path, evidence: Path) -> None:
    numbers, pairs = read_numbers(page), pd.read_csv(evidence / "pairs.csv")
    assert numbers["scores"]["dice"] == pytest.approx(pairs["dice"].mean(), abs=1e-6)
    for class_id, rows in pairs.groupby("class_id"):
        each = numbers["classes"][int(class_id) - 1]
        assert each["dice"]["mean"] == pytest.approx(rows["dice"].mean(), abs=1e-6)
        assert each["dice"]["low"] <= each["dice"]["mean"] <= each["dice"]["high"]
        assert each["images_with_it"] == (rows["true_pixels"] > 0).sum()
        by_fold = rows.groupby("fold")["dice"].mean().to_numpy()
        np.testing.assert_allclose(each["dice_by_fold"], by_fold, atol=1e-5)
        missed = ((rows["true_pixels"] > 0) & (rows["pred_pixels"] == 0)).sum()
        assert each["confusion"]["missed"] == missed


@pytest.mark.parametrize("kind", ["none", "soft", "veto", "multiply"])
def test_at_the_chosen_area_the_curve_is_the_score(kind: Any, strip_root: Path, tmp_path: Path) -> None:
    """Whatever the gate does: the curve is drawn from masks without smallest areas, the score from those with."""
    gate = GateSettings(kind=kind, threshold=0.3)
    rules = RuleSettings(label_threshold=0.9, min_pixels=(20, 20, 40, 40), gate=gate, overlap="allow")
    folder = make_evidence(tmp_path / "e", strip_root, seed=4, noise=0.2, gate=True, rules=rules)
    numbers = write_report(folder, None, None, CPU, images=0).numbers
    for each in numbers["classes"]:
        areas, thresholds = each["area_curve"], each["threshold_curve"]
        at_chosen = areas["dice"][areas["min_pixels"].index(areas["chosen"])]
        assert at_chosen == pytest.approx(each["dice"]["mean"], abs=1e-6)
        # With overlaps allowed and no other rule, the threshold's curve meets the score too (0.5 is on its grid).
        at_threshold = thresholds["dice"][thresholds["thresholds"].index(0.5)]
        assert at_threshold == pytest.approx(each["dice"]["mean"], abs=1e-6)
        assert sum(np.ravel(each["gate"]["counts"])) == numbers["images"]


def test_pixels_of_the_calibration_are_all_pixels(page: Path, evidence: Path) -> None:
    numbers, opened = read_numbers(page), open_evidence(evidence)
    pixels = sum(opened.table.pixels().values())
    for each in numbers["classes"]:
        assert sum(each["calibration"]["pixels"]["counts"]) == pixels
        assert sum(each["calibration"]["images"]["counts"]) == len(opened.table)


def test_galleries_show_the_most_telling_images_first(page: Path) -> None:
    galleries = {gallery["title"]: gallery for gallery in read_numbers(page)["galleries"]}
    scores = [image["dice"] for image in galleries["Best"]["images"]]
    assert scores == sorted(scores, reverse=True)
    scores = [image["dice"] for image in galleries["Worst"]["images"]]
    assert scores == sorted(scores)
    uncertain = galleries["Most uncertain"]["images"]
    assert [image["certainty"] for image in uncertain] == sorted(image["certainty"] for image in uncertain)
    shown = [image["image_id"] for gallery in galleries.values() for image in gallery["images"]]
    assert len(shown) == len(set(shown))
    for gallery in galleries.values():
        assert set(gallery["elsewhere"]) <= set(shown)


def test_most_uncertain_is_the_image_whose_map_is_made_undecided(strip_root: Path, tmp_path: Path) -> None:
    folder = make_evidence(tmp_path / "e", strip_root, noise=0.02)
    opened = open_evidence(folder)
    victim = opened.table.image_id(5)
    rewrite(opened.evidence, victim, np.full_like(opened.levels(5), 127))
    galleries = write_report(folder, None, None, CPU, images=1).numbers["galleries"]
    (uncertain,) = [gallery for gallery in galleries if gallery["title"] == "Most uncertain"]
    assert [image["image_id"] for image in uncertain["images"]] + uncertain["elsewhere"] == [victim]


def test_errors_are_listed_largest_first(page: Path, other: Path, tmp_path: Path) -> None:
    errors = write_report(other, tmp_path / "o.html", None, CPU, images=0).numbers["errors"]
    pairs = pd.read_csv(other / "pairs.csv")
    wrong = pairs[(pairs["true_pixels"] == 0) & (pairs["pred_pixels"] > 0)].sort_values("pred_pixels", ascending=False)
    assert errors["false_alarms"]["count"] == len(wrong) > 0
    listed = [row["pixels"] for row in errors["false_alarms"]["largest"]]
    assert listed == wrong["pred_pixels"].tolist()[: len(listed)]


def test_changes_are_paired_over_the_same_images(page: Path, evidence: Path, other: Path) -> None:
    changes = read_numbers(page)["changes"]
    before, now = (
        pd.read_csv(folder / "pairs.csv").pivot(index="image_id", columns="class_id", values="dice")
        for folder in (other, evidence)
    )
    assert changes["same_images"]
    wanted = paired_interval(now.to_numpy(), before.loc[now.index].to_numpy())
    first = changes["rows"][0]
    assert first["difference"] == pytest.approx(wanted.mean, abs=1e-5)
    assert first["interval"]["low"] == pytest.approx(wanted.low, abs=0.02)
    assert first["verdict"] == "better"
    assert {row["name"]: row["now"] for row in changes["rules"]}["gate.kind"] == "soft"


def test_report_of_other_images_has_plain_differences(page: Path, evidence: Path, tmp_path: Path) -> None:
    older = json.loads(page.with_suffix(".json").read_text())
    older["pairs"]["image_ids"][0] = "gone.jpg"
    older["classes"][1]["name"] = "renamed"
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older))
    changes = write_report(evidence, tmp_path / "r.html", path, CPU, images=0).numbers["changes"]
    assert not changes["same_images"]
    assert [row["name"] for row in changes["rows"]] == ["mean of all", "1", "3", "4"]
    assert {row["verdict"] for row in changes["rows"]} == {"not tested"}


def test_a_report_at_the_same_place_compares_with_the_one_before(evidence: Path, tmp_path: Path) -> None:
    """The same evidence makes the same page, whenever it is made; so what it was compared with stays, too."""
    folder, output = tmp_path / "copy", tmp_path / "r.html"
    shutil.copytree(evidence, folder)

    def report() -> tuple[bytes, bytes]:
        write_report(folder, output, None, CPU, images=1)
        return output.read_bytes(), output.with_suffix(".json").read_bytes()

    first = report()
    assert json.loads(first[1])["changes"] is None
    assert report() == first
    write_rules(folder / "rules.json", RuleSettings(min_pixels=0, pixel_threshold=0.9))
    second = report()
    changes = json.loads(second[1])["changes"]
    assert {row["name"] for row in changes["rules"]} >= {"pixel_threshold", "gate.kind"}
    assert report() == second


def test_an_older_report_compared_with_itself_says_the_same(evidence: Path, tmp_path: Path) -> None:
    older = write_report(evidence, tmp_path / "r.html", None, CPU, images=1).page
    changes = write_report(evidence, tmp_path / "r2.html", older, CPU, images=1).numbers["changes"]
    assert {row["verdict"] for row in changes["rows"]} == {"the same"}
    assert changes["rules"] == []


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("pairs",), {}, "`pairs.image_ids`"),
        (("pairs", "dice", 0), [0.5], "not one Dice for each class"),
        (("pairs", "dice", 0, 0), "much", "`pairs.dice.0.0`"),
        (("about",), None, "`about`"),
        (("about", "rules", "gate"), [], "`about.rules.gate`"),
        (("classes", 1, "dice"), {"mean": 2}, "`classes.1.dice.mean`"),
        (("scores",), [], "`scores`"),
        (("changes",), 3, "`changes`"),
    ],
)
def test_damage_of_an_older_report_is_named(
    place: tuple[Any, ...], value: Any, told: str, page: Path, evidence: Path, tmp_path: Path
) -> None:
    older = json.loads(page.with_suffix(".json").read_text())
    inner = older
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older))
    with pytest.raises(InputError, match=r"older\.json is damaged") as caught:
        write_report(evidence, tmp_path / "r.html", path, CPU, images=0)
    assert told in str(caught.value)


def test_plain_run_is_predicted_and_scored_as_evaluate_does(
    tiny_experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_experiment.write_text(tiny_experiment.read_text().replace("epochs: 2", "epochs: 1"))
    arguments = ("train", "-c", tiny_experiment, "--saved", tmp_path / "saved", "--device", "cpu")
    assert sever(*arguments, monkeypatch=monkeypatch) == 0
    run = Path(capsys.readouterr().out.strip())
    assert sever("report", run, "--json", "--device", "cpu", monkeypatch=monkeypatch) == 0
    numbers = json.loads(capsys.readouterr().out)
    scores = evaluate_run(run, None, None, CPU)
    assert numbers["scores"]["dice"] == pytest.approx(scores["dice"])
    assert numbers["scores"]["mean_iou"] == pytest.approx(scores["mean_iou"])
    assert len(numbers["about"]["weights"][0]["sha256"]) == 64
    assert "pairs" not in numbers
    assert (run / "report.html").is_file()


def _no_maps(folder: Path) -> list[object]:
    shutil.rmtree(folder / "probs")
    return [folder]


def _damaged_older(folder: Path) -> list[object]:
    (folder / "report.html").write_text("<p>mine</p>")
    return [folder]


FAULTS = {
    # what is done to a copy of the evidence and asked for: what the message must say
    "nowhere": (lambda folder: [folder / "nowhere"], "there is no file or folder"),
    "no evidence": (lambda folder: [folder / "probs"], "neither a run"),
    "no maps": (_no_maps, "has no probability maps"),
    "a page without .html": (lambda folder: [folder, "-o", folder / "x.txt"], "ends in .html"),
    "a folder as page": (lambda folder: [folder, "-o", folder], "ends in .html"),
    "no older report": (lambda folder: [folder, "--against", folder / "old.html"], "cannot read the report"),
    "a page of another kind in the way": (_damaged_older, "holds report.html, which sever did not write"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_user_can_mend_is_told(
    fault: str, evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(evidence, folder, ignore=shutil.ignore_patterns("report.*"))
    prepare, said = FAULTS[fault]
    assert sever("report", *prepare(folder), monkeypatch=monkeypatch) == 2
    told = capsys.readouterr()
    assert said in told.err.replace("\n", " ")
    assert "Traceback" not in told.err
    assert not (folder / "report.json").exists()


def _browser() -> str:
    found = os.environ.get("SEVER_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed, and SEVER_CHROMIUM is not set")
    return found


def test_page_in_a_browser_has_no_error_no_request_and_fits_a_phone(page: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints: list[str] = []
    requests: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.as_uri(), wait_until="load")
        headings = tab.locator("h1, h2").all_inner_texts()
        charts = tab.evaluate("[...document.querySelectorAll('svg.chart')].map(e => [e.clientWidth, e.clientHeight])")
        pictures = tab.evaluate("[...document.images].map(e => e.naturalWidth)")
        widths = {}
        for width in (390, 1280):
            tab.set_viewport_size({"width": width, "height": 844})
            widths[width] = tab.evaluate("document.documentElement.scrollWidth")
        grounds = {}
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            grounds[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert complaints == []
    assert [url[:40] for url in requests if not url.startswith(("file:", "data:"))] == []
    numbers = read_numbers(page)
    assert headings == ["candidate", *HEADINGS]
    assert len(charts) == 1 + 4 * len(numbers["classes"])
    assert all(width > 200 and height > 100 for width, height in charts)
    assert len(pictures) == 2 * sum(len(gallery["images"]) for gallery in numbers["galleries"])
    assert all(width > 0 for width in pictures)
    assert widths == {390: 390, 1280: 1280}
    assert grounds["light"] != grounds["dark"]


def test_page_stays_small_whatever_the_images(evidence: Path, tmp_path: Path) -> None:
    written = write_report(evidence, tmp_path / "r.html", None, CPU, images=20)
    assert written.page.stat().st_size < 5_000_000


def test_maps_of_another_size_are_told(evidence: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(evidence, folder)
    opened = open_evidence(folder)
    rewrite(opened.evidence, opened.table.image_id(3), np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(InputError, match="not of its image's size"):
        write_report(folder, tmp_path / "r.html", None, CPU)
