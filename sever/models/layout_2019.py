"""Networks as khornlund's fork of segmentation_models_pytorch (0.0.x) laid them out in 2019; knows no files.

Most of it differs from today's by names alone. efficientnet-bN differs by more, which names and shapes don't show: the
fork padded every convolution as for an image of even size, and took features after other blocks.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from sever.errors import InputError

# After which blocks, counted from 0, the fork took an efficientnet's features of stride 4, 8, 16 and 32.
FEATURE_BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "efficientnet-b0": (1, 4, 10, 15),
    "efficientnet-b1": (2, 7, 15, 22),
    "efficientnet-b2": (2, 7, 15, 22),
    "efficientnet-b3": (2, 7, 17, 25),
    "efficientnet-b4": (4, 9, 21, 31),
    "efficientnet-b5": (5, 12, 26, 38),
    "efficientnet-b6": (6, 14, 30, 44),
    "efficientnet-b7": (8, 17, 37, 54),
}
# Old name -> name now, for the parts of a decoder.
_RENAMED: tuple[tuple[str, str], ...] = (
    (r"decoder\.final_conv\.(\w+)", r"segmentation_head.0.\1"),
    (r"decoder\.conv1\.(\w+)", r"decoder.p5.\1"),
)
_UNET = re.compile(r"decoder\.layer([1-5])\.block\.([01])\.block\.(\d)\.(\w+)")
_FPN = re.compile(r"decoder\.s([2-5])\.(block\..+)")
_EVEN_SIZE = 2
HEAD = "segmentation_head.0.weight"


def use_layout_2019(encoder: Any, encoder_name: str) -> None:
    """Make an encoder answer as the fork's did. Raises InputError for one that differed by its names alone."""
    if encoder_name not in FEATURE_BLOCKS:
        raise InputError(
            f"model.encoder_layout is 2019, but {encoder_name} was then as it is now; leave it out, or use "
            f"{', '.join(FEATURE_BLOCKS)}"
        )
    encoder._out_indexes = list(FEATURE_BLOCKS[encoder_name])
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and hasattr(module, "static_padding"):
            module.static_padding = _padding(module)


def _padding(conv: nn.Conv2d) -> nn.Module:
    """What keeps the size / stride of an image of even size, the odd pixel right and below."""
    up_down, left_right = (
        max(kernel - (1 if stride == 1 else _EVEN_SIZE), 0)
        for kernel, stride in zip(conv.kernel_size, conv.stride, strict=True)
    )
    if not up_down and not left_right:
        return nn.Identity()
    left, top = left_right // 2, up_down // 2
    return nn.ZeroPad2d((left, left_right - left, top, up_down - top))


def rename(old: str) -> str:
    """A tensor's name now; names that are unknown here come back as they are."""
    if match := _UNET.fullmatch(old):
        return f"decoder.blocks.{int(match[1]) - 1}.conv{int(match[2]) + 1}.{match[3]}.{match[4]}"
    if match := _FPN.fullmatch(old):
        return f"decoder.seg_blocks.{5 - int(match[1])}.{match[2]}"
    for pattern, now in _RENAMED:
        if re.fullmatch(pattern, old):
            return re.sub(pattern, now, old)
    return old


def fit_weights(old: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The weights of a whole network of 2019 for `network`, under its names and in full precision.

    What a forward pass never touches may be missing. Raises InputError, naming tensors, where the networks differ.
    """
    wanted = network.state_dict()
    found = {rename(name.removeprefix("module.")): tensor for name, tensor in old.items()}
    if HEAD in found and HEAD in wanted:
        found[HEAD] = _in_the_middle(found[HEAD], wanted[HEAD].shape)
    spare = _spare(network, wanted)
    missing = [name for name in wanted if name not in found and name not in spare]
    strange = [name for name in found if name not in wanted]
    shaped = [
        f"{name} {tuple(found[name].shape)}, here {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    faults = {"it lacks": missing, "it has besides": strange, "of other shapes": shaped}
    told = [f"{what} {_few(names)}" for what, names in faults.items() if names]
    if told:
        raise InputError(f"its network is not the one that its configuration makes here: {'; '.join(told)}")
    return {name: found[name].to(tensor.dtype) if name in found else tensor for name, tensor in wanted.items()}


@torch.no_grad()
def _spare(network: nn.Module, wanted: dict[str, Tensor]) -> set[str]:
    """Tensors without a say in any answer: counters, and those of layers that a forward pass never calls."""
    called: set[nn.Module] = set()
    hooks = [module.register_forward_hook(lambda layer, *_: called.add(layer)) for module in network.modules()]
    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    was_training = network.training
    network.eval()(torch.zeros(1, stem.in_channels, 64, 64))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    idle = {name for name, module in network.named_modules() if module not in called}
    return {name for name in wanted if name.rpartition(".")[0] in idle or name.endswith("num_batches_tracked")}


def _in_the_middle(weight: Tensor, shape: torch.Size) -> Tensor:
    """A 1x1 convolution as the middle of a larger one: Unet's last layer was one, and has 3x3 pixels now."""
    if weight.ndim != 4 or weight.shape[2:] != (1, 1) or weight.shape[:2] != shape[:2]:
        return weight
    larger = weight.new_zeros(shape)
    larger[:, :, shape[2] // 2, shape[3] // 2] = weight[:, :, 0, 0]
    return larger


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
