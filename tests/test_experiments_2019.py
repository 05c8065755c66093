"""The experiments that bear the name 2019 are those of the report and its author's configurations, figure by figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sever.config import ExperimentConfig, load_config
from sever.data.samplers import pseudo_a_batch

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

# Of each segmenter: decoder, encoder, width of the crop (its height is 256), batch, dropout. From the report (image
# sizes, batches of 32 to 36 for se_resnext50 and 16 to 20 for efficientnet-b5) and the configurations beside it.
# The batch of inceptionv4 is in neither.
SEGMENTERS: dict[str, tuple[str, str, int, int, float]] = {
    "unet-se_resnext50": ("Unet", "se_resnext50_32x4d", 448, 32, 0.1),
    "unet-efficientnet-b5": ("Unet", "efficientnet-b5", 384, 18, 0.1),
    "fpn-se_resnext50": ("FPN", "se_resnext50_32x4d", 416, 36, 0.1),
    "fpn-efficientnet-b5": ("FPN", "efficientnet-b5", 416, 18, 0.2),
    "fpn-inceptionv4": ("FPN", "inceptionv4", 416, 36, 0.1),
}
# The first layer's filters and the seed of the copies that the ensemble of eight has.
COPIES = {
    "unet-se_resnext50-g": ("g", 1),
    "fpn-se_resnext50-g": ("g", 1),
    "fpn-se_resnext50-b": ("b", 2),
}
# What is the same in all of them, by the report.
COMMON: dict[str, Any] = {
    "loss.name": "bce_dice",
    "loss.pixel_weight": 0.6,
    "loss.dice_weight": 0.4,
    "loss.dice_over": "all",
    "loss.label_smoothing": 1e-6,
    "optim.name": "radam",
    "optim.encoder_learning_rate": 7e-5,
    "optim.encoder_weight_decay": 3e-5,
    "optim.decoder_learning_rate": 3e-3,
    "optim.decoder_weight_decay": 3e-4,
    "optim.final_share": 0.0,
    "train.epochs": 250,
    "train.precision": "no",
    "train.clip_norm": None,
    "train.ema_decay": None,
    "train.accumulation": 1,
    "augment.recipe": "severstal-2019",
    "augment.mask_aware_share": 0.5,
    "augment.crops_by": "pixel",
    "folds.share": 0.2,
    "predict.flips": ("width",),
    "rules.pixel_threshold": 0.5,
    "rules.min_pixels": (600, 600, 1000, 2000),
    "rules.overlap": "highest_probability",
    "sampling.balance": "none",
    "model.weights": "hub",
    "model.output_stride": None,
    "model.decoder_channels": None,
}


def value(config: ExperimentConfig, key: str) -> Any:
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def files() -> list[tuple[str, Path]]:
    names = [*SEGMENTERS, *COPIES]
    plain = [(name, EXPERIMENTS / f"severstal-2019-{name}.yml") for name in names]
    return plain + [(name, EXPERIMENTS / "severstal-2019" / f"{name}-pseudo.yml") for name in names]


@pytest.mark.parametrize(("name", "path"), files(), ids=lambda given: given.stem if isinstance(given, Path) else "")
def test_a_segmenter_is_that_of_2019(name: str, path: Path) -> None:
    config = load_config(path)
    colour, seed = COPIES.get(name, ("r", 0))
    decoder, encoder, width, batch, dropout = SEGMENTERS[name.removesuffix(f"-{colour}")]
    model = config.model
    assert (model.architecture, model.encoder, model.in_channels, model.decoder_dropout) == (
        decoder,
        encoder,
        colour,
        dropout,
    )
    assert (model.fpn_merge, model.decoder_dropout_at) == (("cat", "output") if decoder == "FPN" else ("add", "blocks"))
    assert model.encoder_layout == ("2019" if encoder == "efficientnet-b5" else "smp")
    assert (config.augment.crop, config.train.batch_size, config.train.seed) == ((256, width), batch, seed)
    assert {key: value(config, key) for key in COMMON} == COMMON
    # 30 flat epochs, then 220 of the cosine, left between 150 and 200.
    assert config.optim.flat_share * config.train.epochs == pytest.approx(30)
    assert 150 <= config.train.last_epoch <= 200
    if config.pseudo is not None:
        assert (config.pseudo.share, config.pseudo.keep) == (0.12, 0.6)
        assert pseudo_a_batch(config.pseudo, batch) == round(0.12 * batch)
    assert (config.pseudo is not None) == path.stem.endswith("-pseudo")


def test_these_are_all_there_are() -> None:
    there = {*EXPERIMENTS.glob("severstal-2019-*.yml"), *EXPERIMENTS.glob("severstal-2019/*.yml")}
    others = {EXPERIMENTS / "severstal-2019-classifier.yml", EXPERIMENTS / "severstal-2019" / "story.yml"}
    assert there == {path for _, path in files()} | others
