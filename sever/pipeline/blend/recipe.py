"""A recipe for a blend into the folders that it means: the newest finished cross-validation of each training seed."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path

from sever.config import EnsembleSettings, MemberSettings, load_config, load_ensemble
from sever.errors import InputError
from sever.pipeline.blend.combine import BlendRequest, as_blend
from sever.store import Evidence
from sever.store.order import in_order


def read_recipe(recipe: Path, saved: Path, seed: int = 0) -> BlendRequest:
    """What the recipe orders. Raises InputError that says, for every copy that is missing, the command to make it."""
    settings = load_ensemble(recipe)
    found = {member.experiment: _by_seed(saved, member) for member in (*settings.members, *settings.gate)}
    missing = [
        line
        for member in (*settings.members, *settings.gate)
        for line in _missing(member, found[member.experiment], saved)
    ]
    if missing:
        raise InputError("\n".join([f"{recipe} wants cross-validations that {saved} does not have:", *missing]))
    _raise_unless_they_fit(recipe, settings, found)
    paths = [
        folder
        for member in (*settings.members, *settings.gate)
        for folder in list(found[member.experiment].values())[: member.copies]
    ]
    return BlendRequest(
        members=tuple(paths),
        blend=as_blend(settings.blend.kind, _weights(settings), settings.blend.power),
        select=settings.blend.select,
        rules=settings.rules.model_dump(mode="json", exclude_unset=True),
        name=settings.name,
        seed=seed,
    )


def _raise_unless_they_fit(recipe: Path, settings: EnsembleSettings, found: dict[str, dict[int, Path]]) -> None:
    """Members draw masks, gates only label images: a gate that draws would take part in the masks unasked."""
    for part, members, draws in (("members", settings.members, True), ("gate", settings.gate, False)):
        for member in members:
            if any(Evidence(folder).has_maps != draws for folder in found[member.experiment].values()):
                does = "labels images only; it belongs under gate" if draws else "draws masks; it belongs under members"
                raise InputError(f"{recipe}, {part}: {member.experiment} {does}")


def _by_seed(saved: Path, member: MemberSettings) -> dict[int, Path]:
    """The newest finished folder of each training seed, the newest first."""
    folders = in_order(saved / member.experiment, "evidence.json")[::-1]
    found: dict[int, Path] = {}
    for folder in folders:
        evidence = Evidence(folder)
        if evidence.pairs_file.is_file() or evidence.labels_file.is_file():
            found.setdefault(load_config(folder / "config.yml").train.seed, folder)
    return found


def _missing(member: MemberSettings, found: dict[int, Path], saved: Path) -> list[str]:
    """One line a copy that isn't there, each with a seed that isn't taken."""
    free = (seed for seed in count() if seed not in found)
    where = "" if saved == Path("saved") else f" --saved {saved}"
    return [
        f"  sever crossval -c experiments/{member.experiment}.yml --seed {seed}{where}"
        for seed in islice(free, max(0, member.copies - len(found)))
    ]


def _weights(settings: EnsembleSettings) -> list[float]:
    """One a copy; none where all are equal, so that kinds that know no weights take them, too."""
    weights = [member.weight for member in settings.members for _ in range(member.copies)]
    return weights if len(set(weights)) > 1 else []
