"""The loop itself, on a network of a few weights: accumulation, moving average, patience, exact resumption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sever.config import OptimSettings, TrainSettings
from sever.data.samplers import EpochSampler, SampleKey
from sever.errors import InputError
from sever.models.checkpoint import Snapshot
from sever.models.device import make_accelerator, pick_device
from sever.models.reports import EpochReport, Position, Scores, StepReport
from sever.models.train import Trainer

IMAGES = 12


class Dots(Dataset[tuple[Tensor, Tensor]]):
    """Random pixels whose mask is `bright`; the same whenever asked."""

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1000 * key.epoch + key.row)
        pixels = torch.randint(0, 256, (1, 8, 8), generator=generator, dtype=torch.uint8)
        return pixels, (pixels > 128).to(torch.uint8)


class Small(nn.Module):
    """A stand-in for a Segmenter, with dropout so that random numbers matter."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Conv2d(4, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.encoder(pixels.float() / 255).relu())

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"encoder": list(self.encoder.parameters()), "decoder": list(self.head.parameters())}


@dataclass
class Recorder:
    """Remembers every loss; answers validation with the scores it was given."""

    scores: list[float] = field(default_factory=lambda: [0.5] * 100)
    steps: list[StepReport] = field(default_factory=list)
    epochs: list[EpochReport] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    validated: list[dict[str, Tensor]] = field(default_factory=list)

    def step(self, report: StepReport) -> None:
        self.steps.append(report)

    def validate(self, model: nn.Module, epoch: int) -> Scores:
        self.validated.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"dice": self.scores[epoch]}

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None:
        self.epochs.append(report)
        self.snapshots.append(snapshot())

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None:
        self.snapshots.append(snapshot())

    @property
    def losses(self) -> list[float]:
        return [report.losses["loss"] for report in self.steps]


def bce(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"loss": nn.functional.binary_cross_entropy_with_logits(logits.float(), target.float())}


def make_trainer(loss: Callable[[Tensor, Tensor], dict[str, Tensor]] = bce, **settings: object) -> Trainer:
    values = {"epochs": 3, "batch_size": 4, "precision": "no"} | settings
    train = TrainSettings.model_validate(values)
    torch.manual_seed(0)
    sampler = EpochSampler(IMAGES, seed=5, shuffle=True)
    loader = DataLoader(Dots(), batch_size=train.batch_size, sampler=sampler, drop_last=True)
    accelerator = make_accelerator("cpu", train.precision)
    return Trainer(Small(), loader, sampler, loss, OptimSettings(), train, accelerator)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9}, {"accumulation": 2}, {"precision": "bf16"}], ids=str)
def test_resuming_from_any_checkpoint_repeats_every_later_loss(settings: dict[str, object]) -> None:
    whole = Recorder()
    make_trainer(checkpoint_steps=1, **settings).fit(whole)
    assert len(whole.losses) == 9
    for snapshot in whole.snapshots:
        trainer = make_trainer(checkpoint_steps=1, **settings)
        trainer.resume(snapshot)
        rest = Recorder()
        done = trainer.batches_done
        trainer.fit(rest)
        assert rest.losses == whole.losses[done:]
        assert [report.losses for report in rest.epochs] == [r.losses for r in whole.epochs][-len(rest.epochs) or 9 :]


def test_checkpoints_within_an_epoch_are_taken_between_moves_of_the_weights_only() -> None:
    recorder = Recorder()
    make_trainer(batch_size=2, accumulation=4, checkpoint_steps=1, epochs=1).fit(recorder)
    # 6 batches, moved after 4 and 6: one checkpoint within the epoch, one at its end
    assert [snapshot.values["position"]["batch"] for snapshot in recorder.snapshots] == [4, 0]


def test_two_accumulated_batches_move_the_weights_like_one_of_twice_the_size() -> None:
    def weights_after(**settings: object) -> dict[str, Tensor]:
        recorder = Recorder()
        trainer = make_trainer(epochs=1, clip_norm=None, **settings)
        for module in trainer.plain_model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        trainer.fit(recorder)
        return recorder.validated[-1]

    accumulated, whole = weights_after(batch_size=3, accumulation=2), weights_after(batch_size=6)
    for name, value in whole.items():
        torch.testing.assert_close(accumulated[name], value)


def test_the_moving_average_is_what_is_scored_and_saved() -> None:
    recorder = Recorder()
    trainer = make_trainer(ema_decay=0.5, epochs=1)
    trajectory: list[Tensor] = []
    recorder.step = lambda report: trajectory.append(trainer.plain_model.head[1].bias.detach().clone())  # type: ignore[method-assign,index,union-attr,attr-defined]
    trainer.fit(recorder)
    expected = trajectory[0]
    for bias in trajectory[1:]:
        expected = 0.5 * expected + 0.5 * bias
    torch.testing.assert_close(recorder.validated[0]["head.1.bias"], expected)
    torch.testing.assert_close(recorder.snapshots[0].weights["head.1.bias"], expected)
    torch.testing.assert_close(recorder.snapshots[0].training["raw.head.1.bias"], trajectory[-1])


def test_patience_counts_epochs_since_the_best_one() -> None:
    recorder = Recorder(scores=[0.1, 0.5, 0.4, 0.5, 0.6, 0.7])
    make_trainer(epochs=6, patience=2).fit(recorder)
    assert [report.is_best for report in recorder.epochs] == [True, True, False, False]  # an equal score is no better


@pytest.mark.parametrize("settings", [{}, {"accumulation": 2}, {"ema_decay": 0.9}], ids=str)
def test_stopped_at_an_epoch_of_the_schedule_it_did_what_the_whole_would_have(settings: dict[str, object]) -> None:
    whole, stopped = Recorder(scores=[0.1] * 8), Recorder(scores=[0.1] * 8)
    make_trainer(epochs=8, **settings).fit(whole)
    trainer = make_trainer(epochs=8, stop_epoch=5, **settings)
    assert not trainer.is_done
    trainer.fit(stopped)
    assert trainer.is_done
    assert trainer.position.epoch == 5
    assert len(stopped.epochs) == 5
    assert stopped.losses == whole.losses[: len(stopped.losses)]
    assert [step.learning_rates for step in stopped.steps] == [step.learning_rates for step in whole.steps][:15]
    assert stopped.steps[-1].learning_rates["decoder"] > 1e-3  # in the middle of the cosine
    # Its last checkpoint is done, whoever takes it up; one before it goes on to there, and no further.
    again = make_trainer(epochs=8, stop_epoch=5, **settings)
    again.resume(stopped.snapshots[-1])
    assert again.is_done
    again = make_trainer(epochs=8, stop_epoch=5, **settings)
    again.resume(stopped.snapshots[2])
    rest = Recorder(scores=[0.1] * 8)
    again.fit(rest)
    assert rest.losses == stopped.losses[9:]
    # Without the limit the same checkpoint goes on to the end of the schedule.
    onward = make_trainer(epochs=8, **settings)
    onward.resume(stopped.snapshots[-1])
    rest = Recorder(scores=[0.1] * 8)
    onward.fit(rest)
    assert rest.losses == whole.losses[15:]


def test_the_last_epoch_is_validated_also_where_the_schedule_goes_on() -> None:
    recorder = Recorder()
    make_trainer(epochs=9, stop_epoch=3, validate_every=2).fit(recorder)
    assert [report.scores is not None for report in recorder.epochs] == [False, True, True]


def test_a_stop_beyond_the_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="stop_epoch 4 is beyond the schedule of 3 epochs"):
        TrainSettings(epochs=3, stop_epoch=4)


def test_validation_comes_every_nth_epoch_and_after_the_last() -> None:
    recorder = Recorder()
    make_trainer(epochs=5, validate_every=2).fit(recorder)
    assert [report.scores is not None for report in recorder.epochs] == [False, True, False, True, True]


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    def broken(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"loss": logits.mean() * float("nan")}

    with pytest.raises(
        InputError,
        match=r"loss became nan in epoch 1, batch 1.*encoder_learning_rate 7e-05 and optim.decoder_learning_rate 0.003",
    ):
        make_trainer(loss=broken).fit(Recorder())


def test_learning_rates_are_flat_then_fall_in_both_groups() -> None:
    recorder = Recorder()
    make_trainer(epochs=10).fit(recorder)
    rates = [report.learning_rates for report in recorder.steps]
    assert rates[0] == {"encoder": 7e-5, "decoder": 3e-3}
    assert rates[-1]["decoder"] < 1e-4
    assert all(rate["encoder"] / rate["decoder"] == pytest.approx(7e-5 / 3e-3) for rate in rates)


def test_a_score_that_validation_can_not_give_is_told() -> None:
    with pytest.raises(InputError, match=r"no score 'mean_iou'.*train\.monitor"):
        make_trainer(monitor="mean_iou").fit(Recorder())


@pytest.mark.parametrize(("device", "precision", "named"), [("cpu", "fp16", "GPU"), ("tpu", "no", "'tpu'")])
def test_what_the_machine_can_not_do_is_refused(device: str, precision: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        pick_device(device, precision)
