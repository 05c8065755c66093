"""Submissions: checked before they cost anything, sent once by the real client, scored, and recorded."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from kaggle_server import KEY, SECRETS, USER, Fault, Naps, World

from sever import cli
from sever.deliver.kaggle.check import check_submission
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.submit import KernelVersion
from sever.deliver.submission import read_submission
from sever.errors import InputError
from sever.pipeline.kaggle.submit import SubmissionEntry, check_file, fetch_scores, submit
from sever.pipeline.leaderboard import course, draft_submission, record_submission
from sever.store.ledger import read_ledger

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
        (GOOD[:-1], r"1 row too few, by sample_submission.csv: b.jpg_2"),
        ([*GOOD, "c.jpg_1,"], r"1 row that sample_submission.csv doesn't have: c.jpg_1"),
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


UNPLAIN = [
    (
        ["," + GOOD[0], *(f"{at},{line}" for at, line in enumerate(GOOD[1:]))],
        "columns ,ImageId_ClassId,Enc.* '' is not",
    ),
    ([GOOD[0] + ",Unnamed: 0", *(f"{line},1" for line in GOOD[1:])], "so 'Unnamed: 0' is not allowed .pandas"),
    (["\ufeff" + GOOD[0], *GOOD[1:]], "begins with a byte order mark"),
    ([GOOD[0].replace(",", ", "), *GOOD[1:]], "has the columns ImageId_ClassId, EncodedPixels, but"),
    ([*GOOD[:3], "", *GOOD[3:]], "row 4: the line is blank"),
    ([*GOOD[:3], "b.jpg_1", GOOD[4]], "row 4: there are 1 cells for 2 columns"),
    ([GOOD[0], "a.jpg_1, 1 3", *GOOD[2:]], "row 2: ' 1 3' has spaces"),
    ([GOOD[0], "a.jpg_1,1  3", *GOOD[2:]], "row 2: '1  3' has spaces"),
    ([GOOD[0], "a.jpg_1.0,1 3", *GOOD[2:]], "row 2: the class is written '1.0'"),
]


@pytest.mark.parametrize(("lines", "said"), UNPLAIN)
def test_what_our_reader_takes_and_kaggle_refuses(lines: list[str], said: str, sample: Path, tmp_path: Path) -> None:
    given = write(tmp_path / "bad.csv", lines)
    assert read_submission(given, ["a.jpg", "b.jpg"], 2)["a.jpg"][0].startswith("1 3")
    with pytest.raises(InputError, match=said):
        check_submission(given, sample)


def test_a_cell_may_be_long(sample: Path, tmp_path: Path) -> None:
    runs = " ".join(f"{start} 1" for start in range(1, 60001, 2))
    check_submission(
        write(tmp_path / "s.csv", [GOOD[0], f"a.jpg_1,{runs}", *GOOD[2:-2], *GOOD[3:]]), sample, None, True
    )


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
    with pytest.raises(InputError, match=r"image that sample\.csv doesn't have: c\.jpg"):
        check_submission(write(tmp_path / "t.csv", [SEPARATE, "c.jpg,4,1 3"]), sample)
    with pytest.raises(InputError, match="predict with --form separate"):
        check_submission(write(tmp_path / "u.csv", GOOD), sample)


def test_a_sample_that_names_several_classes_names_all(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", [SEPARATE, "a.jpg,1,1 1", "b.jpg,2,1 1"])
    check_submission(write(tmp_path / "s.csv", [SEPARATE, "b.jpg,1,1 3"]), sample)
    with pytest.raises(InputError, match=r"1 row of a class that sample\.csv doesn't have: b\.jpg_3"):
        check_submission(write(tmp_path / "t.csv", [SEPARATE, "b.jpg,3,1 3"]), sample)


def test_the_competitions_own_sample_names_class_0(tmp_path: Path) -> None:
    """As 2019's data has it today: one row an image, the whole of it, of a class that does not exist."""
    sample = write(tmp_path / "sample.csv", ["ImageId,EncodedPixels,ClassId", "a.jpg,1 409600,0", "b.jpg,1 409600,0"])
    given = write(tmp_path / "s.csv", [SEPARATE, "b.jpg,4,1 3"])
    checked = check_submission(given, sample, {"a.jpg": 8, "b.jpg": 8}, num_classes=4)
    assert (checked.images, checked.rows, checked.defective_pairs) == (2, 1, 1)
    for rows, said in [
        (["b.jpg,5,1 3"], r"wrong class: row 2, image b.jpg: class 5 is out of range.*1..4"),
        (["b.jpg,0,1 3"], "row that can't be read: row 2, image b.jpg: class 0 is out of range"),
        (["b.jpg,2,1 3", "b.jpg,2,5 1"], "class 2 of this image was in row 2 already"),
        (["b.jpg,4,7 3"], "wrong run lengths"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            check_submission(
                write(tmp_path / "t.csv", [SEPARATE, *rows]), sample, {"a.jpg": 8, "b.jpg": 8}, num_classes=4
            )
        assert "skip-bad" not in str(caught.value)


def test_classes_come_from_the_labels(strip_root: Path, tmp_path: Path) -> None:
    image = min(path.name for path in (strip_root / "test_images").iterdir())
    sample = write(tmp_path / "sample.csv", [SEPARATE, f"{image},0,1 1"])
    check_file(write(tmp_path / "s.csv", [SEPARATE, f"{image},4,1 3"]), "any", sample, strip_root, False)
    with pytest.raises(InputError, match="of a wrong class"):
        check_file(write(tmp_path / "s.csv", [SEPARATE, f"{image},5,1 3"]), "any", sample, strip_root, False)


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
    done = submit(SubmissionEntry(good, "steel", "gated", "with a gate"), 10, ledger, patience)
    assert str(done) == "gated: submission 1001, complete, public 0.91817, private 0.90274"
    (sent,) = world.submissions
    assert (sent["competitionName"], sent["submissionDescription"]) == ("steel", "with a gate")
    assert world.uploads[sent["blobFileTokens"]].content == good.read_bytes()
    assert naps.slept == [15.0, 15.0]
    (kept,) = course(ledger)
    assert (kept.name, kept.public, kept.private) == ("gated", 0.91817, 0.90274)
    assert (kept.message, kept.reference) == ("with a gate", "steel/1001")


def test_a_kernels_output_for_a_code_competition(world: World, patience: Patience, good: Path, ledger: Path) -> None:
    kernel = KernelVersion.parse(f"{USER}/sever-predict-tiny/3")
    submit(SubmissionEntry(good, "steel", "gated", "m", kernel), 10, ledger, patience)
    (sent,) = world.submissions
    assert (sent["kernelOwner"], sent["kernelSlug"], sent["kernelVersion"]) == (USER, "sever-predict-tiny", 3)
    assert sent["fileName"] == "submission.csv"
    assert world.uploads == {}


class Stopped(BaseException):
    """As Ctrl-C."""


def test_an_interrupted_wait_is_gone_on_with_and_nothing_is_sent_again(
    world: World, patience: Patience, naps: Naps, good: Path, ledger: Path
) -> None:
    world.scores = [{"status": "PENDING"}, {"status": "COMPLETE", "publicScore": "0.91"}]

    def stop(seconds: float) -> None:
        raise Stopped

    entry = SubmissionEntry(good, "steel", "gated")
    with pytest.raises(Stopped):
        submit(entry, 10, ledger, Patience(sleep=stop, clock=naps.clock))
    assert submit(entry, 10, ledger, patience).score.public == 0.91
    assert len(world.submissions) == 1
    good.write_text(good.read_text() + "\n")
    with pytest.raises(InputError, match="has a submission gated already; take another name"):  # another file
        submit(entry, 10, ledger, patience)
    assert len(world.submissions) == 1


def stopped_before_it_was_recorded(entry: SubmissionEntry, ledger: Path, patience: Patience) -> None:
    """As by a kill between Kaggle's answer and the ledger's line."""

    def stop(*arguments: object, **options: object) -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sever.pipeline.kaggle.submit.record_submission", stop)
        with pytest.raises(Stopped):
            submit(entry, 10, ledger, patience)


@pytest.mark.parametrize("name", ["gated", None])
@pytest.mark.parametrize("kernel", [None, KernelVersion(USER, "sever-predict-tiny", 3)])
def test_what_was_sent_and_never_recorded_is_found_at_kaggle(
    name: str | None, kernel: KernelVersion | None, world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    """Among others: of before, of another member of the team, of another message, of a later page."""
    other = {"competitionName": "steel", "fileName": "submission.csv", "submissionDescription": "m"}
    world.submissions += [dict(other), dict(other)]
    entry = SubmissionEntry(good, "steel", name, "m", kernel)
    stopped_before_it_was_recorded(entry, ledger, patience)
    assert course(ledger) == []
    world.submissions += [other | {"submittedBy": "smith"}, other | {"submissionDescription": "n"}, dict(other)]
    done = submit(entry, 10, ledger, patience)
    assert (done.score.ref, done.score.public, len(world.submissions)) == (1003, 0.91817, 6)
    (made,) = course(ledger)
    assert (made.reference, made.public, name in (None, made.name)) == ("steel/1003", 0.91817, True)
    assert submit(entry, 10, ledger, patience).score.ref == 1003
    assert (len(world.submissions), world.count("ListSubmissions")) == (6, 4)  # nothing is open: nobody asks
    submit(SubmissionEntry(good, "steel", "on purpose", "m", kernel), 10, ledger, patience)
    assert len(world.submissions) == 7


def test_what_was_announced_and_never_arrived_is_sent(
    world: World, patience: Patience, naps: Naps, good: Path, ledger: Path
) -> None:
    world.faults.append(Fault("CreateSubmission", 400, message="Daily limit reached"))
    entry = SubmissionEntry(good, "steel", "gated")
    with pytest.raises(InputError, match="Daily limit"):
        submit(entry, 10, ledger, patience)
    assert submit(entry, 10, ledger, patience).score.ref == 1001
    assert (naps.slept, len(world.submissions), len(course(ledger))) == ([15.0], 1, 1)
    assert [line["record"] for line in read_ledger(ledger)] == ["sending", "unsent", "sending", "submission", "scores"]


def test_a_name_whose_other_file_reached_kaggle_is_taken(
    world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    stopped_before_it_was_recorded(SubmissionEntry(good, "steel", "gated"), ledger, patience)
    good.write_text(good.read_text() + "\n")
    with pytest.raises(InputError, match="has a submission gated already; take another name"):
        submit(SubmissionEntry(good, "steel", "gated"), 10, ledger, patience)
    assert (len(world.submissions), [made.reference for made in course(ledger)]) == (1, ["steel/1001"])
    # Another competition asks for nothing that was sent to this one.
    submit(SubmissionEntry(good, "houses"), 10, ledger, patience)
    assert len(world.submissions) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "needs a name"),
        ({"name": "taken"}, "has a submission taken already"),
        ({"blend": Path("nowhere")}, "nowhere"),
        ({"ledger": Path("/dev/null/ledger.jsonl")}, "can't be written to"),
    ],
)
def test_what_can_not_be_recorded_is_not_sent(
    changes: dict[str, Any], said: str, world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    record_submission(draft_submission("taken", good), ledger)  # by `sever leaderboard add`, not by `submit`
    where = changes.pop("ledger", ledger)
    entry = SubmissionEntry(**{"file": good, "competition": "steel", "name": "new"} | changes)
    with pytest.raises(InputError, match=said):
        submit(entry, 10, where, patience)
    assert world.submissions == []


def test_late_and_private_scores_are_fetched(
    world: World, patience: Patience, good: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.scores = [{"status": "PENDING"}]
    submit(SubmissionEntry(good, "steel", "slow"), 0, ledger, patience)
    record_submission(draft_submission("typed in", good, public=0.5), ledger)
    assert fetch_scores(ledger=ledger, patience=patience)[0].public is None
    assert "slow: no score yet" in capsys.readouterr().err
    world.scores = [{"status": "COMPLETE", "publicScore": "0.91817", "privateScore": "0.90274"}]
    slow, typed_in = fetch_scores(ledger=ledger, patience=patience)
    assert (slow.public, slow.private, typed_in.public) == (0.91817, 0.90274, 0.5)
    asked = world.count("GetSubmission")
    fetch_scores(ledger=ledger, patience=patience)  # all are known
    assert world.count("GetSubmission") == asked
    fetch_scores(["slow"], ledger, patience)  # but may be asked for again
    assert world.count("GetSubmission") == asked + 1
    with pytest.raises(InputError, match="no submission typed in that `sever submit` sent; it has slow"):
        fetch_scores(["typed in"], ledger, patience)


@pytest.mark.parametrize("names", [[], ["gated"]])
def test_what_was_sent_and_never_recorded_is_fetched(
    names: list[str], world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    stopped_before_it_was_recorded(SubmissionEntry(good, "steel", "gated", "m"), ledger, patience)
    assert course(ledger) == []
    (made,) = fetch_scores(names, ledger, patience)
    assert (made.name, made.reference, made.public) == ("gated", "steel/1001", 0.91817)
    assert len(world.submissions) == 1
    asked = world.count("ListSubmissions")
    fetch_scores(names, ledger, patience)
    assert world.count("ListSubmissions") == asked, "nothing is open any more"


def test_what_never_arrived_is_not_fetched(world: World, patience: Patience, good: Path, ledger: Path) -> None:
    stopped_before_it_was_recorded(SubmissionEntry(good, "steel", "gated", "m"), ledger, patience)
    world.submissions.clear()
    with pytest.raises(InputError, match="no submission gated that `sever submit` sent; it has none"):
        fetch_scores(["gated"], ledger, patience)
    assert [line["record"] for line in read_ledger(ledger)] == ["sending", "unsent"]


def test_a_score_of_another_kind_is_told_and_not_kept(
    world: World, patience: Patience, good: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.scores = [{"status": "COMPLETE", "publicScore": "12.5"}]
    assert submit(SubmissionEntry(good, "houses", "one"), 1, ledger, patience).score.public == 12.5
    assert "one scores 12.5, which is not a mean Dice" in capsys.readouterr().err
    assert course(ledger)[0].public is None


@pytest.mark.parametrize("text", ["a/b", "a/b/c", "a/b/1/2", "//1"])
def test_kernels_need_their_version(text: str) -> None:
    with pytest.raises(InputError, match="OWNER/NAME/VERSION"):
        KernelVersion.parse(text)


def test_what_is_with_kaggle_is_recorded_whatever_comes(
    world: World, patience: Patience, good: Path, ledger: Path
) -> None:
    world.scores = [{"status": "PENDING"}]
    assert submit(SubmissionEntry(good, "steel", "slow"), 1, ledger, patience).score.pending
    world.scores = [{"status": "ERROR", "errorDescription": "Submission Format Error"}]
    with pytest.raises(InputError, match="could not score submission 1002: Submission Format Error"):
        submit(SubmissionEntry(good, "steel", "bad"), 1, ledger, patience)
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
        submit(SubmissionEntry(good, "steel", "gated"), 10, ledger, patience)
    assert world.count("CreateSubmission") <= 1
    assert course(ledger) == []
    assert not any(secret in silent.getvalue() + str(caught.value) for secret in SECRETS)


def test_a_cut_upload_arrives_whole(world: World, patience: Patience, good: Path, ledger: Path) -> None:
    world.faults += [Fault("PUT submission.csv", cut=10), Fault("CreateSubmission", 429, headers={"Retry-After": "3"})]
    submit(SubmissionEntry(good, "steel", "gated"), 10, ledger, patience)
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
    assert "1 row too few" in shown
    assert len(world.submissions) == 1
    assert course(tmp_path / "saved" / "leaderboard.jsonl")[0].public == 0.91817
