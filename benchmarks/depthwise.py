"""Claim: sever's gradients of depthwise convolutions make the bf16 training step of an efficientnet 1.25 times as fast.

    python benchmarks/depthwise.py
    python benchmarks/depthwise.py --encoder tu-mobilenetv3_large_100 --decoder 128 64 32 16 16

Two copies of one network take the same steps in turn: with torch's own gradients (oneDNN's), and with those of
sever/models/depthwise.py. Then each kind of depthwise layer that gains, alone, with features of the size that it has
there: milliseconds of one gradient, by the processors' clock. All in bf16, channels last, as `sever train` computes
on a CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from common import QUICK_ENCODER, Clock, describe_machine, make_parser, parse, print_ratio, print_table
from torch import Tensor, nn

from sever.models.depthwise import make_depthwise_faster

AT_LEAST = 1.25
Kind = tuple[tuple[int, ...], nn.Conv2d]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite0", help="as segmentation_models_pytorch names it")
    parser.add_argument("--decoder", type=int, nargs=5, default=[256, 128, 64, 32, 16], help="the Unet's channels")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    options = parse(parser, {"encoder": QUICK_ENCODER, "size": 64, "batch": 2, "steps": 2})
    print(describe_machine())
    torch.manual_seed(0)
    plain = smp.Unet(options.encoder, encoder_weights=None, decoder_channels=options.decoder, in_channels=1, classes=4)
    plain = plain.to(memory_format=torch.channels_last).train()
    ours = copy.deepcopy(plain)
    changed = make_depthwise_faster(ours)
    pixels = torch.randn(options.batch, 1, options.size, options.size).to(memory_format=torch.channels_last)
    kinds = find_kinds(plain, ours, pixels)
    seconds = {"torch's gradients": [0.0], "ours": [0.0]}
    for name, network in (("torch's gradients", plain), ("ours", ours)):
        step(network, pixels)  # sets up its memory and kernels
        seconds[name].clear()
    for _ in range(options.steps):
        for name, network in (("torch's gradients", plain), ("ours", ours)):
            seconds[name].append(timed(lambda network=network: step(network, pixels)))  # type: ignore[misc]
    best = {name: min(values) for name, values in seconds.items()}
    rows = [(name, f"{options.batch / value:.2f}", f"{value:.2f}") for name, value in best.items()]
    print_table(("step", "images/s of a processor", "s a step"), rows)
    print_table(("layer", "features", "torch's, ms", "ours, ms"), [compare(*kind) for kind in kinds.values()])
    ratio = best["torch's gradients"] / best["ours"]
    print_ratio(ratio, f"a step of {options.encoder}, {changed} layers changed", AT_LEAST)


def find_kinds(plain: nn.Module, ours: nn.Module, pixels: Tensor) -> dict[str, Kind]:
    """One layer of each kind that was changed, with the shape of what it takes."""
    found: dict[str, Kind] = {}
    changed = {name for name, module in ours.named_modules() if type(module).__name__.startswith("Faster")}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(module, nn.Conv2d)
            found.setdefault(f"{tuple(inputs[0].shape)} {module}", (tuple(inputs[0].shape), module))

        return hook

    hooks = [module.register_forward_pre_hook(note(name)) for name, module in plain.named_modules() if name in changed]
    step(plain, pixels)
    for hook in hooks:
        hook.remove()
    return found


def compare(shape: tuple[int, ...], layer: nn.Conv2d) -> tuple[str, ...]:
    plain, ours = copy.deepcopy(layer), copy.deepcopy(layer)
    make_depthwise_faster(ours)
    features = torch.randn(shape).to(memory_format=torch.channels_last)
    height, width = layer.kernel_size
    name = f"{height}x{width}, by {layer.stride[0]}"
    return name, "x".join(map(str, shape)), *(f"{gradient_ms(each, features):.1f}" for each in (plain, ours))


def gradient_ms(layer: nn.Conv2d, features: Tensor, times: int = 3) -> float:
    best = float("inf")
    for _ in range(times):
        with torch.autocast("cpu", torch.bfloat16):
            answer = layer(features.bfloat16().requires_grad_())
        gradient = torch.ones_like(answer)
        best = min(best, timed(lambda answer=answer, gradient=gradient: answer.backward(gradient)))  # type: ignore[misc]
    return 1000 * best


def step(network: nn.Module, pixels: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        answer = network(pixels)
    answer.float().square().mean().backward()


def timed(work: Callable[[], None]) -> float:
    start = Clock.now()
    work()
    return start.since().processor


if __name__ == "__main__":
    main()
