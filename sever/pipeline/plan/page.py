"""A plan as people read it: YAML with a reason on every line, and the fingerprint in words; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from sever.counted import counted
from sever.data.fingerprint import ClassFacts, Fingerprint
from sever.pipeline.plan.candidates import SMALLEST_BATCH, Candidate
from sever.pipeline.plan.choices import PlannedSetting

# Reasons stand in one column where lines leave room.
REASON_COLUMN = 44


def render_plan(
    head: Sequence[str], name: str, data: Sequence[PlannedSetting], choices: Sequence[PlannedSetting]
) -> str:
    """The experiment's YAML, section by section."""
    lines = [*(f"# {line}" for line in head), _line("", "name", name, "its folder under saved/")]
    sections = dict.fromkeys(choice.name.split(".")[0] for choice in (*data, *choices))
    for section in sections:
        lines.append(f"{section}:")
        own = [choice for choice in (*data, *choices) if choice.name.startswith(f"{section}.")]
        lines += [_line("  ", choice.name.split(".")[1], choice.value, choice.why) for choice in own]
    return "\n".join(lines) + "\n"


def render_fingerprint(fingerprint: Fingerprint, candidates: Sequence[Candidate]) -> list[str]:
    """Lines of text: the data, its classes, the machine."""
    sizes = _size(fingerprint.commonest)
    if not fingerprint.one_size:
        sizes += f" (from {_size(fingerprint.smallest)} to {_size(fingerprint.largest)})"
    groups = "no groups" if fingerprint.groups is None else f"{fingerprint.groups} groups"
    lines = [
        f"{fingerprint.images} images of {sizes} pixels, {'grey' if fingerprint.grey else 'in colour'}, {groups}; "
        f"{fingerprint.clean_images} ({fingerprint.clean_images / fingerprint.images:.0%}) without a defect",
        f"grain of {fingerprint.grain} pixels; classes overlap in {fingerprint.overlap_images} of the images looked at",
    ]
    lines += [_class_in_words(facts) for facts in fingerprint.classes]
    return lines + [_candidate_in_words(candidate) for candidate in candidates]


def _candidate_in_words(candidate: Candidate) -> str:
    network, small = candidate.network, ""
    if candidate.small_step_seconds is not None:
        small = f", {candidate.small_step_seconds:.3g} s of {SMALLEST_BATCH},"
    return (
        f"{network.architecture} with {network.encoder} and decoder {list(network.decoder_channels)}: "
        f"{candidate.step_seconds:.3g} s a step of {counted(candidate.batch, 'image')}{small} on this machine"
    )


def _class_in_words(facts: ClassFacts) -> str:
    if not facts.images:
        return f"{facts.name}: no image shows it, so it can't be learnt"
    return (
        f"{facts.name}: in {facts.images} images, {facts.area_median} pixels of each at the median, in 1 of 100 fewer "
        f"than {facts.area_low}; a spot has {facts.spot_median} pixels and is {facts.spot_side} across"
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _line(indent: str, key: str, value: object, why: str) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return f"{f'{indent}{key}: {text}':{REASON_COLUMN}} # {why}"
