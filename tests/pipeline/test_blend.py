"""`sever blend`: right maps, bounded memory, resuming, refusals, recipes, and the live answer beside the stored one."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import sever
from evidence_maker import make_evidence, rewrite

from sever.cli.tables.blend import render_comparison
from sever.config import RuleSettings, load_config, load_ensemble
from sever.decide.ensemble import BLENDS, Blend
from sever.decide.postprocess import dequantise, quantise
from sever.decide.prediction import Prediction, combine
from sever.errors import InputError
from sever.files import write_json
from sever.pipeline.blend import weights
from sever.pipeline.blend.combine import BlendRequest, as_blend, make_blend
from sever.pipeline.blend.members import open_members
from sever.pipeline.blend.recipe import read_recipe
from sever.pipeline.blend.scores import compare
from sever.pipeline.blend.weights import take_sample
from sever.pipeline.evidence import open_evidence
from sever.pipeline.inference.load import evidence_members, load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.starting import train_experiment
from sever.store import Evidence

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RECIPES = sorted((EXPERIMENTS / "ensembles").glob("*.yml"))


@pytest.fixture(scope="module")
def models(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence of three models of 16 images and 3 folds, a and b with a label head; and of a classifier."""
    folder = tmp_path_factory.mktemp("models")
    for seed, (name, noise) in enumerate([("a", 0.2), ("b", 0.25), ("c", 0.5)]):
        make_evidence(folder / name, strip_root, seed, noise, gate=name != "c")
    shutil.copytree(folder / "b", folder / "classifier")
    shutil.rmtree(folder / "classifier" / "probs")
    (folder / "classifier" / "pairs.csv").unlink()
    return folder


def order(models: Path, names: str, kind: str = "mean", **settings: object) -> BlendRequest:
    return BlendRequest(tuple(models / name for name in names.split()), Blend(kind), **settings)  # type: ignore[arg-type]


def stored(evidence: Evidence, image_id: str) -> np.ndarray:
    return evidence.maps.read(image_id, 4)


@pytest.mark.parametrize("kind", BLENDS)
def test_the_loaded_blend_answers_as_the_stored_one(models: Path, tmp_path: Path, kind: str) -> None:
    """What `load_model` reads from the folder, fed with the members' maps, gives the stored map and masks again."""
    evidence = make_blend(order(models, "a b c", kind), tmp_path / "out")
    folders, blend = evidence_members(evidence)
    assert [folder.resolve() for folder in folders] == [(models / name).resolve() for name in "abc"]
    opened = open_evidence(evidence.folder)
    assert len(list(evidence.maps)) == len(opened.table) == 16
    for row, image_id in list(enumerate(opened.table.image_ids))[::5]:
        seen = [Prediction(dequantise(stored(Evidence(folder), image_id))) for folder in folders]
        levels = quantise(combine(seen, blend).probs_chw)  # type: ignore[arg-type]
        np.testing.assert_array_equal(levels, opened.levels(row))


def test_the_mean_by_hand_and_its_tables(models: Path, tmp_path: Path) -> None:
    evidence = make_blend(order(models, "a b", "mean", name="both"), tmp_path / "out")
    members = [Evidence(models / name) for name in "ab"]
    ids = evidence.read_folds()["image_id"].tolist()
    for image_id in ids[:3]:
        first, second = (stored(member, image_id).astype(int) for member in members)
        # Half a level may go either way in float32.
        assert np.abs(stored(evidence, image_id) - (first + second) / 2).max() <= 0.5
    about = evidence.about()
    assert (about.kind, about.name, about.class_names) == ("blend", "both", ("1", "2", "3", "4"))
    pd.testing.assert_frame_equal(evidence.read_folds(), members[0].read_folds())
    labels = [member.read_label_probs(ids, 4) for member in members]
    np.testing.assert_allclose(evidence.read_label_probs(ids, 4), (labels[0] + labels[1]) / 2, atol=1e-5)  # type: ignore[operator]
    pairs = evidence.read_pairs()
    assert len(pairs) == 4 * 16
    np.testing.assert_allclose(pairs["gate_prob"], evidence.read_label_probs(ids, 4).reshape(-1), atol=1e-4)  # type: ignore[union-attr]


def test_a_classifier_joins_the_gate_only(models: Path, tmp_path: Path) -> None:
    asked = order(models, "classifier c a", rules={"gate": {"kind": "soft", "factor": 7.0}})
    evidence = make_blend(asked, tmp_path / "out")
    plain = make_blend(order(models, "c a"), tmp_path / "plain")
    image_id = evidence.read_folds()["image_id"].iloc[0]
    np.testing.assert_array_equal(stored(evidence, image_id), stored(plain, image_id))
    folders, blend = evidence_members(evidence)
    assert [folder.name for folder in folders] == ["c", "a", "classifier"], "weights are those of the first"
    blend([np.zeros(1, np.float32)] * 2)
    opened = open_evidence(evidence.folder)
    assert (opened.rules.gate.kind, opened.rules.gate.factor, opened.rules.gate.threshold) == ("soft", 7, 0.5)
    ids = opened.table.image_ids
    both = [Evidence(models / name).read_label_probs(ids, 4) for name in ("a", "classifier")]
    np.testing.assert_allclose(opened.gate_probs_nc, (both[0] + both[1]) / 2, atol=1e-5)  # type: ignore[operator, arg-type]
    assert "classifier" in compare(evidence)["gates"][0]


@pytest.mark.parametrize(("areas", "warned"), [(0, True), ([0, 0, 7, 0], False)])
def test_a_soft_gate_without_areas_to_scale_is_told(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], areas: object, warned: bool
) -> None:
    rules = {"gate": {"kind": "soft"}, "min_pixels": areas}
    make_blend(order(models, "classifier c", rules=rules), tmp_path / "out")
    assert ("the soft gate scales min_pixels, which is 0" in capsys.readouterr().err) == warned


def test_a_blend_is_a_member_and_folders_move_together(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models, tmp_path / "here" / "saved")
    monkeypatch.chdir(tmp_path / "here")
    make_blend(BlendRequest((Path("saved/a"), Path("saved/b"))), Path("saved/ab"))
    outer = make_blend(BlendRequest((Path("saved/ab"), Path("saved/c")), Blend("rms")), Path("saved/abc"))
    image_id = outer.read_folds()["image_id"].iloc[0]
    two = [dequantise(stored(Evidence(Path("saved") / name), image_id)) for name in ("ab", "c")]
    np.testing.assert_array_equal(stored(outer, image_id), quantise(Blend("rms")(two)))
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    folders, _ = evidence_members(Evidence.find(tmp_path / "there" / "saved" / "abc"))
    assert [Evidence.find(folder).about().name for folder in folders] == ["ab", "c"]
    inner, _ = evidence_members(Evidence.find(folders[0]))
    assert [folder.resolve().name for folder in inner] == ["a", "b"]


def as_crossvalidation(run: Path, like: Path, folder: Path) -> Path:
    """A finished cross-validation of one fold: the evidence of `like`, with a run as its network."""
    shutil.copytree(like, folder)
    shutil.copytree(run, folder / "fold-0")
    write_json(folder / "evidence.json", Evidence(folder).about().as_json() | {"folds": [0]})
    return folder


def test_the_networks_of_a_blend_are_blended(models: Path, tiny_experiment: Path, tmp_path: Path) -> None:
    members = []
    for seed in (0, 1):
        overrides = {"train.epochs": 1, "train.seed": seed, "predict.flips": []}
        run = train_experiment(load_config(tiny_experiment, overrides), tmp_path / "saved", "cpu").folder
        members.append(as_crossvalidation(run, models / "c", tmp_path / str(seed)))
    evidence = make_blend(BlendRequest(tuple(members), Blend("rms", (1, 3))), tmp_path / "out")
    how = InferenceOptions("cpu")
    opened = open_evidence(evidence.folder)
    loaded = load_model(evidence.folder, how)
    images = [loaded.reader()(opened.table.path(row)) for row in range(3)]
    alone = [load_model(member, how).network.predict(images) for member in members]
    for one, other, both in zip(*alone, loaded.network.predict(images), strict=True):
        first, second = one.probs_chw, other.probs_chw
        assert first is not None and second is not None and both.probs_chw is not None  # noqa: PT018
        assert np.abs(first - second).max() > 0.01, "two networks"
        np.testing.assert_allclose(both.probs_chw, np.sqrt(0.25 * first**2 + 0.75 * second**2), atol=1e-5)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["mean", "median", "rank"])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, kind: str) -> None:
    """Eight models: blending 48 images takes what two take, which work side by side."""
    from sever.decide.ranks import count_levels, ranks_of
    from sever.pipeline.blend.combine import fill_maps
    from sever.pipeline.blend.members import Member
    from sever.store import ProbabilityStore

    generator = np.random.default_rng(0)
    ids = [f"{index}.jpg" for index in range(48)]
    folds = pd.DataFrame({"image_id": ids, "fold": 0})
    members = [Member(Evidence(tmp_path / str(index)), ("1", "2"), folds, has_maps=True) for index in range(8)]
    levels_chw = generator.integers(0, 256, (2, 64, 200), dtype=np.uint8)
    for member in members:
        for image_id in ids:
            member.evidence.maps.write(image_id, levels_chw)
    table = tuple(tuple(row) for row in ranks_of(count_levels(levels_chw)).tolist())
    blend = Blend(kind, ranks=(table,) * 8 if kind == "rank" else ())

    def fill(count: int) -> int:
        some = [Member(each.evidence, each.class_names, folds[:count], has_maps=True) for each in members]
        return peak_bytes(lambda: fill_maps(ProbabilityStore(tmp_path / f"out-{count}"), some, blend))

    fill(2)  # what is imported or built once
    one, many = fill(1), fill(48)
    assert many < 2.5 * one, "two images are blended at a time, and the results of a few wait"
    assert many < 48 * 8 * levels_chw.size / 2, "far less than all maps, even as levels"
    assert len(list(ProbabilityStore(tmp_path / "out-48"))) == 48


def test_an_interrupted_blend_goes_on(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, output = order(models, "a b c", "rank"), tmp_path / "out"
    whole = make_blend(asked, tmp_path / "whole")
    calls = []
    original = Blend.__call__

    def counted(self: Blend, members: list[np.ndarray]) -> np.ndarray:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return original(self, members)

    monkeypatch.setattr(Blend, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        make_blend(asked, output)
    done = list(Evidence(output).maps)
    assert 0 < len(done) < 16
    with pytest.raises(InputError, match="no out-of-fold evidence"):
        Evidence.find(output)
    calls[:] = [0] * 100
    evidence = make_blend(asked, output)
    assert len(calls) - 100 == 16 - len(done), "what is there is not blended again"
    for image_id in evidence.maps:
        np.testing.assert_array_equal(stored(evidence, image_id), stored(whole, image_id))
    # A finished one is left alone, with rules that were tuned since.
    write_json(evidence.rules_file, RuleSettings(min_pixels=7).model_dump(mode="json"))
    make_blend(asked, output)
    assert len(calls) - 100 == 16 - len(done)
    assert open_evidence(output).rules.min_pixels == 7


def test_another_blend_in_the_folder_is_refused(models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    make_blend(order(models, "a b"), output)
    for other in (order(models, "a b", "rms"), order(models, "b a"), order(models, "a b", rules={"min_pixels": 3})):
        with pytest.raises(InputError, match=r"holds another blend.*--overwrite"):
            make_blend(other, output)
    evidence = make_blend(order(models, "a c", "rms"), output, overwrite=True)
    image_id = evidence.read_folds()["image_id"].iloc[0]
    members = [dequantise(stored(Evidence(models / name), image_id)) for name in "ac"]
    np.testing.assert_array_equal(stored(evidence, image_id), quantise(Blend("rms")(members)))


def test_changed_members_are_noticed(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "m")
    make_blend(order(tmp_path / "m", "a b"), tmp_path / "out")
    image_id = next(iter(Evidence(tmp_path / "m" / "a").maps))
    rewrite(Evidence(tmp_path / "m" / "a"), image_id, np.zeros((4, 64, 192), np.uint8))
    with pytest.raises(InputError, match="members have changed"):
        make_blend(order(tmp_path / "m", "a b"), tmp_path / "out")


def test_changed_labels_are_noticed_and_a_replaced_blend_is_not_tuned(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    wanted = order(tmp_path / "models", "a classifier b")
    evidence = make_blend(wanted, tmp_path / "out")
    for name in ("rules-before.json", "rules-tuned.json", "tune.json"):
        shutil.copy(evidence.rules_file, evidence.folder / name)
        evidence.output.adopt([name])
    assert evidence.is_tuned
    classifier = Evidence(tmp_path / "models" / "classifier")
    labels = classifier.labels.read_labels(4)
    classifier.labels.write({name: label._replace(probs_c=1 - label.probs_c) for name, label in labels.items()}, 4)
    with pytest.raises(InputError, match="members have changed since"):
        make_blend(wanted, tmp_path / "out")
    make_blend(wanted, tmp_path / "out", overwrite=True)
    assert not evidence.is_tuned
    assert not (evidence.folder / "tune.json").exists()


def test_rules_that_do_not_fit_are_told_before_a_map_is_blended(models: Path, tmp_path: Path) -> None:
    wanted = order(models, "a b", rules={"pixel_threshold": [0.5, 0.4]})
    with pytest.raises(InputError, match="2 entries"):
        make_blend(wanted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def edit_folds(folder: Path, **columns: object) -> None:
    evidence = Evidence(folder)
    evidence.write_folds(evidence.read_folds().assign(**columns))


def spoil_folds(folder: Path) -> None:
    edit_folds(folder, fold=lambda frame: (frame["fold"] + 1) % 3)


def spoil_images(folder: Path) -> None:
    evidence = Evidence(folder)
    evidence.write_folds(evidence.read_folds()[:-2])


def spoil_classes(folder: Path) -> None:
    evidence = Evidence(folder)
    write_json(evidence.about_file, evidence.about().as_json() | {"class_names": ["1", "2", "scratch", "4"]})


def spoil_maps(folder: Path) -> None:
    maps = Evidence(folder).maps
    for image_id in list(maps)[:3]:
        maps.path(image_id).unlink()


def spoil_size(folder: Path) -> None:
    evidence = Evidence(folder)
    rewrite(evidence, next(iter(evidence.maps)), np.zeros((4, 32, 192), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_folds, r"have different folds: 16 images .* in fold \d and \d.*same folds.count, folds.seed"),
        (spoil_images, "are about different images: 2 are in one of them alone"),
        (spoil_classes, "know different classes: 1, 2, 3, 4 and 1, 2, scratch, 4"),
        (spoil_maps, "not finished: 3 of 16 images have no out-of-fold map"),
        (spoil_size, "differ in size: 64x192 in .*, 32x192 in"),
    ],
)
def test_members_that_do_not_fit(models: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    shutil.copytree(models / "b", tmp_path / "spoiled")
    spoil(tmp_path / "spoiled")
    with pytest.raises(InputError, match=said):
        make_blend(BlendRequest((models / "a", tmp_path / "spoiled")), tmp_path / "out")
    assert not (tmp_path / "out" / "evidence.json").exists()


def test_members_that_make_no_blend(models: Path, tmp_path: Path) -> None:
    for names, said in (
        ("a", "at least two members"),
        ("a a", "given twice"),
        ("classifier classifier2", "none of the members has probability maps"),
        ("a nowhere", "there is no file or folder .*nowhere"),
    ):
        if names.startswith("classifier"):
            shutil.copytree(models / "classifier", tmp_path / "classifier2")
        folders = tuple(tmp_path / name if name == "classifier2" else models / name for name in names.split())
        with pytest.raises(InputError, match=said):
            make_blend(BlendRequest(folders), tmp_path / "out")
    with pytest.raises(InputError, match="is one of the members"):
        make_blend(order(models, "a b"), models / "a")
    with pytest.raises(InputError, match="holds maps that no blend wrote"):
        make_blend(order(models, "a b"), models / "c", overwrite=True)
    with pytest.raises(InputError, match="3 weights for 2 members"):
        make_blend(
            BlendRequest((models / "a", models / "b", models / "classifier"), Blend("mean", (1, 2, 3))), tmp_path / "o"
        )
    assert not (tmp_path / "o").exists()


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="needs its --power"):
        as_blend("power", [], None)
    with pytest.raises(InputError, match="--power belongs to --kind power, not to rms"):
        as_blend("rms", [], 3.0)
    with pytest.raises(InputError, match="leave --kind and --weight out"):
        BlendRequest((), Blend("median"), select="greedy")
    with pytest.raises(InputError, match="allowed: none, greedy"):
        BlendRequest((), select="all")


# Greedy weights ---------------------------------------------------------------------------------------------------


def good_and_useless(root: Path, folder: Path) -> BlendRequest:
    """A model with little noise, and one that says anything of anything."""
    generator = np.random.default_rng(0)
    make_evidence(folder / "good", root, noise=0.1)
    shutil.copytree(folder / "good", folder / "useless")
    useless = Evidence(folder / "useless")
    for image_id in list(useless.maps):
        rewrite(useless, image_id, generator.integers(0, 256, (4, 64, 192), dtype=np.uint8))
    return BlendRequest((folder / "useless", folder / "good"), select="greedy")


def test_greedy_weights_leave_a_useless_model_out(strip_root: Path, tmp_path: Path) -> None:
    evidence = make_blend(good_and_useless(strip_root, tmp_path), tmp_path / "out")
    selection = json.loads(evidence.blend_file.read_text())["selection"]
    assert selection["taken"]
    assert selection["counts"] == [0, 1]
    assert selection["gain"]["low"] > 0
    folders, blend = evidence_members(evidence)
    assert [folder.name for folder in folders] == ["good"], "a network without weight isn't run"
    assert blend == Blend("mean", (1.0,))
    image_id = next(iter(evidence.maps))
    np.testing.assert_array_equal(stored(evidence, image_id), stored(Evidence(tmp_path / "good"), image_id))
    assert "greedy weights - equal mean, out of fold: +" in render_comparison(compare(evidence))


def test_a_sample_of_images_and_pixels_chooses_as_well(
    strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "MIN_SIDE", 16)
    members = open_members(good_and_useless(strip_root, tmp_path).members, tmp_path / "out")
    bytes_each = (64 // 4) * (192 // 4) * 4 * (2 + 5)
    chosen = weights.choose_weights(members, RuleSettings(min_pixels=0), seed=0, budget=12 * bytes_each)
    assert (chosen.images, chosen.stride, chosen.counts) == (12, 4, (0, 1))
    assert "chosen on 12 of 16 images, on one of 4 rows and columns" in capsys.readouterr().err


def test_greedy_keeps_the_equal_mean_where_luck_decides(strip_root: Path, tmp_path: Path) -> None:
    twins = tuple(make_evidence(tmp_path / str(seed), strip_root, seed) for seed in (11, 12))
    evidence = make_blend(BlendRequest(twins, select="greedy"), tmp_path / "out")
    selection = compare(evidence)["selection"]
    assert not selection["taken"]
    assert selection["counts"] == [1, 1]
    assert "not taken, the equal mean stays" in render_comparison(compare(evidence))


def test_the_sample_fits_into_its_budget() -> None:
    sizes = [(256, 1600)] * 100
    whole = take_sample(sizes, planes=52, budget=256 * 1600 * 52 * 100, seed=0)
    assert (len(whole.rows), whole.stride) == (100, 1)
    half = take_sample(sizes, planes=52, budget=256 * 1600 * 52 * 25, seed=0)
    assert (len(half.rows), half.stride) == (100, 2), "pixels go first"
    few = take_sample(sizes, planes=52, budget=64 * 400 * 52 * 10, seed=0)
    assert (len(few.rows), few.stride) == (10, 4)
    assert len(set(few.rows.tolist())) == 10
    assert few.rows.tolist() != take_sample(sizes, planes=52, budget=64 * 400 * 52 * 10, seed=1).rows.tolist()
    assert take_sample([(100, 100)] * 9, planes=1, budget=30_000, seed=0).stride == 1, "small images stay whole"


# Recipes and the command ------------------------------------------------------------------------------------------


def make_saved(models: Path, saved: Path, name: str, stamp: str, seed: int) -> Path:
    """A finished cross-validation as `sever crossval --seed` leaves it."""
    folder = saved / name / stamp
    shutil.copytree(models / "a", folder)
    (folder / "config.yml").write_text(yaml.safe_dump({"name": name, "data": {"root": "d"}, "train": {"seed": seed}}))
    return folder


def write_recipe(folder: Path, **settings: object) -> Path:
    path = folder / "recipe.yml"
    path.write_text(yaml.safe_dump({"name": "both", **settings}))
    return path


def test_a_recipe_finds_the_newest_of_each_seed(models: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    make_saved(models, saved, "unet", "20260101-000000", seed=0)
    first = make_saved(models, saved, "unet", "20260102-000000", seed=1)
    newest = make_saved(models, saved, "unet", "20260103-000000", seed=0)
    unfinished = make_saved(models, saved, "unet", "20260104-000000", seed=2)
    for file in ("pairs.csv", "labels.csv"):
        (unfinished / file).unlink()
    fpn = make_saved(models, saved, "fpn", "20260101-000000", seed=0)
    gate = make_saved(models, saved, "gate", "20260101-000000", seed=0)
    with pytest.raises(InputError, match="gate: gate draws masks; it belongs under members"):
        read_recipe(write_recipe(tmp_path, members=[{"experiment": "unet"}], gate=[{"experiment": "gate"}]), saved)
    shutil.rmtree(gate / "probs")
    with pytest.raises(InputError, match="members: gate labels images only; it belongs under gate"):
        read_recipe(write_recipe(tmp_path, members=[{"experiment": "unet"}, {"experiment": "gate"}]), saved)
    found = read_recipe(
        write_recipe(
            tmp_path,
            members=[{"experiment": "unet", "copies": 2, "weight": 2.0}, {"experiment": "fpn"}],
            gate=[{"experiment": "gate"}],
            blend={"kind": "rms"},
            rules={"gate": {"kind": "soft", "factor": 5.0}},
        ),
        saved,
    )
    assert found.members == (newest, first, fpn, gate)
    assert found.blend == Blend("rms", (2.0, 2.0, 1.0))
    assert found.rules == {"gate": {"kind": "soft", "factor": 5.0}}
    assert found.name == "both"


def test_a_recipe_says_how_to_make_what_is_missing(models: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    make_saved(models, saved, "unet", "20260101-000000", seed=1)
    recipe = write_recipe(tmp_path, members=[{"experiment": "unet", "copies": 3}, {"experiment": "fpn"}])
    with pytest.raises(InputError) as caught:
        read_recipe(recipe, saved)
    assert str(caught.value).splitlines()[1:] == [
        f"  sever crossval -c experiments/unet.yml --seed 0 --saved {saved}",
        f"  sever crossval -c experiments/unet.yml --seed 2 --saved {saved}",
        f"  sever crossval -c experiments/fpn.yml --seed 0 --saved {saved}",
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"members": [{"experiment": "a", "copis": 2}]}, "unknown setting `members.0.copis`; did you mean `copies`?"),
        ({"members": [{"experiment": "a"}], "gat": []}, "unknown setting `gat`; did you mean `gate`?"),
        ({"members": []}, "setting `members` is []"),
        (
            {"members": [{"experiment": "a"}], "blend": {"kind": "avg"}},
            "setting `blend.kind` is 'avg': input should be",
        ),
        ({"members": [{"experiment": "a"}, {"experiment": "a"}]}, "the experiment a appears twice; set its `copies`"),
        (
            {"members": [{"experiment": "a"}], "rules": {"gate": {"knd": "soft"}}},
            "`rules.gate.knd`; did you mean `kind`?",
        ),
    ],
)
def test_what_is_no_recipe(settings: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_ensemble(write_recipe(tmp_path, **settings))
    assert said in str(caught.value)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_that_come_along_name_what_there_is(path: Path) -> None:
    recipe = load_ensemble(path)
    assert recipe.name == path.stem
    for member in (*recipe.members, *recipe.gate):
        assert (path.parents[1] / f"{member.experiment}.yml").is_file()
    assert f"--recipe experiments/ensembles/{path.name} " in path.read_text()


# The final ensemble of the 2019 report: decoder, encoder -> how many of it.
EIGHT_OF_2019 = {
    ("Unet", "se_resnext50_32x4d"): 2,
    ("Unet", "efficientnet-b5"): 1,
    ("FPN", "se_resnext50_32x4d"): 3,
    ("FPN", "efficientnet-b5"): 1,
    ("FPN", "inceptionv4"): 1,
}


@pytest.mark.parametrize(
    ("name", "kind", "factor", "scores"),
    [
        ("mean", "mean", None, ("0.91699", "0.90975")),
        ("rms", "rms", None, ("0.91844", "0.90274")),
        ("gated-5", "mean", 5, ("0.91817", "0.91023", "0.91832", "0.90951")),
        ("gated-10", "mean", 10, ("0.91782", "0.90952")),
        ("gated-20", "mean", 20, ("0.91763", "0.90911")),
    ],
)
@pytest.mark.parametrize("suffix", ["", "-pseudo"])
def test_the_ensembles_of_2019_have_eight_members(
    name: str, kind: str, factor: int | None, scores: tuple[str, ...], suffix: str
) -> None:
    folder = EXPERIMENTS / ("severstal-2019/ensembles" if suffix else "ensembles")
    path = folder / f"severstal-2019-{name}{suffix}.yml"
    recipe = load_ensemble(path)
    inside = "severstal-2019/" if suffix else "severstal-2019-"
    files = [EXPERIMENTS / member.experiment.replace("severstal-2019-", inside, 1) for member in recipe.members]
    configs = [load_config(file.with_suffix(".yml")) for file in files]
    assert [config.name for config in configs] == [member.experiment for member in recipe.members]
    assert Counter((config.model.architecture, config.model.encoder) for config in configs) == EIGHT_OF_2019
    starts = {(c.model.architecture, c.model.encoder, c.model.in_channels, c.train.seed) for c in configs}
    assert len(starts) == 8
    assert all((config.pseudo is not None) == bool(suffix) for config in configs)
    assert {member.weight for member in recipe.members} == {1.0}
    assert recipe.blend.kind == kind
    gate = recipe.rules.gate
    assert (gate.kind, gate.factor) == (("soft", factor) if factor else ("none", 5))
    assert len(recipe.gate) == (1 if factor else 0)
    head = "".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert [score for score in scores if score not in head] == []


def test_the_command(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = ["-m", models / "a", "-m", models / "b"]
    assert sever("blend", *member, "-o", tmp_path / "out", "--kind", "power", "--power", 4, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    frame = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert printed["dice"] == pytest.approx(frame["dice"].mean())
    assert printed["dice_per_class"] == pytest.approx(frame.groupby("class_id")["dice"].mean().tolist())
    best = max(printed["members"], key=lambda each: each["dice"])
    assert printed["best_member"] == best["name"]
    assert printed["gain"]["mean"] == pytest.approx(printed["dice"] - best["dice"], abs=1e-5)
    assert printed["gain"]["low"] < printed["gain"]["mean"] < printed["gain"]["high"]
    assert sever("blend", *member, "-o", tmp_path / "out", "--kind", "power", "--power", 4) == 0
    shown = capsys.readouterr().out
    for words in ("power of them", "the best member", f"{printed['dice']:.4f}", str(tmp_path / "out")):
        assert words in shown
    assert sever("blend", "-o", tmp_path / "x") == 2
    assert "give either -m MEMBER" in capsys.readouterr().err
    assert sever("blend", *member, "-o", tmp_path / "x", "--kind", "average") == 2
    assert "allowed: mean, rms" in capsys.readouterr().err
    assert not os.path.lexists(tmp_path / "x")
