"""Several backends beside a reference, on real images, through the full decision rules: what a certificate says."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.config import RuleSettings
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.parity import Decide, Parity, decide_labels, fault_of_full_precision, fault_of_low_precision
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.prediction import Predict, Prediction
from sever.decide.rules import resolve_rules
from sever.errors import InputError
from sever.pipeline.export.describe import as_record, today
from sever.prefetch import chunks, read_ahead
from sever.progress import meter
from sever.store.bundle.manifest import BackendRecord, CertificateRecord
from sever.store.origin import image_digests

WITHIN = "within its limit"


@dataclass(frozen=True)
class Contender:
    """One backend under test; `is_full`: held to the limit of full precision."""

    predict: Predict
    version: str
    is_full: bool
    # How well its masks agreed with the reference's at export; None where this is the export.
    agreement: float | None = None


@dataclass
class _Measured:
    parity: Parity
    seconds: float = 0.0
    images: int = 0


@dataclass(frozen=True)
class Comparison:
    """The certificate, and the reference's own Dice of every (image, class), where labels are known."""

    certificate: CertificateRecord
    dice_nc: np.ndarray | None


def compare(
    reference: Predict,
    decide: Decide,
    contenders: Mapping[str, Contender],
    table: ImageTable,
    read: ImageReader,
    draws_masks: bool,
    of: str,
    reference_name: str,
    labelled: bool = True,
    batch_size: int = 4,
) -> Comparison:
    """Put every image through the reference and all backends, in turn, so that each meets the same load."""
    measured = {name: _Measured(Parity(decide)) for name in contenders}
    scores: list[np.ndarray] = []
    faults: dict[str, str] = {}
    shown = table.has_class()
    images = read_ahead(lambda row: read(table.path(row)), range(len(table)), depth=2 * batch_size)
    with meter("compare", len(table)) as progress:
        for number, batch in enumerate(chunks(enumerate(images), batch_size)):
            pixels = [image for _, image in batch]
            expected = reference(pixels)
            truths = [_truth(table, row, shown, draws_masks) if labelled else None for row, _ in batch]
            for name, contender in contenders.items():
                if name not in faults:
                    try:
                        _measure(measured[name], contender.predict, pixels, expected, truths, is_first=number == 0)
                    except InputError as error:  # what it answers are no probabilities, or of another shape
                        faults[name] = str(error)
            for prediction, true_chw in zip(expected, truths, strict=True):
                if true_chw is not None:
                    scores.append(dice_pairs(pair_counts(decide(prediction), true_chw)))
                progress.advance()
    records = [_record(name, contenders[name], measured[name], faults.get(name)) for name in contenders]
    certificate = CertificateRecord(
        reference=reference_name,
        images=len(table),
        of=of,
        images_sha256=_digest(table),
        date=today(),
        machine=machine(),
        threads=os.cpu_count() or 1,
        backends=tuple(records),
    )
    return Comparison(certificate, np.stack(scores) if scores else None)


def machine() -> str:
    """The processor, as far as the system says it."""
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _measure(
    measured: _Measured,
    predict: Predict,
    pixels: Sequence[np.ndarray],
    expected: Sequence[Prediction],
    truths: Sequence[np.ndarray | None],
    is_first: bool,
) -> None:
    start = time.perf_counter()
    found = predict(pixels)
    for prediction in found:
        measured.parity.decide(prediction)
    seconds = time.perf_counter() - start
    if is_first:  # which only warms up, unless it stays the only one
        measured.seconds, measured.images = seconds, len(pixels)
    else:
        if measured.images == measured.parity.images:
            measured.seconds, measured.images = 0.0, 0
        measured.seconds += seconds
        measured.images += len(pixels)
    for theirs, own, true_chw in zip(expected, found, truths, strict=True):
        measured.parity.add(theirs, own, true_chw)


def _record(name: str, contender: Contender, measured: _Measured, fault: str | None) -> BackendRecord:
    parity = measured.parity
    fault = fault or _fault(contender, parity)
    score = parity.score_difference
    return BackendRecord(
        backend=name,
        version=contender.version,
        taken=fault is None,
        why=fault or WITHIN,
        max_difference=parity.largest,
        mean_difference=parity.mean_difference,
        label_difference=parity.label_largest,
        pixels_changed=parity.pixels_changed / max(parity.pixels, 1),
        rows=parity.rows,
        rows_changed=parity.rows_changed,
        rows_tied=parity.rows_tied,
        agreement=min(parity.agreement, 1.0),
        score=None if score is None else as_record(score),
        images_per_second=measured.images / max(measured.seconds, 1e-9),
    )


def _fault(contender: Contender, parity: Parity) -> str | None:
    if contender.is_full:
        return fault_of_full_precision(parity)
    return fault_of_low_precision(parity, contender.agreement)


def decide_by(settings: RuleSettings, num_classes: int, draws_masks: bool) -> Decide:
    """The full decision rules; of what draws no masks, whether each label is above a half."""
    if not draws_masks:
        return decide_labels
    rules = resolve_rules(settings, num_classes)

    def decide(prediction: Prediction) -> np.ndarray:
        assert prediction.probs_chw is not None
        return draw_masks(quantise(prediction.probs_chw), rules, prediction.label_probs_c)

    return decide


def _truth(table: ImageTable, row: int, shown_nc: np.ndarray, draws_masks: bool) -> np.ndarray:
    return table.mask(row) if draws_masks else shown_nc[row].astype(np.uint8)[:, None, None]


def _digest(table: ImageTable) -> str:
    digests = image_digests(table.paths)
    return hashlib.sha256("".join(digests).encode()).hexdigest()
