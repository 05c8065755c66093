"""`sever select` on folders of evidence: what it compares and refuses, what it prints and writes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from evidence_maker import make_evidence

from sever.cli.tables.selection import render_selection
from sever.data.stats import FEATURES, image_features
from sever.deliver import charts
from sever.errors import InputError
from sever.pipeline.select.candidates import read_candidates
from sever.pipeline.select.choose import SelectSettings, select_submissions
from sever.pipeline.select.image_features import clusters, likeness_to_test
from sever.pipeline.select.words import as_dict, reason


@pytest.fixture(scope="module")
def made(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of real evidence, whose score tables the tests replace."""
    return make_evidence(tmp_path_factory.mktemp("select") / "alpha", strip_root, folds=2)


@pytest.fixture
def folders(made: Path, tmp_path: Path) -> list[Path]:
    """alpha and beta fail on the same images, gamma on others: alpha and beta are the two best, and redundant."""
    noise = np.random.default_rng(0).normal(0, 0.01, (16, 3))
    odd = np.arange(16) % 2 == 1
    means = np.stack([np.where(odd, 0.4, 0.9), np.where(odd, 0.39, 0.89), np.where(odd, 0.85, 0.35)], axis=1) + noise
    return [write(made, tmp_path / name, means[:, at]) for at, name in enumerate(("alpha", "beta", "gamma"))]


def write(made: Path, folder: Path, dice_n: np.ndarray) -> Path:
    """A copy (without maps) whose image n scores dice_n[n] in each class."""
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("probs"))
    change(folder, lambda pairs: pairs.assign(dice=dice_n.repeat(len(pairs) // len(dice_n))))
    about = json.loads((folder / "evidence.json").read_text())
    (folder / "evidence.json").write_text(json.dumps(about | {"name": folder.name}))
    return folder


def change(folder: Path, how: object) -> None:
    pairs = pd.read_csv(folder / "pairs.csv")
    how(pairs).to_csv(folder / "pairs.csv", index=False)  # type: ignore[operator]
    (folder / ".sever-tables.json").unlink(missing_ok=True)  # on purpose


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


SMALL = SelectSettings(draws=200, clusters="groups", public_images=6, private_images=10)


def test_the_complement_is_chosen_and_the_reason_says_so(folders: list[Path]) -> None:
    selection = select_submissions(folders, SMALL)
    assert selection.pair == ("alpha", "gamma")
    assert "does well where alpha does not" in reason(selection)
    assert "public" not in reason(selection)  # none is known
    out_of_fold = [found["out_of_fold"] for found in as_dict(selection)["candidates"]]
    assert out_of_fold[0] > out_of_fold[1] > out_of_fold[2]


def test_the_order_of_rows_in_a_table_changes_nothing(folders: list[Path]) -> None:
    before = as_dict(select_submissions(folders, SMALL))
    change(folders[1], lambda pairs: pairs.sample(frac=1, random_state=1))
    assert as_dict(select_submissions(folders, SMALL)) == before


def test_a_difference_below_its_standard_error_counts_as_none(folders: list[Path], tmp_path: Path) -> None:
    public = csv(tmp_path / "public.csv", f"name,public\nalpha,0.6501\nbeta,0.65\n{folders[2]},0.5\n")
    selection = select_submissions(folders, SelectSettings(**vars(SMALL) | {"public": public}))
    found = {(each.one, each.other): each for each in selection.differences}
    assert found["alpha", "beta"].counts is False
    assert found["alpha", "beta"].public == pytest.approx(0.0001)
    lines = [line for line in render_selection(selection).splitlines() if "none: noise" in line]
    assert any("alpha" in line and "beta" in line for line in lines)
    assert "without the public scores" in reason(selection)
    scores = read_candidates(folders).scores_nm
    by_hand = (scores[:, 0] - scores[:, 1]).std(ddof=1) / 6**0.5
    assert found["alpha", "beta"].standard_error == pytest.approx(by_hand)
    assert select_submissions(folders, SMALL).differences[0].counts is None


def test_two_copies_differ_by_nothing(made: Path, tmp_path: Path) -> None:
    dice = np.linspace(0.2, 0.9, 16)
    twins = [write(made, tmp_path / name, dice) for name in ("one", "two")]
    public = csv(tmp_path / "public.csv", "name,public\none,0.9\ntwo,0.9\n")
    selection = select_submissions(twins, SelectSettings(**vars(SMALL) | {"public": public}))
    assert selection.differences[0].counts is False
    assert "nothing to speak of" in reason(selection)


def test_an_empty_public_score_is_an_unknown_one(folders: list[Path], tmp_path: Path) -> None:
    public = csv(tmp_path / "public.csv", "name,public\nalpha,\nbeta,0.65\n")
    known = select_submissions(folders, SelectSettings(**vars(SMALL) | {"public": public})).known_m
    np.testing.assert_array_equal(np.isnan(known), [True, False, True])


def test_without_the_images_only_what_looks_at_them_is_left_out(folders: list[Path], tmp_path: Path) -> None:
    for folder in folders:
        about = json.loads((folder / "evidence.json").read_text())
        about["data"]["root"] = str(tmp_path / "gone")
        (folder / "evidence.json").write_text(json.dumps(about))
    by_features = SelectSettings(**vars(SMALL) | {"clusters": "features"})
    selection = select_submissions(folders, by_features)
    assert set(selection.outlook.scenario_weights()) == {"none", "clean"}
    assert any("clusters is left out" in note and "gone" in note for note in selection.notes)
    with pytest.raises(InputError, match="gone"):  # asked for
        select_submissions(folders, SelectSettings(**vars(by_features) | {"scenarios": ("none", "clusters")}))


@pytest.mark.parametrize(
    ("name", "keep"), [("folds.csv", 0.5), ("rules.json", 0.5), ("folds.csv", 0), ("rules.json", 0)]
)
@pytest.mark.parametrize("images", ["there", "gone"])
def test_a_damaged_file_is_no_image_that_is_gone(
    images: str, name: str, keep: float, folders: list[Path], tmp_path: Path
) -> None:
    """The scenario of clusters is left out where images are not there, and for no other reason."""
    file = folders[0] / name
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    if images == "gone":
        for folder in folders:
            about = json.loads((folder / "evidence.json").read_text())
            about["data"]["root"] = str(tmp_path / "gone")
            (folder / "evidence.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=name):
        select_submissions(folders, SelectSettings(**vars(SMALL) | {"clusters": "features"}))


def test_tuned_candidates_are_named(folders: list[Path]) -> None:
    shutil.copy(folders[1] / "rules.json", folders[1] / "rules-before.json")
    assert any("slightly too good: beta." in note for note in select_submissions(folders, SMALL).notes)


@pytest.mark.parametrize("dice", ["text", "1.7", "-0.1"])
def test_scores_that_are_none(dice: str, folders: list[Path]) -> None:
    change(folders[1], lambda pairs: pairs.assign(dice=[dice, *pairs["dice"][1:]]))
    with pytest.raises(InputError, match=f"pairs.csv, column dice: row 2 has '{dice}'; .* have it written again"):
        select_submissions(folders, SMALL)


def test_the_command_prints_writes_and_repeats(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["select", *folders, "--draws", 100, "-o", tmp_path / "out", "--json"]
    assert sever(*command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "select.json").read_text())
    assert printed["chosen"] == ["alpha", "gamma"]
    assert set(printed["chosen_by_scenario"]) == {"none", "clusters", "clean"}
    assert (printed["public_images"], printed["private_images"]) == (5, 11)  # 0.327 of 16
    picture = cv2.imread(str(tmp_path / "out" / "clouds.png"))
    assert picture is not None
    for colour in ((0, 94, 213), (178, 114, 0)):  # BGR of the two chosen
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum() > 50
    assert sever(*command) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert sever(*command[:-1]) == 0
    assert "Choose alpha and gamma" in capsys.readouterr().out


def test_weights_by_hand_or_from_test_images_tilt_the_expectation(
    folders: list[Path], strip_root: Path, tmp_path: Path
) -> None:
    ids = read_candidates(folders).image_ids
    rows = "".join(f"{image_id},{9 if row % 2 else 1}\n" for row, image_id in enumerate(ids))
    weights = csv(tmp_path / "weights.csv", "image_id,weight\n" + rows)
    settings = vars(SMALL) | {"scenarios": ("weights",)}
    odd = select_submissions(folders, SelectSettings(**settings | {"weights": weights}))
    assert odd.choice.private[2].mean > odd.choice.private[0].mean + 0.2  # gamma is good at odd images
    seen = select_submissions(folders, SelectSettings(**settings | {"test_images": strip_root / "test_images"}))
    assert any("area under the curve" in note for note in seen.notes)


FAULTS = {
    "another image": lambda pairs: pairs.replace({"image_id": {pairs["image_id"][0]: "other.jpg"}}),
    "another class": lambda pairs: pairs[pairs["class_id"] != 4],
    "other labels": lambda pairs: pairs.assign(true_pixels=pairs["true_pixels"] + 1),
    "other groups": lambda pairs: pairs.assign(group="g"),
    "no scores": lambda pairs: pairs.assign(dice=np.nan),
    "a class twice": lambda pairs: pd.concat([pairs, pairs[:1]]),
    "no column": lambda pairs: pairs.drop(columns="dice"),
}
SAID = {
    "another image": "2 images are in one only",
    "another class": "their classes differ",
    "other labels": "different labels",
    "other groups": "group the images in different ways",
    "no scores": "column dice: row 2 is empty",
    "a class twice": "twice",
    "no column": "lacks the column dice",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_candidates_that_cannot_be_compared_are_refused(fault: str, folders: list[Path]) -> None:
    change(folders[1], FAULTS[fault])
    with pytest.raises(InputError, match=SAID[fault]):
        select_submissions(folders, SMALL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,score\nalpha,0.5\n", "lacks the column public"),
        ("name,public\ndelta,0.5\n", "delta, which is not a candidate"),
        ("name,public\nalpha,0.5\nalpha,0.6\n", "two scores for alpha"),
        ("name,public\nalpha,91.5\n", "from 0 to 1"),
        ("name,public\nalpha,high\n", "from 0 to 1"),
    ],
)
def test_public_scores_that_make_no_sense_are_told(
    content: str, said: str, folders: list[Path], tmp_path: Path
) -> None:
    public = csv(tmp_path / "public.csv", content)
    with pytest.raises(InputError, match=said):
        select_submissions(folders, SelectSettings(**vars(SMALL) | {"public": public}))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenarios", "none,storm"], "there is no scenario storm; there are none, weights, clusters, clean"),
        (["--scenarios", "weights"], "it needs weights of the images"),
        (["--clusters", "colour"], "features, groups"),
        (["--public-images", "5"], "give both"),
        (["--public-share", "1.2"], "below 1"),
        (["--public-share", "0.3", "--public-images", "5", "--private-images", "5"], "not both"),
        (["--drift", "-1"], "--drift"),
        (["--weights", "w.csv", "--test-images", "t"], "not both"),
        (["--weights", "absent.csv"], "absent.csv"),
    ],
)
def test_options_that_cannot_be_used_end_with_2(
    arguments: list[str], said: str, folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever("select", *folders, *arguments) == 2
    assert said in capsys.readouterr().err


def test_one_folder_twice_is_no_pair(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("select", folders[0], folders[0]) == 2
    assert "at least 2 different candidates" in capsys.readouterr().err
    assert sever("select", folders[0], folders[0].parent / "absent") == 2


def test_an_image_without_a_weight_is_told(folders: list[Path], tmp_path: Path) -> None:
    weights = csv(tmp_path / "weights.csv", f"image_id,weight\n{read_candidates(folders).image_ids[0]},1\n")
    with pytest.raises(InputError, match="no weight above 0 to 15 of 16 images"):
        select_submissions(folders, SelectSettings(**vars(SMALL) | {"weights": weights}))


def test_two_of_one_name_are_told_apart_by_their_folders(folders: list[Path]) -> None:
    about = json.loads((folders[1] / "evidence.json").read_text())
    (folders[1] / "evidence.json").write_text(json.dumps(about | {"name": "alpha"}))
    assert read_candidates(folders).names == ("alpha/alpha", "alpha/beta", "gamma")


def test_without_matplotlib_the_extra_is_named(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"sever\[charts\]"):
        charts.require_charts()
    assert sever("select", *folders, "-o", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    assert sever("select", *folders, "--draws", 20, "--clusters", "groups") == 0  # no picture is wanted


# ---- simple statistics of images


def test_features_say_what_they_are_called() -> None:
    image = np.full((40, 100), 128, np.uint8)
    image[:, :25] = 0  # a dark margin
    values = dict(zip(FEATURES, image_features(image), strict=True))
    assert values["dark_margin"] == pytest.approx(0.25)
    assert values["grey"] == pytest.approx(0.75 * 128 / 255)
    assert values["gradient_y"] == 0
    assert values["gradient_x"] == pytest.approx(128 / 255 / 99)
    assert dict(zip(FEATURES, image_features(np.zeros((5, 5), np.uint8)), strict=True))["dark_margin"] == 0


def test_weights_prefer_what_looks_like_the_test_images() -> None:
    generator = np.random.default_rng(0)
    train = generator.normal(0, 1, (400, 2))
    weights, area = likeness_to_test(train, generator.normal([1.0, 0], 1, (300, 2)))
    # The density ratio of two Gaussians a standard deviation apart is exp(x - 1/2).
    assert np.corrcoef(np.log(weights), train[:, 0])[0, 1] > 0.98
    assert np.average(train[:, 0], weights=weights) == pytest.approx(1, abs=0.25)
    assert area == pytest.approx(0.76, abs=0.05)
    _, same = likeness_to_test(train, generator.normal(0, 1, (300, 2)))
    assert same < 0.6


def test_images_of_a_kind_share_a_cluster() -> None:
    features = np.concatenate([np.zeros((10, 3)), np.ones((10, 3))]) + np.random.default_rng(0).normal(0, 0.01, (20, 3))
    found = clusters(features, 2)
    assert len(set(found[:10])) == len(set(found[10:])) == 1
    assert found[0] != found[10]
    assert len(set(clusters(np.zeros((5, 3)), 8))) == 1  # no more clusters than kinds
