"""What commands note of their own results, field by field: predict.json, tune.json, select.json; knows no command.

All are read by `sever.records`; what older versions wrote is read as well, and lacks what they did not note.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sever.errors import InputError
from sever.reading import read_json
from sever.records import Count, Part, Probability, Record, Sha256
from sever.store.records import BlendValues, IntervalRecord, Plain

PREDICTION, TUNING_REPORT, SELECTION = "predict.json", "tune.json", "select.json"
Pair = Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]


class PredictionRecord(Record):
    """predict.json: all that the maps beside it depend on, but for each image's content, which they note themselves."""

    what_to_do: ClassVar[str] = "predict into another folder, or give --overwrite to have everything there made again"

    images: str | None = None
    model: str | None = None
    checkpoints_sha256: tuple[str, ...] = ()
    blend: BlendValues | None = None
    precision: str
    predict: dict[str, Plain | list[Plain]]
    within_minutes: bool = False
    # The only one, before there were several.
    checkpoint_sha256: Sha256 | None = None


class ShardedRecord(Record):
    """predict.json of a prediction on a cluster, by the shard (`--engine ray`); `model` says which, with its rules."""

    what_to_do: ClassVar[str] = "predict into another folder, or delete this one"

    engine: Literal["ray"]
    images: str
    model: str
    shard_images: Annotated[int, Field(ge=1)]


class TunedValues(Part):
    """The values of one class that tuning chooses (`sever.decide.rules.ClassRules`)."""

    pixel_threshold: Probability
    label_threshold: Probability | None
    min_pixels: Count
    gate_threshold: Probability


class CurvePoint(Part):
    """The score of a class at one value, and that of the value's neighbourhood."""

    value: int | float
    dice: float
    plateau: float


class TunedClass(Part):
    name: str
    images_with_it: Count
    default: TunedValues
    found: TunedValues
    chosen: TunedValues
    by_fold: dict[Annotated[str, Field(pattern=r"^-?[0-9]{1,4}$")], TunedValues]
    gain: IntervalRecord
    refused: bool
    curves: dict[str, tuple[CurvePoint, ...]]


class TunedGate(Part):
    kind: str
    factor: float


class TuningRecord(Record):
    """tune.json, and NAME-report.json beside a NAME.json: what was searched, found, and believed."""

    what_to_do: ClassVar[str] = "type `sever tune` again"

    candidate: str
    name: str
    images: Count
    groups: Count
    folds: Count
    draws: Count
    seed: Count
    adopted: bool
    applied: bool
    conclusion: str
    rules: str
    gain: IntervalRecord
    dice_default: IntervalRecord
    dice_found_in_sample: Probability
    weights: str | None = None
    gate: dict[Literal["default", "found", "chosen"], TunedGate]
    classes: tuple[TunedClass, ...]


class SpreadRecord(Part):
    """A mean and the interval that holds 95 %, each None where it is not known."""

    mean: float | None
    low: float | None
    high: float | None


class CandidateRecord(Part):
    name: str
    folder: str
    chosen: bool
    out_of_fold: Probability
    public: float | None
    private: SpreadRecord
    best_probability: Annotated[float, Field(ge=0)]


class DifferenceRecord(Part):
    one: str
    other: str
    out_of_fold: float
    public: float | None
    standard_error: float
    counts: bool | None


class ChosenRecord(Record):
    """select.json: the two submissions to choose, and all that the choice rests on."""

    what_to_do: ClassVar[str] = "type `sever select` again"

    chosen: Pair
    reason: str
    expected_better_private: float
    chosen_without_public_scores: Pair
    chosen_by_scenario: dict[str, Pair]
    scenario_weights: dict[str, float]
    public_images: Count
    private_images: Count
    images: Count
    rank_correlation: SpreadRecord
    draws: Count
    effective_draws: float
    public_scores_power: float
    candidates: tuple[CandidateRecord, ...]
    differences: tuple[DifferenceRecord, ...]
    expected_better_private_of_pairs: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...]


KINDS: dict[str, type[Record]] = {
    PREDICTION: PredictionRecord,
    TUNING_REPORT: TuningRecord,
    SELECTION: ChosenRecord,
}


def kind_of_prediction(path: Path) -> type[PredictionRecord] | type[ShardedRecord]:
    """Which of the two a predict.json is, so that whoever reads it names its own faults."""
    try:
        held = read_json(path)
    except InputError:
        return PredictionRecord
    return ShardedRecord if isinstance(held, dict) and "engine" in held else PredictionRecord


def read_outcome(path: Path) -> Any:
    """The values of a file that a command noted: checked where its name is one of ours, else any JSON.

    Raises InputError.
    """
    kind = kind_of_prediction(path) if path.name == PREDICTION else KINDS.get(path.name)
    return read_json(path) if kind is None else kind.read(path).as_json()
