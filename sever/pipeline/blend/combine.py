"""`sever blend`: the out-of-fold evidence of several models into that of their blend, image by image; runs no network.

The members' maps come from disk, so they are on 8-bit levels before they are blended; the networks of a blend that is
loaded with `load_model` are blended by the same function before their one rounding. That is all the two differ in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import RuleSettings, parse_rules
from sever.decide.ensemble import Blend
from sever.decide.levels import NUM_LEVELS
from sever.decide.postprocess import dequantise, quantise
from sever.decide.ranks import count_levels, ranks_of
from sever.decide.rules import resolve_rules
from sever.errors import InputError
from sever.files import sha256_of
from sever.locks import one_writer
from sever.pipeline.blend.members import Member, mean_label_probs, open_members
from sever.pipeline.blend.weights import choose_weights
from sever.pipeline.evidence import open_evidence, write_score_table
from sever.prefetch import read_ahead
from sever.progress import info, meter, warn
from sever.store import Evidence, ProbabilityStore, read_rules
from sever.store.origin import UNKNOWN, Origin, digest_of
from sever.store.records import AskedBlend, BlendRecord, BlendValues, EvidenceRecord

# Images whose maps wait to be written, all their members' maps together; two threads work on one each.
WAITING = 4


@dataclass(frozen=True)
class BlendRequest:
    """What to blend and how. `rules` replace the first member's (only what is in there); `select`: none or greedy."""

    members: tuple[Path, ...]
    blend: Blend = field(default_factory=Blend)
    select: str = "none"
    rules: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.select not in ("none", "greedy"):
            raise InputError(f"unknown way to select {self.select!r}; allowed: none, greedy")
        if self.select == "greedy" and (self.blend.kind != "mean" or self.blend.weights):
            raise InputError("--select greedy finds the weights of a mean: leave --kind and --weight out")


def as_blend(kind: str, weights: Sequence[float], power: float | None) -> Blend:
    """A Blend as it was asked for. Raises InputError where what was said doesn't go together."""
    if kind == "power" and power is None:
        raise InputError("a blend of kind power needs its --power, e.g. 2 for the root mean square or 4")
    if kind != "power" and power is not None:
        raise InputError(f"--power belongs to --kind power, not to {kind}")
    return Blend(kind, tuple(weights)) if power is None else Blend(kind, tuple(weights), power)


def make_blend(request: BlendRequest, output: Path, overwrite: bool = False) -> Evidence:
    """Write the evidence of the blend to `output`; maps that an interrupted `make_blend` left are not made again.

    Raises InputError for members that don't fit together, and for a folder that holds anything else.
    """
    members = open_members(request.members, output)
    with one_writer(output):
        return _make(request, members, output, overwrite)


def _make(request: BlendRequest, members: Sequence[Member], output: Path, overwrite: bool) -> Evidence:
    segmenters = [member for member in members if member.has_maps]
    request.blend.shares(len(segmenters))  # told before the work
    evidence = Evidence(output)
    asked = _describe(request, members, output)
    rules = _rules(request, segmenters[0])
    resolve_rules(rules, segmenters[0].num_classes)
    _claim(evidence, asked, members[0].image_ids, overwrite)
    found = _find_out(evidence, request, asked, members, rules)
    blend = _blend_of(found, evidence, len(segmenters))
    kept = [member for member, chosen in zip(segmenters, found.keep, strict=True) if chosen]
    taking_part = kept + [member for member in members if not member.has_maps]
    models = _models(blend, taking_part)
    origins = _origins(models, kept[0])
    fill_maps(evidence.maps, kept, blend, origins)
    if not evidence.about_file.is_file():
        _write_tables(evidence, members, rules, origins)
        about = _about(request, taking_part, blend, output).model_copy(update={"models": models})
        evidence.output.write_json(evidence.about_file.name, about.as_json())
    if not evidence.pairs_file.is_file():
        write_score_table(open_evidence(output))
    return evidence


def _describe(request: BlendRequest, members: Sequence[Member], output: Path) -> AskedBlend:
    """All that the stored maps depend on."""
    return AskedBlend(
        members=tuple(_seen_from(output, member) for member in members),
        maps_sha256=tuple(_digest(member) for member in members),
        kind=request.blend.kind,
        weights=request.blend.weights,
        power=request.blend.power,
        select=request.select,
        seed=request.seed,
        rules=request.rules,
    )


def _seen_from(output: Path, member: Member) -> str:
    return os.path.relpath(member.folder.resolve(), output.resolve())


def _digest(member: Member) -> str:
    """Of folds, where the maps come from (and their sizes, which differ where one was damaged), and what labels the
    images."""
    maps, folds = member.evidence.maps, member.folds["fold"]
    sizes = [maps.path(image_id).stat().st_size if member.has_maps else 0 for image_id in member.image_ids]
    origins = [str(member.origins.get(image_id, UNKNOWN)) for image_id in member.image_ids]
    lines = [str(line) for line in zip(member.image_ids, folds, sizes, origins, strict=True)]
    labels = sha256_of(member.evidence.labels_file) if member.has_labels else ""
    return hashlib.sha256("\n".join([*lines, labels]).encode()).hexdigest()


def _claim(evidence: Evidence, asked: AskedBlend, image_ids: Sequence[str], overwrite: bool) -> None:
    """Make sure that what lies in the folder already belongs to this blend, or nothing is there."""
    output = evidence.output
    output.claim([])
    if not evidence.blend_file.is_file() and (evidence.about_file.exists() or evidence.maps.folder.exists()):
        raise InputError(f"{evidence.folder} holds maps that no blend wrote; give another -o")
    output.claim([evidence.blend_file.name, *(evidence.maps.name(image_id) for image_id in image_ids)])
    written = (evidence.about_file, evidence.pairs_file, evidence.labels_file, evidence.rules_file, evidence.folds_file)
    tables = [file.name for file in (*written, *evidence.tuning_files)]
    if evidence.blend_file.is_file():
        if _was_asked(evidence, asked, overwrite):
            return
        if not overwrite:
            raise InputError(
                f"{evidence.folder} holds another blend, or its members have changed since ({evidence.blend_file}); "
                "give another -o, or --overwrite to replace it"
            )
        output.remove([*tables, *output.below(evidence.maps.folder.name)])
    output.claim(tables)
    output.write_json(evidence.blend_file.name, BlendRecord(asked=asked).as_json())


def _was_asked(evidence: Evidence, asked: AskedBlend, overwrite: bool) -> bool:
    """A damaged record is a reason to begin anew where that is asked for."""
    try:
        return evidence.blend_record().asked == asked
    except InputError:
        if overwrite:
            return False
        raise


def _rules(request: BlendRequest, first: Member) -> RuleSettings:
    values = read_rules(first.evidence.rules_file).model_dump(mode="json")
    gate = values.get("gate", {}) | request.rules.get("gate", {})
    return parse_rules(values | request.rules | {"gate": gate}, f"rules of {first.name}, with those asked for")


def _find_out(
    evidence: Evidence, request: BlendRequest, asked: AskedBlend, members: Sequence[Member], rules: RuleSettings
) -> BlendRecord:
    """What a look at all maps says: weights, ranks, and which members have a part; kept, so that it is done once."""
    known = evidence.blend_record()
    if known.blend is not None:
        return known
    segmenters = [member for member in members if member.has_maps]
    blend, keep, selection = request.blend, [True] * len(segmenters), None
    if request.select == "greedy":
        selection = choose_weights(members, rules, request.seed)
        counts = selection.counts
        # A member without weight that has a label head stays, for the gate was heard when weights were chosen.
        keep = [bool(count) or member.has_labels for count, member in zip(counts, segmenters, strict=True)]
        blend = replace(blend, weights=tuple(float(count) for count, kept in zip(counts, keep, strict=True) if kept))
    if blend.kind == "rank":
        blend = replace(blend, ranks=_gather_ranks(segmenters))
    values = BlendValues(kind=blend.kind, weights=blend.weights, power=blend.power, ranks=blend.ranks)
    found = BlendRecord(asked=asked, blend=values, keep=tuple(keep), selection=selection)
    evidence.output.write_json(evidence.blend_file.name, found.as_json())
    return found


def _gather_ranks(members: Sequence[Member]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Ranks (M, C, 256) of every member's levels, in one pass over its maps."""
    tables = []
    for member in members:
        counts = np.zeros((member.num_classes, NUM_LEVELS), np.int64)
        with meter(f"ranks of {member.name}", len(member.folds)) as progress:
            for image_counts in read_ahead(lambda image: count_levels(member.read(image)), member.image_ids, WAITING):  # noqa: B023
                counts += image_counts
                progress.advance()
        tables.append(tuple(tuple(row) for row in ranks_of(counts).tolist()))
    return tuple(tables)


def _models(blend: Blend, members: Sequence[Member]) -> dict[str, str]:
    """By fold, a digest of the blend and of its members' models of that fold."""
    models = [member.evidence.models() for member in members]
    folds = sorted(set(members[0].folds["fold"].tolist()))
    return {str(fold): digest_of([blend.as_dict(), *(each[int(fold)] for each in models)]) for fold in folds}


def _origins(models: dict[str, str], member: Member) -> dict[str, str]:
    """What each blended map must say of its origin: all members saw the same images."""
    folds = zip(member.image_ids, member.folds["fold"], strict=True)
    return {image_id: str(Origin(models[str(fold)], member.origins[image_id].image)) for image_id, fold in folds}


def fill_maps(
    maps: ProbabilityStore, members: Sequence[Member], blend: Blend, origins: Mapping[str, str] | None = None
) -> None:
    """Blend every image that has no map of its origin yet; at most two images, with all their members' maps, are in
    memory."""
    image_ids, origins = members[0].image_ids, origins or {}
    todo = [image_id for image_id in image_ids if not maps.holds(image_id, origins.get(image_id, UNKNOWN))]

    def blend_one(image_id: str) -> None:
        maps.write(image_id, quantise(blend(_read_all(members, image_id))), origins.get(image_id, UNKNOWN))

    with meter("blend", len(image_ids), done=len(image_ids) - len(todo)) as progress:
        for _ in read_ahead(blend_one, todo, WAITING):
            progress.advance()


def _read_all(members: Sequence[Member], image_id: str) -> list[np.ndarray]:
    levels = [member.read(image_id) for member in members]
    for member, levels_chw in zip(members, levels, strict=True):
        if levels_chw.shape != levels[0].shape:
            raise InputError(
                f"the maps of {image_id} differ in size: {_size(levels[0])} in {members[0].folder}, "
                f"{_size(levels_chw)} in {member.folder}; the images must have changed between them"
            )
    return [dequantise(levels_chw) for levels_chw in levels]


def _size(levels_chw: np.ndarray) -> str:
    return "x".join(map(str, levels_chw.shape[1:]))


def _write_tables(
    evidence: Evidence, members: Sequence[Member], rules: RuleSettings, origins: Mapping[str, str]
) -> None:
    """Folds, the gate as the mean of all label probabilities, and the rules."""
    first = members[0]
    evidence.write_folds(first.folds)
    label_probs_nc = mean_label_probs(members, first.image_ids)
    if label_probs_nc is not None:
        evidence.write_label_probs(first.image_ids, label_probs_nc, [origins[name] for name in first.image_ids])
        if rules.gate.kind == "none":
            info("the label probabilities are kept, but gate.kind in rules.json is none, so they change no mask yet")
        if rules.gate.kind == "soft" and not np.any(rules.min_pixels):
            warn(
                "the soft gate scales min_pixels, which is 0 for every class: it changes no mask; set rules.min_pixels"
            )
    evidence.output.write_json(evidence.rules_file.name, rules.model_dump(mode="json"))


def _blend_of(found: BlendRecord, evidence: Evidence, num_segmenters: int) -> Blend:
    values = found.blend
    if values is None or len(found.keep) != num_segmenters:
        raise InputError(
            f"{evidence.blend_file} is damaged: it keeps {len(found.keep)} of {num_segmenters} members; "
            f"{found.what_to_do}"
        )
    return values.as_blend()


def _about(request: BlendRequest, members: Sequence[Member], blend: Blend, output: Path) -> EvidenceRecord:
    first = members[0].evidence.about()
    return EvidenceRecord(
        kind="blend",
        name=request.name or output.resolve().name,
        class_names=first.class_names,
        members=tuple(_seen_from(output, member) for member in members),
        blend=BlendValues(kind=blend.kind, weights=blend.weights, power=blend.power),
        data=first.data,
    )
