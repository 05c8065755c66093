"""An offline Kaggle kernel: install sever from uploaded wheels, predict the hidden test images, write submission.csv.

`sever kernel` writes this file as main.py, with SETTINGS filled in and offline_install.py in it. It needs nothing but
Python and pip to begin with, knows neither network nor account, and keeps to the minutes that the competition gives.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sever.deliver.kaggle.offline_install import environment_with, install

STARTED = time.monotonic()
SETTINGS: dict[str, Any] = {}
INPUT = Path(os.environ.get("SEVER_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("SEVER_WORKING", "/kaggle/working"))


def mounted(name: str) -> Path:
    """Where Kaggle shows a source: under /kaggle/input/NAME, or a level or two deeper."""
    for depth in ("", "*/", "*/*/"):
        for path in sorted(INPUT.glob(depth + name)):
            if path.is_dir():
                return path
    there = ", ".join(sorted(path.name for path in INPUT.iterdir())) if INPUT.is_dir() else "nothing"
    sys.exit(f"{name} is not among the kernel's inputs in {INPUT} ({there}); add it to the kernel's data sources")


def model_path(uploaded: Path) -> Path:
    """The bundle, as `sever predict -r` takes it: one file, or the folder that Kaggle unpacked it to."""
    files = sorted(uploaded.rglob("*.sever"))
    found = [path for path in files if path.is_file()] or [path.parent for path in uploaded.rglob("manifest.json")]
    if not found:
        sys.exit(f"{uploaded} holds no model of sever; upload it with: sever upload -r RUN")
    return found[0]


def form_of(sample: Path) -> str:
    """Which form of the CSV the competition wants, by its sample."""
    with sample.open(newline="", encoding="utf-8-sig") as file:
        return "combined" if "ImageId_ClassId" in next(csv.reader(file)) else "separate"


def write_submission(found: Path, sample: Path | None, form: str, submission: Path) -> None:
    """The found rows in the sample's order; an image that could not be read is called clean."""
    if sample is None or form != "combined":
        shutil.copyfile(found, submission)
        return
    with found.open(newline="", encoding="utf-8") as file:
        rows = {row[0]: row for row in csv.reader(file)}
    with sample.open(newline="", encoding="utf-8-sig") as file:
        wanted = [row[0] for row in csv.reader(file) if row]
    with submission.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows.get(key, [key, ""]) for key in wanted)
    print(
        f"{submission}: {len(wanted) - 1} rows, {sum(key not in rows for key in wanted)} of images not read", flush=True
    )


def main() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="sever-"))
    own = environment_with(install(mounted(SETTINGS["wheels"].split("/")[1]), scratch / "site"))
    competition = mounted(SETTINGS["competition"])
    model = model_path(mounted(SETTINGS["model"].split("/")[1]))
    stated = competition / "sample_submission.csv"
    sample = stated if stated.is_file() else None
    form = form_of(sample) if sample else "combined"
    minutes_left = SETTINGS["minutes"] - (time.monotonic() - STARTED) / 60
    sever = [sys.executable, "-m", "sever"]
    images = ["--images", str(competition / "test_images"), "--skip-bad"]
    limits = ["--minutes", f"{minutes_left:.3f}", "--form", form, "--sheet", "0"]
    subprocess.run(
        [*sever, "predict", "-r", str(model), *images, "-o", str(scratch / "out"), *limits], check=True, env=own
    )
    submission = WORKING / "submission.csv"
    write_submission(scratch / "out" / "submission.csv", sample, form, submission)
    if sample:
        check = ["submit", str(submission), "--dry-run", "--sample", str(sample), "--data", str(competition)]
        subprocess.run([*sever, *check], check=True, env=own)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
