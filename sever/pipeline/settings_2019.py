"""A configuration of the 2019 solution as an experiment of today, and what of it has no counterpart; knows no weights.

Read as facts from khornlund's published repository: names of settings, and what they meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sever.config import ExperimentConfig, looks_like_2019, parse_config
from sever.errors import InputError
from sever.models.layout_2019 import FEATURE_BLOCKS

# His pixels: one grey channel, normalised by these.
MEAN, STD = 0.3439, 0.0383
MIN_PIXELS = (600, 600, 1000, 2000)  # of the four classes, on 256x1600
ARCHITECTURES = ("Unet", "FPN")
# BCE + Dice, by weights whose default was this; with smoothed labels, by his default.
PLAIN_LOSS, SMOOTH_LOSS = "BCEDiceLoss", "SmoothBCEDiceLoss"
LOSS_WEIGHTS, EQUAL_WEIGHT, SMOOTHING = {"bce_weight": "pixel_weight", "dice_weight": "dice_weight"}, 0.5, 1e-6
MOST, MOST_CLASSES = 1e9, 1000
# His names of the first layer's colours; a number of channels took that many of red, green and blue in turn.
CHANNELS = {"r": "r", "g": "g", "b": "b", "rgb": "rgb", "1": "r", "3": "rgb"}
# Arguments of a network that change nothing once it is trained, and those that must be what they always were.
IDLE_ARGS = {"encoder_weights", "activation", "dropout"}
FIXED_ARGS: dict[str, tuple[Any, ...]] = {
    "decoder_use_batchnorm": (True,),
    "attention_type": (None,),
    "center": (False,),
    "decoder_pyramid_channels": (256,),
    "decoder_segmentation_channels": (128,),
    "weight_std": (False,),
}
TRANSLATED_ARGS = {"encoder_name", "classes", "in_channels", "decoder_channels", "decoder_merge_policy"}


@dataclass(frozen=True)
class Translated:
    """The experiment, its number of classes, and a sentence for each thing of it that can't be had."""

    config: ExperimentConfig
    num_classes: int
    losses: tuple[str, ...]


def translate(values: Mapping[str, Any], name: str | None, source: str) -> Translated:
    """Raises InputError where no network of today is the one of this configuration."""
    if not looks_like_2019(values):
        raise InputError(f"{source} is not a configuration of the 2019 solution: it has no `arch` and `optimizer`")
    model, num_classes = _model(_section(values, "arch"), source)
    settings: dict[str, Any] = {
        "name": name or _name(values),
        "data": {"root": str(_section(values, "data_loader", "args").get("data_dir", "data"))},
        "folds": _folds(values),
        "augment": _augment(values),
        "model": model,
        "loss": _loss(_section(values, "loss")),
        "optim": _optim(values),
        "train": _train(values),
        "rules": {"min_pixels": MIN_PIXELS if num_classes == len(MIN_PIXELS) else 0},
    }
    filled = {key: value for key, value in settings.items() if value != {}}
    return Translated(parse_config(filled, source), num_classes, tuple(_losses(values)))


def _model(arch: Mapping[str, Any], source: str) -> tuple[dict[str, Any], int]:
    kind, args = arch.get("type"), _section(arch, "args")
    if kind not in ARCHITECTURES:
        raise InputError(
            f"{source}: arch.type is {kind!r}; only {' and '.join(ARCHITECTURES)} can be had: other networks of 2019, "
            "the classifier EffNet among them, have layers that no network here has"
        )
    for key, value in args.items():
        allowed = FIXED_ARGS.get(key)
        if allowed is not None and value not in allowed:
            raise InputError(
                f"{source}: arch.args.{key} is {value!r}; a network with it can't be imported, only {allowed[0]}"
            )
        if allowed is None and key not in IDLE_ARGS | TRANSLATED_ARGS:
            raise InputError(f"{source}: arch.args.{key} is unknown here, so that the network can't be made as it was")
    channels = str(args.get("in_channels", 3)).lower()
    if channels not in CHANNELS:
        raise InputError(f"{source}: arch.args.in_channels is {channels}; allowed are {', '.join(CHANNELS)}")
    encoder = str(args.get("encoder_name", "resnet34"))
    model: dict[str, Any] = {"architecture": kind, "encoder": encoder, "in_channels": CHANNELS[channels]}
    model |= {"decoder_dropout": _number(args, "dropout", 0.2 if kind == "FPN" else 0.0)}
    if kind == "Unet" and model["decoder_dropout"] > 0:
        model["decoder_dropout_at"] = "blocks"
    if kind == "FPN" and args.get("decoder_merge_policy", "add") != "add":
        model["fpn_merge"] = args["decoder_merge_policy"]
    if kind == "Unet" and "decoder_channels" in args:
        model["decoder_channels"] = args["decoder_channels"]
    if encoder in FEATURE_BLOCKS:
        model["encoder_layout"] = "2019"
    classes = _number(args, "classes", 1)
    if not 1 <= classes <= MOST_CLASSES or classes % 1:
        raise InputError(f"{source}: arch.args.classes is {classes:g}; allowed are 1 to {MOST_CLASSES}")
    return model, int(classes)


def _name(values: Mapping[str, Any]) -> str:
    given = str(values.get("name") or values.get("short_name") or "imported-2019")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", given).strip("-._") or "imported-2019"


def _folds(values: Mapping[str, Any]) -> dict[str, Any]:
    share = _section(values, "data_loader", "args").get("validation_split")
    return {"share": share} if share else {}


def _augment(values: Mapping[str, Any]) -> dict[str, Any]:
    args = _section(values, "augmentation", "args")
    crop = [args["height"], args["width"]] if {"height", "width"} <= set(args) else None
    return {"recipe": "severstal-2019", "crop": crop}


def _loss(loss: Mapping[str, Any]) -> dict[str, Any]:
    args = _section(loss, "args")
    found: dict[str, Any] = {"dice_over": "all"}
    if loss.get("type") in (PLAIN_LOSS, SMOOTH_LOSS):
        found |= {now: args.get(old, EQUAL_WEIGHT) for old, now in LOSS_WEIGHTS.items()}
    if loss.get("type") == SMOOTH_LOSS:  # `eps` in its first version
        found["label_smoothing"] = args.get("smooth", args.get("eps", SMOOTHING))
    return found


def _optim(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("encoder", "decoder"):
        given = _section(values, "optimizer", part) or _section(values, "optimizer", "args")
        names = {"lr": "learning_rate", "weight_decay": "weight_decay"}
        found |= {f"{part}_{now}": given[old] for old, now in names.items() if old in given}
    schedule = _section(values, "lr_scheduler", "args")
    if {"start_anneal", "n_epochs"} <= set(schedule):
        flat, epochs = (_number(schedule, key, 0) for key in ("start_anneal", "n_epochs"))
        found["flat_share"] = round(flat / max(1, epochs), 4)
    return found


def _train(values: Mapping[str, Any]) -> dict[str, Any]:
    training, loader = _section(values, "training"), _section(values, "data_loader", "args")
    found = {"epochs": training.get("epochs"), "batch_size": loader.get("batch_size"), "seed": values.get("seed")}
    return {key: value for key, value in found.items() if value is not None} | {"clip_norm": None, "precision": "no"}


def _losses(values: Mapping[str, Any]) -> list[str]:
    """What can't be had of the training, a sentence each."""
    told = []
    if "alpha" in _section(values, "data_loader", "args"):
        told.append("The pseudo-labels can't be imported: set the section `pseudo` to train with some again.")
    kind = _section(values, "loss").get("type", PLAIN_LOSS)
    if kind not in (PLAIN_LOSS, SMOOTH_LOSS):
        told.append(f"The loss {kind} can't be imported: new training uses BCE + Dice.")
    return told


def _number(values: Mapping[str, Any], key: str, default: float) -> float:
    value = values.get(key, default)
    if type(value) not in (int, float) or not abs(value) < MOST:
        raise InputError(f"the configuration of 2019 has {key}: {str(value)[:40]}, where a number should be")
    return float(value)


def _section(values: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A section in sections; empty where it, or one around it, is not there."""
    found: Any = values
    for key in keys:
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
