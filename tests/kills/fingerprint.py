"""What a command left, as hashes, without what differs from run to run whatever happens (times, logs, process ids)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

# Times and the command line; notes of each state that a file had; logs; TensorBoard's files are named by time.
LEFT_OUT = {"environment.json", "created.json", ".sever-written.jsonl", "train.log", ".sever.lock"}


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 by name of every file below the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _counts(path.relative_to(folder))]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(_content(path)).hexdigest() for path in files}


def _counts(path: Path) -> bool:
    hidden = path.name.startswith(".") and path.name.endswith((".tmp", ".lock"))
    is_log = path.name.startswith("fold-") and path.suffix == ".log"
    return not (path.name in LEFT_OUT or "tensorboard" in path.parts or hidden or is_log)


def _content(path: Path) -> bytes:
    if path.name in ("state.json", ".sever-tables.json"):
        return json.dumps(_without_times(json.loads(path.read_text())), sort_keys=True).encode()
    if path.name == "history.csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        return json.dumps([{name: value for name, value in row.items() if name != "seconds"} for row in rows]).encode()
    return path.read_bytes()


def _without_times(value: Any) -> Any:
    """`history.csv` holds seconds, so that its digest in .sever-tables.json differs, too."""
    if isinstance(value, dict):
        return {
            key: _without_times(each) for key, each in value.items() if key not in ("seconds", "made", "history.csv")
        }
    return [_without_times(each) for each in value] if isinstance(value, list) else value
