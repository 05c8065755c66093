"""What `--skip-bad` left out: told at once and listed in a file, so that nothing goes missing silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from sever.data.layouts import Skipped
from sever.files import atomic_path
from sever.pipeline.progress import tell


def report_skipped(skipped: Sequence[Skipped], path: Path) -> None:
    """Write one line a fault to `path` and say so on standard error; nothing where nothing was left out."""
    if not skipped:
        return
    with atomic_path(path) as temporary:
        pd.DataFrame([asdict(fault) for fault in skipped]).to_csv(temporary, index=False)
    images = {fault.image_id for fault in skipped}
    tell(f"warning: left out {len(images)} images ({len(skipped)} faults), listed in {path}")
    for fault in skipped[:5]:
        tell(f"warning: left out {fault.image_id}: {fault.reason}")
