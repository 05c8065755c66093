"""The training loop: batches in, better weights out; knows no files, image ids, thresholds or class names.

Every step draws its random numbers from (seed, epoch, step) alone, so that a run that was killed and resumed from any
checkpoint computes exactly what the uninterrupted run would have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from sever.config import OptimSettings, TrainSettings
from sever.errors import InputError
from sever.models.across import summed
from sever.models.allocator import KeptMemory
from sever.models.batch_norm import synchronised
from sever.models.blueprint import TRIAL_SIDE
from sever.models.checkpoint import Snapshot, capture, restore
from sever.models.depthwise import make_depthwise_faster
from sever.models.device import from_main
from sever.models.distill import SoftTargets
from sever.models.lean import make_lean, recomputed
from sever.models.network import Outputs, PixelNetwork
from sever.models.optim import build_optimizer, rate_factor
from sever.models.reports import EpochReport, Loss, Position, ResumableSampler, Scores, StepReport, Watcher

# What torch says where a batch leaves nothing to take a spread of.
TOO_FEW_TO_NORMALISE = "Expected more than 1 value per channel"


def step_seed(seed: int, epoch: int, batch: int, process: int = 0) -> int:
    """One 63-bit seed for the random numbers of one step (dropout, stochastic depth) in one process."""
    # The first process draws as a single one does.
    words = [seed, epoch, batch] + [process] * (process > 0)
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


class Trainer:
    """Weights, optimiser and position of one run; `fit` takes them to the last epoch."""

    def __init__(
        self,
        network: PixelNetwork,
        loader: DataLoader[Any],
        sampler: ResumableSampler,
        loss: Loss,
        optim: OptimSettings,
        settings: TrainSettings,
        accelerator: Accelerator,
        soft_targets: SoftTargets | None = None,
    ) -> None:
        if settings.channels_last:
            network = network.to(memory_format=torch.channels_last)
        if settings.memory == "lean":
            make_lean(network, torch.zeros(network.in_channels, TRIAL_SIDE, TRIAL_SIDE))
            loss = partial(recomputed, loss)
        make_depthwise_faster(network)
        self.accelerator, self.soft_targets = accelerator, soft_targets
        self.settings, self.optim, self.loss, self.sampler = settings, optim, loss, sampler
        self.images_per_batch = (loader.batch_size or 1) * accelerator.num_processes
        if accelerator.num_processes > 1 and settings.sync_batch_norm:
            synchronised(network)
        optimizer = build_optimizer(network.parameter_groups(), optim)
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        sampler.set_position(0, 0)
        self.model, self.optimizer, self.loader = accelerator.prepare(network, optimizer, loader)
        self.num_batches = len(self.loader)
        self.averaged = (
            AveragedModel(self.plain_model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay))
            if settings.ema_decay
            else None
        )
        on_cpu = accelerator.device.type == "cpu"
        self.kept_memory = KeptMemory(settings.kept_memory if on_cpu else None)
        self.position = Position(images_per_step=self.images_per_batch)

    @property
    def plain_model(self) -> PixelNetwork:
        return self.accelerator.unwrap_model(self.model)

    @property
    def scored_model(self) -> nn.Module:
        """The network whose answers count: the moving average where there is one."""
        return self.averaged.module if self.averaged is not None else self.plain_model

    @property
    def batches_done(self) -> int:
        return self.position.epoch * self.num_batches + self.position.batch

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * -(-self.num_batches // self.settings.accumulation)

    @property
    def is_done(self) -> bool:
        return self.position.epoch >= self.settings.last_epoch or self._out_of_patience()

    def fit(self, watcher: Watcher) -> None:
        """Train from the present position to the last epoch, or until patience ends."""
        while not self.is_done:
            start = time.perf_counter()
            epoch = self.position.epoch
            losses = self._train_epoch(watcher)
            scores = self._validate(watcher, epoch)
            is_best = self._note_best(scores, epoch)
            self.position.epoch, self.position.batch, self.position.loss_sums = epoch + 1, 0, {}
            if self.accelerator.is_main_process:
                seconds = time.perf_counter() - start
                report = EpochReport(epoch, losses, scores, is_best, self._rates(), seconds)
                watcher.epoch(report, self.snapshot)
            self.accelerator.wait_for_everyone()

    def snapshot(self) -> Snapshot:
        scaler = self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {}
        averaged = self.averaged.module if self.averaged is not None else None
        snapshot = capture(self.plain_model, averaged, self.optimizer, scaler)
        snapshot.values["position"] = vars(self.position) | {"loss_sums": dict(self.position.loss_sums)}
        return snapshot

    def resume(self, snapshot: Snapshot) -> None:
        """Go back to where a snapshot was taken. Raises InputError for one that this run can't have taken."""
        position = Position(**snapshot.values["position"])
        if position.epoch > self.settings.epochs or position.batch > self.num_batches:
            raise InputError(
                f"the checkpoint is at epoch {position.epoch}, batch {position.batch}, but the run has "
                f"{self.settings.epochs} epochs of {self.num_batches} batches: it is damaged, or the data has changed"
            )
        averaged = self.averaged.module if self.averaged is not None else None
        restore(snapshot, self.plain_model, averaged, self.optimizer)
        if self.averaged is not None:
            # The first update of an AveragedModel copies; a resumed one goes on averaging.
            self.averaged.n_averaged.fill_(snapshot.values["position"]["optimizer_step"])
        if self.accelerator.scaler is not None and snapshot.values["scaler"]:
            self.accelerator.scaler.load_state_dict(snapshot.values["scaler"])
        self.position = replace(position, images_per_step=self.images_per_batch)

    def _train_epoch(self, watcher: Watcher) -> dict[str, float]:
        position = self.position
        self.model.train()
        self.sampler.set_position(position.epoch, position.batch * self.images_per_batch)
        start = time.perf_counter()
        for pixels, target in self._batches():
            losses = self._train_batch(pixels, target)
            self.kept_memory.after_step()
            position.batch += 1
            for name, value in losses.items():
                position.loss_sums[name] = position.loss_sums.get(name, 0.0) + value
            now = time.perf_counter()
            if self.accelerator.is_main_process:
                images = len(pixels) * self.accelerator.num_processes
                watcher.step(self._step_report(losses, images, now - start))
                if self._checkpoint_due():
                    watcher.within_epoch(self.snapshot, position)
            start = time.perf_counter()
        return {name: value / position.batch for name, value in position.loss_sums.items()}

    def _batches(self) -> Iterator[Any]:
        """The rest of this epoch; none when it was saved after its last batch."""
        if self.position.batch == self.num_batches:
            return
        try:
            yield from self.loader
        except InputError as error:
            # A loader's process hands over its whole traceback as the message, which ends in the sentence.
            raise InputError(str(error).rpartition(f"{InputError.__name__}: ")[2].strip()) from error

    def _train_batch(self, pixels: Tensor, target: Tensor) -> dict[str, float]:
        settings, batch = self.settings, self.position.batch
        accumulated_from = batch - batch % settings.accumulation
        group_size = min(settings.accumulation, self.num_batches - accumulated_from)
        moves = batch - accumulated_from == group_size - 1
        process = self.accelerator.process_index
        torch.manual_seed(step_seed(settings.seed, self.position.epoch, batch, process))
        if settings.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with nullcontext() if moves else self.accelerator.no_sync(self.model):
            outputs = self._forward(pixels)
            losses = self.loss(outputs, target)
            if self.soft_targets is not None:
                losses = self.soft_targets.join(losses, outputs, pixels)
            values = self._of_all(losses)
            if not math.isfinite(values["loss"]):
                raise InputError(self._diverged(values["loss"]))
            self.accelerator.backward(losses["loss"] / group_size)
        if moves:
            self._move_weights()
        return values

    def _of_all(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """The mean of the losses of all processes."""
        means = summed(torch.stack([value.detach() for value in losses.values()])) / self.accelerator.num_processes
        return dict(zip(losses, means.tolist(), strict=True))

    def _diverged(self, loss: float) -> str:
        position, optim = self.position, self.optim
        limit = self.settings.clip_norm
        clipped = "set train.clip_norm" if limit is None else f"train.clip_norm is {limit:g}"
        return (
            f"the loss became {loss} in epoch {position.epoch + 1}, batch {position.batch + 1}, with "
            f"optim.encoder_learning_rate {optim.encoder_learning_rate:g} and optim.decoder_learning_rate "
            f"{optim.decoder_learning_rate:g}: lower them, by ten times at first ({clipped}), or use train.precision "
            f"bf16 or no (it is {self.settings.precision})"
        )

    def _forward(self, pixels: Tensor) -> Outputs:
        try:
            outputs: Outputs = self.model(pixels)  # accelerate has wrapped its forward in autocast
        except ValueError as error:
            if TOO_FEW_TO_NORMALISE not in str(error):
                raise
            height, width = pixels.shape[-2:]
            raise InputError(
                f"batch normalisation can't work on {len(pixels)} image a batch here: of {height}x{width} pixels one "
                "value a channel is left; set train.batch_size to 2 or more (and have as many training images), "
                "augment.crop larger, or another model.architecture"
            ) from error
        return outputs

    def _move_weights(self) -> None:
        factor = rate_factor(self.position.optimizer_step, self.total_steps, self.optim)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        if self.settings.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averaged is not None:
            self.averaged.update_parameters(self.plain_model)
        self.position.optimizer_step += 1

    def _checkpoint_due(self) -> bool:
        """Only between moves of the weights, since half-summed gradients are not part of a snapshot."""
        every, batch = self.settings.checkpoint_steps, self.position.batch
        moved = batch % self.settings.accumulation == 0
        return every is not None and moved and batch < self.num_batches and self.position.optimizer_step % every == 0

    def _validate(self, watcher: Watcher, epoch: int) -> Scores | None:
        last, every = epoch + 1 == self.settings.last_epoch, self.settings.validate_every
        if every is None or (not last and (epoch + 1) % every):
            return None

        def validate() -> Scores:
            self.scored_model.eval()
            return watcher.validate(self.scored_model, epoch)

        return from_main(self.accelerator, validate)

    def _note_best(self, scores: Scores | None, epoch: int) -> bool:
        if scores is None:
            return False
        if self.settings.monitor not in scores:
            raise InputError(
                f"the validation images have no score {self.settings.monitor!r} (they show no defect); "
                "set another train.monitor, or hold out more images"
            )
        score = scores[self.settings.monitor]
        if self.position.best_score is not None and score <= self.position.best_score:
            return False
        self.position.best_score, self.position.best_epoch = score, epoch
        return True

    def _out_of_patience(self) -> bool:
        patience, best = self.settings.patience, self.position.best_epoch
        return patience is not None and best is not None and self.position.epoch - 1 - best >= patience

    def _rates(self) -> dict[str, float]:
        return {group["name"]: group["lr"] for group in self.optimizer.param_groups}

    def _step_report(self, losses: dict[str, float], images: int, seconds: float) -> StepReport:
        position = self.position
        return StepReport(
            epoch=position.epoch,
            batch=position.batch,
            num_batches=self.num_batches,
            optimizer_step=position.optimizer_step,
            losses=losses,
            learning_rates=self._rates(),
            images=images,
            seconds=seconds,
        )
