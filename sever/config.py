"""Every setting of an experiment, with its meaning, unit and range; knows nothing of how a setting is carried out.

Light on purpose: it imports neither torch nor pandas, so that a misspelt key is told within a moment.
"""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from sever.errors import InputError

Flip = Literal["width", "height", "both"]
InChannels = Literal["r", "g", "b", "rgb", "sum", "mean"]
# YAML takes an unquoted `no` for false.
Precision = Annotated[Literal["bf16", "fp16", "no"], BeforeValidator(lambda value: "no" if value is False else value)]
LossName = Literal["bce_dice", "focal", "iou", "lovasz", "ce_dice", "lovasz_softmax"]
# Classes that exclude each other share one softmax with an explicit background channel.
SOFTMAX_LOSSES: tuple[LossName, ...] = ("ce_dice", "lovasz_softmax")


class Settings(BaseModel):
    """Base of every section: frozen, and a key it doesn't know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Settings):
    root: Path = Field(description="Folder of the data set, relative to the working directory.")
    layout: Literal["auto", "severstal", "mask_folder"] = Field(
        "auto",
        description="How the folder is laid out; `auto` looks for train.csv or for images/ and masks/.",
    )
    num_classes: int | None = Field(
        None, ge=1, description="Number of defect classes; by default read from the data set itself."
    )
    include: tuple[str, ...] = Field(
        (),
        description="Keep only images whose id matches one of these globs, e.g. `training/*`; empty keeps all.",
    )
    groups: Path | None = Field(
        None,
        description="CSV with the columns image and group: images of one group never stand on both sides of a split.",
    )
    test_labels: Path | None = Field(
        None, description="Labels of test_images/ in either CSV form (Severstal layout), to score the test split."
    )
    significant_bits: int = Field(
        16,
        ge=8,
        le=16,
        description="Bits that carry the signal in 16-bit images, e.g. 12 for a 12-bit camera.",
    )
    skip_bad: bool = Field(
        False, description="Leave bad images and rows out and list them in skipped.csv, in place of an error."
    )


class FoldSettings(Settings):
    scheme: Literal["share", "kfold"] = Field(
        "share", description="Hold out one random share, or one of `count` folds."
    )
    share: float = Field(0.2, gt=0, lt=1, description="Share of the images held out for validation (scheme: share).")
    count: int = Field(5, ge=2, description="Number of folds (scheme: kfold).")
    fold: int = Field(0, ge=0, description="Which fold validates, counted from 0 (scheme: kfold).")
    seed: int = Field(0, ge=0, description="Seed of the split; independent of the training seed.")
    train_only_groups: tuple[str, ...] = Field(
        (), description="Groups that always train and never validate, e.g. blends of several images."
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> FoldSettings:
        if self.fold >= self.count:
            raise ValueError(f"fold {self.fold} does not exist: with count {self.count} it is 0..{self.count - 1}")
        return self


class AugmentSettings(Settings):
    recipe: Literal["none", "light", "severstal-2019", "heavy"] = Field(
        "severstal-2019", description="Named list of random changes to training images (docs/howto.md)."
    )
    crop: tuple[PositiveInt, PositiveInt] | None = Field(
        (256, 416),
        description="Height and width in pixels of training crops; null trains on whole images, padded.",
    )
    mask_aware_share: float = Field(
        0.5, ge=0, le=1, description="Share of crops placed on a defect, where the image has one."
    )


class ModelSettings(Settings):
    architecture: str = Field("Unet", description="An architecture of segmentation_models_pytorch, by name.")
    encoder: str = Field("efficientnet-b0", description="An encoder of segmentation_models_pytorch, or any timm model.")
    in_channels: InChannels = Field(
        "mean",
        description="`rgb` feeds three channels; the others feed one grey channel into a first convolution "
        "recycled from the pretrained red, green or blue filters, their sum or their mean.",
    )
    weights: str = Field(
        "hub",
        description="Pretrained encoder weights: `hub`, `offline` (packages of sever[offline]), `none`, or a file.",
    )
    decoder_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability in the decoder.")
    decoder_channels: tuple[PositiveInt, ...] | None = Field(
        None, description="Channels of the decoder's five stages, deepest first (Unet, UnetPlusPlus)."
    )
    output_stride: Literal[8, 16] | None = Field(
        None,
        description="Stride of a dilated encoder's last features, in pixels; null leaves the encoder as it is.",
    )


class LossSettings(Settings):
    name: LossName = Field("bce_dice", description="Which loss; ce_dice and lovasz_softmax make classes exclusive.")
    pixel_weight: float = Field(0.6, ge=0, description="Weight of the pixel-wise part (BCE or cross-entropy).")
    dice_weight: float = Field(0.4, ge=0, description="Weight of the (1 - Dice) part.")
    focal_gamma: float = Field(2.0, ge=0, description="Focusing exponent of the focal loss.")


class OptimSettings(Settings):
    name: Literal["radam", "adamw"] = Field("radam", description="Optimiser.")
    encoder_learning_rate: float = Field(7e-5, gt=0, description="Learning rate of the encoder, flat part.")
    encoder_weight_decay: float = Field(3e-5, ge=0, description="Weight decay of the encoder.")
    decoder_learning_rate: float = Field(3e-3, gt=0, description="Learning rate of the decoder and head, flat part.")
    decoder_weight_decay: float = Field(3e-4, ge=0, description="Weight decay of the decoder and head.")
    flat_share: float = Field(
        0.12,
        ge=0,
        le=1,
        description="Share of training at a flat rate before the cosine (2019: 30 of 250 epochs).",
    )
    final_share: float = Field(0.0, ge=0, le=1, description="Learning rate at the end, as a share of the flat rate.")


class TrainSettings(Settings):
    epochs: int = Field(250, ge=1, description="Passes over the training images.")
    batch_size: int = Field(36, ge=1, description="Images a step and process.")
    accumulation: int = Field(1, ge=1, description="Steps whose gradients are summed before the weights move.")
    precision: Precision = Field("bf16", description="Mixed precision; fp16 needs a GPU.")
    channels_last: bool = Field(True, description="Memory layout NHWC, the faster one for convolutions.")
    clip_norm: float | None = Field(1.0, gt=0, description="Largest gradient norm; null never clips.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay a step of the moving average of weights that is then scored and saved.",
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order, augmentation and dropout.")
    workers: int = Field(2, ge=0, description="Processes that read and augment images.")
    monitor: Literal["dice", "dice_positive", "mean_iou"] = Field(
        "dice",
        description="Validation score that chooses the best checkpoint: mean Dice over all (image, class) pairs, over "
        "those that hold a defect, or mean IoU.",
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a better score; null never stops early."
    )
    keep_every: int | None = Field(None, ge=1, description="Also keep the checkpoint of every N-th epoch.")
    keep_best: int = Field(3, ge=1, description="How many of the best checkpoints are kept.")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Also write a resumable checkpoint every N steps within an epoch."
    )
    validate_every: int = Field(1, ge=1, description="Validate every N-th epoch, and always after the last one.")


class PredictSettings(Settings):
    batch_size: int = Field(8, ge=1, description="Images a batch.")
    flips: tuple[Flip, ...] = Field(
        (), description="Flips averaged with the plain image: width, height, both (2019: width only)."
    )
    tile: tuple[PositiveInt, PositiveInt] = Field(
        (1024, 2048), description="Height and width in pixels above which an image is cut into tiles."
    )
    tile_overlap: int = Field(128, ge=0, description="Pixels that neighbouring tiles share; blended linearly.")

    @model_validator(mode="after")
    def _tile_holds_overlap(self) -> PredictSettings:
        if min(self.tile) < 32 or min(self.tile) <= 2 * self.tile_overlap:
            raise ValueError(
                f"tile {self.tile} is too small: each side must be at least 32 and more than twice "
                f"tile_overlap {self.tile_overlap}"
            )
        return self


class RuleSettings(Settings):
    """How probabilities become masks; travels with the weights as rules.json."""

    pixel_threshold: float = Field(0.5, ge=0, le=1, description="A pixel belongs to a class above this probability.")
    min_pixels: NonNegativeInt | tuple[NonNegativeInt, ...] | None = Field(
        None,
        description="A class with fewer pixels than this is dropped from the image; one number, or one a class. By "
        "default 600, 600, 1000, 2000 for four classes in the Severstal layout (as in 2019), else 0.",
    )
    overlap: Literal["highest_probability", "allow"] = Field(
        "highest_probability",
        description="Where classes overlap: the most probable one keeps the pixel, or all do.",
    )


class ExperimentConfig(Settings):
    """One experiment: a data set, a model, how it is trained, and how its masks are drawn."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the folder under saved/.")
    data: DataSettings
    folds: FoldSettings = FoldSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    predict: PredictSettings = PredictSettings()
    rules: RuleSettings = RuleSettings()


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> ExperimentConfig:
    """Read and validate one experiment's YAML; `overrides` maps `section.key` to a value that wins, None to nothing.

    Raises InputError, one line a fault: where it is, what was given, what is right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read configuration {path}: {error}") from error
    try:
        values = yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold settings as `key: value` lines, but holds {type(values).__name__}")
    return parse_config(with_overrides(values, overrides or {}), source=str(path))


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; by itself the second silently replaces the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key, _ in node.value if keys.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"`{twice.value}` stands twice", twice.start_mark)
        return super().construct_mapping(node, deep)


def with_overrides(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The settings with what was said on the command line put over them."""
    merged = dict(values)
    for dotted, value in overrides.items():
        section, key = dotted.split(".")
        if value is not None and isinstance(merged.get(section, {}), dict):
            merged[section] = merged.get(section, {}) | {key: value}
    return merged


def parse_config(values: dict[str, Any], source: str) -> ExperimentConfig:
    """Validate settings that came from `source`, which is named in the InputError."""
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        faults = [_explain(fault) for fault in _innermost(error.errors())]
        raise InputError("\n".join(f"{source}: {fault}" for fault in faults)) from error


def dump_config(config: ExperimentConfig) -> str:
    """The whole configuration as YAML, defaults included, in the order of the models."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema() -> dict[str, Any]:
    """JSON schema of an experiment's YAML, for editors."""
    return ExperimentConfig.model_json_schema()


def _innermost(faults: list[Any]) -> list[Any]:
    """Without what the other types of a union say about a value that one of them could look into."""
    places = [_place(fault) for fault in faults]
    inner = {place[:end] for place in places for end in range(1, len(place))}
    return [fault for fault, place in zip(faults, places, strict=True) if place not in inner]


def _place(fault: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in fault["loc"] if not _is_union_tag(part))


def _explain(fault: Any) -> str:
    where = ".".join(_place(fault))
    if fault["type"] == "extra_forbidden":
        return f"unknown setting `{where}`{_nearest(fault['loc'])}"
    if fault["type"] == "missing":
        return f"setting `{where}` is missing"
    if fault["type"] in ("model_type", "model_attributes_type"):
        return f"setting `{where}` is {fault['input']!r}: it is a section, which holds `key: value` lines"
    message = fault["msg"].removeprefix("Value error, ")
    return f"setting `{where}` is {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _is_union_tag(part: int | str) -> bool:
    """pydantic adds the tried type to the place of a fault in a union, e.g. `tuple[int, ...]`."""
    return isinstance(part, str) and (part in {"int", "float", "str", "constrained-int"} or "[" in part)


def _nearest(location: tuple[int | str, ...]) -> str:
    section: type[BaseModel] = ExperimentConfig
    for part in location[:-1]:
        section = _section_type(section, str(part))
    known = list(section.model_fields)
    near = difflib.get_close_matches(str(location[-1]), known, n=2, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(f'`{name}`' for name in near)}?"
    return f"; allowed here: {', '.join(known)}"


def _section_type(section: type[BaseModel], name: str) -> type[BaseModel]:
    annotation = section.model_fields[name].annotation
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    found = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
    assert found is not None, f"{section.__name__}.{name} is not a section"
    return found
