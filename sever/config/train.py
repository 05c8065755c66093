"""Settings of how a network learns: the optimiser and its schedule, and the training as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sever.config.base import Settings

# YAML takes an unquoted `no` for false.
Precision = Annotated[
    Literal["auto", "bf16", "fp16", "no"], BeforeValidator(lambda value: "no" if value is False else value)
]
Monitor = Literal["dice", "dice_positive", "mean_iou", "label_ap", "label_auc", "label_f1"]
MASK_MONITORS: tuple[Monitor, ...] = ("dice", "dice_positive", "mean_iou")
LABEL_MONITORS: tuple[Monitor, ...] = ("label_ap", "label_auc", "label_f1")


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
    precision: Precision = Field(
        "auto",
        description="Mixed precision. `auto`: bf16 where the device has units for it, else `no` (full precision), "
        "which is ten times as fast there; a run keeps what it began with. fp16 needs a GPU.",
    )
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
