"""Claim: a decoder that stops at half size halves a step of Unet-lite0, and `precision: auto` takes the faster one.

    python benchmarks/step_cost.py
    python benchmarks/step_cost.py --encoder resnet18 --size 256

One training step, forwards and backwards, of networks that differ in `model.decoder_channels` alone, in turn; then the
first of them in full precision and in bf16, beside what `auto` means on this processor. One thread, channels last.
"""

from __future__ import annotations

import time

import torch
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import ModelSettings
from sever.models.depthwise import make_depthwise_faster
from sever.models.device import fitting_precision
from sever.models.segmenter import Segmenter, build_segmenter

AT_LEAST = 2.0
DECODERS = ((256, 128, 64, 32, 16), (96, 64, 32, 24, 16), (256, 128, 64, 32), (96, 64, 32, 24), (96, 64, 32))
CPU = torch.device("cpu")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    options = parse(parser, {"encoder": QUICK_ENCODER, "size": 64, "batch": 2, "steps": 1})
    torch.set_num_threads(1)
    print(describe_machine())
    pixels = torch.randint(0, 256, (options.batch, 1, options.size, options.size), dtype=torch.uint8)
    networks = {decoder: build(options.encoder, decoder) for decoder in DECODERS}
    auto = fitting_precision("auto", CPU)
    seconds = {decoder: float("inf") for decoder in DECODERS}
    for number in range(1 + options.steps):  # the first sets up memory and kernels
        for decoder, network in networks.items():
            spent = step(network, pixels, auto)
            seconds[decoder] = min(seconds[decoder], spent) if number else float("inf")
    usual = seconds[DECODERS[0]]
    print_table(
        ("decoder_channels", "s a step", "images/s", "as fast as the usual one"),
        [
            (str(list(decoder)), f"{spent:.2f}", f"{options.batch / spent:.2f}", f"{usual / spent:.2f}")
            for decoder, spent in seconds.items()
        ],
    )
    whole = networks[DECODERS[0]]
    both = {precision: min(step(whole, pixels, precision) for _ in range(2)) for precision in ("no", "bf16")}
    print_table(("precision", "s a step"), [(name, f"{spent:.2f}") for name, spent in both.items()])
    print(f"auto means {auto} here")
    print(f"the slower precision takes {max(both.values()) / both[auto]:.2f} times as long as auto")
    print_ratio(
        usual / seconds[(96, 64, 32, 24)], "a step with the usual decoder over one that stops at half size", AT_LEAST
    )


def build(encoder: str, decoder: tuple[int, ...]) -> Segmenter:
    settings = ModelSettings(encoder=encoder, weights="none", decoder_channels=decoder)
    network = build_segmenter(settings, 4, [0.4], [0.15]).to(memory_format=torch.channels_last).train()
    make_depthwise_faster(network)
    return network


def step(network: Segmenter, pixels: torch.Tensor, precision: str) -> float:
    """Seconds of this process's processor time."""
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(pixels).mask_logits
    logits.float().square().mean().backward()
    return time.process_time() - began


if __name__ == "__main__":
    main()
