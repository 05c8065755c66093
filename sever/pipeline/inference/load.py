"""From a path to a Model: a run, a checkpoint, a cross-validation, a blend; each kind says what it takes.

Imports no torch before a trained run is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sever.config import load_config
from sever.decide.ensemble import Blend
from sever.decide.rules import resolve_rules
from sever.errors import InputError
from sever.pipeline.inference.bundled import bundle_draws_masks, load_bundle
from sever.pipeline.inference.familiar import mean_familiarity
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import Ensemble
from sever.pipeline.inference.options import InferenceOptions
from sever.store import Evidence, Run, find_run, read_rules
from sever.store.bundle.container import is_bundle


@dataclass(frozen=True)
class Loader:
    """A kind of model on disk: whether a path is one, how it is loaded, and whether it draws masks (known without)."""

    takes: Callable[[Path], bool]
    load: Callable[[Path, InferenceOptions], Model]
    draws_masks: Callable[[Path], bool]


def load_model(path: Path, options: InferenceOptions | None = None) -> Model:
    """The model that a path means. The folds of a cross-validation answer as one, by their mean.

    Raises InputError for what can't be read or computed here.
    """
    options = options or InferenceOptions()
    if options.backend is not None and not is_bundle(path):
        raise InputError(
            f"{path} is not a bundle, and runs in torch alone: leave the backend out, or `sever export` it"
        )
    return replace(_loader_of(path).load(path, options), source=(path.absolute(), options))


def draws_masks(path: Path) -> bool:
    """Whether the model at a path draws masks; builds no network. Raises InputError for what is no model."""
    return _loader_of(path).draws_masks(path)


def _loader_of(path: Path) -> Loader:
    return next(loader for loader in LOADERS.values() if loader.takes(path))


def _load_trained(path: Path, options: InferenceOptions) -> Model:
    from sever.pipeline.inference.trained import load_run

    return load_run(path, options)


def _load_evidence(path: Path, options: InferenceOptions) -> Model:
    evidence = Evidence.find(path)
    members, blend = evidence_members(evidence)
    loaded = [load_model(member, options) for member in members]
    _raise_unless_alike(evidence, loaded)
    first, network = loaded[0], Ensemble(tuple(member.network for member in loaded), blend, path)
    rules = resolve_rules(read_rules(evidence.rules_file), first.facts.num_classes)
    facts = next(member.facts for member in loaded if member.facts.channels == network.channels)
    checkpoints = tuple(checkpoint for member in loaded for checkpoint in member.checkpoints)
    familiar = mean_familiarity([member.familiar for member in loaded])
    return Model(evidence.folder, network, rules, first.config, facts, checkpoints, familiar)


def evidence_members(evidence: Evidence) -> tuple[list[Path], Blend]:
    """What a folder of evidence is made of: the last checkpoints of its folds, or a blend's members."""
    about = evidence.about()
    if about.is_blend:
        if about.blend is None:
            raise InputError(f"{evidence.about_file} is damaged: it lacks `blend`; {about.what_to_do}")
        # The tables of ranks are long, so they stand in a file of their own.
        values = evidence.blend_record().blend if about.blend.kind == "rank" else about.blend
        if values is None:
            raise InputError(f"{evidence.blend_file} lacks `blend`; run the `sever blend` that made it again")
        return evidence.members(), values.as_blend()
    return [fold_checkpoint(evidence, fold) for fold in about.folds], Blend()


def fold_checkpoint(evidence: Evidence, fold: int) -> Path:
    """The last checkpoint of a fold's run: the best one was chosen by the very images that it would be judged by."""
    checkpoint = Run(evidence.fold_folder(fold)).latest()
    if checkpoint is None:
        raise InputError(f"fold {fold} of {evidence.folder} has no checkpoint; run its `sever crossval` again")
    return checkpoint


def _raise_unless_alike(evidence: Evidence, loaded: Sequence[Model]) -> None:
    names = {member.classes: member.folder for member in loaded}
    if len(names) > 1:
        (first, here), (second, there) = list(names.items())[:2]
        raise InputError(
            f"the members of {evidence.folder} know different classes: {here} has {', '.join(first)}, "
            f"{there} has {', '.join(second)}"
        )


def _run_draws_masks(path: Path) -> bool:
    return load_config(find_run(path)[0].config_file).model.task == "segment"


def _evidence_draws_masks(path: Path) -> bool:
    return any(draws_masks(member) for member in evidence_members(Evidence.find(path))[0])


# In this order; the last takes what nothing else does, and says what is wrong with it.
LOADERS: dict[str, Loader] = {
    "bundle": Loader(is_bundle, load_bundle, bundle_draws_masks),
    "evidence": Loader(Evidence.is_at, _load_evidence, _evidence_draws_masks),
    "run": Loader(lambda path: True, _load_trained, _run_draws_masks),
}
