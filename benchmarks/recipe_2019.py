"""Which learns more: how training images were drawn and judged in 2019, or how we do it?

    nice -n 15 python benchmarks/recipe_2019.py

Trains one small model by `sever train` itself, from the same seeds on the same synthetic strip, in two ways: with the
recipe `severstal-2019` and the Dice of all classes pooled; and with the recipe `strip` (other enhancements and flips,
and another draw of the defect that a crop is placed on) and one Dice a class. --apart also crosses them. Each seed
scores all ways on the same held-out strips, after the last epoch.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table, write_strip

from sever.config import (
    AugmentSettings,
    DataSettings,
    ExperimentConfig,
    FoldSettings,
    LossSettings,
    ModelSettings,
    OptimSettings,
    PredictSettings,
    RuleSettings,
    TrainSettings,
)
from sever.pipeline.train.starting import train_experiment

LETTER, OURS = "2019", "ours"
# Recipe of augmentation, and what the Dice of the loss is over.
WAYS = {
    LETTER: ("severstal-2019", "all"),
    "recipe of 2019, Dice a class": ("severstal-2019", "class"),
    "recipe strip, Dice of all": ("strip", "all"),
    OURS: ("strip", "class"),
}
CROSSED = set(WAYS) - {LETTER, OURS}
SCORES = {"dice": "Dice", "dice_positive": "Dice where present"}


def make_config(options: argparse.Namespace, root: Path, way: str, seed: int) -> ExperimentConfig:
    recipe, dice_over = WAYS[way]
    return ExperimentConfig(
        name="recipe",
        data=DataSettings(root=root),
        folds=FoldSettings(share=0.3),
        augment=AugmentSettings.model_validate({"recipe": recipe, "crop": options.crop}),
        loss=LossSettings.model_validate({"dice_over": dice_over}),
        model=ModelSettings(
            encoder=options.encoder, weights=options.weights, decoder_channels=tuple(options.decoder_channels)
        ),
        optim=OptimSettings(encoder_learning_rate=4e-4),
        train=TrainSettings(
            epochs=options.epochs, batch_size=options.batch, seed=seed, workers=0, validate_every=options.epochs
        ),
        predict=PredictSettings(batch_size=4),
        rules=RuleSettings(min_pixels=50),
    )


def score(options: argparse.Namespace, root: Path, saved: Path, way: str, seed: int) -> dict[str, float]:
    """After the last epoch, so that no epoch is chosen by the images that judge."""
    with contextlib.redirect_stderr(io.StringIO()):
        run = train_experiment(make_config(options, root, way, seed), saved, device="cpu")
    last = pd.read_csv(run.history_file).iloc[-1]
    return {name: float(last[name]) for name in SCORES}


def tell_difference(found: dict[str, list[dict[str, float]]]) -> None:
    """Ours less that of 2019, seed by seed, with the standard error over seeds."""
    for name, words in SCORES.items():
        gains = np.array([ours[name] - theirs[name] for ours, theirs in zip(found[OURS], found[LETTER], strict=True)])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
        print(f"{words}, ours less 2019: {gains.mean():+.4f} ± {error:.4f} (standard error over {len(gains)} seeds)")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=100, help="synthetic images, 30 %% of them to score")
    parser.add_argument("--height", type=int, default=96, help="of synthetic images, in pixels")
    parser.add_argument("--width", type=int, default=288)
    parser.add_argument("--crop", type=int, nargs=2, default=(96, 128), help="height and width in pixels")
    parser.add_argument("--encoder", default="tf_efficientnet_lite0", help="of a Unet")
    parser.add_argument("--weights", default="offline", help="offline, hub, none, or a file")
    parser.add_argument("--decoder-channels", type=int, nargs=5, default=(48, 32, 24, 16, 16))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--apart", action="store_true", help="also each recipe with the other's Dice")
    quick = {"images": 16, "height": 64, "width": 128, "crop": (64, 64), "encoder": QUICK_ENCODER, "weights": "none"}
    options = parse(parser, quick | {"decoder_channels": (16, 8, 8, 8, 8), "epochs": 1, "seeds": 1, "batch": 4})
    print(describe_machine())
    print(
        f"Unet {options.encoder}, {options.epochs} epochs on {options.images} synthetic strips, {options.seeds} seeds"
    )
    ways = [way for way in WAYS if options.apart or way not in CROSSED]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            root = Path(folder) / f"data-{seed}"
            write_strip(root, options.images, options.height, options.width, seed)
            for way in ways:
                found[way].append(score(options, root, Path(folder) / "saved", way, seed))
    head = ["", *(f"{words}, seed {seed}" for words in SCORES.values() for seed in range(options.seeds)), "mean Dice"]
    means = {way: float(np.mean([scores["dice"] for scores in own])) for way, own in found.items()}
    print_table(
        head,
        [
            [way, *(f"{scores[name]:.4f}" for name in SCORES for scores in own), f"{means[way]:.4f}"]
            for way, own in found.items()
        ],
    )
    tell_difference(found)
    print_ratio(means[OURS] / means[LETTER], "mean Dice of ours over that of 2019")


if __name__ == "__main__":
    main()
