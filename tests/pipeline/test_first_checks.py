"""What an experiment needs besides its images is looked for before a data set is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command_line import sever

FAULTS = {
    "model.start": ("nowhere.sever", "model.start: there is no file or folder"),
    "model.weights": ("nowhere.pth", "model.weights: there is no file"),
    "model.weights ": ("imagenett", "allowed are hub, offline, strip, none, or a file"),
    "model.encoder": ("resnet81", "model.encoder is 'resnet81'"),
    "model.architecture": ("Unett", "model.architecture is 'Unett'"),
    "distill.teacher": ("nowhere", "distill.teacher: there is no file or folder"),
}


@pytest.mark.parametrize("command", ["train", "crossval"])
@pytest.mark.parametrize("key", FAULTS)
def test_told_before_the_data_are_read(
    command: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_table(*_: object) -> None:
        raise AssertionError("the data were read")

    for place in ("sever.pipeline.train.starting", "sever.pipeline.crossval"):
        monkeypatch.setattr(f"{place}.read_table", read_table)
    value, words = FAULTS[key]
    section, name = key.strip().split(".")
    settings = {"name": "t", "data": {"root": str(tmp_path)}, "model": {"weights": "none"}}
    settings.setdefault(section, {})[name] = str(tmp_path / value) if value.startswith("nowhere") else value
    (tmp_path / "t.yml").write_text(yaml.safe_dump(settings))
    assert sever(command, "-c", tmp_path / "t.yml", "--saved", tmp_path / "saved", "--device", "cpu") == 2
    assert words in capsys.readouterr().err
