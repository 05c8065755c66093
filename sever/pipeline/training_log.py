"""What a training run shows and keeps while it trains: progress, log, history, TensorBoard, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import pandas as pd
import torch
from torch import nn

from sever.config import ExperimentConfig, RuleSettings
from sever.data.table import ImageTable
from sever.decide.label_metrics import LabelSheet
from sever.decide.metrics import ScoreSheet, pair_counts
from sever.deliver.tensorboard import TensorBoardLog
from sever.files import atomic_path, naming
from sever.models.checkpoint import Snapshot
from sever.models.reports import EpochReport, Position, Scores, StepReport
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import model_in_training
from sever.progress import Meter, detail, info, meter
from sever.store import Run
from sever.store.checkpoints import save_checkpoint
from sever.store.records import HistoryRow

PICTURES = 4
PICTURE_SIDE = 1600  # pixels of the longer side: a picture is written every epoch


class TrainingLog:
    """Stands between the training loop and the world; use as a context manager."""

    def __init__(
        self,
        run: Run,
        config: ExperimentConfig,
        facts: DatasetFacts,
        rules: RuleSettings,
        validation: ImageTable,
        device: torch.device,
        size_multiple: int,
        history: Sequence[HistoryRow] = (),
        batches_done: int = 0,
    ) -> None:
        self.run, self.config, self.facts, self.rules = run, config, facts, rules
        self.validation, self.device, self.size_multiple = validation, device, size_multiple
        self.history = list(history)
        # Everything is logged over the count of batches, so that one number hides what a killed run logged too much.
        self.batches_done = batches_done
        self.board = TensorBoardLog(run.folder / "tensorboard", purge_step=batches_done + 1 if batches_done else None)
        self.pictured = _worth_a_picture(validation)
        self._meter: Meter | None = None
        self._open = ExitStack()

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        self.board.close()

    def step(self, report: StepReport) -> None:
        if self._meter is None:
            title = f"epoch {report.epoch + 1}/{self.config.train.last_epoch}"
            self._meter = self._open.enter_context(meter(title, report.num_batches, report.batch - 1))
        self._meter.advance(1, "  ".join(f"{name} {value:.4f}" for name, value in report.losses.items()))
        self.batches_done = report.epoch * report.num_batches + report.batch
        speed = {"images_per_second": report.images / report.seconds}
        self.board.scalars("step", report.losses | speed, self.batches_done)

    def validate(self, model: nn.Module, epoch: int) -> Scores:
        self._close_meter()
        inspected = model_in_training(model, self.size_multiple, self.config, self.facts, self.rules, self.device)
        sheet, labels = ScoreSheet(self.facts.num_classes), LabelSheet(self.facts.num_classes)
        shown = self.validation.has_class()
        with meter("validation", len(self.validation)) as progress:
            for row, found in inspected.inspect_table(self.validation):
                if found.label_probabilities is not None:
                    labels.add(found.name, found.label_probabilities, shown[row])
                if inspected.draws_masks:
                    sheet.add(found.name, pair_counts(found.masks, self.validation.mask(row)))
                    if row in self.pictured:
                        picture = found.overlay(PICTURE_SIDE)
                        self.board.picture(f"prediction/{found.name}", picture, self.batches_done)
                progress.advance()
        of_masks = _flat_scores(sheet, self.facts.class_names) if inspected.draws_masks else {}
        return of_masks | _flat_label_scores(labels, self.facts.class_names)

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None:
        self._close_meter()
        epoch = report.epoch + 1
        row: HistoryRow = {
            "epoch": epoch,
            **{f"train_{name}": value for name, value in report.losses.items()},
        }
        row |= report.scores or {}
        row |= {f"rate_{name}": value for name, value in report.learning_rates.items()}
        row["seconds"] = round(report.seconds, 1)
        self.history.append(row)
        self.board.scalars("train", report.losses, self.batches_done)
        self.board.scalars("validation", report.scores or {}, self.batches_done)
        self.board.scalars("learning_rate", report.learning_rates, self.batches_done)
        save_checkpoint(self.run.epoch_folder(epoch), snapshot(), self.history)
        detail(f"kept {self.run.epoch_folder(epoch)}")
        self.run.keep(self._worth_keeping())
        with atomic_path(self.run.history_file) as temporary:
            pd.DataFrame(self.history).to_csv(temporary, index=False)
        self._log(report)

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None:
        folder = self.run.step_folder(position.optimizer_step)
        save_checkpoint(folder, snapshot(), self.history)
        self.run.keep(set(self.run.epochs()), position.optimizer_step)

    def _worth_keeping(self) -> set[int]:
        """The latest epoch, the best few, and every N-th."""
        settings = self.config.train
        scored = [row for row in self.history if row.get(settings.monitor) is not None]
        best = sorted(scored, key=lambda row: (-row[settings.monitor], row["epoch"]))[: settings.keep_best]
        every = {
            row["epoch"] for row in self.history if settings.keep_every and row["epoch"] % settings.keep_every == 0
        }
        return {self.history[-1]["epoch"]} | {row["epoch"] for row in best} | every

    def _log(self, report: EpochReport) -> None:
        parts = [f"epoch {report.epoch + 1}/{self.config.train.last_epoch}"]
        parts += [f"{name} {value:.4f}" for name, value in report.losses.items()]
        if report.scores is not None:
            score = report.scores[self.config.train.monitor]
            parts.append(f"validation {self.config.train.monitor} {score:.4f}{' (best)' if report.is_best else ''}")
        parts.append(f"{report.seconds:.0f} s")
        info("  ".join(parts))
        path = self.run.folder / "train.log"
        with naming(path), path.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {'  '.join(parts)}\n")

    def _close_meter(self) -> None:
        self._open.close()
        self._meter = None


def _worth_a_picture(validation: ImageTable) -> set[int]:
    """Rows whose predictions are drawn every epoch: the first image of each class, then more, always the same."""
    has_class = validation.has_class()
    firsts = [
        int(np.argmax(has_class[:, index])) for index in range(validation.num_classes) if has_class[:, index].any()
    ]
    return set(firsts[:PICTURES]) or set(range(min(PICTURES, len(validation))))


def _flat_scores(sheet: ScoreSheet, class_names: tuple[str, ...]) -> Scores:
    """The scores to follow from epoch to epoch, by name; what can't be scored (no such defect) is left out."""
    per_class = zip(class_names, sheet.dice_per_class(), sheet.dice_positive_per_class(), strict=True)
    scores = {"dice": sheet.mean_dice(), "dice_positive": sheet.dice_positive(), "mean_iou": sheet.mean_iou()}
    for name, dice, dice_positive in per_class:
        scores |= {f"dice_{name}": float(dice), f"dice_positive_{name}": float(dice_positive)}
    return {name: value for name, value in scores.items() if not math.isnan(value)}


def _flat_label_scores(labels: LabelSheet, class_names: tuple[str, ...]) -> Scores:
    """The same of image labels; none where the network labels no images."""
    if not labels.image_ids:
        return {}
    per_class = zip(class_names, labels.average_precision_per_class(), labels.auc_per_class(), strict=True)
    scores = labels.scores()
    for name, ap, auc in per_class:
        scores |= {f"label_ap_{name}": float(ap), f"label_auc_{name}": float(auc)}
    return {name: value for name, value in scores.items() if not math.isnan(value)}
