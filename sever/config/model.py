"""Settings of the network: what it is, its loss, and how it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from sever.config.base import PathText, Settings

Flip = Literal["width", "height", "both"]
InChannels = Literal["r", "g", "b", "rgb", "sum", "mean"]
LossName = Literal["bce_dice", "focal", "iou", "lovasz", "ce_dice", "lovasz_softmax", "bce"]
# Classes that exclude each other share one softmax with an explicit background channel.
SOFTMAX_LOSSES: tuple[LossName, ...] = ("ce_dice", "lovasz_softmax")
# Those that an image's labels can be learnt by; `bce` alone is not offered for masks.
LABEL_LOSSES: tuple[LossName, ...] = ("bce", "focal")
DICE_LOSSES: tuple[LossName, ...] = ("bce_dice", "ce_dice")
BCE_LOSSES: tuple[LossName, ...] = ("bce_dice", "bce")


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
    weights: PathText = Field(
        "hub",
        description="Pretrained encoder weights: `hub`, `offline` (packages of sever[offline]), `none`, or a file; or "
        "`strip`: tf_efficientnet_lite0, and a Unet's decoder with decoder_channels [96, 64, 32, 24], trained on "
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
        None,
        description="Channels of the decoder's five stages, deepest first (Unet, UnetPlusPlus, MAnet). A Unet may do "
        "with the first four or three: its masks are then drawn at half or a quarter of the image's size and enlarged "
        "(bilinear), which saves the stages that take most of its time.",
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
