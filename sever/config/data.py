"""Settings of the data: where images and labels lie, who validates, how training images are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sever.config.base import Settings
from sever.config.mask_values import plain_value

LayoutName = Literal[
    "auto",
    "severstal",
    "mask_folder",
    "mask_beside",
    "voc",
    "mvtec",
    "coco",
    "yolo",
    "cvat",
    "label_studio",
    "label_studio_png",
    "supervisely",
    "image_labels",
    "labelme",
]
# A number of 0 to 65535, or a colour as #rrggbb; "r,g,b" is taken too.
MaskValue = Annotated[str, BeforeValidator(plain_value)]

# 16,384 x 16,384: above the frames of line-scan cameras, of which the longest have 32,768 pixels and take some thousand
# lines. In colour this is 0.8 GB.
MAX_PIXELS = 2**28


class DataSettings(Settings):
    root: Path = Field(description="Folder of the data set, relative to the working directory.")
    layout: LayoutName = Field(
        "auto",
        description="How the folder is laid out (docs/labels.md); `auto` recognises the layout and logs it.",
    )
    labels: Path | None = Field(
        None, description="File or folder of the labels, if `root` holds several or they are elsewhere."
    )
    mask_values: dict[MaskValue, str] | None = Field(
        None,
        description="What the values or colours of mask pictures mean, e.g. {127: pit, 255: scratch} or "
        '{"#ff0000": pit}; `background` and `ignore` are not classes. By default k is the k-th class.',
    )
    ignore_value: MaskValue | None = Field(
        None,
        description="Value or colour of mask pixels without a label, e.g. 255: they are neither trained on nor "
        "scored, and are in no statistics.",
    )
    missing_mask: Literal["error", "clean"] = Field(
        "error", description="Whether an image without a mask or label file is a fault, or clean."
    )
    repeated_rows: Literal["error", "join"] = Field(
        "error",
        description="Whether a second row for the same image and class (Severstal layout) is a fault, or part of the "
        "same mask, as in tables with one row per object.",
    )
    boxes: Literal["error", "fill"] = Field(
        "error", description="Whether a box without an outline (COCO, YOLO) is a fault, or a defect that fills the box."
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
        description="CSV with the columns image and group: images of one group never end up on both sides of a split.",
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
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        description="Largest image or mask, in pixels (height times width); a larger one (by its header) is a fault.",
    )
    skip_bad: bool = Field(
        False, description="Leave bad images and rows out and list them in skipped.csv, instead of an error."
    )

    def meant_as(self, other: DataSettings) -> DataSettings:
        """These settings, where the values of masks and what is missing mean what they do in `other`."""
        same = ("mask_values", "ignore_value", "missing_mask", "boxes", "repeated_rows", "max_pixels")
        return self.model_copy(update={name: getattr(other, name) for name in same})


class FoldSettings(Settings):
    scheme: Literal["share", "kfold"] = Field(
        "share", description="Hold out one random share, or one of `count` folds."
    )
    share: float = Field(0.2, gt=0, lt=1, description="Share of the images held out for validation (scheme: share).")
    count: int = Field(5, ge=2, description="Number of folds (scheme: kfold).")
    fold: int = Field(0, ge=0, description="Which fold validates, counted from 0 (scheme: kfold).")
    seed: int = Field(0, ge=0, description="Seed of the split; independent of the training seed.")
    find_copies: bool = Field(
        True,
        description="If no groups are known, look for images that show the same steel on both sides of the split, "
        "and warn about them; takes a few milliseconds per image.",
    )
    train_only_groups: tuple[str, ...] = Field(
        (), description="Groups that always train and never validate, e.g. blends of several images."
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> FoldSettings:
        if self.fold >= self.count:
            raise ValueError(f"fold {self.fold} does not exist: with count {self.count} it is 0..{self.count - 1}")
        return self


class SamplingSettings(Settings):
    """How often the labelled images are drawn, by the classes they show."""

    balance: Literal["none", "class", "weights"] = Field(
        "none",
        description="`none` draws every training image once per epoch; `class` draws each class, and clean images, "
        "equally often; `weights` draws them in proportion to class_weights. The length of an epoch does not change.",
    )
    class_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        None,
        description="For balance `weights`: one weight per class, in order, then one for clean images, "
        "e.g. [1, 2, 1, 1, 0.5].",
    )
    epoch_images: int | None = Field(
        None,
        ge=1,
        description="Labelled images per epoch, in whole batches; null: all of them. With fewer, an epoch continues "
        "where the last one stopped, so that all are used equally often; with more, it uses them several times.",
    )

    @model_validator(mode="after")
    def _weights_where_wanted(self) -> SamplingSettings:
        if (self.balance == "weights") != (self.class_weights is not None):
            raise ValueError("class_weights and balance: weights belong together; give both or neither")
        return self


class PseudoSettings(Settings):
    """Images labelled by a model (`sever pseudo`), used for training beside the labelled ones, never for validation."""

    labels: Path = Field(description="CSV of their run lengths, as `sever pseudo` writes it (pseudo.csv).")
    images: Path = Field(description="Folder of these images, searched recursively.")
    share: float = Field(
        0.12,
        gt=0,
        lt=1,
        description="Share of pseudo-labelled images in every batch, rounded to whole images, halves up (of 36: 4); "
        "fewer only where `keep` allows no more.",
    )
    keep: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Largest share of the pseudo-labelled images used in an epoch, each once; the others come next, "
        "and none is repeated before all have been used. It has no effect where `share` has room for fewer.",
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Leave out images with a lower confidence, that of their least certain class."
    )
