"""`sever leaderboard import` and `draw`, `sever gate`: tables of any make are read, and drawn is what was said."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import sever
from evidence_maker import make_evidence

from sever.config import RuleSettings
from sever.deliver import charts
from sever.deliver.charts import Course, GatePanel
from sever.errors import InputError
from sever.pipeline import course_picture, gate_picture
from sever.pipeline.course_picture import View, day, draw
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.leaderboard import course, draft_submission, record_submission
from sever.pipeline.past_submissions import import_submissions
from sever.store.ledger import append_record, read_ledger

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "severstal" / "leaderboard_2019.csv"

# The same two submissions, as different programs write them; the second was made first.
TABLES = {
    "kaggle": "fileName,date,description,status,publicScore,privateScore\n"
    "b.csv,2019-10-24 18:30:00,two,complete,0.92,0.90\na.csv,2019-10-01 08:00:00.5,one,complete,0.91,0.89\n",
    "capitals": "Submission,Submitted At,Public Score,Private Score,Comment\n"
    "b.csv,2019-10-24T18:30Z,0.92,0.90,two\na.csv,2019-10-01T10:00+02:00,0.91,0.89,one\n",
    "order": "order,name,public,private,note\n7,b.csv,0.92,0.90,two\n3,a.csv,0.91,0.89,one\n",
    "rows": "name,public lb,private lb,notes\na.csv,0.91,0.89,one\nb.csv,.92,9e-1,two\n",
}


def imported(tmp_path: Path, text: str, **columns: str) -> list[Any]:
    table, ledger = tmp_path / "table.csv", tmp_path / "saved" / "l.jsonl"
    table.write_text(text)
    import_submissions(table, columns, ledger)
    return course(ledger)


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_any_make_say_the_same(kind: str, tmp_path: Path) -> None:
    a, b = imported(tmp_path, TABLES[kind])
    assert [(s.name, s.public, s.private, s.message) for s in (a, b)] == [
        ("a.csv", 0.91, 0.89, "one"),
        ("b.csv", 0.92, 0.90, "two"),
    ]
    wanted = {"kaggle": "2019-10-01T08:00:00+00:00", "capitals": "2019-10-01T10:00:00+02:00"}
    assert a.time == wanted.get(kind)


def test_unusual_names_of_columns_are_said(tmp_path: Path) -> None:
    (made,) = imported(tmp_path, "what,score on the board\nx,0.5\n", name="what", public="score on the board")
    assert (made.name, made.public, made.private) == ("x", 0.5, None)


def test_names_are_made_one_by_one(tmp_path: Path) -> None:
    text = "family,version,public\nf,1,0.5\nf,2,0.6\ng,,0.4\ng,,-\n"
    assert [(s.name, s.public) for s in imported(tmp_path, text)] == [
        ("f 1", 0.5),
        ("f 2", 0.6),
        ("g (1)", 0.4),
        ("g (2)", None),
    ]


WRONG = [
    (
        "name,when\na,2019\n",
        {},
        "no column for a score: it has name, when; say which it is with --column public=COLUMN",
    ),
    ("public,private\n0.5,0.5\n", {}, "no column for the submissions' names: .* --column name=COLUMN"),
    ("name,public\n", {}, "has no row"),
    ("name,public\na,91.8\n", {}, r"row 2: public score 91\.8 is not between 0 and 1"),
    ("name,public\na,0.5\nb,nan?\n", {}, "row 3: public score 'nan\\?' is not a number"),
    ("name,public,time\na,0.5,24.10.2019\n", {}, r"row 2: the time '24\.10\.2019' is not as 2019-10-24"),
    ("name,public,order\na,0.5,first\n", {}, "row 2: the number 'first' is none"),
    ("name,public\n,0.5\n", {}, "row 2: the submission has no name"),
    ("name,public\na,0.5\n", {"name": "nmae"}, "has no column nmae; it has name, public"),
    ("name,public\na,0.5\n", {"nmae": "name"}, "there is no nmae; there are name, version, time"),
    ("name,public\na,0.5,3\n", {}, "more cells than its header"),
    ("name;public\na;0.5\n", {}, "its columns are separated by semicolons"),
]


@pytest.mark.parametrize(("text", "columns", "said"), WRONG)
def test_a_wrong_table_is_told_and_nothing_is_added(
    text: str, columns: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        imported(tmp_path, text, **columns)
    assert course(tmp_path / "saved" / "l.jsonl") == []


def test_importing_again_adds_what_is_new_and_never_contradicts(tmp_path: Path) -> None:
    ledger, table = tmp_path / "l.jsonl", tmp_path / "t.csv"
    table.write_text("name,date,public,private\na,2019-10-01,0.5,\n")
    done = import_submissions(table, {}, ledger)
    assert (done.new, done.scored, done.known) == (1, 0, 0)
    table.write_text("name,date,public,private\na,2019-10-01,0.5,0.4\nb,2019-10-02,0.6,0.7\n")
    done = import_submissions(table, {}, ledger)
    assert (done.new, done.scored, done.known) == (1, 1, 0)
    before = ledger.read_bytes()
    done = import_submissions(table, {}, ledger)
    assert (done.new, done.scored, done.known) == (0, 0, 2)
    assert ledger.read_bytes() == before
    assert [(s.name, s.public, s.private) for s in course(ledger)] == [("a", 0.5, 0.4), ("b", 0.6, 0.7)]
    table.write_text("name,date,public\nc,2019-10-03,0.1\na,2019-11-01,0.5\n")
    with pytest.raises(InputError, match=r"has a submission a of 2019-10-01T00:00:00\+00:00 already"):
        import_submissions(table, {}, ledger)
    assert ledger.read_bytes() == before


def test_past_ones_stand_before_those_of_today(tmp_path: Path) -> None:
    ledger, table = tmp_path / "l.jsonl", tmp_path / "t.csv"
    table.write_text("name,date,public\nold,2019-10-01,0.5\n")
    record_submission(draft_submission("new", table), ledger)
    import_submissions(table, {}, ledger)
    assert [found.name for found in course(ledger)] == ["old", "new"]
    append_record(ledger, lambda _: read_ledger_line("when", "soon"))
    with pytest.raises(InputError, match="line 3 is damaged: `time` is 'soon'"):
        course(ledger)


def read_ledger_line(name: str, time: str) -> dict[str, Any]:
    return {"record": "submission", "name": name, "time": time, "submission": None, "submission_sha256": None}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Course]:
    courses: list[Course] = []
    monkeypatch.setattr(course_picture, "draw_course", lambda path, course: courses.append(course))
    return courses


def test_a_range_of_dates_and_what_is_compared(tmp_path: Path, drawn: list[Course]) -> None:
    text = "name,date,public,private\n" + "".join(f"s{n},2019-10-0{n} 12:00,0.{n},0.{n}5\n" for n in range(1, 8))
    imported(tmp_path, text)
    view = View(day("2019-10-03"), day("2019-10-05", end=True), {"winner": 0.6}, ("s4",))
    draw(tmp_path / "x.svg", tmp_path / "saved" / "l.jsonl", view)
    (course,) = drawn
    assert course.places == [datetime(2019, 10, number, 12, tzinfo=UTC) for number in (3, 4, 5)]
    assert course.scores["public"] == [0.3, 0.4, 0.5]
    assert [(line.label, line.score) for line in course.lines] == [("winner", 0.6), ("chosen: s4", 0.45)]
    assert course.chosen == [1]
    draw(tmp_path / "x.svg", tmp_path / "saved" / "l.jsonl", View(since=day("2019-10-06T12:00"), over="order"))
    assert drawn[1].places == [6, 7]  # numbered among all
    for view, said in [
        (View(since=day("2020-01-01")), "no submission between these dates"),
        (View(chosen=("s9",)), "no submission s9 to draw; it has s1, s2"),
    ]:
        with pytest.raises(InputError, match=said):
            draw(tmp_path / "x.svg", tmp_path / "saved" / "l.jsonl", view)


def test_without_times_the_order_is_drawn_and_no_dates_are_made_up(tmp_path: Path, drawn: list[Course]) -> None:
    imported(tmp_path, TABLES["order"])
    ledger = tmp_path / "saved" / "l.jsonl"
    draw(tmp_path / "x.svg", ledger)
    assert (drawn[0].places, drawn[0].scores["private"]) == ([1, 2], [0.89, 0.90])
    assert all(math.isnan(score) for score in drawn[0].scores["cv"])
    for view in (View(since=day("2019-10-01")), View(over="time")):
        with pytest.raises(InputError, match=r"does not say when a\.csv was made|whose time is not known"):
            draw(tmp_path / "x.svg", ledger, view)


def test_the_commands_draw_svg_and_png_and_the_same_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(TABLES["kaggle"])
    at = ("--ledger", tmp_path / "l.jsonl")
    assert sever("leaderboard", "import", tmp_path / "t.csv", *at) == 0
    assert "2 new, 0 with other scores, 0 known" in capsys.readouterr().out
    pictures = []
    for name in ("a.svg", "b.svg", "c.png"):
        words = ("-o", tmp_path / name, "--line", "the winner=0.90883", "--chosen", "b.csv", "--since", "2019-10-01")
        assert sever("leaderboard", "draw", *words, *at) == 0
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    text = pictures[0].decode()
    assert {"public", "private", "the winner, 0.90883", "chosen: b.csv, 0.90000"} <= set(
        re.findall(r">([^<>\n]+)<", text)
    )
    picture = cv2.imread(str(tmp_path / "c.png"))
    assert (np.abs(picture.astype(int) - (0x55, 0x55, 0x55)).max(axis=2) < 12).sum() > 100  # the winner's line
    for words, said in [
        (("-o", tmp_path / "x.jpg"), "pictures are .svg or .png"),
        (("-o", tmp_path / "x.svg", "--line", "winner"), "--line winner is not as --line winner=0.90883"),
        (("-o", tmp_path / "x.svg", "--since", "1.10.2019"), "is not a date or time"),
    ]:
        assert sever("leaderboard", "draw", *words, *at) == 2
        assert said in capsys.readouterr().err


@pytest.mark.skipif(not REAL.is_file(), reason="needs the real leaderboard of 2019, which may not be shipped")
def test_the_real_leaderboard_of_2019_is_read_whole(tmp_path: Path, drawn: list[Course]) -> None:
    import_submissions(REAL, {}, tmp_path / "l.jsonl")
    made = course(tmp_path / "l.jsonl")
    assert len(made) == 32
    best = max(made, key=lambda found: found.private or 0)
    assert (best.name, best.public, best.private) == ("sever-ensemble-classification 1", 0.91817, 0.91023)
    draw(tmp_path / "x.svg", tmp_path / "l.jsonl", View(chosen=("Fork of sever-ensemble-3 6",)))
    assert (drawn[0].lines[0].score, drawn[0].chosen) == (0.90274, [30])
    assert len(read_ledger(tmp_path / "l.jsonl")) == 32


def test_the_gate_is_drawn_by_the_formula_of_2019(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = charts.draw_gate

    def spy(path: Path, panels: list[GatePanel], factors: list[float], area: Any) -> None:
        seen.append((panels, list(factors), area))
        real(path, panels, factors, area)

    monkeypatch.setattr(gate_picture, "draw_gate", spy)
    assert sever("gate", "-o", tmp_path / "g.svg", "--min-pixels", 600, "--factor", 5, "--factor", 8) == 0
    assert sever("gate", "-o", tmp_path / "g.png") == 0
    (panels, factors, area), (by_default, of_2019, _) = seen
    assert ([panel.min_pixels for panel in panels], factors) == ([600], [5.0, 8.0])
    assert ([panel.min_pixels for panel in by_default], of_2019) == ([600, 1000, 2000], [5.0, 10.0, 20.0])
    answers = np.array([0, 0.25, 1])
    np.testing.assert_allclose(area(600, answers, 5), [3000, 600 * 5 - 600 * 4 * 0.25, 600])
    assert {"c = 5", "c = 8", "t0 = 600 pixels"} <= set(re.findall(r">([^<>\n]+)<", (tmp_path / "g.svg").read_text()))


def test_the_gate_of_a_candidate_shows_its_images(
    strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(gate_picture, "draw_gate", lambda path, panels, factors, area: seen.append((panels, factors)))
    rules = RuleSettings.model_validate({"min_pixels": [30, 0, 9, 9], "gate": {"kind": "soft", "factor": 7}})
    folder = make_evidence(tmp_path / "gated", strip_root, gate=True, rules=rules)
    gate_picture.draw_gate_of(folder, tmp_path / "g.svg", (), InferenceOptions("cpu"))
    panels, factors = seen[0]
    assert factors == [5.0, 7.0, 10.0, 20.0]
    assert [panel.min_pixels for panel in panels][::2] == [30, 9]
    assert all(panel.min_pixels >= 1 for panel in panels)
    assert any(truth for panel in panels for *_, truth in panel.dots)
    bare = make_evidence(tmp_path / "bare", strip_root)
    assert sever("gate", "-r", bare, "-o", tmp_path / "g.svg") == 2
    assert "has no gate: nothing in it labels images" in capsys.readouterr().err
    assert sever("gate", "-r", bare, "-o", tmp_path / "g.svg", "--min-pixels", 5) == 2
