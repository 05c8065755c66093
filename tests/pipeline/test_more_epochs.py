"""`sever train -r RUN --epochs N`: what it trains, at which rates, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from command_line import sever, train

from sever.config import load_config
from sever.models.optim import rate_factor
from sever.store import Run


def history(run: Run) -> pd.DataFrame:
    return pd.read_csv(run.history_file)


@pytest.fixture
def run(tiny_experiment: Path) -> Run:
    """Three epochs over 12 images, 4 a batch: nine steps. The first three of eight are killed in a test of its own."""
    values = yaml.safe_load(tiny_experiment.read_text())
    values["train"]["epochs"] = 3
    tiny_experiment.write_text(yaml.safe_dump(values))
    assert train(tiny_experiment) == 0
    (folder,) = (tiny_experiment.parent / "saved" / "tiny").iterdir()
    return Run(folder)


def test_a_run_goes_on_beyond_its_end_by_the_schedule_of_all_its_epochs(run: Run) -> None:
    before = history(run)
    assert before["epoch"].tolist() == [1, 2, 3]
    assert sever("train", "-r", run.folder, "--epochs", 5, "--device", "cpu") == 0
    after = history(run)
    assert after["epoch"].tolist() == [1, 2, 3, 4, 5]
    pd.testing.assert_frame_equal(after[:3], before, check_dtype=False)
    config = load_config(run.config_file)
    assert config.train.epochs == 5
    # The rate of an epoch's last step, of 15 in all where three make an epoch.
    factors = [rate_factor(3 * epoch - 1, 15, config.optim) for epoch in (4, 5)]
    rate = next(name for name in after.columns if name.startswith("rate_"))
    flat = before[rate].iloc[0] / rate_factor(2, 9, config.optim)
    assert after[rate].iloc[3:].tolist() == pytest.approx([flat * factor for factor in factors])
    assert after[rate].iloc[3] > before[rate].iloc[2], "it goes up again, as the how-to says"
    # To the same end from then on, also without the option.
    assert sever("train", "-r", run.folder, "--device", "cpu") == 0
    assert history(run)["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_what_makes_no_sense_is_told_and_changes_nothing(
    run: Run, tiny_experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run.config_file.read_bytes()
    for words, said in (
        (["-r", run.folder, "--epochs", 3], "it has 3; give more"),
        (["-r", run.folder, "--epochs", 2], "it has 3; give more"),
        (["-c", tiny_experiment, "--epochs", 5], "train.epochs=N"),
    ):
        capsys.readouterr()
        assert sever("train", *words, "--device", "cpu") == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert run.config_file.read_bytes() == config
    text = run.config_file.read_text().replace("patience: null", "patience: 1")
    run.config_file.write_text(text)
    state = run.epoch_folder(3) / "state.json"
    state.write_text(
        state.read_text().replace('"best_epoch": 2', '"best_epoch": 0').replace('"best_epoch": 1', '"best_epoch": 0')
    )
    assert sever("train", "-r", run.folder, "--epochs", 9, "--device", "cpu") == 2
    assert "stopped early" in capsys.readouterr().err
    assert run.config_file.read_text() == text


def test_a_run_that_stopped_on_its_schedule_goes_on_along_it(tiny_experiment: Path) -> None:
    """Stopped after 2 of 5 epochs, and gone on with to 3, then to the schedule's end: as the whole run."""
    values = yaml.safe_load(tiny_experiment.read_text())
    values["train"]["epochs"] = 5
    tiny_experiment.write_text(yaml.safe_dump(values))
    assert train(tiny_experiment) == 0
    (whole,) = (tiny_experiment.parent / "saved" / "tiny").iterdir()
    values["name"], values["train"]["stop_epoch"] = "stopped", 2
    tiny_experiment.write_text(yaml.safe_dump(values))
    assert train(tiny_experiment) == 0
    (stopped,) = (tiny_experiment.parent / "saved" / "stopped").iterdir()
    losses = history(Run(whole))["train_loss"]
    for epochs, stop in ((2, 2), (3, 3), (5, None)):
        if epochs > 2:
            assert sever("train", "-r", stopped, "--epochs", epochs, "--device", "cpu") == 0
        settings = load_config(Run(stopped).config_file).train
        assert (settings.epochs, settings.stop_epoch) == (5, stop)
        assert history(Run(stopped))["train_loss"].tolist() == losses[:epochs].tolist()
    assert sever("train", "-r", stopped, "--epochs", 5, "--device", "cpu") == 2
