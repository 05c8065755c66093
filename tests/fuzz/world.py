"""One file of every kind that sever reads, and who reads it: what is fuzzed. Made once, of tiny things."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from evidence_maker import make_evidence
from run_maker import make_run

from fuzz.target import Target
from fuzz.tool_labels import tool_labels
from sever.config import DataSettings, PseudoSettings, load_config, load_ensemble, load_kaggle, load_story
from sever.data import rle
from sever.data.images import image_size, read_image, read_label_map
from sever.data.layouts import read_table
from sever.data.mixing import read_pseudo_labelled, write_pseudo_labels
from sever.data.synthetic import SynthSettings, write_dataset
from sever.decide.rules import resolve_rules
from sever.deliver.kaggle.kernel import Kernel, data_sources, write_kernel
from sever.deliver.kaggle.unpack import unpack
from sever.deliver.report.embedded import FORM, embed, read_numbers
from sever.deliver.submission import read_submission
from sever.errors import InputError
from sever.files import atomic_path
from sever.pipeline.blend.combine import BlendRequest, make_blend
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.leaderboard import course, draft_submission, record_scores, record_submission
from sever.pipeline.story.state import StoryState
from sever.pipeline.weights import read_columns
from sever.progress import meter
from sever.seals import NOTES, read_sealed
from sever.store import Evidence, LabelStore, ProbabilityStore, Run, read_rules
from sever.store import records as kinds
from sever.store.checkpoints import load_weights_file
from sever.store.order import CREATED, CreatedRecord, number_of

SHA = "0" * 64


def build(root: Path) -> list[Target]:
    """Everything under `root`, which is empty."""
    data = write_dataset(root / "data", SynthSettings(train=6, test=2, height=64, width=64, seed=1, workers=1))
    return [
        *_records(root / "records", data),
        *_tables(root / "tables", data),
        *_labels(root / "labels", data),
        *_settings(root / "settings"),
        *_pictures(root / "pictures", data),
        *_others(root / "others", data),
        *tool_labels(root / "tools"),
    ]


def _records(root: Path, data: Path) -> list[Target]:
    run = Run(make_run(root / "made" / "20260101-000000", data))
    CreatedRecord(number=3, time="2026").write(run.folder / CREATED)
    first, second = (Evidence(make_evidence(root / name, data, seed)) for seed, name in enumerate(("a", "b")))
    blend = make_blend(BlendRequest((first.folder, second.folder)), root / "blend")
    kinds.PredictedRecord(checkpoint="epoch-0001", left=("maps",)).write(root / "predicted.json")
    story = StoryState(root / "saved" / "stories" / "s" / "state.json", "s", SHA)
    story.put("one", kinds.StageRecord.begin("20260101-000000"))
    story.note_done("one", "sever synth", 1.5)
    archive = kinds.RemoteRecord(size=3, tag="x", md5=None)
    kinds.DownloadRecord(name="n", is_dataset=False, archive=archive).write(root / "download.json")
    kinds.PushedRecord(kernel="me/k/1", url="u", status="queued").write(root / "pushed.json")
    checkpoint = run.epoch_folder(1)
    return [
        Target("state.json", checkpoint / "state.json", lambda: (run.latest(), run.best())),
        Target("dataset.json", run.dataset_file, lambda: DatasetFacts.read(run.dataset_file)),
        Target("created.json", run.folder / CREATED, lambda: number_of(run.folder)),
        Target("config.yml", run.config_file, lambda: load_config(run.config_file)),
        Target("rules.json", run.rules_file, lambda: resolve_rules(read_rules(run.rules_file), 4)),
        Target("evidence.json", first.about_file, first.about),
        Target("evidence.json of a blend", blend.about_file, lambda: (blend.about(), blend.members())),
        Target("blend.json", blend.blend_file, blend.blend_record),
        Target(".sever-tables.json", blend.folder / NOTES, lambda: read_sealed(blend.folds_file)),
        Target("predicted.json", root / "predicted.json", lambda: kinds.PredictedRecord.read(root / "predicted.json")),
        Target("story state", story.file, lambda: StoryState.read(root / "saved", "s", SHA)),
        Target("download.json", root / "download.json", lambda: kinds.DownloadRecord.read(root / "download.json")),
        Target("pushed.json", root / "pushed.json", lambda: kinds.PushedRecord.read(root / "pushed.json")),
    ]


def _tables(root: Path, data: Path) -> list[Target]:
    folder = make_evidence(root / "e", data, gate=True)
    (folder / NOTES).unlink()  # beyond what the seals tell, each reader must stand by itself
    evidence, store = Evidence(folder), LabelStore(root / "partial")
    store.folder.mkdir()
    for number in range(5):
        store.add(f"image{number}", np.array([0.1, 0.2, 0.3, 0.9], np.float32))
    run = Run(root / "run")
    run.folder.mkdir()
    frame = evidence.read_folds().assign(part="train")
    frame.to_csv(run.folds_file, index=False)
    ledger = root / "ledger.jsonl"
    for name in ("one", "two"):
        record_submission(draft_submission(name, folder / "pairs.csv", blend=folder), ledger)
    record_scores("one", public=0.9, ledger=ledger)
    (root / NOTES).unlink()
    public = root / "public.csv"
    public.write_text("name,public\na,0.9\nb,0.8\n")
    return [
        Target("folds.csv of a run", run.folds_file, lambda: (run.part("train"), run.label_digests())),
        Target("folds.csv", evidence.folds_file, evidence.read_folds),
        Target("pairs.csv", evidence.pairs_file, evidence.read_pairs),
        Target("labels.csv", evidence.labels_file, lambda: evidence.labels.read(4)),
        Target("labels.partial", store.partial_file, lambda: store.read(4)),
        Target("leaderboard.jsonl", ledger, lambda: course(ledger)),
        Target("public.csv", public, lambda: read_columns(public, ("name", "public"))),
    ]


def _labels(root: Path, data: Path) -> list[Target]:
    shutil.copytree(data, root / "d")
    copy = root / "d"
    settings = DataSettings(root=copy)
    skipping = settings.model_copy(update={"skip_bad": True})
    table, _ = read_table(settings)
    groups, separate = root / "groups.csv", root / "separate.csv"
    groups.write_text(
        "image,group\n" + "".join(f"{image_id},g{at % 3}\n" for at, image_id in enumerate(table.image_ids))
    )
    separate.write_text(f"ImageId,ClassId,EncodedPixels\n{table.image_id(0)},1,1 3 9 2\n{table.image_id(1)},4,5 5\n")
    pseudo = root / "pseudo.csv"
    other = sorted((copy / "test_images").iterdir())
    with atomic_path(pseudo) as temporary, temporary.open("w", newline="") as file:
        write_pseudo_labels(file, [(path.name, ("1 3", "", "", "7 2"), (0.9,) * 4) for path in other])
    sample = copy / "sample_submission.csv"
    ids, pixels = [path.name for path in other], dict.fromkeys((path.name for path in other), 64 * 64)
    mine = PseudoSettings(labels=pseudo, images=copy / "test_images", min_confidence=0.5)
    classes = root / "c" / "classes.txt"
    shutil.copytree(data, classes.parent)
    classes.write_text("a\nb\nc\nd\n")
    return [
        Target("train.csv", copy / "train.csv", lambda: read_table(settings)),
        Target("train.csv, --skip-bad", copy / "train.csv", lambda: read_table(skipping)),
        Target("separate form", separate, lambda: read_submission(separate, table.image_ids, 4, table.pixels())),
        Target("sample_submission.csv", sample, lambda: read_submission(sample, ids, 4, pixels)),
        Target("groups.csv", groups, lambda: read_table(settings.model_copy(update={"groups": groups}))),
        Target("pseudo.csv", pseudo, lambda: read_pseudo_labelled(mine, table)),
        Target("classes.txt", classes, lambda: read_table(DataSettings(root=classes.parent))),
    ]


def _settings(root: Path) -> list[Target]:
    root.mkdir()
    here = Path(__file__).parents[2] / "experiments"
    texts = {
        "experiment.yml": (here / "lite0-unet.yml").read_bytes(),
        "ensemble.yml": (here / "ensembles" / "severstal-2019-unet.yml").read_bytes(),
        "story.yml": (here / "severstal-2019" / "story.yml").read_bytes(),
        "kaggle.yml": b"owner: me\nlicence: CC0-1.0\npublic: false\nminutes: 60\n",
        "tagged.yml": yaml.safe_dump(
            {"name": "x", "data": {"root": "data/mine"}, "optim": {"encoder_learning_rate": 0.001}}
        ).encode(),
    }
    for name, content in texts.items():
        (root / name).write_bytes(content)
    return [
        Target("experiment.yml", root / "experiment.yml", lambda: load_config(root / "experiment.yml")),
        Target("tagged.yml", root / "tagged.yml", lambda: load_config(root / "tagged.yml")),
        Target("ensemble.yml", root / "ensemble.yml", lambda: load_ensemble(root / "ensemble.yml")),
        Target("story.yml", root / "story.yml", lambda: load_story(root / "story.yml")),
        Target("kaggle.yml", root / "kaggle.yml", lambda: load_kaggle(root / "kaggle.yml", {})),
    ]


def _pictures(root: Path, data: Path) -> list[Target]:
    root.mkdir()
    image_hw = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    targets = []
    for suffix in (".jpg", ".png", ".bmp", ".tif"):
        path = root / f"image{suffix}"
        cv2.imwrite(str(path), image_hw)
        targets.append(Target(path.name, path, lambda path=path: (image_size(path), read_image(path, 3))))  # type: ignore[misc]
    deep, mask = root / "deep.png", root / "mask.png"
    cv2.imwrite(str(deep), image_hw.astype(np.uint16) * 16)
    cv2.imwrite(str(mask), image_hw % 5)
    maps = ProbabilityStore(root / "probs")
    maps.write("a", np.stack([image_hw] * 4))
    return [
        *targets,
        Target("deep.png", deep, lambda: read_image(deep, 1, 12)),
        Target("mask.png", mask, lambda: read_label_map(mask)),
        Target("map", maps.path("a"), lambda: maps.read("a", 4)),
    ]


def _others(root: Path, data: Path) -> list[Target]:
    root.mkdir()
    run = Run(make_run(root / "made" / "20260101-000000", data))
    weights = run.epoch_folder(1) / "model.safetensors"
    small = root / "w" / "model.safetensors"
    small.parent.mkdir()
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3, 4), "b": torch.ones(5)}, small)
    weights.unlink()
    kernel = write_kernel(root / "kernel", Kernel("me", "sever predict x", "me/model", "me/wheels", "steel", 60.0))
    page = root / "report.html"
    numbers = {
        "form": FORM,
        "about": {"name": "a", "made": "today", "source": "a run", "rules": {"gate": {}}},
        "scores": {"dice": 0.5},
        "classes": [{"name": "pit", "dice": {"mean": 0.5}}],
        "pairs": {"image_ids": ["a"], "dice": [[0.5]]},
        "changes": None,
    }
    page.write_text(f"<html>{embed(numbers)}</html>")
    (root / "report.json").write_text(json.dumps(numbers))
    archive = root / "d.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train.csv", "a,b\n1,2\n" * 40)
        file.writestr("images/x.jpg", b"x" * 99)
    runs = root / "runs.txt"
    runs.write_text("1 3 9 2 40 5")

    def unpack_it() -> None:
        target = root / "unpacked"
        shutil.rmtree(target, ignore_errors=True)
        unpack(archive, target, meter)

    def decode() -> None:
        text = runs.read_bytes().decode("latin-1")
        fault = rle.find_fault(text, 64 * 64)
        if fault is None:
            rle.decode(text, 64, 64)
        else:
            raise InputError(fault)

    return [
        Target("model.safetensors", small, lambda: load_weights_file(small.parent)),
        Target("kernel-metadata.json", kernel / "kernel-metadata.json", lambda: data_sources(kernel)),
        Target("report.html", page, lambda: read_numbers(page)),
        Target("report.json", root / "report.json", lambda: read_numbers(root / "report.json")),
        Target("archive.zip", archive, unpack_it),
        Target("run lengths", runs, decode),
    ]
