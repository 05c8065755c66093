"""`sever leaderboard`: records that only grow, from several processes; damaged lines are named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from evidence_maker import make_evidence

from sever import store
from sever.errors import InputError
from sever.pipeline.course_picture import draw
from sever.pipeline.leaderboard import (
    Submission,
    course,
    draft_submission,
    fingerprint_evidence,
    record_scores,
    record_submission,
)
from sever.store import Evidence
from sever.store.ledger import append_record, read_ledger


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    path = tmp_path / "submission.csv"
    path.write_text("ImageId,ClassId,EncodedPixels\n")
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "saved" / "leaderboard.jsonl"


def record(name: str, submission: Path, *, ledger: Path, **more: Any) -> Submission:
    return record_submission(draft_submission(name, submission, **more), ledger)


def test_what_is_recorded_comes_back_with_later_scores(submission: Path, ledger: Path) -> None:
    first = record("a", submission, public=0.91, message='with "quotes",\nlines, and ü', ledger=ledger)
    record("b", submission, cv=0.95, ledger=ledger)
    assert first.submission_sha256 == hashlib.sha256(submission.read_bytes()).hexdigest()
    assert record_scores("a", private=0.89, ledger=ledger).private == 0.89
    record_scores("a", public=0.92, ledger=ledger)  # a correction
    a, b = course(ledger)
    assert (a.name, a.public, a.private, a.cv, a.message) == ("a", 0.92, 0.89, None, first.message)
    assert (b.name, b.public, b.cv) == ("b", None, 0.95)
    assert len(ledger.read_text().splitlines()) == 4  # nothing was written over
    assert course(ledger.parent / "absent.jsonl") == []


def test_a_blend_gives_rules_fingerprint_and_cv_score(strip_root: Path, submission: Path, ledger: Path) -> None:
    folder = make_evidence(submission.parent / "blend", strip_root, folds=2)
    made = record("a", submission, blend=folder, ledger=ledger)
    assert made.cv == pytest.approx(pd.read_csv(folder / "pairs.csv")["dice"].mean())
    assert made.rules_sha256 == hashlib.sha256((folder / "rules.json").read_bytes()).hexdigest()
    assert made.blend_sha256 == fingerprint_evidence(Evidence(folder))
    (folder / "rules.json").write_text((folder / "rules.json").read_text() + " ")
    other = record("b", submission, blend=folder, rules=submission, cv=0.5, ledger=ledger)
    assert other.blend_sha256 != made.blend_sha256
    assert (other.cv, other.rules) == (0.5, str(submission))


def test_the_commit_and_whether_files_differ_from_it(
    submission: Path, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder in (outside, inside):
        folder.mkdir()
    monkeypatch.chdir(outside)
    assert record("outside", submission, ledger=ledger).commit is None

    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *who, *words], cwd=inside, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (inside / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    monkeypatch.chdir(inside)
    clean = record("clean", submission, ledger=ledger)
    assert (clean.commit, clean.uncommitted_changes) == (git("rev-parse", "HEAD").strip(), False)
    (inside / "file").write_text("2")
    assert record("changed", submission, ledger=ledger).uncommitted_changes is True


def test_a_name_is_used_once_and_must_be_known_to_get_scores(submission: Path, ledger: Path) -> None:
    record("a", submission, ledger=ledger)
    before = ledger.read_bytes()
    with pytest.raises(InputError, match="has a submission a already"):
        record("a", submission, ledger=ledger)
    with pytest.raises(InputError, match="no submission b; it has a"):
        record_scores("b", public=0.5, ledger=ledger)
    with pytest.raises(InputError, match="no score to record"):
        record_scores("a", ledger=ledger)
    for score in (91.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="between 0 and 1"):
            record_scores("a", public=score, ledger=ledger)
    with pytest.raises(InputError, match="there is no file"):
        record("c", submission.parent / "absent.csv", ledger=ledger)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"record": "subm\n', "line 2 is damaged"),
        (b"[1, 2]\n", "line 2 is damaged: it is not a JSON object"),
        (b"\n", "line 2 is damaged"),
        (b"\xff\xfe\n", "line 2 is damaged"),
        (b'{"record": "scores", "name": "a", "public": 0.5}', "line 2 is damaged: it has no end"),
        (b'{"record": "scores", "name": "nobody", "public": 0.5}\n', "line 2 has scores of nobody, but no line above"),
        (b'{"record": "scores", "name": "a", "publik": 0.5}\n', "line 2 is damaged: `publik` is unknown here; mend or"),
        (b'{"record": "submission", "name": "b"}\n', "line 2 is damaged: it lacks `time`"),
        (b'{"record": "scores", "name": "a", "public": "0.5"}\n', "line 2 is damaged: `public` is '0.5'"),
        (b'{"record": "scores", "name": "a", "public": 1.5}\n', "line 2 is damaged: `public` is 1.5"),
        (
            b'{"record": "scores", "name": "a", "version": 2}\n',
            "line 2 can't be read: another release of sever wrote it",
        ),
        (b'{"record": "note", "name": "a"}\n', "line 2 is not a record"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_added(line: bytes, said: str, submission: Path, ledger: Path) -> None:
    record("a", submission, ledger=ledger)
    with ledger.open("ab") as stream:
        stream.write(line)
    before = ledger.read_bytes()
    with pytest.raises(InputError, match=said):
        course(ledger)
    with pytest.raises(InputError, match=said):
        record("z", submission, ledger=ledger)
    assert ledger.read_bytes() == before


def test_many_who_add_at_once_lose_nothing(ledger: Path) -> None:
    """Every record holds how many were before it: with a gap in the lock, two would hold the same number."""

    def add(number: int) -> None:
        append_record(ledger, lambda before: {"number": number, "before": len(before), "long": "x" * 5000})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    records = read_ledger(ledger)
    assert [record["before"] for record in records] == list(range(40))
    assert {record["number"] for record in records} == set(range(40))


def test_processes_too_take_turns(submission: Path, ledger: Path) -> None:
    code = (
        "import runpy, sys; from pathlib import Path; add = runpy.run_path(sys.argv[1])['append_record']\n"
        "for number in range(20): add(Path(sys.argv[2]), lambda before: {'before': len(before)})"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(store.ledger.__file__), str(ledger)]) for _ in range(2)
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert [record["before"] for record in read_ledger(ledger)] == list(range(40))


@pytest.mark.parametrize(
    "words", [["show"], ["show", "--json"], ["draw", "-o", "x.png"], ["score", "a", "--public", 1]]
)
def test_a_leaderboard_that_is_not_there_is_no_empty_one(
    words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sever("leaderboard", *words, "--ledger", tmp_path / "MISSING.jsonl") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "MISSING.jsonl" in shown.err
    assert not list(tmp_path.iterdir())


def test_the_commands_add_score_show_and_draw(
    submission: Path, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--ledger", ledger]
    add = ["leaderboard", "add", "--submission", submission, *at]
    assert sever(*add, "--name", "first", "--cv", 0.95, "--public", 0.91) == 0
    assert sever(*add, "--name", "second", "--cv", 0.96, "-m", "the [gate]") == 0
    assert sever("leaderboard", "score", "second", "--public", 0.92, "--private", 0.90, *at) == 0
    capsys.readouterr()
    assert sever("leaderboard", "show", *at) == 0
    shown = capsys.readouterr().out
    assert "0.92000 *" in shown
    assert "0.91000 *" not in shown
    assert "the [gate]" in shown
    assert sever("leaderboard", "show", "--json", *at) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["public"], row["private"]) for row in printed] == [
        ("first", 0.91, None),
        ("second", 0.92, 0.90),
    ]
    assert sever("leaderboard", "draw", "-o", tmp_path / "course.png", *at) == 0
    picture = cv2.imread(str(tmp_path / "course.png"))
    assert picture is not None
    for colour in ((115, 158, 0), (178, 114, 0), (0, 94, 213)):  # BGR of cv, public, private
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum() > 30
    assert sever(*add, "--name", "first") == 2
    assert sever("leaderboard", "score", "third", "--public", 0.9, *at) == 2
    assert "no submission third" in capsys.readouterr().err


def test_there_is_nothing_to_draw_without_scores(submission: Path, ledger: Path, tmp_path: Path) -> None:
    record("a", submission, ledger=ledger)
    with pytest.raises(InputError, match="no score to draw"):
        draw(tmp_path / "course.png", ledger)
    assert not (tmp_path / "course.png").exists()
