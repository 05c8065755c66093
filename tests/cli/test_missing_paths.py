"""A path that does not exist: the whole path, and the near name, whichever command and option it was typed for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from command_line import sever
from run_maker import make_run

from sever.near_names import missing, near_entry

# What was typed, with a capital letter too many, and what of it does not exist.
TYPED = (
    ("train -c Mine.yml", "Mine.yml", "mine.yml"),
    ("train -c mine.yaml", "mine.yaml", "mine.yml"),
    ("train -c mine.yml --data Strip", "Strip", "strip"),
    ("train -r saved/Mine", "saved/Mine", "mine"),
    ("train --from Model.sever --data strip", "Model.sever", "model.sever"),
    ("config check -c Mine.yml", "Mine.yml", "mine.yml"),
    ("crossval -c Mine.yml", "Mine.yml", "mine.yml"),
    ("predict -r saved/mine --images Strip/test_images -o out", "Strip/test_images", "strip"),
    ("predict -r saved/mine --images strip/X.png -o out", "strip/X.png", "x.png"),
    ("predict -r Saved/mine --images strip -o out", "Saved/mine", "saved"),
    ("evaluate -r saved/Mine", "saved/Mine", "mine"),
    ("inspect Model.sever", "Model.sever", "model.sever"),
    ("verify model.svr --images strip", "model.svr", "model.sever"),
    ("blend -m saved/Mine -m saved/mine -o blend", "saved/Mine", "mine"),
    ("blend --recipe Recipe.yml -o blend", "Recipe.yml", "recipe.yml"),
    ("tune -r saved/Mine", "saved/Mine", "mine"),
    ("report saved/Mine", "saved/Mine", "mine"),
    ("select saved/Mine saved/mine", "saved/Mine", "mine"),
    ("gate -o gate.svg -r saved/Mine", "saved/Mine", "mine"),
    ("export saved/Mine -o new.sever", "saved/Mine", "mine"),
    ("upload -r saved/Mine", "saved/Mine", "mine"),
    ("kernel -r saved/Mine", "saved/Mine", "mine"),
    ("average -r saved/Mine", "saved/Mine", "mine"),
    ("import-2019 Old.pth", "Old.pth", "old.pth"),
    ("run Recipe.yml", "Recipe.yml", "recipe.yml"),
    ("plan Strip", "Strip", "strip"),
    ("data check Strip -o checked", "Strip", "strip"),
    ("data stats Strip -o page.html", "Strip", "strip"),
    ("data shift Strip strip -o shift", "Strip", "strip"),
    ("data convert Strip -o out --to coco", "Strip", "strip"),
    ("data convert strip -o out --to coco --predictions Saved -r saved/mine", "Saved/submission.csv", "saved"),
    ("data preview -c mine.yml --data Strip -o p.png", "Strip", "strip"),
    ("data doubts saved/Mine", "saved/Mine", "mine"),
    ("data next saved/mine --images Strip -o next", "Strip", "strip"),
    ("pseudo -r saved/mine --images Strip -o sure", "Strip", "strip"),
    ("submit out.csv --dry-run --sample Table.csv", "Table.csv", "table.csv"),
    ("leaderboard add --name x -s Table.csv", "Table.csv", "table.csv"),
    ("leaderboard import Table.csv", "Table.csv", "table.csv"),
    ("serve saved/mine --models Strip", "Strip", "strip"),
    ("serve saved/mine --config Mine.yml", "Mine.yml", "mine.yml"),
    ("serve saved/mine --tls-certificate Table.csv --tls-key table.csv", "Table.csv", "table.csv"),
    ("serve backup --store Strip -o store.tar", "Strip/sever.db", "strip"),
    ("serve restore Table.csv --store new", "Table.csv", "table.csv"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for name in ("mine.yml", "recipe.yml"):
        (folder / name).write_text("name: mine\ndata: {root: strip}\n")
    for name in ("model.sever", "old.pth", "table.csv"):
        (folder / name).write_text("x")
    (folder / "strip").mkdir()
    (folder / "strip" / "x.png").write_text("x")
    make_run(folder / "saved" / "mine" / "20260101-000000", folder / "strip")
    return folder


@pytest.mark.parametrize(("line", "path", "near"), TYPED, ids=[line for line, _, _ in TYPED])
def test_the_whole_path_and_the_near_name_are_shown(
    place: Path, line: str, path: str, near: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert sever(*shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert str(place / path) in error
    assert f"; {near} is there, which differs in " in error


def test_the_first_part_that_is_missing_is_compared(tmp_path: Path) -> None:
    (tmp_path / "Data" / "train").mkdir(parents=True)
    assert near_entry(tmp_path / "data" / "train" / "x.png") == "; Data is there, which differs in case"
    assert near_entry(tmp_path / "elsewhere" / "x.png") == ""


def test_what_exists_and_is_of_another_kind_is_not_called_missing(tmp_path: Path) -> None:
    assert missing(tmp_path, "file") == f"{tmp_path} is not a file"
