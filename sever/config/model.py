"""Settings of the network: what it is, how it learns, and how it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from sever.config.base import Settings

Flip = Literal["width", "height", "both"]
InChannels = Literal["r", "g", "b", "rgb", "sum", "mean"]
# YAML takes an unquoted `no` for false.
Precision = Annotated[Literal["bf16", "fp16", "no"], BeforeValidator(lambda value: "no" if value is False else value)]
LossName = Literal["bce_dice", "focal", "iou", "lovasz", "ce_dice", "lovasz_softmax", "bce"]
# Classes that exclude each other share one softmax with an explicit background channel.
SOFTMAX_LOSSES: tuple[LossName, ...] = ("ce_dice", "lovasz_softmax")
# Those that an image's labels can be learnt by; `bce` alone is not offered for masks.
LABEL_LOSSES: tuple[LossName, ...] = ("bce", "focal")
DICE_LOSSES: tuple[LossName, ...] = ("bce_dice", "ce_dice")
BCE_LOSSES: tuple[LossName, ...] = ("bce_dice", "bce")
Monitor = Literal["dice", "dice_positive", "mean_iou", "label_ap", "label_auc", "label_f1"]
MASK_MONITORS: tuple[Monitor, ...] = ("dice", "dice_positive", "mean_iou")
LABEL_MONITORS: tuple[Monitor, ...] = ("label_ap", "label_auc", "label_f1")


class ModelSettings(Settings):
    task: Literal["segment", "classify"] = Field(
        "segment",
        description="`segment` draws masks; `classify` gives for each class the probability that the image shows it, "
        "which can gate the masks of another model.",
    )
    architecture: str = Field(
        "Unet", description="An architecture of segmentation_models_pytorch, by name; not used by `classify`."
    )
    encoder: str = Field("efficientnet-b0", description="An encoder of segmentation_models_pytorch, or any timm model.")
    in_channels: InChannels = Field(
        "mean",
        description="`rgb` feeds three channels; the others feed one grey channel into a first convolution "
        "recycled from the pretrained red, green or blue filters, their sum or their mean.",
    )
    weights: str = Field(
        "hub",
        description="Pretrained encoder weights: `hub`, `offline` (packages of sever[offline]), `none`, or a file; or "
        "`strip`: tf_efficientnet_lite0, and a Unet's decoder with decoder_channels [96, 64, 32, 24, 16], trained on "
        "synthetic strip.",
    )
    start: Path | None = Field(
        None,
        description="A trained model (a bundle, a run, a checkpoint) whose whole network this one starts from, with "
        "its normalisation, instead of `weights`; `sever train --from` sets it.",
    )
    decoder_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability in the decoder.")
    decoder_dropout_at: Literal["output", "blocks"] = Field(
        "output",
        description="Where a Unet applies dropout: to whole channels of the decoder's last features (`output`), or, as "
        "the Unet of 2019 did, to single values before each decoder block's convolutions (`blocks`). Other "
        "architectures keep their own place.",
    )
    fpn_merge: Literal["add", "cat"] = Field(
        "add",
        description="How an FPN joins its levels: their sum (`add`), or all their channels concatenated (`cat`, "
        "as in 2019).",
    )
    decoder_channels: tuple[PositiveInt, ...] | None = Field(
        None, description="Channels of the decoder's five stages, deepest first (Unet, UnetPlusPlus)."
    )
    shrink: int = Field(
        1,
        ge=1,
        le=8,
        description="The network sees images made smaller by this factor, each pixel the mean of a square, and its "
        "maps are enlarged again (bilinear): about its square less work, for coarser masks. Images and masks keep "
        "their size.",
    )
    output_stride: Literal[8, 16] | None = Field(
        None,
        description="Stride of a dilated encoder's last features, in pixels; null leaves the encoder as it is.",
    )
    encoder_layout: Annotated[Literal["smp", "2019"], BeforeValidator(str)] = Field(
        "smp",
        description="`2019` pads an efficientnet-bN and takes its features as khornlund's fork of "
        "segmentation_models_pytorch did; `smp` as the library does now.",
    )
    label_head: bool = Field(
        False,
        description="Give a segmenter a second head, on its encoder, that predicts which classes the image shows: one "
        "network then produces masks and their gate.",
    )
    label_dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout probability before the layer that labels images (classify, label_head)."
    )

    @model_validator(mode="after")
    def _layout_goes_with_the_rest(self) -> ModelSettings:
        if self.encoder_layout == "2019" and (self.task == "classify" or self.output_stride is not None):
            raise ValueError(
                "encoder_layout 2019 is for segmenters without output_stride: a classifier takes the last features "
                "alone, and none were dilated then; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _task_has_parts(self) -> ModelSettings:
        if self.task == "classify":
            given = {
                "label_head": self.label_head,
                "decoder_dropout": self.decoder_dropout > 0,
                "decoder_dropout_at": self.decoder_dropout_at != "output",
                "fpn_merge": self.fpn_merge != "add",
                "decoder_channels": self.decoder_channels is not None,
                "shrink": self.shrink > 1,
            }
            if wrong := [f"model.{name}" for name, is_set in given.items() if is_set]:
                raise ValueError(
                    f"with task classify there is no decoder for {', '.join(wrong)}: leave it out (model.label_dropout "
                    "drops before the labels), or set task: segment"
                )
        elif self.label_dropout > 0 and not self.label_head:
            raise ValueError(
                "model.label_dropout is set, but nothing labels images: set label_head: true, or task: classify"
            )
        return self


class LossSettings(Settings):
    name: LossName = Field(
        "bce_dice",
        description="Which loss; ce_dice and lovasz_softmax make classes exclusive. A classifier takes bce (its "
        "default) or focal.",
    )
    pixel_weight: float = Field(0.6, ge=0, description="Weight of the pixel-wise part (BCE or cross-entropy).")
    dice_weight: float = Field(0.4, ge=0, description="Weight of the (1 - Dice) part.")
    dice_over: Literal["class", "all"] = Field(
        "class",
        description="For bce_dice and ce_dice: the mean of each class's Dice over the batch (`class`), or one Dice of "
        "all classes' pixels together (`all`, as in 2019), in which large classes weigh the most.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="Targets of BCE (in bce_dice and bce): this value instead of 0, and 1 minus this value instead of "
        "1 (2019: 0.000001).",
    )
    focal_gamma: float = Field(2.0, ge=0, description="Focusing exponent of the focal loss.")
    label_weight: float = Field(
        0.2, ge=0, description="Weight of the labels' BCE beside the loss of the masks (model.label_head)."
    )
    label_min_pixels: int = Field(
        1,
        ge=1,
        description="A crop that shows some pixels of a class, but fewer than this, counts neither as with nor as "
        "without it, since slivers at the border of a crop teach nothing.",
    )

    @model_validator(mode="after")
    def _parts_are_there(self) -> LossSettings:
        if self.dice_over != "class" and self.name not in DICE_LOSSES:
            raise ValueError(f"loss.dice_over is set, but {self.name} has no Dice; it is for {', '.join(DICE_LOSSES)}")
        if self.label_smoothing > 0 and self.name not in BCE_LOSSES:
            raise ValueError(
                f"loss.label_smoothing is set, but {self.name} has no BCE; it is for {', '.join(BCE_LOSSES)}"
            )
        return self


class OptimSettings(Settings):
    name: Literal["radam", "adamw"] = Field("radam", description="Optimiser.")
    encoder_learning_rate: float = Field(7e-5, gt=0, description="Learning rate of the encoder, flat part.")
    encoder_weight_decay: float = Field(3e-5, ge=0, description="Weight decay of the encoder.")
    decoder_learning_rate: float = Field(3e-3, gt=0, description="Learning rate of the decoder and head, flat part.")
    decoder_weight_decay: float = Field(3e-4, ge=0, description="Weight decay of the decoder and head.")
    warmup_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of training in which the rates first rise, as half a cosine, from 1/25 of the flat rate.",
    )
    flat_share: float = Field(
        0.12,
        ge=0,
        le=1,
        description="Share of training at a flat rate before the cosine (2019: 30 of 250 epochs).",
    )
    final_share: float = Field(0.0, ge=0, le=1, description="Learning rate at the end, as a share of the flat rate.")

    @model_validator(mode="after")
    def _shares_fit(self) -> OptimSettings:
        if self.warmup_share + self.flat_share > 1:
            raise ValueError(
                f"warmup_share {self.warmup_share:g} and flat_share {self.flat_share:g} are shares of one training: "
                "together at most 1"
            )
        return self


class TrainSettings(Settings):
    epochs: int = Field(250, ge=1, description="Passes over the training images, and the length of the schedule.")
    stop_epoch: int | None = Field(
        None,
        ge=1,
        description="Stop after this many epochs without shortening the schedule (2019: 150 to 200 of "
        "250); null trains to the end.",
    )
    batch_size: int = Field(36, ge=1, description="Images per step and process.")
    accumulation: int = Field(1, ge=1, description="Steps whose gradients are summed before the weights move.")
    precision: Precision = Field("bf16", description="Mixed precision; fp16 needs a GPU.")
    sync_batch_norm: bool = Field(
        True,
        description="Batch normalisation over the images of all processes that train together, as in one process with "
        "all of them; false: each process normalises its own images, which is faster.",
    )
    channels_last: bool = Field(True, description="Memory layout NHWC, which is faster for convolutions.")
    memory: Literal["full", "lean"] = Field(
        "full",
        description="`lean` keeps only the inputs of a network's blocks and computes the rest again on the way back: "
        "the same losses in less memory, for more time (docs/howto.md).",
    )
    kept_memory: float | None = Field(
        1.5,
        ge=1,
        description="On a CPU, freed memory is kept for the next step, up to this many times what a step needs; null "
        "keeps all of it (docs/howto.md).",
    )
    clip_norm: float | None = Field(1.0, gt=0, description="Largest gradient norm; null never clips.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay per step of the moving average of the weights; the average is then scored and saved.",
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order, augmentation and dropout.")
    workers: int = Field(2, ge=0, description="Processes that read and augment images.")
    monitor: Monitor = Field(
        "dice",
        description="Validation score that chooses the best checkpoint: mean Dice over all (image, class) pairs "
        "(`dice`), over those that hold a defect (`dice_positive`), or mean IoU; of a classifier or label head the "
        "mean over classes of average precision (`label_ap`, a classifier's default), area under the ROC curve, or F1.",
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a better score; null never stops early."
    )
    keep_every: int | None = Field(None, ge=1, description="Also keep the checkpoint of every N-th epoch.")
    keep_best: int = Field(3, ge=1, description="Number of best checkpoints to keep.")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Also write a resumable checkpoint every N steps within an epoch."
    )
    validate_every: int | None = Field(
        1,
        ge=1,
        description="Validate every N-th epoch, and always after the last one; null never validates (`sever crossval` "
        "predicts the held-out images anyway), so that the last checkpoint is the best.",
    )

    @model_validator(mode="after")
    def _patience_needs_scores(self) -> TrainSettings:
        if self.patience is not None and self.validate_every is None:
            raise ValueError("patience waits for better scores, but validate_every: null makes none; set one of them")
        return self

    @model_validator(mode="after")
    def _stops_on_the_way(self) -> TrainSettings:
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise ValueError(
                f"stop_epoch {self.stop_epoch} is beyond the schedule of {self.epochs} epochs; give at most that, "
                "or null"
            )
        return self

    @property
    def last_epoch(self) -> int:
        """How many epochs are trained; the schedule may be longer."""
        return self.stop_epoch or self.epochs


class PredictSettings(Settings):
    batch_size: int = Field(8, ge=1, description="Images per batch.")
    flips: tuple[Flip, ...] = Field(
        (), description="Flips averaged with the unflipped image: width, height, both (2019: width only)."
    )
    tile: tuple[PositiveInt, PositiveInt] = Field(
        (1024, 2048),
        description="Height and width in pixels above which an image is cut into tiles; an image's label probability "
        "is the highest of its tiles.",
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
