"""What a task allows: its own defaults, and wrong pairs told before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sever.config import ExperimentConfig, LossSettings, ModelSettings, dump_config, load_config, parse_config
from sever.config.data import DataSettings
from sever.errors import InputError


def parse(**sections: Any) -> ExperimentConfig:
    return parse_config({"name": "x", "data": {"root": "data"}} | sections, "x.yml")


CLASSIFY = {"task": "classify"}


def test_a_classifier_has_defaults_of_its_own() -> None:
    config = parse(model=CLASSIFY)
    assert (config.loss.name, config.train.monitor) == ("bce", "label_ap")
    config = parse(model=CLASSIFY, loss={"focal_gamma": 1.0}, train={"epochs": 3})
    assert (config.loss.name, config.loss.focal_gamma) == ("bce", 1.0)
    assert (config.train.monitor, config.train.epochs) == ("label_ap", 3)


def test_a_classifier_made_in_python_has_them_too() -> None:
    config = ExperimentConfig(
        name="x",
        data=DataSettings(root=Path("data")),
        model=ModelSettings(task="classify"),
        loss=LossSettings(focal_gamma=1.5),
    )
    assert (config.loss.name, config.loss.focal_gamma, config.train.monitor) == ("bce", 1.5, "label_ap")


def test_what_is_said_wins() -> None:
    config = parse(model=CLASSIFY, loss={"name": "focal"}, train={"monitor": "label_auc"})
    assert (config.loss.name, config.train.monitor) == ("focal", "label_auc")


def test_a_segmenter_keeps_its_defaults() -> None:
    config = parse()
    assert (config.model.task, config.loss.name, config.train.monitor) == ("segment", "bce_dice", "dice")
    assert parse(model={"label_head": True}).train.monitor == "dice"
    assert parse(model={"label_head": True}, train={"monitor": "label_ap"}).train.monitor == "label_ap"


@pytest.mark.parametrize("model", [CLASSIFY, {"label_head": True}, {}])
def test_a_saved_configuration_reads_back_as_itself(tmp_path: Path, model: dict[str, Any]) -> None:
    config = parse(model=model)
    path = tmp_path / "config.yml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert load_config(path, {"train.precision": "no"}).train.monitor == config.train.monitor


def test_a_saved_configuration_of_before_there_were_tasks_still_reads(tmp_path: Path) -> None:
    values = yaml.safe_load(dump_config(parse()))
    for name in ("task", "label_head", "label_dropout"):
        del values["model"][name]
    for name in ("label_weight", "label_min_pixels"):
        del values["loss"][name]
    assert parse_config(values, "old") == parse()


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": CLASSIFY, "train": {"monitor": "dice"}}, "monitor dice .*classify: label_ap, label_auc, label_f1$"),
        ({"train": {"monitor": "label_ap"}}, "label_ap .*no model.label_head: dice, dice_positive, mean_iou$"),
        ({"model": CLASSIFY, "loss": {"name": "bce_dice"}}, "bce_dice is for masks; a classifier takes bce, focal"),
        ({"loss": {"name": "bce"}}, "bce is for classifiers .*take bce_dice"),
        (
            {"model": {**CLASSIFY, "label_head": True}},
            "`model`: with task classify there is no decoder for .*label_head",
        ),
        ({"model": {**CLASSIFY, "decoder_channels": [8] * 5, "decoder_dropout": 0.1}}, "decoder_dropout, .*channels"),
        ({"model": {"label_dropout": 0.1}}, "label_dropout is set, but nothing labels images"),
        ({"rules": {"gate": {"kind": "veto"}}}, "rules.gate.kind is veto, but nothing .*label_head: true"),
        ({"model": {"task": "clasify"}}, "`model.task` is 'clasify'.*'segment' or 'classify'"),
        ({"model": CLASSIFY, "loss": 3}, "`loss` is 3: it is a section"),
        ({"model": CLASSIFY, "loss": {"nam": "bce"}}, "unknown setting `loss.nam`.*`name`"),
        ({"model": 7}, "`model` is 7: it is a section"),
        ({"loss": {"label_min_pixels": 0}}, "`loss.label_min_pixels` is 0"),
    ],
)
def test_wrong_pairs_are_told(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse(**sections)
    assert str(caught.value).startswith("x.yml: ")
    assert "{'name': 'x'" not in str(caught.value)  # not the whole configuration
