"""Fine-tuning goes on from a model's own weights and normalisation, by its settings; what can't go on is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from run_maker import make_blend, make_run

from sever.data.synthetic import SynthSettings, write_dataset
from sever.errors import InputError
from sever.pipeline.export.pack import pack_model
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.train.starting import train_experiment
from sever.pipeline.train.tuning_from import fine_tuning, load_start, start_facts
from sever.store.checkpoints import load_weights_file

QUICK = {"train.epochs": 1, "train.batch_size": 2, "train.workers": 0, "augment.crop": [64, 64]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "strip"
    write_dataset(root, SynthSettings(8, 1, 64, 96, 0, "balanced", workers=1))
    (root / "groups.csv").write_text("image,group\n" + "".join(f"{name.name},{at % 4}\n" for at, name in names(root)))
    return root


def names(root: Path) -> list[tuple[int, Path]]:
    return list(enumerate(sorted((root / "train_images").iterdir())))


def test_it_goes_on_from_the_weights_and_normalisation_of_the_bundle(data: Path, tmp_path: Path) -> None:
    """With a learning rate of next to nothing the weights stay what they were, but for batch statistics."""
    run = make_run(tmp_path / "saved" / "old" / "1", data, seed=3)
    bundle = tmp_path / "old.sever"
    pack_model(run, bundle)
    rates = {"optim.encoder_learning_rate": 1e-12, "optim.decoder_learning_rate": 1e-12}
    config = fine_tuning(bundle, data, {}, QUICK | rates)
    assert config.name == "old-tuned"
    assert config.data.groups == data / "groups.csv"
    assert config.model.encoder == "mobilenet_v2"
    tuned = train_experiment(config, tmp_path / "tuned", "cpu")
    assert DatasetFacts.read(tuned.dataset_file) == DatasetFacts(("1", "2", "3", "4"), (0.35,), (0.15,))
    before = load_weights_file(run / "checkpoints" / "epoch-0001")
    after = load_weights_file(tuned.best())
    learnt = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in learnt)
    assert any(not torch.equal(before[name], after[name]) for name in before), "nothing was trained at all"


def test_it_takes_a_tenth_of_the_rates_and_the_tuned_rules_without_another_networks_gate(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [make_run(tmp_path / "saved" / name / "1", data, seed=at) for at, name in enumerate(("a", "b"))]
    blend = make_blend(tmp_path / "both", members, gate={"kind": "veto"})
    config = fine_tuning(blend, data, {"train.seed": 5}, {})
    said = " ".join(capsys.readouterr().err.split())
    assert "Only a, the first that draws masks, is trained further, and the result is this one network" in said
    assert config.optim.decoder_learning_rate == pytest.approx(3e-4)
    assert config.train.epochs == round(250 / 4)
    assert config.train.seed == 5
    assert config.rules.min_pixels == (5, 5, 5, 5)
    assert config.rules.gate.kind == "none"
    network = torch.nn.Linear(1, 1)
    with pytest.raises(InputError, match="weight"):
        load_start(network, blend)


def test_other_classes_and_bundles_without_weights_are_told(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "saved" / "old" / "1", data)
    with pytest.raises(InputError, match="the data set has hole, crack"):
        start_facts(run, ("hole", "crack"))
    with pytest.raises(InputError):
        fine_tuning(tmp_path / "absent.sever", data, {}, {})
    assert np.isfinite(start_facts(run, ("1", "2", "3", "4")).mean).all()
