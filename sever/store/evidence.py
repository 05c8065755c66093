"""The folder of out-of-fold evidence: what a model, or a blend of several, said of images that it had not seen.

FOLDER/ (of a cross-validation: saved/NAME/TIMESTAMP/, of a blend: wherever it was written)
    evidence.json   kind (crossval, blend), name, class_names, data, models (by fold, a digest of the model whose maps
                    and labels count); of a blend also members (their folders, seen from its own) and blend (kind,
                    weights, power)
    blend.json      of a blend: what was asked for, and what was found out for it (weights, ranks)
    folds.csv       image_id, group, fold: one row an image with a map; of a cross-validation also labels, a hash
    probs/ID.png    out-of-fold probability maps
    labels.csv      image_id, 1..C: the image classifier's out-of-fold probabilities, where there is one
    pairs.csv       the score table: one row an (image, class)
    rules.json      how masks are drawn from the maps
    .sever-tables.json     rows and digests of the tables
    fold-0/ ...     a cross-validation's runs, as `sever train` makes them
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sever.config import RuleSettings
from sever.counted import counted
from sever.errors import InputError
from sever.names import beside, inside
from sever.near_names import missing
from sever.output import OutputFolder
from sever.store.bundle.container import is_bundle
from sever.store.labels import Label, LabelStore
from sever.store.maps import ProbabilityStore
from sever.store.order import in_order
from sever.store.origin import Origin
from sever.store.outcomes import TUNING_REPORT
from sever.store.records import BlendRecord, EvidenceRecord
from sever.store.rules import read_rules
from sever.store.tables import FOLDS, PAIRS, put_table, read_table_file

TUNED_RULES = "rules-tuned.json"


@dataclass(frozen=True)
class Evidence:
    """One folder of evidence."""

    folder: Path

    @staticmethod
    def find(path: Path) -> Evidence:
        """The evidence that `path` means: its folder, a file in it, or saved/NAME (the newest). Raises InputError."""
        folder = path if path.is_dir() else path.parent
        if (folder / "evidence.json").is_file():
            return Evidence(folder)
        newest = in_order(folder, "evidence.json") if path.exists() else []
        if not newest:
            if is_bundle(path):
                raise InputError(
                    f"{path.absolute()} is a bundle, which holds no out-of-fold evidence; give the folder of the "
                    "cross-validation or blend that it was made of"
                )
            if not path.exists():
                raise InputError(
                    f"{missing(path, 'file or folder')}; give the folder that `sever crossval` or `sever blend` wrote"
                )
            raise InputError(
                f"{path.absolute()} holds no out-of-fold evidence (no evidence.json); give the folder that "
                "`sever crossval` or `sever blend` wrote"
            )
        return Evidence(newest[-1])

    @staticmethod
    def is_at(path: Path) -> bool:
        return (path / "evidence.json").is_file() or (path.is_dir() and any(path.glob("*/evidence.json")))

    @property
    def output(self) -> OutputFolder:
        return OutputFolder(self.folder)

    @property
    def about_file(self) -> Path:
        return self.folder / "evidence.json"

    @property
    def folds_file(self) -> Path:
        return self.folder / "folds.csv"

    @property
    def pairs_file(self) -> Path:
        return self.folder / "pairs.csv"

    @property
    def labels_file(self) -> Path:
        return self.labels.file

    @property
    def rules_file(self) -> Path:
        return self.folder / "rules.json"

    @property
    def rules_before_file(self) -> Path:
        """The rules that were there before any were chosen on this very evidence."""
        return self.folder / "rules-before.json"

    @property
    def tuning_files(self) -> tuple[Path, ...]:
        """What tuning leaves beside the rules: those of before, those found, and the report."""
        return self.rules_before_file, self.folder / TUNED_RULES, self.folder / TUNING_REPORT

    @property
    def is_tuned(self) -> bool:
        """Whether the rules were chosen on this evidence, so that its score table is slightly too good."""
        return self.rules_before_file.is_file()

    @property
    def blend_file(self) -> Path:
        return self.folder / "blend.json"

    @property
    def maps(self) -> ProbabilityStore:
        return ProbabilityStore(self.folder / "probs", self.output)

    @property
    def has_maps(self) -> bool:
        """Whether any map is there: a classifier has none."""
        return any(self.maps.folder.rglob("*.png"))

    def fold_folder(self, fold: int) -> Path:
        return inside(self.folder, f"fold-{fold}", "fold")

    def about(self) -> EvidenceRecord:
        """What evidence.json says. Raises InputError where it is damaged."""
        return EvidenceRecord.read(self.about_file)

    def blend_record(self) -> BlendRecord:
        """What blend.json says. Raises InputError where it is damaged."""
        return BlendRecord.read(self.blend_file)

    def members(self) -> list[Path]:
        """A blend's members: their folders are written as seen from its own, so that all can move together."""
        about = self.about()
        if not about.members:
            raise InputError(f"{self.about_file} is damaged: it lacks `members`; {about.what_to_do}")
        return [beside(self.folder, member, "member") for member in about.members]

    def models(self) -> dict[int, str]:
        """By fold, the digest of the model whose maps and labels count; a fold that isn't there counts none."""
        return {int(fold): model for fold, model in self.about().models.items()}

    def models_of(self, folds_n: Iterable[int]) -> list[str]:
        """The same for images of these folds. Raises InputError where the folder does not say it."""
        models = self.models()
        folds = [int(fold) for fold in folds_n]
        if unknown := sorted(set(folds) - set(models)):
            named = ", ".join(map(str, unknown))
            raise InputError(
                f"{self.folder} is not finished: fold {named} has no predictions of its own; {self.remedy()}"
            )
        return [models[fold] for fold in folds]

    def remedy(self) -> str:
        """What makes maps and labels anew where they are not this evidence's own."""
        if not self.about().is_blend:
            return f"resume with: sever crossval -r {self.folder}"
        return "run the `sever blend` that made it again"

    def read_folds(self) -> pd.DataFrame:
        return read_table_file(self.folds_file, FOLDS, key=("image_id",))

    def rules(self) -> RuleSettings:
        """How masks are drawn. Raises InputError where rules.json is damaged."""
        return read_rules(self.rules_file)

    def label_digests(self) -> dict[str, str]:
        """By image, a hash of the labels that a cross-validation began with; empty for those that kept none."""
        folds = self.read_folds()
        return dict(zip(folds["image_id"], folds["labels"], strict=True)) if "labels" in folds else {}

    def read_pairs(self) -> pd.DataFrame:
        """The score table (PAIRS). Raises InputError where there is none."""
        return read_table_file(self.pairs_file, PAIRS, key=("image_id", "class_id"))

    def write_folds(self, frame: pd.DataFrame) -> None:
        self._write_table(self.folds_file, frame)

    def write_pairs(self, frame: pd.DataFrame) -> None:
        self._write_table(self.pairs_file, frame)

    def _write_table(self, file: Path, frame: pd.DataFrame) -> None:
        with self.output.new(file.name) as temporary:
            put_table(temporary, frame)

    @property
    def labels(self) -> LabelStore:
        return LabelStore(self.folder)

    def read_label_probs(
        self, image_ids: Sequence[str], num_classes: int, origins: Sequence[str] | None = None
    ) -> np.ndarray | None:
        """(N, C) float32 in the order of `image_ids`; None without a classifier. With `origins` (one an image) what
        comes from elsewhere counts as missing. Raises InputError where any is."""
        if not self.labels_file.is_file():
            return None
        wanted = None if origins is None else dict(zip(image_ids, origins, strict=True))
        probs = self.labels.read(num_classes, wanted)
        missing = [image_id for image_id in image_ids if image_id not in probs]
        if missing:
            raise InputError(
                f"{self.labels_file} lacks {counted(len(missing), 'image')}, or has "
                f"labels of another model or of images that "
                f"have changed since: {', '.join(missing[:5])}; {self.remedy()}"
            )
        return np.stack([probs[image_id] for image_id in image_ids])

    def write_label_probs(self, image_ids: Sequence[str], label_probs_nc: np.ndarray, origins: Sequence[str]) -> None:
        rows = zip(image_ids, label_probs_nc, origins, strict=True)
        labels = {image_id: Label(label_probs_c, origin) for image_id, label_probs_c, origin in rows}
        self.labels.write(labels, label_probs_nc.shape[1])

    def origins(self, folds_n: Iterable[int], digests: Sequence[str]) -> list[str]:
        """The origin that each image's map and label must have; `digests` are those of the image files."""
        models = self.models_of(folds_n)
        return [str(Origin(model, digest)) for model, digest in zip(models, digests, strict=True)]
