"""A table of ours that is not as it was written is an error: cut at every byte, changed, or of another folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evidence_maker import make_evidence

from sever.data.run_table import read_run_table
from sever.deliver.submission import write_submission
from sever.errors import InputError
from sever.seals import NOTES, TablesRecord, raise_if_short, read_sealed, sealed_path
from sever.store import Evidence, LabelStore
from sever.store.ledger import append_record, read_ledger

ROWS = "a,b\n1,2\n3,4\n5,6\n"


def write(path: Path, text: str = ROWS) -> Path:
    with sealed_path(path) as temporary:
        temporary.write_text(text)
    return path


def test_cut_at_any_byte_it_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv")
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        for read in (read_sealed, raise_if_short):
            with pytest.raises(
                InputError, match=r"t.csv is not as sever wrote it: .*delete its entry in .*tables.json"
            ):
                read(path)
    path.write_bytes(content)
    assert read_sealed(path) == content


def test_a_person_may_change_and_add_rows_but_not_lose_any(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv")
    path.write_text(ROWS.replace("4", "7") + "8,9\n")
    raise_if_short(path)
    with pytest.raises(InputError, match="its content has changed"):
        read_sealed(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="it has 1 of 3 rows"):
        raise_if_short(path)
    (tmp_path / NOTES).unlink()  # on purpose
    raise_if_short(path)
    assert read_sealed(path) == b"a,b\n1,2\n"


def test_a_kill_between_the_note_and_the_rename_leaves_both_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.csv")
    before = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return before(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            write(path, "a,b\n9,9\n")
    assert read_sealed(path) == ROWS.encode()
    write(path, "a,b\n9,9\n")
    assert read_sealed(path) == b"a,b\n9,9\n"
    path.write_text(ROWS)  # once the new one is there, the old one is wrong
    with pytest.raises(InputError, match="its content has changed"):
        read_sealed(path)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, len(content) - 1) + 1])


def test_every_table_of_evidence_tells_that_its_last_row_is_gone(tmp_path: Path, strip_root: Path) -> None:
    folder = make_evidence(tmp_path / "e", strip_root, gate=True)
    evidence = Evidence(folder)
    readers = {
        "folds.csv": evidence.read_folds,
        "pairs.csv": evidence.read_pairs,
        "labels.csv": lambda: LabelStore(folder).read(4),
    }
    for name, read in readers.items():
        read()
        cut(folder / name)
        with pytest.raises(InputError, match=f"{name} is not as sever wrote it"):
            read()


def test_a_submission_that_lost_its_last_defect_tells_it_too(tmp_path: Path) -> None:
    """In the separate form an image without rows is clean: nothing else would tell."""
    file = tmp_path / "submission.csv"
    write_submission(file, [("a.jpg", ("1 3", "")), ("b.jpg", ("", "5 2"))], "separate")
    assert len(read_run_table(file)) == 2
    cut(file)
    with pytest.raises(InputError, match="it has 1 of 2 rows"):
        read_run_table(file)
    shutil.copy(file, tmp_path / "mine.csv")  # a file of another name, or elsewhere, is a person's
    assert len(read_run_table(tmp_path / "mine.csv")) == 1


def test_labels_of_a_synthetic_data_set_are_a_persons_from_then_on(strip_root: Path) -> None:
    assert not (strip_root / NOTES).exists()


def test_a_ledger_that_lost_its_last_line_says_so(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for number in range(3):
        append_record(ledger, lambda _, number=number: {"number": number})  # type: ignore[misc]
    cut(ledger)
    with pytest.raises(InputError, match="has 2 of 3 records: the last ones were cut off"):
        read_ledger(ledger)
    with ledger.open("a") as file:
        file.write('{"number": 2}\n{"number": 3}\n')  # a person may add
    assert len(read_ledger(ledger)) == 4
    assert not list(tmp_path.glob(".*.lock"))


def test_damage_within_a_table_is_told_where_it_is(tmp_path: Path, strip_root: Path) -> None:
    folder = make_evidence(tmp_path / "e", strip_root)
    (folder / NOTES).unlink()  # written before tables had seals
    evidence = Evidence(folder)
    pairs = evidence.read_pairs()
    assert pairs["gate_prob"].isna().all()
    assert pairs["true_pixels"].dtype == np.int64
    for change, said in [
        ({"dice": 1.5}, "column dice: row 2 has '1.5'"),
        ({"dice": np.nan}, "column dice: row 2 is empty"),
        ({"class_id": 1}, "appears twice"),
        ({"true_pixels": 0.5}, "column true_pixels: row 2 has '0.5'"),
        ({"fold": "x"}, "column fold: row 2 has 'x'"),
        ({"max_prob": "inf"}, "column max_prob: row 2 has 'inf'"),
        ({"true_pixels": 10**400}, "column true_pixels: row 2 has '1000"),
        ({"dice": True}, "column dice: row 2 has 'True'"),
    ]:
        pairs.assign(**change).to_csv(evidence.pairs_file, index=False)
        with pytest.raises(InputError, match=said):
            evidence.read_pairs()
    pd.DataFrame({"image_id": ["a"]}).to_csv(evidence.pairs_file, index=False)
    with pytest.raises(InputError, match="lacks the column group, fold"):
        evidence.read_pairs()


def test_a_table_written_by_way_of_two_temporary_names_is_noted_once(tmp_path: Path) -> None:
    with sealed_path(tmp_path / "table.csv") as outer, sealed_path(outer) as inner:
        inner.write_text("a\n1\n")
    assert list(TablesRecord.read(tmp_path / NOTES).tables) == ["table.csv"]
    assert read_sealed(tmp_path / "table.csv") == b"a\n1\n"
