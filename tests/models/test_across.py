"""Two processes with half a batch each have the loss, gradients and batch statistics of one with the whole."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from sever.config import LossSettings, ModelSettings
from sever.config.mask_values import IGNORED
from sever.models.across import gathered, summed
from sever.models.batch_norm import synchronised
from sever.models.label_losses import build_outputs_loss
from sever.models.losses import LOSSES, num_outputs
from sever.models.network import Outputs

pytest.importorskip("torch.distributed")

SIZES = (3, 1)  # images of the two processes' batches; their mean is not that of all, unless sums are shared
CASES = [*LOSSES, "pooled bce_dice", "ignored bce_dice", "ignored lovasz_softmax", "labels"]


class Net(nn.Module):
    """Convolution, both kinds of batch normalisation, and the two heads."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.two, self.norm_act = nn.Conv2d(4, 4, 3, padding=1), BatchNormAct2d(4)
        self.masks, self.labels = nn.Conv2d(4, outputs, 1), nn.Linear(4, 2)

    def forward(self, pixels: Tensor) -> Outputs:
        x = self.norm_act(self.two(self.norm(self.one(pixels)).relu()))
        return Outputs(self.masks(x), self.labels(x.mean(dim=(2, 3))))


def batch(case: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    pixels = 5 + torch.randn(sum(SIZES), 1, 6, 8, generator=generator)
    masks = (torch.rand(sum(SIZES), 2, 6, 8, generator=generator) > 0.7).to(torch.uint8)
    masks[:, 1] *= 1 - masks[:, 0]
    masks[2] = 0
    if case.startswith("ignored"):
        masks[0, :, :3] = IGNORED
    return pixels, masks


def step(case: str, rows: slice, parallel: bool) -> dict[str, Tensor]:
    """Loss, gradients and buffers after one step on these rows of the batch."""
    torch.manual_seed(1)
    name = case.split()[-1]
    settings = LossSettings(
        name="bce_dice" if case == "labels" else name, dice_over="all" if "pooled" in case else "class"
    )
    model = ModelSettings(label_head=case == "labels")
    net: nn.Module = Net(num_outputs(settings.name, 2))
    plain = net
    if parallel:
        synchronised(net)
        net = DistributedDataParallel(net, find_unused_parameters=True)
    pixels, masks = (values[rows] for values in batch(case))
    loss = build_outputs_loss(settings, model)(net(pixels), masks)["loss"]
    loss.backward()
    mean_loss = summed(loss.detach()) / (2 if parallel else 1)
    gradients = {k: v.grad.clone() for k, v in plain.named_parameters() if v.grad is not None}
    return {"loss": mean_loss} | gradients | {k: v.clone() for k, v in plain.named_buffers()}


def work(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    rows = slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None)
    found = {case: step(case, rows, parallel=True) for case in CASES}
    uneven = torch.arange(2.0 + rank)[None].requires_grad_()
    together = gathered(uneven)
    (together * torch.arange(6)).sum().backward()
    found["gathered"] = {"values": together.detach(), "gradient": uneven.grad}
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("two")
    multiprocessing.spawn(work, args=(str(folder),), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_a_step_of_two_processes_is_that_of_one(case: str, both: list[dict[str, dict[str, Tensor]]]) -> None:
    whole = step(case, slice(None), parallel=False)
    for found in both:
        assert set(found[case]) == set(whole)
        for name, value in whole.items():
            torch.testing.assert_close(
                found[case][name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_what_is_gathered_may_differ_in_length(both: list[dict[str, dict[str, Tensor]]]) -> None:
    for rank, found in enumerate(both):
        assert found["gathered"]["values"].tolist() == [[0, 1, 0, 0, 1, 2]]
        # Twice the gradient, of which DistributedDataParallel takes the mean over two processes.
        assert found["gathered"]["gradient"].tolist() == [[[0, 2], [6, 8, 10]][rank]]


def test_one_process_shares_nothing() -> None:
    values = torch.ones(2, 3)
    assert summed(values) is values
    assert gathered(values) is values


def test_weights_fit_both_ways() -> None:
    net = Net(2)
    changed = synchronised(copy.deepcopy(net))
    assert list(changed.state_dict()) == list(net.state_dict())
    changed.load_state_dict(net.state_dict())
    pixels = torch.randn(2, 1, 4, 4)
    torch.testing.assert_close(changed(pixels), net(pixels))
    torch.testing.assert_close(changed.eval()(pixels), net.eval()(pixels))
