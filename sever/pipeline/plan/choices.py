"""Every choice of a plan and why, from numbers alone: the same fingerprint, measurement and hours give the same plan.

Knows no torch, file or clock. Constants here were measured (docs/results.md, docs/experiments.md) or say what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sever.data.crops import fitting_crop
from sever.data.fingerprint import Fingerprint
from sever.data.stats.proposals import smallest_area, why_so_small
from sever.errors import InputError
from sever.pipeline.plan.candidates import (
    ENOUGH_STEPS,
    SMALLEST_BATCH,
    VALIDATION_SHARE,
    Candidate,
    pick_candidate,
    steps_within,
)

BATCH_PIXELS = 16 * 256 * 256
LARGEST_BATCH = 16
# Of images that may validate, one in ten or one in five.
MANY_IMAGES = 2000
BALANCE = "none", "images as they come, as published recipes draw them"
BALANCE_OF_STRIP = (
    "class",
    "classes equally often, as these weights learnt them; as they come, rare ones were forgotten",
)
PEAK = 2.0e-3, "the peak of the cycle"
PEAK_OF_STRIP = 5.0e-4, "the peak of the cycle: a quarter of the usual one, for weights that know strip"
# Weights that come with sever, of a network with the finest decoder.
STRIP = "strip"
# A prediction goes forward only; a step goes back too, which takes twice as long.
FORWARD_SHARE = 1 / 3
MOST_EPOCHS, EPOCH_STEPS = 20, 50
AVERAGED_SHARE = 0.05, "averages the last {share:.0%} of the steps"
AVERAGED_SHARE_OF_STRIP = (
    0.8,
    "averages over {share:.0%} of the steps, so that rare classes that the weights knew are not forgotten",
)


@dataclass(frozen=True)
class PlannedSetting:
    """One line of an experiment: `section.key: value`, and why."""

    name: str
    value: Any
    why: str


def data_choices(
    fingerprint: Fingerprint, offline: bool, workers: int, train_only: Sequence[str] = (), strip: bool = False
) -> list[PlannedSetting]:
    """All that the data decides, before a network is measured. `strip`: start from what has learnt synthetic strip."""
    return [
        *_fold_choices(fingerprint, train_only),
        *(_strip_choices(fingerprint) if strip else _input_choices(fingerprint, offline)),
        *_augment_choices(fingerprint),
        *_learning_choices(fingerprint, strip),
        PlannedSetting("train.batch_size", *_batch_size(fingerprint)),
        PlannedSetting(
            "train.workers", workers, "one core reads and augments, the others train" if workers else "one core"
        ),
        *_rule_choices(fingerprint),
    ]


def time_choices(
    training: int, validation: int, candidates: Sequence[Candidate], hours: float, strip: bool = False
) -> list[PlannedSetting]:
    """What the hours decide: the network, its batch, and how long it learns from so many images.

    `strip`: from weights that have learnt synthetic strip. Raises InputError where not one step fits.
    """
    seconds = 3600 * hours
    best = pick_candidate(candidates, seconds)
    batch, whole = best.batch, candidates[0].batch
    steps = steps_within(best, seconds)
    if steps < 1:
        raise InputError(
            f"{hours:g} hours are too short: a step takes {best.step_seconds:.1f} s here; give more --hours"
        )
    epochs = max(1, min(MOST_EPOCHS, steps // EPOCH_STEPS))
    images = steps // epochs * batch
    return [
        PlannedSetting("model.architecture", best.network.architecture, _why_network(best, candidates, steps)),
        PlannedSetting("model.encoder", best.network.encoder, f"{batch / best.step_seconds:.3g} images/s here"),
        PlannedSetting("model.decoder_channels", list(best.network.decoder_channels), _why_decoder(best, strip)),
        *_smaller_batch(batch, whole),
        PlannedSetting("train.epochs", epochs, f"{steps} steps fit into {hours:g} h; so many looks at the scores"),
        PlannedSetting(
            "sampling.epoch_images", images, f"{epochs * images / training:.1f} passes over {training} images in all"
        ),
        *_validation_choices(best, validation, epochs, seconds),
        PlannedSetting("train.ema_decay", *_averaging(steps, strip)),
    ]


def crop_of(fingerprint: Fingerprint) -> tuple[int, int] | None:
    """Height and width of training crops; None for whole images."""
    return fitting_crop(fingerprint.largest, fingerprint.commonest)


def as_values(choices: Sequence[PlannedSetting]) -> dict[str, dict[str, Any]]:
    """Sections of settings, as an experiment has them."""
    values: dict[str, dict[str, Any]] = {}
    for choice in choices:
        section, key = choice.name.split(".")
        values.setdefault(section, {})[key] = choice.value
    return values


def _fold_choices(fingerprint: Fingerprint, train_only: Sequence[str]) -> list[PlannedSetting]:
    many = fingerprint.images >= MANY_IMAGES
    share = 0.1 if many else 0.2
    held_out = max(1, round(fingerprint.images * share))
    if fingerprint.groups is None:
        grouped = "no groups are known, so copies of one image may stand on both sides"
    else:
        grouped = f"whole groups of {fingerprint.groups}"
    choices = [
        PlannedSetting("folds.share", share, f"about {held_out} of {fingerprint.images} images judge; {grouped}")
    ]
    if train_only:
        choices.append(PlannedSetting("folds.train_only_groups", list(train_only), "as said by --train-only"))
    return choices


def _input_choices(fingerprint: Fingerprint, offline: bool) -> list[PlannedSetting]:
    grey = "all images looked at are grey; the sum answers as the pretrained filters do to three equal channels"
    return [
        PlannedSetting(
            "model.in_channels", *(("sum", grey) if fingerprint.grey else ("rgb", "the images have colours"))
        ),
        PlannedSetting(
            "model.weights",
            *(
                ("offline", "ImageNet weights of sever[offline] are installed here")
                if offline
                else ("hub", "sever[offline] is not installed, so the weights are fetched from the model hub")
            ),
        ),
    ]


def _strip_choices(fingerprint: Fingerprint) -> list[PlannedSetting]:
    grey = "they learnt from one grey channel" + ("" if fingerprint.grey else ": colours are lost")
    return [
        PlannedSetting("model.in_channels", "sum", grey),
        PlannedSetting("model.weights", STRIP, "as asked: encoder and decoder have learnt synthetic strip"),
    ]


def _smaller_batch(batch: int, whole: int) -> list[PlannedSetting]:
    if batch == whole:
        return []
    return [PlannedSetting("train.batch_size", batch, f"not {whole}: so that these hours hold more steps")]


def _augment_choices(fingerprint: Fingerprint) -> list[PlannedSetting]:
    light = PlannedSetting(
        "augment.recipe", "light", "flips and up to 10 % of light: changes that a camera could have seen"
    )
    crop, (height, width) = crop_of(fingerprint), fingerprint.largest
    thin = min((facts.spot_side for facts in fingerprint.classes if facts.images), default=0)
    scale = f"at 1:1, since spots of a class are {thin} pixels across at the median"
    if crop is None:
        return [light, PlannedSetting("augment.crop", None, f"whole images, at most {height}x{width}; {scale}")]
    area = fingerprint.commonest[0] * fingerprint.commonest[1]
    covered = crop[0] * crop[1] / area
    aware = 0.0 if covered >= 0.5 else 0.5
    reason = "a crop shows most of an image anyway" if not aware else f"a crop shows {covered:.0%} of an image"
    return [
        light,
        PlannedSetting("augment.crop", list(crop), f"images are up to {height}x{width}; {scale}"),
        PlannedSetting("augment.mask_aware_share", aware, reason),
    ]


def _learning_choices(fingerprint: Fingerprint, strip: bool) -> list[PlannedSetting]:
    if fingerprint.overlap_images:
        loss = "bce_dice", f"classes overlap in {fingerprint.overlap_images} of the images looked at"
    else:
        loss = "ce_dice", "no two classes share a pixel in the images looked at, so they exclude each other"
    together = "as the decoder's; a quarter of it was level in a short trial"
    peak = PEAK_OF_STRIP if strip else PEAK
    return [
        PlannedSetting("loss.name", *loss),
        PlannedSetting("sampling.balance", *(BALANCE_OF_STRIP if strip else BALANCE)),
        PlannedSetting("optim.name", "adamw", "one cycle of AdamW: the loop that ours was measured against"),
        PlannedSetting("optim.encoder_learning_rate", peak[0], together),
        PlannedSetting("optim.decoder_learning_rate", *peak),
        PlannedSetting("optim.encoder_weight_decay", 1.0e-2, "AdamW's usual one"),
        PlannedSetting("optim.decoder_weight_decay", 1.0e-2, "AdamW's usual one"),
        PlannedSetting("optim.warmup_share", 0.3, "one cycle: up first, then down"),
        PlannedSetting("optim.flat_share", 0.0, "falls from the peak on, so that it ends with the hours"),
    ]


def _batch_size(fingerprint: Fingerprint) -> tuple[int, str]:
    height, width = crop_of(fingerprint) or fingerprint.largest
    fitting = max(1, BATCH_PIXELS // (height * width))
    size = min(LARGEST_BATCH, 2 ** (fitting.bit_length() - 1))
    few = max(SMALLEST_BATCH, fingerprint.images // 8)
    if few < size:
        return few, f"{fingerprint.images} images are few: so that a step does not see most of them"
    return size, f"{size} times {height}x{width} pixels a step"


def _rule_choices(fingerprint: Fingerprint) -> list[PlannedSetting]:
    areas = [smallest_area(facts.area_low, facts.images) for facts in fingerprint.classes]
    why = why_so_small(facts.images for facts in fingerprint.classes)
    return [PlannedSetting("rules.min_pixels", areas, why)]


def _validation_choices(best: Candidate, validation: int, epochs: int, seconds: float) -> list[PlannedSetting]:
    once = validation * best.step_seconds / best.batch * FORWARD_SHARE
    times = max(1, min(epochs, int(VALIDATION_SHARE * seconds / once))) if once else epochs
    every = -(-epochs // times)
    return [
        PlannedSetting(
            "train.validate_every", every, f"each takes about {once:.0f} s; together at most {VALIDATION_SHARE:.0%}"
        )
    ]


def _why_network(best: Candidate, candidates: Sequence[Candidate], steps: int) -> str:
    others = [candidate.with_batch(best.batch) for candidate in candidates if candidate.network != best.network]
    if steps >= ENOUGH_STEPS and best.network == candidates[0].network:
        return f"the first choice, and {steps} steps are enough for it (at least {ENOUGH_STEPS})"
    slower = ", ".join(
        f"with the decoder {list(other.network.decoder_channels)} a step takes "
        f"{other.step_seconds / best.step_seconds:.2g} times as long"
        for other in others
    )
    return f"the most steps in these hours: {slower}" if others else "the only one measured"


def _why_decoder(best: Candidate, strip: bool) -> str:
    if strip:
        return "the decoder that these weights have"
    if best.network.square == 1:
        return "drawn pixel by pixel, for small spots"
    return f"drawn in squares of {best.network.square} pixels and enlarged, without the slowest stages"


def _averaging(steps: int, strip: bool) -> tuple[float, str]:
    """The average's memory is 1 / (1 - decay) steps."""
    share, why = AVERAGED_SHARE_OF_STRIP if strip else AVERAGED_SHARE
    return round(max(0.0, 1 - 1 / max(2.0, share * steps)), 4), why.format(share=share)
