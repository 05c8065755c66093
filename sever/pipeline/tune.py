"""`sever tune`: rules searched on out-of-fold evidence, kept only where held-out folds show a gain beyond noise."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import RuleSettings
from sever.decide.bootstrap import group_numbers, mean_interval
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import ClassRules, Rules, resolve_rules
from sever.decide.tuning import Grid, RuleTable, Tuning, Verdict, curves, judge, rule_grid, table_row, tune
from sever.errors import InputError
from sever.locks import one_writer, one_writer_of
from sever.output import OutputFolder
from sever.pipeline.evidence import OpenEvidence, open_evidence, write_score_table
from sever.pipeline.weights import read_weights
from sever.progress import info, meter
from sever.store import read_rules
from sever.store.evidence import TUNED_RULES
from sever.store.outcomes import TUNING_REPORT, TuningRecord

# What tuning replaces of rules.json.
REPLACED = ("pixel_threshold", "label_threshold", "min_pixels", "gate")
TUNED = ("pixel_threshold", "label_threshold", "min_pixels", "gate_threshold")


@dataclass(frozen=True)
class TuneOptions:
    """`output`: the file for the rules, by default rules-tuned.json in the candidate's folder, with the report
    tune.json beside it; NAME.json has NAME-report.json.
    `apply`: the candidate's own rules and score table are replaced too.
    `weights`: CSV image_id,weight: how much each image counts (`sever data shift`)."""

    output: Path | None = None
    draws: int = 1000
    seed: int = 0
    allow_worse: bool = False
    apply: bool = False
    weights: Path | None = None


@dataclass(frozen=True)
class _Drawn:
    """Dice (N, C) of really drawn masks: by the default rules, by those that the other folds chose, by those of all."""

    default_nc: np.ndarray
    held_out_nc: np.ndarray
    found_nc: np.ndarray


@dataclass(frozen=True)
class _Search:
    """What was searched, what was found, and how it did on held-out folds."""

    default: Rules
    grid: Grid
    table: RuleTable
    tuning: Tuning
    drawn: _Drawn
    verdict: Verdict
    weights_n: np.ndarray | None = None
    refused: tuple[int, ...] = ()

    @property
    def chosen(self) -> Rules:
        return self.tuning.found if self.verdict.adopts else self.default


def tune_candidate(path: Path, options: TuneOptions) -> dict[str, Any]:
    """Search, judge, write; returns the report. Raises InputError for evidence that can't be tuned on."""
    opened = _as_before_tuning(open_evidence(path))
    output = options.output or opened.evidence.folder / TUNED_RULES
    _raise_unless_usable(opened, output, options.apply)
    search = _search(opened, options)
    settings = as_settings(search.chosen, opened.rules)
    with one_writer_of(output), one_writer(opened.evidence.folder) if options.apply else nullcontext():
        return _write(opened, search, settings, options, output)


def _write(
    opened: OpenEvidence, search: _Search, settings: RuleSettings, options: TuneOptions, output: Path
) -> dict[str, Any]:
    report = TuningRecord.of(_report(opened, search, options, output)).as_json()
    home = OutputFolder(output.parent)
    home.write_json(output.name, settings.model_dump(mode="json"))
    home.write_json(_report_file(output).name, report)
    if options.apply and search.verdict.adopts:
        _apply(opened, settings)
    return report


def _as_before_tuning(opened: OpenEvidence) -> OpenEvidence:
    """With the tuned values of before any were chosen on this evidence, where they were.

    Typed again, the command finds the same gain over the same rules, and not none over those that it has put there.
    """
    evidence = opened.evidence
    if not evidence.is_tuned:
        return opened
    before = read_rules(evidence.rules_before_file)
    return replace(opened, rules=opened.rules.model_copy(update={name: getattr(before, name) for name in REPLACED}))


def as_settings(rules: Rules, before: RuleSettings) -> RuleSettings:
    """`before` with the tuned values of `rules`; what is equal for all classes stays a list all the same."""

    def each(name: str) -> list[Any]:
        return [getattr(entry, name) for entry in rules.classes]

    values = before.model_dump(mode="json")
    labels = [
        entry.pixel_threshold if entry.label_threshold is None else entry.label_threshold for entry in rules.classes
    ]
    has_labels = any(label is not None for label in each("label_threshold"))
    values |= {
        "pixel_threshold": each("pixel_threshold"),
        "label_threshold": labels if has_labels else None,  # equal to pixel_threshold it asks for nothing
        "min_pixels": each("min_pixels"),
        "gate": {"kind": rules.gate_kind, "threshold": each("gate_threshold"), "factor": rules.gate_factor},
    }
    return RuleSettings.model_validate(values)


def _raise_unless_usable(opened: OpenEvidence, output: Path, apply: bool) -> None:
    folder, folds = opened.evidence.folder, np.unique(opened.folds_n)
    if len(folds) < 2:
        raise InputError(
            f"{folder} has evidence of {len(folds)} fold{'' if len(folds) == 1 else 's'}; rules are chosen on some "
            "folds and judged on the others, so at least two are needed: let `sever crossval` train more"
        )
    opened.raise_unless_mapped()
    if len(set(group_numbers(_groups(opened), len(opened.table)))) < 2:
        raise InputError(f"all images of {folder} are of one group, so nothing can be said of others; see data.groups")
    if output.resolve() == opened.evidence.rules_file.resolve():
        raise InputError(f"{output} holds the candidate's own rules: leave -o out and give --apply to replace them")
    if output.name in (TUNING_REPORT, opened.evidence.rules_before_file.name) or output.is_dir():
        raise InputError(f"-o {output} can't be the file for the rules; give another name, such as {TUNED_RULES}")
    OutputFolder(output.parent).claim([output.name, _report_file(output).name])
    if apply:
        evidence = opened.evidence
        evidence.output.claim([evidence.rules_before_file.name, evidence.pairs_file.name])


def _search(opened: OpenEvidence, options: TuneOptions) -> _Search:
    default = resolve_rules(opened.rules, opened.num_classes)
    heights, widths = (opened.table.frame[name].to_numpy() for name in ("height", "width"))
    grid = rule_grid(default, int(np.median(heights * widths)), opened.gate_probs_nc is not None)
    weights_n = None if options.weights is None else read_weights(options.weights, opened.table.image_ids)
    table = _table(opened, default, grid, weights_n)

    def search(refused: tuple[int, ...]) -> _Search:
        tuning = tune(table, opened.folds_n, default, grid, refused)
        drawn = _draw(opened, default, tuning)
        verdict = judge(drawn.held_out_nc, drawn.default_nc, _groups(opened), options.draws, options.seed, weights_n)
        return _Search(default, grid, table, tuning, drawn, verdict, weights_n, refused)

    found = search(())
    while found.verdict.worse and not options.allow_worse:
        found = search(_more_refused(found, opened.table.class_names))
    return found


def _more_refused(found: _Search, class_names: Sequence[str]) -> tuple[int, ...]:
    """Classes that lose keep their default. Then others may lose, since classes compete for pixels and share a gate;
    where a class loses with its default too, because of the others' rules, all classes keep theirs."""
    refused = {*found.refused, *found.verdict.worse}
    if refused == set(found.refused):
        refused = set(range(len(class_names)))
    kept = ", ".join(class_names[index] for index in sorted(refused))
    info(f"default rules kept, since the tuned ones are worse beyond noise: {kept}")
    return tuple(sorted(refused))


def _table(opened: OpenEvidence, default: Rules, grid: Grid, weights_n: np.ndarray | None) -> RuleTable:
    rows = []
    with meter("count pixels", len(opened.table)) as progress:
        for row, levels_chw in opened.maps():
            truth_chw = opened.table.mask(row)
            rows.append(table_row(levels_chw, truth_chw, default, grid.thresholds, opened.gate(row)))
            progress.advance()
    return RuleTable.of(rows, grid.thresholds, opened.gate_probs_nc, weights_n)


def _draw(opened: OpenEvidence, default: Rules, tuning: Tuning) -> _Drawn:
    dice = []
    with meter("draw masks", len(opened.table)) as progress:
        for row, levels_chw in opened.maps():
            truth_chw = opened.table.mask(row)
            each_way = (default, tuning.by_fold[int(opened.folds_n[row])], tuning.found)
            masks = [draw_masks(levels_chw, rules, opened.gate(row)) for rules in each_way]
            dice.append([dice_pairs(pair_counts(masks_chw, truth_chw)) for masks_chw in masks])
            progress.advance()
    return _Drawn(*np.stack(dice, axis=1))


def _report_file(output: Path) -> Path:
    """Of its own for each file of rules, so that two candidates may be tuned into one folder."""
    return output.with_name(TUNING_REPORT if output.name == TUNED_RULES else f"{output.stem}-report.json")


def _groups(opened: OpenEvidence) -> list[Any]:
    return list(opened.table.frame["group"].tolist())


def _apply(opened: OpenEvidence, settings: RuleSettings) -> None:
    """The old rules are safe first, and the new ones come last: an interrupted change is repeated by the next."""
    evidence = opened.evidence
    if not evidence.is_tuned:  # the rules that were not chosen on these images stay, however often others are
        evidence.output.write_json(evidence.rules_before_file.name, opened.rules.model_dump(mode="json"))
    write_score_table(opened, settings)
    evidence.output.set_aside(evidence.rules_file.name)  # rules may be edited by hand, and then are the user's own
    evidence.output.write_json(evidence.rules_file.name, settings.model_dump(mode="json"))


def _report(opened: OpenEvidence, search: _Search, options: TuneOptions, output: Path) -> dict[str, Any]:
    names = opened.table.class_names
    verdict, found = search.verdict, search.tuning.found
    groups = _groups(opened)
    default_score = mean_interval(
        search.drawn.default_nc, groups, options.draws, options.seed, weights_n=search.weights_n
    )
    return {
        "candidate": str(opened.evidence.folder),
        "name": opened.name,
        "images": len(opened.table),
        "groups": len({group for group in groups if isinstance(group, str) and group}),
        "folds": len(search.tuning.by_fold),
        "draws": options.draws,
        "seed": options.seed,
        "adopted": verdict.adopts,
        "applied": options.apply and verdict.adopts,
        "conclusion": verdict.sentence([names[index] for index in search.refused]),
        "rules": str(output),
        "gain": asdict(verdict.gain),
        "dice_default": asdict(default_score),
        "dice_found_in_sample": float(np.average(search.drawn.found_nc.mean(axis=1), weights=search.weights_n)),
        "weights": None if options.weights is None else str(options.weights),
        "gate": {"default": _gate(search.default), "found": _gate(found), "chosen": _gate(search.chosen)},
        "classes": [_class_report(opened, search, index) for index in range(len(names))],
    }


def _class_report(opened: OpenEvidence, search: _Search, index: int) -> dict[str, Any]:
    found = search.tuning.found
    moved = curves(search.table, opened.folds_n, search.default, search.grid, found, index)
    return {
        "name": opened.table.class_names[index],
        "images_with_it": int(np.count_nonzero(search.table.true_nc[:, index])),
        "default": _tuned_values(search.default.classes[index]),
        "found": _tuned_values(found.classes[index]),
        "chosen": _tuned_values(search.chosen.classes[index]),
        "by_fold": {str(fold): _tuned_values(rules.classes[index]) for fold, rules in search.tuning.by_fold.items()},
        "gain": asdict(search.verdict.gain_by_class[index]),
        "refused": index in search.refused,
        # Around `found`: the score of the class when one value moves, and that of its neighbourhood.
        "curves": {
            name: [{"value": value, "dice": dice, "plateau": robust} for value, dice, robust in line]
            for name, line in moved.items()
        },
    }


def _tuned_values(each: ClassRules) -> dict[str, Any]:
    return {name: getattr(each, name) for name in TUNED}


def _gate(rules: Rules) -> dict[str, Any]:
    return {"kind": rules.gate_kind, "factor": rules.gate_factor}
