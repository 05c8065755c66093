"""Ending in time: what is left out, in which order, when it is decided, and that the rest is a whole submission."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_maker import make_blend, make_crossval, make_run

from sever.decide.ensemble import Blend
from sever.decide.time_budget import Budget, BudgetedNetwork, efforts
from sever.errors import InputError
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.inference.time_limit import members_of
from sever.pipeline.predict import ImageSource, predict_images

A, B, C, GATE = (Path(name) for name in ("a", "b", "c", "gate"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_stated_order() -> None:
    """Flips from the last named; then segmenters by weight, the last of equals first; then classifiers."""
    members = [
        BudgetedNetwork(A, 0, ("width", "height"), weight=1.0),
        BudgetedNetwork(B, 1, ("width", "both"), weight=2.0),
        BudgetedNetwork(C, 2, (), weight=1.0),
        BudgetedNetwork(GATE, 3, (), draws_masks=False),
        BudgetedNetwork(Path("gate2"), 4, (), draws_masks=False),
    ]
    ladder = efforts(members)
    assert [effort.describe() for effort in ladder[:4]] == [
        [],
        ["flip both"],
        ["flip both", "flip height"],
        ["flip both", "flip height", "flip width"],
    ]
    assert [effort.without for effort in ladder[4:]] == [(C,), (C, A), (C, A, Path("gate2"))]


def test_a_member_goes_with_its_last_network() -> None:
    folds = [
        BudgetedNetwork(A / "1", 0, (), 0.5, parents=(A,)),
        BudgetedNetwork(A / "2", 0, (), 0.5, parents=(A,)),
        BudgetedNetwork(B, 1, (), 2.0),
    ]
    assert [effort.without for effort in efforts(folds)] == [(), (A / "2",), (A / "2", A / "1", A)]


def test_a_blend_without_some_members_keeps_their_weights_and_ranks() -> None:
    ranks = tuple(((float(at),) * 256,) for at in range(3))
    blend = Blend("rank", (1.0, 2.0, 3.0), ranks=ranks)
    fewer = blend.of_members([0, 2, 3])  # the classifier, the fourth, has no weight
    assert fewer.weights == (1.0, 3.0)
    assert fewer.ranks == (ranks[0], ranks[2])
    assert Blend().of_members([0, 1]) == Blend()


def measured(seconds: float, spent: float) -> Budget:
    """Two members of 2 and 1 seconds a pass, the first with one flip; 0.5 s for reading, 0.1 s for masks."""
    clock = Clock()
    budget = Budget(seconds, [BudgetedNetwork(A, 0, ("width",), 3.0), BudgetedNetwork(B, 1, (), 1.0)], clock)
    budget.after_seconds = 0.1
    budget.measure(10, 55.0, {0: 40.0, 1: 10.0})
    clock.now += spent
    return budget


def test_time_is_told_apart() -> None:
    budget = measured(1000, 0)
    assert budget.pass_seconds == [2.0, 1.0]
    assert [budget.image_seconds(effort) for effort in budget.ladder] == [5.5, 3.5, 2.5]


@pytest.mark.parametrize(
    ("seconds", "rung"),
    # 100 images: 550 s with everything, 350 s without the flip, 250 s with one model; 10 s for masks, and 5 % to spare.
    [(590, 0), (589, 1), (379, 1), (378, 2), (1, 2)],
)
def test_as_much_as_the_time_allows(seconds: float, rung: int) -> None:
    budget = measured(seconds, 0)
    assert budget.settle(100, 100) == (rung > 0)
    assert budget.rung == rung


def test_what_was_spent_counts_and_nothing_comes_back() -> None:
    budget = measured(590, 100)
    assert budget.settle(100, 100)
    assert budget.rung == 1
    assert not budget.settle(1, 100)
    assert budget.rung == 1


def test_what_is_left_out_is_remembered_when_others_are_measured_again() -> None:
    budget = measured(300, 0)
    budget.settle(100, 100)
    budget.measure(10, 15.0, {0: 10.0})  # the model that is left is quicker than it seemed
    assert budget.pass_seconds == [1.0, 1.0]
    assert budget.image_seconds(budget.effort) == 1.5


@pytest.fixture(scope="module")
def blend(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    crossval = make_crossval(folder / "folds" / "1", strip_root)
    run = make_run(folder / "one" / "1", strip_root, 5, flips=["width", "height"])
    return make_blend(folder / "final", [crossval, run], weights=(1.0, 3.0))


def test_networks_are_found_at_any_depth(blend: Path) -> None:
    folds = [Path("fold-0"), Path("fold-1")]
    found = members_of(load_model(blend, InferenceOptions("cpu")).network)
    assert [(each.part, each.weight, each.flips) for each in found] == [
        (0, 0.5, ()),
        (0, 0.5, ()),
        (1, 3.0, ("width", "height")),
    ]
    assert [each.path.parent.parent.name for each in found[:2]] == [str(fold) for fold in folds]
    assert [len(each.parents) for each in found] == [1, 1, 0]


def test_every_effort_is_a_lighter_model_and_the_last_is_one_network_alone(blend: Path) -> None:
    whole = load_model(blend, InferenceOptions("cpu"))
    ladder = efforts(members_of(whole.network))
    assert len(ladder) == 5  # everything, two flips, two folds
    lighter = [whole.lighter(effort) for effort in ladder]
    assert [len(members_of(each.network)) for each in lighter] == [3, 3, 3, 2, 1]
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 1), np.uint8)
    alone = load_model(blend.parent / "one", InferenceOptions("cpu", flips=()))
    (ours,) = lighter[-1].network.predict([image])
    (theirs,) = alone.network.predict([image])
    assert np.array_equal(ours.probs_chw, theirs.probs_chw)


class Slow:
    """A clock by which each pass of each network takes seconds, in place of the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        from sever.models.forward import TorchForward

        self.now = 0.0
        whole = TorchForward.__call__

        def forward(network, pixels_nhwc):  # type: ignore[no-untyped-def]
            self.now += seconds * len(pixels_nhwc)
            return whole(network, pixels_nhwc)

        monkeypatch.setattr(TorchForward, "__call__", forward)

    def __call__(self) -> float:
        return self.now


def predict_in(minutes: float | None, blend: Path, images: Path, output: Path) -> pd.DataFrame:
    options = InferenceOptions("cpu", batch_size=1)
    done = predict_images(blend, ImageSource(images, None), output, "combined", options, minutes=minutes)
    frame = pd.read_csv(done.result, keep_default_na=False)
    assert len(frame) == 4 * done.images
    return frame


@pytest.mark.parametrize(
    ("minutes", "left_out"),
    [
        # 6 images, 5 passes each, a second a pass: 30 s. Three images are done when it is first decided (15 s gone).
        (1.0, []),
        (25 / 60, ["flip height", "flip width", "model"]),  # 8.75 s for 3 images: 4 and 3 passes are too many
    ],
)
def test_predicting_in_time(
    minutes: float, left_out: list[str], blend: Path, strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Slow(monkeypatch, 1.0)
    monkeypatch.setattr(
        "sever.pipeline.predict.Budget", lambda seconds, members, start: Budget(seconds, members, clock)
    )
    images = strip_root / "test_images"
    hurried = predict_in(minutes, blend, images, tmp_path / "hurried")
    assert clock.now <= 60 * minutes
    file = tmp_path / "hurried" / "left_out.json"
    found = json.loads(file.read_text()) if file.exists() else []
    assert [each if each.startswith("flip") else each.split()[0] for each in found] == left_out
    whole = predict_in(None, blend, images, tmp_path / "whole")
    # The first three images were done with everything.
    assert hurried[:12].equals(whole[:12])
    assert hurried.equals(whole) == (not left_out)


def test_even_one_network_too_slow_leaves_a_whole_submission(
    blend: Path, strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Slow(monkeypatch, 1.0)
    monkeypatch.setattr(
        "sever.pipeline.predict.Budget", lambda seconds, members, start: Budget(seconds, members, clock)
    )
    frame = predict_in(
        18 / 60, blend, strip_root / "test_images", tmp_path / "out"
    )  # 17.1 s: 15 are gone at the decision
    said = json.loads((tmp_path / "out" / "left_out.json").read_text())
    # Two more images by one network alone; the third would end at 18.0 s.
    assert said == ["flip height", "flip width", f"model {blend.parent / 'folds' / '1'}", "1 image, called clean"]
    unreached = 1
    assert (frame["EncodedPixels"][-4 * unreached :] == "").all()
    assert (frame["EncodedPixels"][: -4 * unreached] != "").any()
    assert "short of time" in capsys.readouterr().err
    assert clock.now <= 18


def test_maps_made_in_a_hurry_are_not_taken_for_whole_ones(blend: Path, strip_root: Path, tmp_path: Path) -> None:
    one, images = blend.parent / "one", strip_root / "test_images"
    predict_in(5.0, one, images, tmp_path / "out")
    with pytest.raises(InputError, match="other settings"):
        predict_in(None, one, images, tmp_path / "out")
