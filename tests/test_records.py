"""Every record of ours: round trips, files without a version, and one sentence for any damage that a file can take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sever.config import DataSettings, RuleSettings
from sever.errors import InputError
from sever.records import Record
from sever.seals import SealRecord, TablesRecord
from sever.store import findings, outcomes, submissions
from sever.store import records as kinds
from sever.store.bundle import manifest
from sever.store.order import CreatedRecord
from sever.store.user_cache import SpeedsRecord

SHA = "0" * 64
POSITION = kinds.PositionRecord(
    epoch=1, batch=0, optimizer_step=3, loss_sums={"loss": 0.5}, best_score=0.25, best_epoch=0
)
BLEND = kinds.BlendValues(kind="rank", weights=(1, 2.5), power=2.0, ranks=(((0.5,) * 256,),) * 2)
ASKED = kinds.AskedBlend(
    members=("../a",), maps_sha256=(SHA,), kind="mean", weights=(), power=2.0, select="none", seed=0, rules={"gate": {}}
)
SELECTION = kinds.SelectionRecord(
    counts=(1, 2),
    chosen=(1, 2),
    taken=True,
    gain=kinds.IntervalRecord(mean=0.1, low=0.0, high=0.2),
    score=0.9,
    equal_score=0.8,
    images=3,
    stride=1,
    search=kinds.SearchRecord(steps=1, bags=2, bag_share=0.5, seed=0),
)
NETWORK = manifest.NetworkRecord(
    name="n",
    architecture="Unet",
    encoder="resnet18",
    weights_sha256=SHA,
    channels=1,
    mean=(0.3,),
    std=(0.1,),
    draws_masks=True,
    labels_images=False,
    size_multiple=32,
    tile=(256, 256),
    tile_overlap=32,
    batch_size=4,
    graphs={"onnx": "networks/0/network.onnx"},
)
TUNED = outcomes.TunedValues(pixel_threshold=0.5, label_threshold=None, min_pixels=20, gate_threshold=0.5)
GAIN = kinds.IntervalRecord(mean=0.1, low=-0.1, high=0.2)
GATE = outcomes.TunedGate(kind="none", factor=5.0)
SPREAD = outcomes.SpreadRecord(mean=0.5, low=0.25, high=None)
SUBMISSION = submissions.SubmissionRecord(
    name="a", time="2026-01-01T00:00:00+00:00", submission="s.csv", submission_sha256=SHA, public=0.5
)
EXAMPLES: list[Record] = [
    outcomes.PredictionRecord(
        images="/data",
        model="0ab",
        checkpoints_sha256=(SHA,),
        blend=BLEND,
        precision="no",
        predict={"flips": ["width"]},
    ),
    outcomes.TuningRecord(
        candidate="saved/a",
        name="a",
        images=3,
        groups=0,
        folds=2,
        draws=10,
        seed=0,
        adopted=True,
        applied=False,
        conclusion="A gain.",
        rules="rules-tuned.json",
        gain=GAIN,
        dice_default=GAIN,
        dice_found_in_sample=0.5,
        gate={"default": GATE, "found": GATE, "chosen": GATE},
        classes=(
            outcomes.TunedClass(
                name="1",
                images_with_it=1,
                default=TUNED,
                found=TUNED,
                chosen=TUNED,
                by_fold={"0": TUNED, "-1": TUNED},
                gain=GAIN,
                refused=False,
                curves={"min_pixels": (outcomes.CurvePoint(value=20, dice=0.5, plateau=0.25),)},
            ),
        ),
    ),
    outcomes.ChosenRecord(
        chosen=("a", "b"),
        reason="Choose a and b.",
        expected_better_private=0.5,
        chosen_without_public_scores=("a", "b"),
        chosen_by_scenario={"clean": ("a", "b")},
        scenario_weights={"clean": 1.0},
        public_images=3,
        private_images=4,
        images=7,
        rank_correlation=SPREAD,
        draws=10,
        effective_draws=9.5,
        public_scores_power=1.0,
        candidates=(
            outcomes.CandidateRecord(
                name="a",
                folder="saved/a",
                chosen=True,
                out_of_fold=0.5,
                public=None,
                private=SPREAD,
                best_probability=0.75,
            ),
        ),
        differences=(
            outcomes.DifferenceRecord(
                one="a", other="b", out_of_fold=-0.5, public=None, standard_error=0.25, counts=None
            ),
        ),
        expected_better_private_of_pairs=((0.5, 0.5), (0.5, 0.25)),
        notes=("a note",),
    ),
    SUBMISSION,
    outcomes.ShardedRecord(engine="ray", images="strips", model="m", shard_images=256),
    submissions.ScoredRecord(name="a", time="2026-01-01T00:00:00+00:00", private=0.5),
    submissions.SendingRecord(
        record="sending",
        name="a",
        time="2026-01-01T00:00:00+00:00",
        competition="steel",
        file_name="s.csv",
        newest=1000,
        submission=SUBMISSION,
    ),
    kinds.CheckpointRecord(
        position=POSITION,
        history=({"epoch": 1, "train_loss": 0.5, "dice": None},),
        param_groups=({"lr": 0.1, "betas": [0.9, 0.999], "params": [0, 1], "fused": None, "name": "x"},),
        scaler={},
    ),
    kinds.CheckpointRecord(averaged_epochs=(1, 2)),
    kinds.DatasetRecord(class_names=("a", "b"), mean=(0.3,), std=(0.1,)),
    kinds.EvidenceRecord(
        kind="crossval", name="n", class_names=("1",), folds=(0, 1), data=DataSettings(root=Path("data"))
    ),
    kinds.EvidenceRecord(kind="blend", name="n", class_names=("1",), members=("../a", "../b"), blend=BLEND),
    kinds.PredictedRecord(checkpoint="epoch-0001", left=("maps", "labels")),
    kinds.BlendRecord(asked=ASKED),
    kinds.BlendRecord(asked=ASKED, blend=BLEND, keep=(True, False), selection=SELECTION),
    kinds.StoryRecord(
        story="s",
        text_sha256=SHA,
        stages={
            "a": kinds.StageRecord(
                begun="20260101-000000", lines=("l",), seconds=(1.5,), running=("m", "20260101-000000", 3), ended=None
            )
        },
    ),
    kinds.DownloadRecord(name="n", is_dataset=False, archive=kinds.RemoteRecord(size=3, tag='"x"', md5=None)),
    kinds.PushedRecord(kernel="me/k/1", url="https://example.org", status="complete"),
    CreatedRecord(number=3, time="2026-01-01T00:00:00+00:00"),
    TablesRecord(tables={"a.csv": SealRecord(rows=3, sha256=(SHA,))}),
    findings.DuplicatesRecord(
        images=9,
        least_overlap=0.5,
        equal_pairs=1,
        near_pairs=2,
        groups=3,
        largest_group=3,
        pairs_across_parts=0,
        pairs_with_different_masks=1,
    ),
    findings.DoubtsRecord(
        images=9,
        kinds={"missing": findings.KindRecord(images=1, first=("a.png",))},
        worst=(
            findings.DoubtRecord.model_validate(
                {"image": "a.png", "kind": "missing", "class": "1", "instead": "", "score": 0.5, "pixels": 7}
            ),
        ),
    ),
    findings.ShiftRecord(
        sets=(findings.SetRecord(root="a", images=3), findings.SetRecord(root="b", images=4)),
        area=findings.AreaRecord(mean=0.75, low=0.5, high=1.0),
        verdict="They differ.",
        differs=True,
        statistics=(findings.StatisticRecord(name="mean", area=0.9, median_a=0.25, median_b=-0.5),),
        effective_images=2.5,
    ),
    SpeedsRecord(bundle_sha256=SHA, machine="a computer", images_per_second={"onnx": 1.5}),
    manifest.BundleRecord(
        format="sever-bundle",
        name="n",
        kind="blend",
        sever="0.1.0",
        class_names=("a",),
        class_colours=("#0072b2",),
        significant_bits=8,
        max_pixels=100,
        networks=(NETWORK, NETWORK),
        model=manifest.NodeRecord(
            members=(manifest.NodeRecord(network=0), manifest.NodeRecord(network=1)),
            blend=kinds.BlendValues(kind="mean", weights=(1, 2.5), power=2.0, ranks=()),
        ),
        rules=RuleSettings(min_pixels=(20,)),
        parts={"card.md": manifest.PartRecord(bytes=3, sha256=SHA)},
    ),
]
# A command's own file holds more than a report shows of it.
MAY_HOLD_MORE = (findings.DuplicatesRecord, findings.DoubtsRecord, findings.ShiftRecord)

each_record = pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)


def all_kinds(base: type[Record] = Record) -> set[type[Record]]:
    return {base} - {Record} | {kind for sub in base.__subclasses__() for kind in all_kinds(sub)}


def raises(record: Record, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        type(record).read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 600
    return message


def values_below(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in keys]
    deeper = [value[key] for key in keys if isinstance(value[key], dict | list)]
    return found + [inner for each in deeper for inner in values_below(each)]


def test_every_kind_of_record_has_an_example() -> None:
    assert {type(record) for record in EXAMPLES} == {kind for kind in all_kinds() if kind.__module__[:6] == "sever."}


@each_record
def test_what_is_written_is_read_with_and_without_its_version(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record.write(path)
    assert type(record).read(path) == record
    values = json.loads(path.read_text())
    assert next(iter(values)) == "version"
    del values["version"]  # as records were before they had one
    path.write_text(json.dumps(values))
    assert type(record).read(path) == record


@each_record
def test_of_another_version_only_that_is_said(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"version": 2, "news": 1}))
    said = raises(record, path)
    assert "another release of sever wrote it (version 2; this one reads 1)" in said
    assert "news" not in said


@each_record
def test_whatever_is_no_record_is_refused(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    whole = json.dumps(record.as_json())
    texts = ["", " ", "null", "[]", "3", '"x"', "{", whole[:-1], whole + "}", "[" * 100_000, whole.replace('"', "'")]
    spoilt = [whole.encode("utf-16-le"), b"\xff" + whole.encode(), b"\0" * 99]
    for content in [*(text.encode() for text in texts), *spoilt]:
        path.write_bytes(content)
        raises(record, path)
    for end in range(0, len(whole) - 1, max(1, len(whole) // 97)):
        path.write_text(whole[:end])
        raises(record, path)
    path.unlink()
    raises(record, path)
    path.mkdir()
    raises(record, path)


@each_record
def test_each_value_is_held_to_its_type(record: Record, tmp_path: Path) -> None:
    """Wherever a value stands, an object of something else is refused, and so are NaN and endless numbers."""
    path = tmp_path / "record.json"
    strange = ([[{"\x1b[31m": 1}]], float("nan"), float("inf"), 10**5000, "\ud800")
    whole = json.dumps(record.as_json())
    places = len(values_below(json.loads(whole)))
    for at in range(0, places, max(1, places // 40)):
        for number, value in enumerate(strange):
            values = json.loads(whole)
            container, key = values_below(values)[at]
            if key == "rules" or (isinstance(container, dict) and key in ("gate",)):
                continue  # what was asked for of rules, compared as it is
            container[key] = value
            marker = "@@" if number == 3 else None
            container[key] = marker or value
            path.write_text(json.dumps(values).replace('"@@"', "9" * 5000))
            assert "\x1b" not in raises(record, path)


@each_record
def test_a_key_that_is_missing_or_unknown(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    values = record.as_json()
    path.write_text(json.dumps(values | {"surplus": 1}))
    if isinstance(record, MAY_HOLD_MORE):
        assert type(record).read(path) == record
    else:
        assert "`surplus` is unknown here" in raises(record, path)
    needed = [name for name, field in type(record).model_fields.items() if field.is_required()]
    for name in needed:
        path.write_text(json.dumps({key: value for key, value in values.items() if key != name}))
        assert f"it lacks `{name}`" in raises(record, path)


def test_a_prediction_is_of_one_machine_or_of_a_cluster(tmp_path: Path) -> None:
    """Both are called predict.json; each is read as what it is, and another one's is not damaged."""
    file = tmp_path / outcomes.PREDICTION
    for record in EXAMPLES:
        if isinstance(record, outcomes.PredictionRecord | outcomes.ShardedRecord):
            record.write(file)
            assert outcomes.kind_of_prediction(file).read(file) == record
            assert outcomes.read_outcome(file) == record.as_json()
            file.write_text(file.read_text().replace("version", "vision"))
            with pytest.raises(InputError, match="`vision` is unknown here; predict into another folder"):
                outcomes.read_outcome(file)
    file.write_text("{")
    with pytest.raises(InputError, match="it is not JSON"):
        outcomes.read_outcome(file)
