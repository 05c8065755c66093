"""Wherever a name out of a file becomes a path, a nasty one is an error and nothing outside is touched."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import sever
from evidence_maker import make_evidence
from test_names import NASTY

from sever.data.listing import list_table, measure
from sever.deliver.kaggle.unpack import unpack
from sever.errors import InputError
from sever.files import write_json
from sever.store import Evidence, ProbabilityStore

MAP = np.zeros((1, 4, 4), np.uint8)
# An absolute path, a drive and `..` may stand in a blend's members only where they lead to a neighbour.
NO_MEMBER = [name for name in NASTY if name not in (".", "..", "../x", "./a", "a//b", "a/")]


def no_meter(*_: object) -> AbstractContextManager[Any]:
    return nullcontext(SimpleNamespace(advance=lambda: None))


def about(folder: Path, **values: object) -> Evidence:
    write_json(folder / "evidence.json", {"kind": "blend", "name": "x", "class_names": ["1"]} | values)
    return Evidence(folder)


USES: dict[str, Callable[[Path, str], object]] = {
    "a map is written": lambda folder, name: ProbabilityStore(folder).write(name, MAP),
    "a map is read": lambda folder, name: ProbabilityStore(folder).read(name, 1),
    "a map is looked for": lambda folder, name: name in ProbabilityStore(folder),
    "evidence writes a map": lambda folder, name: Evidence(folder).maps.write(name, MAP),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", [name for name in NASTY if name not in ("", ".", "..", "a/..", "a/")])
def test_image_ids(use: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="image id"):
        USES[use](folder, name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", NO_MEMBER)
def test_members_of_a_blend(name: str, tmp_path: Path) -> None:
    if "\udcff" in name:
        return  # JSON in UTF-8 can't hold it
    with pytest.raises(InputError, match="member"):
        about(tmp_path, members=[name]).members()


@pytest.mark.parametrize("fold", ["../../x", "0/../../x", "/../../etc", "0\n"])
def test_folds(fold: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fold"):
        Evidence(tmp_path).fold_folder(fold)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in NASTY if "\udcff" not in name and name not in ("a/", "./a")])
def test_members_of_an_archive(name: str, tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "deep" / "out"
    with zipfile.ZipFile(archive, "w") as file:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name.replace("\0", "\1")  # zipfile cuts names at a NUL when it writes
        file.writestr(entry, b"content")
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(archive, folder, no_meter)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_member_of_an_archive_without_a_name_though_it_has_one(tmp_path: Path) -> None:
    """zipfile cuts names at a NUL when it reads, so that nothing is left of this one."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Xname", b"content")
    archive.write_bytes(archive.read_bytes().replace(b"Xname", b"\0name"))
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(archive, tmp_path / "out", no_meter)


def test_ids_of_folds_csv_make_no_blend_write_outside(
    strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fault of the first round: an id that leads out of the folder, in both members."""
    members = [make_evidence(tmp_path / "m" / name, strip_root, seed) for seed, name in enumerate("ab")]
    for member in members:
        folds = Evidence(member).read_folds()
        folds.loc[0, "image_id"] = "../../../../outside/x"
        folds.to_csv(member / "folds.csv", index=False)
    (tmp_path / "outside").mkdir()
    code = sever("blend", "-m", members[0], "-m", members[1], "-o", tmp_path / "out" / "blend")
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_image_whose_name_results_can_not_take_is_a_fault_of_that_image(strip_root: Path, tmp_path: Path) -> None:
    source = min((strip_root / "test_images").iterdir()).read_bytes()
    for name in ("good.jpg", "back\\slash.jpg", "new\nline.jpg", "C:drive.jpg", "12:30.jpg"):
        (tmp_path / name).write_bytes(source)
    table, faults = measure(list_table(tmp_path))
    assert table.image_ids == ["12:30.jpg", "good.jpg"]
    assert [fault.image_id for fault in faults] == ["C:drive.jpg", "back\\slash.jpg", "new\nline.jpg"]
    assert all("\n" not in fault.reason for fault in faults)


def test_labels_csv_names_no_files(tmp_path: Path) -> None:
    """Ids there are looked up and never made into paths; a nasty one is simply of no image."""
    frame = pd.DataFrame({"image_id": ["../x"], "1": [0.5], "origin": ["a.b"]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    assert Evidence(tmp_path).labels.read(1).keys() == {"../x"}
    with pytest.raises(InputError, match="lacks 1 image,"):
        about(tmp_path).read_label_probs(["a.jpg"], 1)
