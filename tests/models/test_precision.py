"""What `precision: auto` means on a device, and that a run keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from run_maker import NETWORK

from sever.config import load_config, parse_config
from sever.models import device as devices
from sever.models.device import fitting_precision, has_bf16_units, make_accelerator
from sever.pipeline.begun import is_begun
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.starting import train_into

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What was found out of a processor that a test made up must not outlive it."""
    yield
    has_bf16_units.cache_clear()
    devices._warn_of_slow_bf16.cache_clear()


def on_processor(monkeypatch: pytest.MonkeyPatch, **has: bool) -> None:
    has_bf16_units.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "cpu_name": "any", **has}, raising=False)


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({}, "no"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "no"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"bf16": True}, "bf16"),  # as ARM processors name it
    ],
)
def test_auto_is_bf16_only_where_a_processor_has_units_for_it(
    has: dict[str, bool], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_processor(monkeypatch, **has)
    assert fitting_precision("auto", CPU) == wanted
    assert fitting_precision("no", CPU) == "no"
    assert make_accelerator("cpu", "auto").mixed_precision == wanted


def test_bf16_that_is_slow_here_is_done_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    on_processor(monkeypatch)
    assert [fitting_precision("bf16", CPU) for _ in range(2)] == ["bf16", "bf16"]
    assert [record.message.count("no bf16 units") for record in caplog.records] == [1]


def test_a_run_keeps_what_auto_meant_where_it_began(
    strip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else stored maps would count as another model's on the next machine."""
    on_processor(monkeypatch)
    settings = {
        "name": "tiny",
        "data": {"root": str(strip_root)},
        "model": NETWORK,
        "augment": {"crop": [32, 32]},
        "train": {"epochs": 1, "batch_size": 4, "workers": 0},
    }
    run = train_into(parse_config(settings, "test"), tmp_path / "run", "cpu").folder
    config = load_config(run / "config.yml")
    assert config.train.precision == "no"
    on_processor(monkeypatch, avx512_bf16=True)
    assert load_model(run, InferenceOptions("cpu")).config.train.precision == "no"
    assert load_model(run, InferenceOptions("cpu", precision="auto")).config.train.precision == "bf16"
    again = config.model_copy(update={"train": config.train.model_copy(update={"precision": "auto"})})
    assert is_begun(run, again, "run"), "the same words begin the same run on another machine"
