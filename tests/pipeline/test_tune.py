"""`sever tune` on evidence with planted truths: gains, no gains, losses, what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import sever
from evidence_maker import make_evidence, rewrite

from sever.config import RuleSettings
from sever.data.synthetic import SynthSettings, write_dataset
from sever.decide.rules import resolve_rules
from sever.pipeline.evidence import open_evidence, score_table, write_score_table
from sever.pipeline.tune import TuneOptions, as_settings, tune_candidate
from sever.store import Evidence

SURE, CLEAN = 230, 20
CLASSES = 4
DEFAULT = RuleSettings(min_pixels=(0,) * CLASSES, overlap="allow")

# What a planted model does to the maps (C, H, W) of one image, given its fold and true masks.
Plant = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], None]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SynthSettings(train=36, test=1, height=64, width=96, frequencies="balanced", seed=3, workers=1)
    return write_dataset(tmp_path_factory.mktemp("strip") / "data", settings)


@pytest.fixture
def candidate(data_root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a candidate whose maps are the truth, but for what is planted."""

    def make(plant: Plant = nothing, name: str = "model", folds: int = 2, gate: bool = False) -> Path:
        folder = make_evidence(tmp_path / name, data_root, rules=DEFAULT, folds=folds, gate=gate)
        opened, generator = open_evidence(folder), np.random.default_rng(0)
        for row, fold in enumerate(opened.folds_n):
            truth_chw = opened.table.mask(row)
            levels_chw = np.where(truth_chw, SURE, CLEAN).astype(np.uint8)
            plant(levels_chw, truth_chw, int(fold), generator)
            rewrite(opened.evidence, opened.table.image_id(row), levels_chw)
        write_score_table(opened)
        return folder

    return make


def nothing(levels_chw: np.ndarray, truth_chw: np.ndarray, fold: int, generator: np.random.Generator) -> None:
    """The model is perfect."""


def specks(levels_chw: np.ndarray, truth_chw: np.ndarray, fold: int, generator: np.random.Generator) -> None:
    """Where the last two classes are not, half of the maps show three false pixels."""
    for levels_hw, true_hw in zip(levels_chw[2:], truth_chw[2:], strict=True):
        if not true_hw.any() and generator.random() < 0.5:
            levels_hw.ravel()[generator.choice(levels_hw.size, 3, replace=False)] = SURE


def specks_and_a_trap(levels_chw: np.ndarray, truth_chw: np.ndarray, fold: int, generator: np.random.Generator) -> None:
    """Besides specks: a first class for which each fold's best threshold is the other fold's worst."""
    specks(levels_chw, truth_chw, fold, generator)
    inside = generator.permutation(np.flatnonzero(truth_chw[0]))
    outside = generator.permutation(np.flatnonzero(truth_chw[0] == 0))
    flat = levels_chw[0].reshape(-1)
    if fold == 0:  # a low threshold finds all of it
        flat[inside[: int(0.3 * inside.size)]] = round(0.3 * 255)
        flat[inside[int(0.3 * inside.size) : int(0.7 * inside.size)]] = round(0.6 * 255)
    else:  # only a high threshold leaves out what is clean
        flat[outside[: inside.size]] = round(0.6 * 255)
        flat[outside[inside.size : 3 * inside.size]] = round(0.4 * 255)


def rules_in(path: Path) -> RuleSettings:
    return RuleSettings.model_validate_json(path.read_text())


def report_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "tune.json").read_text()))


class TestPlantedGain:
    def test_specks_are_found_and_worth_it(self, candidate: Callable[..., Path]) -> None:
        folder = candidate(specks)
        report = tune_candidate(folder, TuneOptions())
        assert report["adopted"]
        assert report["gain"]["low"] > 0
        assert report == report_in(folder)
        rules = rules_in(folder / "rules-tuned.json")
        assert isinstance(rules.min_pixels, tuple)
        assert rules.min_pixels[:2] == (0, 0)  # nothing to gain: as it was
        assert min(rules.min_pixels[2:]) > 3
        assert rules.pixel_threshold == (0.5,) * CLASSES
        assert [each["gain"]["low"] > 0 for each in report["classes"]] == [False, False, True, True]

    def test_the_gain_is_that_of_drawn_masks(self, candidate: Callable[..., Path]) -> None:
        # Every fold is cured by the others' rules, so that the whole loss by specks comes back.
        folder = candidate(specks)
        lost = 1 - open_evidence(folder).evidence.read_pairs()["dice"].mean()
        report = tune_candidate(folder, TuneOptions())
        assert lost > 0.1
        assert report["gain"]["mean"] == pytest.approx(lost, abs=1e-6)
        assert report["dice_default"]["mean"] == pytest.approx(1 - lost, abs=1e-6)
        assert report["dice_found_in_sample"] == pytest.approx(1)

    def test_a_gate_is_used_where_it_knows(self, candidate: Callable[..., Path]) -> None:
        def ghosts(levels_chw: np.ndarray, truth_chw: np.ndarray, fold: int, generator: np.random.Generator) -> None:
            # As large and as sure as true defects: only the gate tells them apart.
            for levels_hw, true_hw in zip(levels_chw, truth_chw, strict=True):
                if not true_hw.any() and generator.random() < 0.5:
                    levels_hw[:, : levels_hw.shape[1] // 2] = SURE

        folder = candidate(ghosts, gate=True)
        report = tune_candidate(folder, TuneOptions())
        assert report["adopted"]
        assert report["gate"]["chosen"]["kind"] == "veto"
        assert report["gain"]["mean"] > 0.2
        assert rules_in(folder / "rules-tuned.json").gate.kind == "veto"

    def test_the_curves_show_the_found_point(self, candidate: Callable[..., Path]) -> None:
        report = tune_candidate(candidate(specks), TuneOptions())
        each = report["classes"][2]
        curve = {row["value"]: row["dice"] for row in each["curves"]["min_pixels"]}
        assert curve[each["found"]["min_pixels"]] == max(curve.values())
        assert curve[each["default"]["min_pixels"]] < max(curve.values()) - 0.1
        assert each["found"]["pixel_threshold"] in [row["value"] for row in each["curves"]["pixel_threshold"]]


class TestNoGain:
    def test_a_perfect_model_keeps_its_rules(
        self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate()
        before = {path.name: path.read_bytes() for path in folder.glob("[!.]*.*")}
        assert sever("tune", "-r", folder, "--apply") == 0
        assert "No gain beyond noise" in capsys.readouterr().out
        report = report_in(folder)
        assert (report["gain"]["mean"], report["gain"]["low"], report["gain"]["high"]) == (0, 0, 0)
        opened = open_evidence(folder)
        kept = rules_in(folder / "rules-tuned.json")
        assert score_table(opened, kept).equals(score_table(opened, DEFAULT))
        assert not report["applied"]
        assert not (folder / "rules-before.json").exists()
        assert before == {name: (folder / name).read_bytes() for name in before}

    def test_rules_written_for_the_default_say_what_the_default_says(self, candidate: Callable[..., Path]) -> None:
        opened = open_evidence(candidate(gate=True))
        rules = RuleSettings(
            pixel_threshold=(0.5, 0.4, 0.6, 0.5),
            label_threshold=0.7,
            seed_threshold=0.8,
            min_pixels=3,
            min_component_pixels=(1, 2, 3, 4),
        )
        resolved = resolve_rules(rules, opened.num_classes)
        assert resolve_rules(as_settings(resolved, rules), opened.num_classes) == resolved


class TestWorseClass:
    def test_it_keeps_its_default_and_the_others_gain(
        self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate(specks_and_a_trap)
        assert sever("tune", "-r", folder) == 0
        report = report_in(folder)
        assert [each["refused"] for each in report["classes"]] == [True, False, False, False]
        first = report["classes"][0]
        assert first["chosen"] == first["default"]
        assert first["gain"] == {"mean": 0, "low": 0, "high": 0}
        assert report["adopted"]
        assert report["classes"][2]["chosen"]["min_pixels"] > 3
        assert "class 1: worse beyond noise" in report["conclusion"]
        assert "refused" in capsys.readouterr().out

    def test_who_insists_gets_it(self, candidate: Callable[..., Path]) -> None:
        folder = candidate(specks_and_a_trap)
        assert sever("tune", "-r", folder, "--allow-worse") == 0
        first = report_in(folder)["classes"][0]
        assert first["gain"]["high"] < 0
        assert not first["refused"]


class TestApply:
    def test_rules_and_score_table_change_together(self, candidate: Callable[..., Path]) -> None:
        folder = candidate(specks)
        old = (folder / "rules.json").read_bytes()
        assert sever("tune", "-r", folder, "--apply") == 0
        assert rules_in(folder / "rules-before.json") == RuleSettings.model_validate_json(old)
        assert rules_in(folder / "rules.json") == rules_in(folder / "rules-tuned.json")
        opened = open_evidence(folder)
        fresh = score_table(opened)
        stored = opened.evidence.read_pairs().drop(columns="group")
        pd.testing.assert_frame_equal(stored, fresh.drop(columns="group"), check_dtype=False, rtol=1e-5)
        assert fresh["dice"].mean() == pytest.approx(1)

    def test_typed_again_it_finds_the_same_and_not_nothing(self, candidate: Callable[..., Path]) -> None:
        """What it put there is not what it starts from: the report would say `no gain` over its own rules."""
        folder = candidate(specks)
        left = []
        for _ in range(2):
            assert sever("tune", "-r", folder, "--apply") == 0
            left.append({path.name: path.read_bytes() for path in folder.glob("*.*")})
        assert left[0] == left[1]
        assert json.loads(left[1]["tune.json"])["adopted"]

    def test_without_it_the_candidate_stays_as_it_is(self, candidate: Callable[..., Path], tmp_path: Path) -> None:
        folder = candidate(specks)
        before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
        assert sever("tune", "-r", folder, "-o", tmp_path / "out" / "mine.json") == 0
        assert before == {path.name: path.read_bytes() for path in folder.glob("*.*")}
        assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["mine-report.json", "mine.json"]


class TestCommand:
    def test_the_seed_decides(
        self, candidate: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate(specks)
        printed = []
        for seed in (0, 0, 1):
            assert sever("tune", "-r", folder, "--json", "--seed", seed, "--draws", 100) == 0
            printed.append(json.loads(capsys.readouterr().out))
        assert printed[0] == printed[1]
        intervals = [[each["gain"] for each in report["classes"]] for report in printed]
        assert intervals[0] != intervals[2]
        assert printed[0]["gain"]["mean"] == printed[2]["gain"]["mean"]

    def test_the_table_names_default_and_chosen(
        self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate(specks)
        assert sever("tune", "-r", folder) == 0
        printed = capsys.readouterr().out
        chosen = report_in(folder)["classes"][3]["chosen"]["min_pixels"]
        assert f"0 -> {chosen:g}" in printed
        assert "gate: none" in printed
        assert "A gain: on held-out folds" in printed


class TestFaults:
    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
        assert sever("tune", *arguments) == 2
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    def test_one_fold(self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
        folder = candidate(folds=1)
        assert "evidence of 1 fold;" in self.refused(capsys, "-r", folder)
        assert not (folder / "rules-tuned.json").exists()

    def test_missing_maps(self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
        folder = candidate()
        lost = next(iter(Evidence(folder).maps))
        Evidence(folder).maps.path(lost).unlink()
        assert "lacks the probability maps of 1 of 36" in self.refused(capsys, "-r", folder)
        shutil.rmtree(folder / "probs")
        assert "no probability maps (probs/), which only segmenters leave" in self.refused(capsys, "-r", folder)

    def test_images_of_one_group_are_refused_before_the_work(
        self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate()
        about = json.loads((folder / "evidence.json").read_text())
        groups = folder / "one-group.csv"
        rows = "".join(f"{image_id},a\n" for image_id in Evidence(folder).maps)
        groups.write_text(f"image,group\n{rows}")
        about["data"]["groups"] = str(groups)
        (folder / "evidence.json").write_text(json.dumps(about))
        said = self.refused(capsys, "-r", folder)
        assert f"all images of {folder} are of one group" in said
        assert "count pixels" not in said

    def test_no_candidate(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no out-of-fold evidence" in self.refused(capsys, "-r", tmp_path)

    @pytest.mark.parametrize("name", ["rules.json", "tune.json", "rules-before.json"])
    def test_a_file_that_has_another_use(
        self, name: str, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate()
        before = (folder / "rules.json").read_bytes()
        assert name in self.refused(capsys, "-r", folder, "-o", folder / name)
        assert (folder / "rules.json").read_bytes() == before

    def test_rules_that_ask_for_a_gate_that_is_not_there(
        self, candidate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = candidate()
        rules = RuleSettings.model_validate({"gate": {"kind": "veto"}, "min_pixels": 0})
        (folder / "rules.json").write_text(rules.model_dump_json())
        assert "no classifier" in self.refused(capsys, "-r", folder)


def test_a_class_that_loses_by_the_others_rules_stops_them(candidate: Callable[..., Path]) -> None:
    """Where classes compete for pixels, a class can lose though its own rules stay; no rule may cost it that."""

    def robbed(levels_chw: np.ndarray, truth_chw: np.ndarray, fold: int, generator: np.random.Generator) -> None:
        # The second class is found by a low threshold only, which then claims whole images of the first class.
        levels_chw[1] = np.where((truth_chw[1] != 0) | truth_chw[0].any(), 90, CLEAN)

    folder = candidate(robbed)
    rules = DEFAULT.model_copy(update={"overlap": "larger_component"})
    (folder / "rules.json").write_text(rules.model_dump_json())
    insisted = tune_candidate(folder, TuneOptions(allow_worse=True))
    assert insisted["gain"]["mean"] != 0
    assert insisted["classes"][0]["gain"]["high"] < 0
    assert insisted["classes"][0]["found"] == insisted["classes"][0]["default"]
    report = tune_candidate(folder, TuneOptions())
    assert [each["refused"] for each in report["classes"]] == [True] * CLASSES
    assert not report["adopted"]
    assert report["gain"] == {"mean": 0, "low": 0, "high": 0}


def test_weights_decide_which_images_rules_are_chosen_for(candidate: Callable[..., Path], tmp_path: Path) -> None:
    """Every score in the report is a weighted mean; equal weights, whatever their size, change nothing."""
    folder = candidate(specks)
    opened = open_evidence(folder)
    pairs = opened.evidence.read_pairs().groupby("image_id")["dice"].mean()
    weights = pd.Series(np.linspace(0.2, 3, len(pairs)), pairs.index, name="weight")
    file = tmp_path / "weights.csv"
    weights.rename_axis("image_id").to_csv(file)
    report = tune_candidate(folder, TuneOptions(draws=20, weights=file))
    assert report["weights"] == str(file)
    assert report["dice_default"]["mean"] == pytest.approx(np.average(pairs, weights=weights), abs=1e-6)
    even = tmp_path / "even.csv"
    (weights * 0 + 5).rename_axis("image_id").to_csv(even)
    same, plain = (tune_candidate(folder, TuneOptions(draws=20, weights=each)) for each in (even, None))
    assert {**same, "weights": None} == plain


def test_weights_that_lack_an_image_are_refused(
    candidate: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.csv").write_text("image_id,weight\nnowhere.jpg,1\n")
    assert sever("tune", "-r", candidate(), "--weights", tmp_path / "weights.csv") == 2
    assert "every image out of fold needs one" in capsys.readouterr().err
