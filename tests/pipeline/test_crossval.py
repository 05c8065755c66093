"""`sever crossval`: every image by the network that has not seen it, resumable fold by fold, folds side by side."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import sever

from sever.data.layouts import read_table
from sever.decide.label_metrics import LabelSheet
from sever.pipeline import crossval
from sever.pipeline.evidence import open_evidence, score_table
from sever.pipeline.inference.load import fold_checkpoint, load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.store import Evidence, Run


@pytest.fixture
def experiment(tiny_experiment: Path) -> Path:
    """Two folds, one epoch."""
    values = yaml.safe_load(tiny_experiment.read_text())
    values |= {"folds": {"count": 2}, "train": values["train"] | {"epochs": 1}}
    tiny_experiment.write_text(yaml.safe_dump(values))
    return tiny_experiment


def test_every_map_is_by_the_network_that_has_not_seen_the_image(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever("crossval", "-c", experiment, "--saved", tmp_path / "saved", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    evidence = Evidence.find(tmp_path / "saved" / "tiny")
    opened = open_evidence(evidence.folder)
    assert sorted(opened.table.image_ids) == sorted(evidence.maps)

    for fold in (0, 1):
        held_out = set(opened.table.take(np.flatnonzero(opened.folds_n == fold)).image_ids)
        run = Run(evidence.fold_folder(fold))
        assert held_out.isdisjoint(run.part("train"))
        assert held_out == set(run.part("validation"))
        # The second implementation: this fold's network, asked again.
        loaded = load_model(fold_checkpoint(evidence, fold), InferenceOptions("cpu"))
        row = int(np.flatnonzero(opened.folds_n == fold)[0])
        live = loaded.inspect(opened.table.path(row))
        np.testing.assert_array_equal(live.levels, opened.levels(row))

    pairs = evidence.read_pairs()
    assert len(pairs) == len(opened.table) * opened.num_classes
    assert scores["dice"] == pytest.approx(pairs["dice"].mean())
    again = score_table(opened).drop(columns="group")
    pd.testing.assert_frame_equal(pairs.drop(columns="group"), again, check_dtype=False, rtol=1e-5)


def test_finished_folds_stay_when_it_goes_on(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    train_run = crossval.train_run
    trained: list[int] = []

    def interrupted(config: object, make_run: Callable[[], Run], device: str, *rest: object) -> Run:
        trained.append(len(trained))
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train_run(config, make_run, device)  # type: ignore[arg-type]

    monkeypatch.setattr(crossval, "train_run", interrupted)
    assert sever("crossval", "-c", experiment, "--saved", saved) != 0
    evidence = Evidence.find(saved / "tiny")
    assert crossval.folds_to_do(evidence, [0, 1]) == [1]
    before = {image_id: evidence.maps.path(image_id).stat().st_mtime_ns for image_id in evidence.maps}
    assert sever("crossval", "-r", saved / "tiny") == 0
    assert len(trained) == 3  # the first fold was not trained again
    after = {image_id: evidence.maps.path(image_id).stat().st_mtime_ns for image_id in evidence.maps}
    assert before.items() <= after.items()
    assert evidence.pairs_file.is_file()
    capsys.readouterr()


def test_what_was_lost_is_made_again(experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A map, and the labels of a label head."""
    values = yaml.safe_load(experiment.read_text())
    values["model"]["label_head"] = True
    experiment.write_text(yaml.safe_dump(values))
    assert sever("crossval", "-c", experiment, "--saved", tmp_path / "saved", "--json") == 0
    evidence = Evidence.find(tmp_path / "saved" / "tiny")
    printed = json.loads(capsys.readouterr().out)
    assert printed["folder"] == str(evidence.folder)
    truth, labels = open_evidence(evidence.folder).table.has_class(), open_evidence(evidence.folder).gate_probs_nc
    assert labels is not None
    sheet = LabelSheet(4)
    for number, (probs_c, shown_c) in enumerate(zip(labels, truth, strict=True)):
        sheet.add(str(number), probs_c, shown_c)
    assert printed["labels"]["label_ap"] == pytest.approx(sheet.scores()["label_ap"])
    lost = evidence.maps.path(crossval.held_out(evidence, 1)[0])
    for file in (lost, evidence.fold_folder(0) / "labels.csv"):
        before = file.read_bytes()
        file.unlink()
        assert sever("crossval", "-r", evidence.folder) == 0
        assert "1 of 2 folds to do" in capsys.readouterr().err
        assert file.read_bytes() == before


def test_processes_of_folds_end_with_the_one_that_began_them(experiment: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(experiment.read_text())
    values["train"]["epochs"] = 100_000  # never done by itself, however long this waits
    experiment.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "sever", "crossval", "-c", str(experiment), "--jobs", "2", "--device", "cpu"]
    begun = subprocess.Popen([*command, "--saved", str(tmp_path / "saved")], stderr=subprocess.DEVNULL)
    while len(list(tmp_path.glob("saved/tiny/*/fold-*/train.log"))) < 2:
        assert begun.poll() is None
        time.sleep(0.1)
    folds = children(begun.pid)
    assert len(folds) == 2
    begun.terminate()
    assert begun.wait() == 128 + signal.SIGTERM
    # It waited for them: whoever ends first would leave them training.
    assert not any(Path(f"/proc/{pid}").exists() for pid in folds)


def children(parent: int) -> list[int]:
    stats = [
        (path.parent.name, path.read_text().rpartition(")")[2].split()) for path in Path("/proc").glob("[0-9]*/stat")
    ]
    return [int(pid) for pid, stat in stats if int(stat[1]) == parent]


def test_folds_side_by_side_give_what_one_after_another_gives(experiment: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        assert (
            sever("crossval", "-c", experiment, "--saved", tmp_path / str(jobs), "--jobs", jobs, "--device", "cpu") == 0
        )
    one, two = (Evidence.find(tmp_path / str(jobs) / "tiny") for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.read_pairs(), two.read_pairs())
    assert (two.folder / "fold-0.log").read_text()


def test_a_failing_fold_says_what_happened(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sever.config import load_config

    evidence = crossval.start(load_config(experiment), tmp_path / "saved")
    config = yaml.safe_load((evidence.folder / "config.yml").read_text())
    config["model"]["encoder"] = "resnet-eighteen"
    (evidence.folder / "config.yml").write_text(yaml.safe_dump(config))
    assert sever("crossval", "-r", evidence.folder, "--jobs", 2, "--device", "cpu") == 2
    error = capsys.readouterr().err
    assert "fold" in error
    assert "resnet-eighteen" in error
    assert "repeat the same command to resume" in error


def test_without_validation_the_last_checkpoint_counts(experiment: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(experiment.read_text())
    values["train"] |= {"epochs": 2, "validate_every": None}
    experiment.write_text(yaml.safe_dump(values))
    assert sever("crossval", "-c", experiment, "--saved", tmp_path / "saved") == 0
    run = Run(Evidence.find(tmp_path / "saved" / "tiny").fold_folder(0))
    assert "dice" not in pd.read_csv(run.history_file).columns
    assert run.best() == run.epoch_folder(2)


def test_the_folds_answer_as_one(experiment: Path, tmp_path: Path) -> None:
    assert sever("crossval", "-c", experiment, "--saved", tmp_path / "saved") == 0
    evidence = Evidence.find(tmp_path / "saved" / "tiny")
    together = load_model(evidence.folder, InferenceOptions("cpu"))
    table, _ = read_table(together.config.data)
    image_hwc = together.reader()(table.path(0))
    folds = [load_model(fold_checkpoint(evidence, fold), InferenceOptions("cpu")).network for fold in (0, 1)]
    mean = np.mean([network.predict([image_hwc])[0].probs_chw for network in folds], axis=0)
    np.testing.assert_allclose(together.network.predict([image_hwc])[0].probs_chw, mean, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["crossval"], "give either -c CONFIG"),
        (["crossval", "-c", "{experiment}", "--fold", "1"], "--fold is one of"),
        (["crossval", "-r", "{saved}"], "no out-of-fold evidence"),
        (["crossval", "-r", "{saved}", "--seed", "1"], "keeps its own settings"),
    ],
)
def test_wrong_words(
    words: list[str], told: str, experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever(*(word.format(experiment=experiment, saved=tmp_path) for word in words)) == 2
    assert told in capsys.readouterr().err


def test_a_classifier_leaves_labels_and_no_maps(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load(experiment.read_text())
    values |= {"name": "gate", "model": {"task": "classify", "encoder": "resnet18", "weights": "none"}, "rules": {}}
    experiment.write_text(yaml.safe_dump(values))
    assert sever("crossval", "-c", experiment, "--saved", tmp_path / "saved") == 0
    evidence = Evidence.find(tmp_path / "saved" / "gate")
    ids = evidence.read_folds()["image_id"].tolist()
    label_probs_nc = evidence.read_label_probs(ids, 4)
    assert label_probs_nc is not None
    assert label_probs_nc.shape == (len(ids), 4)
    assert list(evidence.maps) == []
    assert not evidence.pairs_file.exists()
    assert load_model(evidence.folder, InferenceOptions("cpu")).draws_masks is False
    shown = capsys.readouterr().out
    assert "Out of fold, " in shown
    assert f"labels of {len(ids)} images" in shown
