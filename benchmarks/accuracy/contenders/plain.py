"""The plain loop that `sever` must beat: segmentation_models_pytorch as its users write it, in one page.

Whole images, padded by reflection or squashed to a square; AdamW with one cycle of the rate; cross-entropy and Dice
with the background; flips. A variant can change every setting, so that it can be told which of them matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sever.errors import InputError
from sever.files import atomic_path, write_json
from sever.models.device import has_bf16_units
from sever.models.pretrained import load_and_recycle
from sever.reading import read_json

from ..budget import Spent
from ..protocols import Sample, Split
from ..task import Task, Trained

MULTIPLE = 32
WARM_STEPS, TIMED_STEPS = 2, 6
SAVE_EVERY_STEPS = 25


@dataclass(frozen=True)
class PlainSettings:
    """The loop as it was written; `clip` and `ema` of 0 are off, `relight` is the largest share of light changed."""

    encoder: str = "tf_efficientnet_lite0"
    architecture: str = "Unet"
    batch: int = 16
    rate: float = 2e-3
    encoder_rate: float = 2e-3
    decay: float = 1e-2
    schedule: Literal["one-cycle", "flat-cosine"] = "one-cycle"
    pixel_loss: Literal["ce", "bce"] = "ce"
    dice_background: Literal["yes", "no"] = "yes"
    stem: Literal["sum", "mean"] = "sum"
    normalise: Literal["half", "data"] = "half"
    pad: Literal["reflect", "edge"] = "reflect"
    relight: float = 0.0
    clip: float = 0.0
    ema: float = 0.0


def read_settings(variant: Mapping[str, str]) -> PlainSettings:
    """The settings with those of a variant over them. Raises InputError for a name or value that isn't allowed."""
    known = {field.name: field for field in fields(PlainSettings)}
    changes: dict[str, Any] = {}
    for name, text in variant.items():
        if name not in known:
            raise InputError(f"the plain loop has no setting {name!r}; allowed: {', '.join(known)}")
        kind: type[Any] = type(getattr(PlainSettings(), name))
        try:
            changes[name] = kind(text)
        except ValueError as error:
            raise InputError(f"{name} is {text!r}; it must be a {kind.__name__}") from error
        allowed = _choices(known[name].type)
        if allowed and text not in allowed:
            raise InputError(f"{name} is {text!r}; allowed: {', '.join(allowed)}")
    return replace(PlainSettings(), **changes)


def train_plain(task: Task) -> Trained:
    settings = read_settings(task.variant)
    images = Images(task.split, settings)
    plan_file = task.folder / "plan.json"
    if not plan_file.is_file():
        step = Spent() if task.budget.clock == "epochs" else _measure_step(task, settings, images)
        steps = task.budget.steps(task.stopwatch.spent(), step, len(task.split.train), settings.batch)
        write_json(plan_file, {"steps": steps, "step_seconds": vars(step)})
    steps = int(read_json(plan_file)["steps"])
    loop = Loop(task.split.num_classes, settings, images.statistics, steps, task.seed)
    loop.resume(task.folder / "checkpoint.pt")
    while loop.step < steps:
        loop.train_batch(*images.batch(loop.step, task.seed))
        if loop.step % SAVE_EVERY_STEPS == 0 or loop.step == steps:
            loop.save(task.folder / "checkpoint.pt")
            print(f"step {loop.step} of {steps}  loss {loop.last_loss:.4f}", flush=True)
    return Trained(steps * settings.batch, lambda samples: _predict(loop, images, samples))


class Images:
    """Training images in memory, as the network takes them: (h, w) uint8 each, and their label maps."""

    def __init__(self, split: Split, settings: PlainSettings) -> None:
        self.settings, self.squash = settings, split.squash
        pairs = [(sample.read_image(), sample.read_labels()) for sample in split.train]
        self.pixels = [self.to_input(image_hw) for image_hw, _ in pairs]
        self.labels = [self.to_input(labels_hw, cv2.INTER_NEAREST) for _, labels_hw in pairs]
        self.statistics = self._statistics([image_hw for image_hw, _ in pairs])

    def to_input(self, image_hw: np.ndarray, interpolation: int = cv2.INTER_AREA) -> np.ndarray:
        if self.squash is not None:
            return cv2.resize(image_hw, (self.squash, self.squash), interpolation=interpolation)
        (above, below), (left, right) = (self._margins(size) for size in image_hw.shape)
        mode: Literal["reflect", "edge"] = self.settings.pad
        return np.pad(image_hw, ((above, below), (left, right)), mode=mode)

    def from_output(self, logits_chw: Tensor, height: int, width: int) -> np.ndarray:
        """Label map (height, width) of logits as large as the network's input."""
        if self.squash is not None:
            logits_chw = F.interpolate(logits_chw[None], (height, width), mode="bilinear")[0]
        else:
            (above, _), (left, _) = self._margins(height), self._margins(width)
            logits_chw = logits_chw[:, above : above + height, left : left + width]
        return logits_chw.argmax(dim=0).numpy().astype(np.uint8)

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Pixels (N, 1, h, w) and labels (N, h, w) of one step: every image once an epoch, flipped at random."""
        count = min(self.settings.batch, len(self.pixels))
        epoch, number = divmod(step, len(self.pixels) // count)
        order = np.random.default_rng([seed, epoch]).permutation(len(self.pixels))
        rng = np.random.default_rng([seed, epoch, number])
        rows = order[number * count : (number + 1) * count]
        flipped = [_flip(self._relit(self.pixels[row], rng), self.labels[row], rng) for row in rows]
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in flipped]))[:, None]
        return pixels, torch.from_numpy(np.stack([labels for _, labels in flipped])).long()

    def _relit(self, image_hw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self.settings.relight:
            return image_hw
        brightness, contrast = rng.uniform(1 - self.settings.relight, 1 + self.settings.relight, size=2)
        lit = image_hw.astype(np.float32) * brightness
        return np.clip((lit - lit.mean()) * contrast + lit.mean(), 0, 255).astype(np.uint8)

    def _margins(self, size: int) -> tuple[int, int]:
        """Pixels before and after: both sides alike for a reflection, all behind for a repeated edge."""
        missing = -size % MULTIPLE
        before = missing // 2 if self.settings.pad == "reflect" else 0
        return before, missing - before

    def _statistics(self, images: list[np.ndarray]) -> tuple[float, float]:
        if self.settings.normalise == "half":
            return 127.0, 128.0  # as the weights were trained
        levels = np.concatenate([image_hw.ravel() for image_hw in images])
        return float(levels.mean()), float(levels.std())


class Loop:
    """Network, optimiser and schedule at one step of `steps`."""

    def __init__(
        self, num_classes: int, settings: PlainSettings, statistics: tuple[float, float], steps: int, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.settings, self.statistics, self.step, self.last_loss = settings, statistics, 0, math.nan
        self.network = _build(settings, num_classes + (settings.pixel_loss == "ce"))
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in known]
        rates = [settings.encoder_rate, settings.rate]
        groups = [{"params": encoder, "lr": rates[0]}, {"params": others, "lr": rates[1]}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=settings.decay)
        self.scheduler = SCHEDULES[settings.schedule](self.optimizer, rates, steps)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema)) if settings.ema else None
        )

    def forward(self, network: nn.Module, pixels: Tensor) -> Tensor:
        mean, deviation = self.statistics
        scaled = ((pixels.float() - mean) / deviation).contiguous(memory_format=torch.channels_last)
        # As its user would have it: without units for it, bf16 is many times slower.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16_units(torch.device("cpu"))):
            logits: Tensor = network(scaled)
        return logits.float()

    def train_batch(self, pixels: Tensor, labels: Tensor) -> None:
        self.network.train()
        loss = _loss(self.forward(self.network, pixels), labels, self.settings)
        self.optimizer.zero_grad()
        loss.backward()
        if self.settings.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step, self.last_loss = self.step + 1, float(loss.detach())

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> Tensor:
        """Logits with the background first, (N, C + 1, h, w)."""
        network = self.network if self.average is None else self.average.module
        network.eval()
        logits = self.forward(network, pixels)
        # Independent classes: none of them where none is above one half.
        return logits if self.settings.pixel_loss == "ce" else F.pad(logits, (0, 0, 0, 0, 1, 0))

    def save(self, file: Path) -> None:
        average = self.average.state_dict() if self.average is not None else None
        moving = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        state = {name: part.state_dict() for name, part in moving.items()}
        with atomic_path(file) as temporary:
            torch.save(state | {"average": average, "step": self.step, "loss": self.last_loss}, temporary)

    def resume(self, file: Path) -> None:
        if not file.is_file():
            return
        state = torch.load(file, weights_only=True)
        for name in ("network", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.step, self.last_loss = state["step"], state["loss"]


def _one_cycle(optimizer: torch.optim.Optimizer, rates: list[float], steps: int) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=steps + 1)


def _flat_cosine(optimizer: torch.optim.Optimizer, rates: list[float], steps: int) -> Any:
    def factor(step: int) -> float:
        progress = min(step / steps, 1.0)
        return 1.0 if progress <= 0.12 else (1 + math.cos(math.pi * (progress - 0.12) / 0.88)) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


SCHEDULES = {"one-cycle": _one_cycle, "flat-cosine": _flat_cosine}


def _build(settings: PlainSettings, outputs: int) -> Any:
    network = smp.create_model(
        settings.architecture, f"tu-{settings.encoder}", encoder_weights=None, in_channels=3, classes=outputs
    )
    load_and_recycle(network.encoder, f"tu-{settings.encoder}", "offline", settings.stem)
    return network.to(memory_format=torch.channels_last)


def _loss(logits: Tensor, labels: Tensor, settings: PlainSettings) -> Tensor:
    one_hot = F.one_hot(labels, int(logits.shape[1]) + (settings.pixel_loss == "bce")).permute(0, 3, 1, 2).float()
    if settings.pixel_loss == "bce":
        target = one_hot[:, 1:]
        return 0.6 * F.binary_cross_entropy_with_logits(logits, target) + 0.4 * _dice_loss(logits.sigmoid(), target)
    probs, target = logits.softmax(dim=1), one_hot
    if settings.dice_background == "no":
        probs, target = probs[:, 1:], target[:, 1:]
    return 0.6 * F.cross_entropy(logits, labels) + 0.4 * _dice_loss(probs, target)


def _dice_loss(probs: Tensor, target: Tensor) -> Tensor:
    shared, total = (probs * target).sum(dim=(0, 2, 3)), (probs + target).sum(dim=(0, 2, 3))
    return 1 - ((2 * shared + 1) / (total + 1)).mean()


def _flip(image_hw: np.ndarray, labels_hw: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    for axis in (0, 1):
        if rng.random() < 0.5:
            image_hw, labels_hw = np.flip(image_hw, axis), np.flip(labels_hw, axis)
    return image_hw, labels_hw


def _measure_step(task: Task, settings: PlainSettings, images: Images) -> Spent:
    """What one step takes here, of a network that is thrown away."""
    loop = Loop(task.split.num_classes, settings, images.statistics, WARM_STEPS + TIMED_STEPS, task.seed)
    for step in range(WARM_STEPS + TIMED_STEPS):
        if step == WARM_STEPS:
            start = task.stopwatch.spent()
        loop.train_batch(*images.batch(step, task.seed))
    took = task.stopwatch.spent() - start
    return Spent(took.wall / TIMED_STEPS, took.cpu / TIMED_STEPS)


def _predict(loop: Loop, images: Images, samples: tuple[Sample, ...]) -> Iterator[np.ndarray]:
    for sample in samples:
        image_hw = sample.read_image()
        logits = loop.predict(torch.from_numpy(images.to_input(image_hw))[None, None])
        yield images.from_output(logits[0], *image_hw.shape)


def _choices(annotation: Any) -> tuple[str, ...]:
    """The words of a Literal written as text, as annotations are here."""
    text = str(annotation)
    if not text.startswith("Literal["):
        return ()
    return tuple(word.strip(" \"'") for word in text[len("Literal[") : -1].split(","))
