"""What our records hold, field by field; knows not what the numbers are used for.

All are read by `sever.records`. What was written before records had a version says the same and is read as before.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from sever.config import DataSettings
from sever.decide.ensemble import Blend
from sever.decide.levels import NUM_LEVELS
from sever.errors import InputError
from sever.records import Count, Epoch, Part, Probability, Record, Sha256


def _as_number(value: Any) -> Any:
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
        raise ValueError("it is not a number")
    return value


Plain: TypeAlias = bool | int | float | str | None
Names: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1)]
Fold: TypeAlias = Annotated[int, Field(ge=0, le=1_000)]
# An epoch's losses and scores by name, with its number as `epoch`.
HistoryRow: TypeAlias = dict[str, Annotated[Any, BeforeValidator(_as_number)]]


class PositionRecord(Part):
    """Where training stood (`sever.models.reports.Position`)."""

    epoch: Epoch
    batch: Count
    optimizer_step: Count
    loss_sums: dict[str, float]
    best_score: float | None
    best_epoch: Epoch | None
    images_per_step: Annotated[int, Field(ge=1)] | None = None


class ImportedRecord(Part):
    """Where imported weights come from."""

    file: str
    sha256: Sha256
    epoch: int | None


class CheckpointRecord(Record):
    """state.json of a checkpoint. Averaged and imported weights have no `param_groups`, and can't be trained on."""

    what_to_do: ClassVar[str] = "delete this checkpoint's folder; training goes on from the one before it"

    position: PositionRecord | None = None
    history: tuple[HistoryRow, ...] = ()
    param_groups: tuple[dict[str, Plain | list[Plain]], ...] | None = None
    scaler: dict[str, Plain] | None = None
    averaged_epochs: tuple[Epoch, ...] | None = None
    imported: ImportedRecord | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Of the checkpoint in this folder. Raises InputError when it is damaged."""
        return cls.read(folder / "state.json")

    def scored(self, folder: Path) -> tuple[HistoryRow, ...]:
        """The epochs with their scores. Raises InputError where a training's checkpoint has lost them."""
        if self.imported is None and self.averaged_epochs is None and "history" not in self.model_fields_set:
            raise InputError(f"{folder / 'state.json'} is damaged: it lacks `history`; {self.what_to_do}")
        return self.history

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.param_groups is not None and not {"position", "history", "scaler"} <= self.model_fields_set:
            raise ValueError("resuming needs `position`, `history`, `param_groups` and `scaler`")
        if self.position is None and self.averaged_epochs is None:
            raise ValueError("it lacks `position`")
        if any(not isinstance(row.get("epoch"), int) for row in self.history):
            raise ValueError("a row of `history` has no epoch")
        return self


class DatasetRecord(Record):
    """dataset.json of a run: what it learned from its training images."""

    what_to_do: ClassVar[str] = "restore it from a copy of the run, or train again"

    class_names: Names
    mean: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1, max_length=3)]
    std: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=3)]

    @model_validator(mode="after")
    def _channels_agree(self) -> Self:
        if len(self.mean) != len(self.std) or len(self.mean) == 2:
            raise ValueError(f"it has {len(self.mean)} means and {len(self.std)} deviations, where 1 or 3 channels are")
        return self


class BlendValues(Part):
    """How maps are blended (`sever.decide.ensemble.Blend`); `ranks` (M, C, 256) are those of a rank blend."""

    kind: str
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    power: float = 2.0
    ranks: tuple[tuple[tuple[Probability, ...], ...], ...] = ()

    @model_validator(mode="after")
    def _ranks_are_whole(self) -> Self:
        if any(len(row) != NUM_LEVELS or len(table) != len(self.ranks[0]) for table in self.ranks for row in table):
            raise ValueError(f"its `ranks` are not {NUM_LEVELS} numbers for every member and class")
        return self

    def as_blend(self) -> Blend:
        """Raises InputError for values that no blend has."""
        return Blend(self.kind, self.weights, self.power, self.ranks)


class EvidenceRecord(Record):
    """evidence.json. A cross-validation has `folds`; a blend `members` (seen from its own folder) and `blend`."""

    what_to_do: ClassVar[str] = "restore it from a copy, or make the evidence again in another folder"

    kind: Literal["crossval", "blend"]
    name: str
    class_names: Names
    folds: tuple[Fold, ...] = ()
    members: tuple[str, ...] = ()
    blend: BlendValues | None = None
    data: DataSettings | None = None
    # By fold, the digest of the model whose maps and labels count.
    models: dict[Annotated[str, Field(pattern=r"^-?[0-9]{1,4}$")], str] = Field({})

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if self.kind == "crossval" and (not self.folds or len(set(self.folds)) < len(self.folds)):
            raise ValueError("a cross-validation needs its `folds`, each once")
        return self

    @property
    def is_blend(self) -> bool:
        return self.kind == "blend"


class PredictedRecord(Record):
    """predicted.json in a fold's folder: that it is predicted, and what its network left (maps, labels)."""

    what_to_do: ClassVar[str] = "delete it, and the fold is predicted again"

    checkpoint: str
    left: tuple[Literal["maps", "labels"], ...] = ()
    model: str | None = None


class IntervalRecord(Part):
    mean: float
    low: float
    high: float


class SearchRecord(Part):
    steps: Count
    bags: Count
    bag_share: float
    seed: Count


class SelectionRecord(Part):
    """Weights by greedy selection, and whether choosing so paid off."""

    counts: tuple[Count, ...]
    chosen: tuple[Count, ...]
    taken: bool
    gain: IntervalRecord
    score: float
    equal_score: float
    images: Count
    stride: Count
    search: SearchRecord


class AskedBlend(Part):
    """All that a blend's stored maps depend on."""

    members: tuple[str, ...]
    maps_sha256: tuple[Sha256, ...]
    kind: str
    weights: tuple[float, ...]
    power: float
    select: str
    seed: Count
    rules: dict[str, object]


class BlendRecord(Record):
    """blend.json: what was asked for, and what was found out for it (`blend` is None until it was)."""

    what_to_do: ClassVar[str] = "delete it, and type `sever blend` again with --overwrite"

    asked: AskedBlend
    blend: BlendValues | None = None
    keep: tuple[bool, ...] = ()
    selection: SelectionRecord | None = None

    @model_validator(mode="after")
    def _is_found_out_whole(self) -> Self:
        if self.blend is not None and not {"keep", "selection"} <= self.model_fields_set:
            raise ValueError("with `blend` it needs `keep` and `selection`")
        return self


class StageRecord(Part):
    """One stage of a story: when it was begun, which of its command lines are done, and the seconds that each took.

    `running` is the line that was begun last, with its time and, since counters do not go back as clocks may, the
    number of the newest run by then; None once it is done.
    """

    begun: str
    lines: tuple[str, ...]
    seconds: tuple[Annotated[float, Field(ge=0)], ...]
    running: tuple[str, str] | tuple[str, str, Count] | None
    ended: str | None

    @staticmethod
    def begin(begun: str) -> StageRecord:
        return StageRecord(begun=begun, lines=(), seconds=(), running=None, ended=None)

    @property
    def is_done(self) -> bool:
        return self.ended is not None

    @model_validator(mode="after")
    def _lines_are_timed(self) -> Self:
        if len(self.lines) != len(self.seconds):
            raise ValueError(f"it has {len(self.lines)} `lines` and {len(self.seconds)} `seconds`")
        return self


class StoryRecord(Record):
    """state.json of a story: how far each stage has come."""

    what_to_do: ClassVar[str] = "delete it to start the story again"

    story: str
    text_sha256: Sha256
    stages: dict[str, StageRecord]


class RemoteRecord(Part):
    """A file in Kaggle's storage, as `sever.deliver.kaggle.download.Remote` has it."""

    size: Count | None
    tag: str | None
    md5: str | None


class DownloadRecord(Record):
    """download.json in a folder that `sever download` unpacked, written last."""

    what_to_do: ClassVar[str] = "delete the folder to download it again, or give another -o"

    name: str
    is_dataset: bool
    archive: RemoteRecord


class PushedRecord(Record):
    """pushed.json in a kernel's folder: the run that it was pushed for, OWNER/NAME/VERSION, and how far that is."""

    what_to_do: ClassVar[str] = "delete it to push the kernel again"

    kernel: Annotated[str, Field(pattern=r"^[^/]+/[^/]+/[0-9]{1,9}$")]
    url: str
    status: str
