"""Fingerprints of a small run from end to end, to hold a rebuilt road against the old one; no test by itself.

    python tests/golden.py /tmp/before.json [--real DATA_SET]     before the change
    python tests/golden.py /tmp/after.json --against /tmp/before.json [--real DATA_SET]

Everything goes by way of the command line, so that it runs on any state of the code. Hashes depend on the machine and
its libraries (rounding), so none are kept here. Stored maps count by their pixels, tables and records by their text
with this run's own paths, times and seconds left out, weights by their numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import yaml
from command_line import sever

TIMES = re.compile(r"\d{8}-\d{6}(-\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([+-]\d\d:?\d\d)?")
# Of a moment, or of this machine: not of the answers.
LEFT_OUT = ("environment.json", "train.log", "created.json", ".sever-tables.json", ".sever-written.jsonl")
SECONDS = re.compile(r"^(seconds|images_per_second|made|time)$")
NETWORK = {"encoder": "tu-mobilenetv3_small_050", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--real", type=Path, help="also a run over some images of this data set (masks beside images)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = fingerprints(Path(folder), options.real.resolve() if options.real else None)
    options.output.write_text(json.dumps(made, indent=1, sort_keys=True))
    if options.against:
        compare(json.loads(options.against.read_text()), made)


def fingerprints(folder: Path, real: Path | None) -> dict[str, str]:
    strip = folder / "strip"
    do("synth", "-o", strip, "--train", 16, "--test", 5, "--height", 64, "--width", 160, "--frequencies", "balanced")
    runs = folder / "saved"
    crossvals = [
        crossval(runs, strip, "head", model={"label_head": True}),
        crossval(runs, strip, "fpn", model={"architecture": "FPN", "decoder_channels": None}),
        crossval(runs, strip, "gate", model={"task": "classify", "decoder_channels": None}),
    ]
    blend = folder / "blend"
    members = [word for each in crossvals for word in ("-m", each)]
    do("blend", *members, "--kind", "rms", "-o", blend)
    do("blend", *members, "--kind", "rank", "-o", folder / "ranks")
    do("tune", "-r", blend, "--draws", 50, "--apply", "--allow-worse")
    do("report", blend)
    for name, model in (("head", crossvals[0] / "fold-0"), ("blend", blend), ("ranks", folder / "ranks")):
        do("predict", "-r", model, "--data", strip, "-o", folder / name / "out", "--flip", "width")
    do("predict", "-r", crossvals[2], "--data", strip, "-o", folder / "gate" / "out")
    for name, model in (("evaluated", crossvals[0] / "fold-1"), ("evaluated-gate", crossvals[2] / "fold-0")):
        do("evaluate", "-r", model, "-o", folder / name)
    if real is not None:
        several = folder / "real"
        model = train(several, real)
        do("predict", "-r", model, "--images", real / "images", "--include", "*1.jpg", "-o", several / "out")
        do("evaluate", "-r", model, "-o", several / "scores")
    return dict(hashes(folder))


def crossval(runs: Path, data: Path, name: str, **sections: Any) -> Path:
    experiment = experiment_file(runs, data, name, {"folds": {"count": 2}}, sections)
    do("crossval", "-c", experiment, "--saved", runs, "--jobs", 1)
    return next((runs / name).iterdir())


def train(runs: Path, data: Path) -> Path:
    """Some images of a real data set, in tiles, with flips."""
    sections = {"predict": {"tile": [128, 160], "tile_overlap": 32, "flips": ["both"]}}
    more = {"data": {"root": str(data), "include": ["*11*"]}, "sampling": {"epoch_images": 8}}
    do("train", "-c", experiment_file(runs, data, "real", more, sections), "--saved", runs)
    return next((runs / "real").iterdir())


def experiment_file(runs: Path, data: Path, name: str, more: dict[str, Any], sections: dict[str, Any]) -> Path:
    settings: dict[str, Any] = {
        "name": name,
        "data": {"root": str(data)},
        "model": dict(NETWORK),
        "augment": {"recipe": "strip", "crop": [64, 96]},
        "train": {"epochs": 1, "batch_size": 4, "workers": 0, "ema_decay": 0.9},
        "predict": {"batch_size": 3},
        "rules": {"min_pixels": 20, "pixel_threshold": 0.45, "gate": {"kind": "soft"}},
    }
    if name not in ("head", "gate"):
        settings["rules"].pop("gate")
    for section, values in (*more.items(), *sections.items()):
        settings[section] = {k: v for k, v in (settings.get(section, {}) | values).items() if v is not None}
    file = runs / f"{name}.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings))
    return file


def do(*words: object) -> None:
    device = ("--device", "cpu") if words[0] in ("train", "crossval", "predict", "evaluate") else ()
    code = sever(*words, *device)
    if code:
        sys.exit(f"sever {' '.join(map(str, words))} ended with {code}")


def hashes(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.name in LEFT_OUT or "tensorboard" in file.parts or file.suffix == ".html":
            continue
        yield TIMES.sub("TIME", str(file.relative_to(folder))), hashlib.sha256(content(file, folder)).hexdigest()


def content(file: Path, folder: Path) -> bytes:
    if file.suffix == ".png":
        return bytes(cv2.imread(str(file), cv2.IMREAD_UNCHANGED).tobytes())
    if file.suffix not in (".csv", ".json", ".yml"):
        return file.read_bytes()
    text = file.read_text().replace(str(folder), "ROOT")
    if file.suffix == ".json":
        text = json.dumps(without_times(json.loads(text)), sort_keys=True)
    elif file.name == "history.csv":
        text = "\n".join(line.rpartition(",")[0] for line in text.splitlines())  # the last column is seconds
    return TIMES.sub("TIME", text).encode()


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(each) for name, each in value.items() if not SECONDS.match(name)}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def compare(before: dict[str, str], after: dict[str, str]) -> None:
    names: Sequence[str] = sorted(before.keys() | after.keys())
    other = [name for name in names if before.get(name) != after.get(name)]
    for name in other:
        print("gone" if name not in after else "new" if name not in before else "differs", name)
    print(f"{len(names) - len(other)} of {len(names)} files are the same")
    sys.exit(1 if other else 0)


if __name__ == "__main__":
    main()
