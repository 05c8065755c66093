"""Lean training computes what plain training does, and keeps less: losses, gradients and running means, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sever.config import LossSettings, ModelSettings, OptimSettings, TrainSettings
from sever.data.samplers import EpochSampler
from sever.models.checkpoint import Snapshot
from sever.models.device import make_accelerator
from sever.models.label_losses import build_outputs_loss
from sever.models.lean import find_parts, make_lean
from sever.models.reports import EpochReport, Position, Scores, StepReport
from sever.models.segmenter import Segmenter, build_segmenter
from sever.models.train import Trainer


class Pairs(TensorDataset):
    """SampleKey -> pixels and masks."""

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, ...]:
        return super().__getitem__(key[1])


class Recorder:
    """Keeps the losses of a training; scores nothing."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def step(self, report: StepReport) -> None:
        self.losses.append(report.losses["loss"])

    def validate(self, model: nn.Module, epoch: int) -> Scores:
        return {"dice": 0.5}

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None: ...

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None: ...


IMAGE = torch.zeros(1, 64, 64)


def build(architecture: str = "Unet", encoder: str = "resnet18") -> Segmenter:
    torch.manual_seed(0)
    settings = ModelSettings(architecture=architecture, encoder=encoder, weights="none", decoder_dropout=0.2)
    return build_segmenter(settings, 2, [0.4], [0.2]).train()


def step(network: nn.Module) -> tuple[float, list[Tensor]]:
    """Loss and gradients of one batch, with the dropout of one seed."""
    pixels = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(1)).float()
    torch.manual_seed(2)
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(pixels).mask_logits
    loss = logits.float().pow(2).mean()
    loss.backward()
    return loss.item(), [weight.grad for weight in network.parameters() if weight.grad is not None]


# A decoder with other containers, features in a list, tokens instead of pixels, blocks with dropped paths.
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "resnet18"),
        ("FPN", "tf_efficientnet_lite0"),
        ("UnetPlusPlus", "resnet18"),
        ("Unet", "densenet121"),
        ("Unet", "mit_b0"),
        ("Unet", "efficientnet-b0"),
    ],
)
def test_a_lean_step_is_the_plain_step(architecture: str, encoder: str) -> None:
    plain = build(architecture, encoder)
    lean = copy.deepcopy(plain)
    assert make_lean(lean, IMAGE) > 3
    one, other = step(plain), step(lean)
    assert one[0] == other[0]
    assert all(torch.equal(mine, yours) for mine, yours in zip(one[1], other[1], strict=True))
    # A batch counts once in the running means, though it was computed twice; and no name has changed.
    after = lean.state_dict()
    assert list(after) == list(plain.state_dict())
    assert all(torch.equal(value, after[name]) for name, value in plain.state_dict().items())


def kept_bytes(network: Segmenter) -> int:
    """What autograd holds for the way back, weights aside."""
    held: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor

    alive: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        network(torch.zeros(2, 1, 64, 64))
    return sum(held.values())


def test_it_keeps_less_than_half() -> None:
    plain = build("Unet", "efficientnet-b0")
    lean = copy.deepcopy(plain)
    make_lean(lean, IMAGE)
    assert kept_bytes(lean) < kept_bytes(plain) / 2


def test_a_copy_computes_with_its_own_weights() -> None:
    lean = build()
    make_lean(lean, IMAGE)
    other = copy.deepcopy(lean)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    assert step(lean)[0] > 0
    assert step(other)[0] == 0


def test_nothing_is_computed_twice_without_a_gradient() -> None:
    lean = build()
    make_lean(lean, IMAGE)
    calls = []
    for part in find_parts(lean):
        part.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        lean(torch.zeros(2, 1, 64, 64))
    assert len(calls) == len(list(find_parts(lean)))


def test_the_setting_reaches_the_loop() -> None:
    def train(memory: str) -> tuple[list[float], dict[str, Tensor]]:
        network = build()
        pixels = torch.randint(0, 256, (4, 1, 64, 64), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
        sampler = EpochSampler(4, seed=0, shuffle=True)
        loader = DataLoader(Pairs(pixels, (pixels > 128).repeat(1, 2, 1, 1).to(torch.uint8)), 2, sampler=sampler)
        settings = TrainSettings(epochs=2, batch_size=2, memory=memory, ema_decay=0.5)
        loss = build_outputs_loss(LossSettings(), ModelSettings())
        accelerator = make_accelerator("cpu", settings.precision)
        trainer = Trainer(network, loader, sampler, loss, OptimSettings(), settings, accelerator)
        recorder = Recorder()
        trainer.fit(recorder)
        assert any(type(part).__name__.startswith("Lean") for part in network.modules()) == (memory == "lean")
        return recorder.losses, trainer.scored_model.state_dict()

    (plain, averaged), (lean, lean_averaged) = train("full"), train("lean")
    assert plain == lean
    assert all(torch.equal(value, lean_averaged[name]) for name, value in averaged.items())
