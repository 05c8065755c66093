"""Submissions: checked before they cost anything, sent once by the real client, scored, and recorded."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from kaggle_server import KEY, SECRETS, USER, Fault, Naps, World

from sever import cli
from sever.deliver.kaggle.check import check_submission
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.submit import KernelVersion
from sever.errors import InputError
from sever.pipeline.leaderboard import course
from sever.pipeline.submit import Entry, check_file, submit

COMBINED, SEPARATE = "ImageId_ClassId,EncodedPixels", "ImageId,ClassId,EncodedPixels"
SAMPLE = [COMBINED, "a.jpg_1,1 1", "a.jpg_2,1 1", "b.jpg_1,1 1", "b.jpg_2,1 1"]
GOOD = [COMBINED, "a.jpg_1,1 3 7 2", "a.jpg_2,4 3", "b.jpg_1,", "b.jpg_2,"]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return write(tmp_path / "sample_submission.csv", SAMPLE)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path / "submission.csv", GOOD)


def test_a_good_file(good: Path, sample: Path) -> None:
    checked = check_submission(good, sample, {"a.jpg": 8, "b.jpg": 8})
    assert (checked.images, checked.rows, checked.defective_pairs) == (2, 4, 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (GOOD[:-1], r"1 rows too few, by sample_submission.csv: b.jpg_2"),
        ([*GOOD, "c.jpg_1,"], r"1 rows that sample_submission.csv doesn't have: c.jpg_1"),
        ([*GOOD, "b.jpg_3,"], "doesn't have: b.jpg_3"),
        ([GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]], "another order: line 2 is a.jpg_2, not a.jpg_1"),
        ([*GOOD, "a.jpg_1,"], "was in row 2 already"),
        ([*GOOD[:3], "b.jpg_1,8 2", "b.jpg_2,"], "wrong run lengths"),  # ends at 9 of 8 pixels
        ([*GOOD[:3], "b.jpg_1,0 2", "b.jpg_2,"], "wrong run lengths"),
        ([*GOOD[:3], "b.jpg_1,1", "b.jpg_2,"], "wrong run lengths"),
        ([*GOOD[:3], "b.jpg_1,1 2 2 2", "b.jpg_2,"], "wrong run lengths"),  # overlaps itself
        ([GOOD[0], "a.jpg_1,1 3", "a.jpg_2,3 2", *GOOD[3:]], "a.jpg: classes 1 and 2 at pixel 3"),
        ([GOOD[0], "a.jpg_1,5 1", "a.jpg_2,1 7", *GOOD[3:]], "a.jpg: classes 2 and 1 at pixel 5"),
        ([SEPARATE, "a.jpg,1,1 3"], "predict with --form combined"),
        ([COMBINED], "4 rows too few"),
    ],
)
def test_a_bad_file(lines: list[str], said: str, sample: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        check_submission(write(tmp_path / "bad.csv", lines), sample, {"a.jpg": 8, "b.jpg": 8})


def test_runs_that_touch_do_not_overlap(sample: Path, tmp_path: Path) -> None:
    touching = write(tmp_path / "s.csv", [COMBINED, "a.jpg_1,1 3", "a.jpg_2,4 5", "b.jpg_1,", "b.jpg_2,"])
    check_submission(touching, sample, {"a.jpg": 8, "b.jpg": 8})


def test_a_competition_that_allows_overlaps(sample: Path, tmp_path: Path) -> None:
    both = write(tmp_path / "s.csv", [GOOD[0], "a.jpg_1,1 3", "a.jpg_2,3 2", *GOOD[3:]])
    check_submission(both, sample, None, overlap_allowed=True)
    with pytest.raises(InputError, match="classes overlap"):
        check_submission(both, sample)


def test_the_separate_form_names_defects_only(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", [SEPARATE, "a.jpg,1,1 1", "b.jpg,1,1 1"])  # one class: a placeholder
    given = write(tmp_path / "s.csv", [SEPARATE, "b.jpg,4,1 3"])
    assert check_submission(given, sample, {"b.jpg": 8}).defective_pairs == 1
    with pytest.raises(InputError, match=r"images that sample\.csv doesn't have: c\.jpg"):
        check_submission(write(tmp_path / "t.csv", [SEPARATE, "c.jpg,4,1 3"]), sample)
    with pytest.raises(InputError, match="predict with --form separate"):
        check_submission(write(tmp_path / "u.csv", GOOD), sample)


def test_sizes_come_from_the_test_images(strip_root: Path, tmp_path: Path) -> None:
    """64x192 images: pixel 12,288 is the last."""
    images = sorted(path.name for path in (strip_root / "test_images").iterdir())
    rows = [f"{image}_{number}," for image in images for number in range(1, 5)]
    write(tmp_path / "sample.csv", [COMBINED, *rows])
    for runs, is_good in (("12288 1", True), ("12288 2", False)):
        file = write(tmp_path / "s.csv", [COMBINED, rows[0] + runs, *rows[1:]])
        if is_good:
            check_file(file, "any", tmp_path / "sample.csv", strip_root, False)
        else:
            with pytest.raises(InputError, match="wrong run lengths"):
                check_file(file, "any", tmp_path / "sample.csv", strip_root, False)


def test_without_a_sample_nothing_is_good(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="give --sample, or `sever download` it"):
        check_file(good, "steel", None, None, False)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "leaderboard.jsonl"


def test_a_file_is_sent_scored_and_recorded(
    world: World, patience: Patience, naps: Naps, good: Path, ledger: Path
) -> None:
    world.scores = [{"status": "PENDING"}, {"status": "PENDING"}]
    world.scores += [{"status": "COMPLETE", "publicScore": "0.91817", "privateScore": "0.90274"}]
    done = submit(Entry(good, "steel", "gated", "with a gate"), 10, ledger, patience)
    assert str(done) == "gated: submission 1001, complete, public 0.91817, private 0.90274"
    (sent,) = world.submissions
    assert (sent["competitionName"], sent["submissionDescription"]) == ("steel", "with a gate")
    assert world.uploads[sent["blobFileTokens"]].content == good.read_bytes()
    assert naps.slept == [15.0, 15.0]
    (kept,) = course(ledger)
    assert (kept.name, kept.public, kept.private, kept.message) == (
        "gated",
        0.91817,
        0.90274,
        "with a gate [steel 1001]",
    )


def test_a_kernels_output_for_a_code_competition(world: World, patience: Patience, good: Path, ledger: Path) -> None:
    kernel = KernelVersion.parse(f"{USER}/sever-predict-tiny/3")
    submit(Entry(good, "steel", "gated", "m", kernel), 10, ledger, patience)
    (sent,) = world.submissions
    assert (sent["kernelOwner"], sent["kernelSlug"], sent["kernelVersion"]) == (USER, "sever-predict-tiny", 3)
    assert sent["fileName"] == "submission.csv"
    assert world.uploads == {}


@pytest.mark.parametrize("text", ["a/b", "a/b/c", "a/b/1/2", "//1"])
def test_kernels_need_their_version(text: str) -> None:
    with pytest.raises(InputError, match="OWNER/NAME/VERSION"):
        KernelVersion.parse(text)


def test_what_is_with_kaggle_is_recorded_whatever_comes(
    world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    world.scores = [{"status": "PENDING"}]
    assert submit(Entry(good, "steel", "slow"), 1, ledger, patience).score.pending
    world.scores = [{"status": "ERROR", "errorDescription": "Submission Format Error"}]
    with pytest.raises(InputError, match="could not score submission 1002: Submission Format Error"):
        submit(Entry(good, "steel", "bad"), 1, ledger, patience)
    assert [(kept.name, kept.public) for kept in course(ledger)] == [("slow", None), ("bad", None)]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("CreateSubmission", 500), "may have arrived all the same"),
        (Fault("CreateSubmission", cut=0), "may have arrived all the same"),
        (Fault("CreateSubmission", 400, message="Daily limit reached"), "Kaggle says: Daily limit reached"),
        (Fault("StartSubmissionUpload", 403), "has not accepted the rules of steel"),
        (Fault("StartSubmissionUpload", 401), "does not accept these credentials"),
        (Fault("PUT submission.csv", cut=0, times=99), "cut or refused, again and again"),
    ],
)
def test_it_is_never_sent_twice(
    fault: Fault, said: str, world: World, patience: Patience, good: Path, ledger: Path, silent: io.StringIO
) -> None:
    world.faults.append(fault)
    with pytest.raises(InputError, match=said) as caught:
        submit(Entry(good, "steel", "gated"), 10, ledger, patience)
    assert world.count("CreateSubmission") <= 1
    assert not ledger.exists()
    assert not any(secret in silent.getvalue() + str(caught.value) for secret in SECRETS)


def test_a_cut_upload_arrives_whole(world: World, patience: Patience, good: Path, ledger: Path) -> None:
    world.faults += [Fault("PUT submission.csv", cut=10), Fault("CreateSubmission", 429, headers={"Retry-After": "3"})]
    submit(Entry(good, "steel", "gated"), 10, ledger, patience)
    (sent,) = world.submissions
    assert world.uploads[sent["blobFileTokens"]].content == good.read_bytes()


def test_the_command(
    world: World,
    good: Path,
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    def type_in(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sever", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        assert KEY not in shown.out + shown.err
        return int(stop.value.code or 0), shown.out + shown.err

    code, shown = type_in("submit", good, "--sample", sample, "--dry-run")
    assert (code, world.log) == (0, [])
    assert "good, 2 images, 4 rows, 2 with a defect" in shown
    code, shown = type_in("submit", good, "--sample", sample, "--name", "first", "-m", "try")
    assert code == 0
    assert "first: submission 1001, complete, public 0.91817" in shown
    bad = write(tmp_path / "bad.csv", GOOD[:-1])
    code, shown = type_in("submit", bad, "--sample", sample)
    assert code == 2
    assert "rows too few" in shown
    assert len(world.submissions) == 1
    assert course(tmp_path / "saved" / "leaderboard.jsonl")[0].public == 0.91817
