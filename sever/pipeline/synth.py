"""`sever synth`: a synthetic data set on disk, with progress."""

from __future__ import annotations

from pathlib import Path

from sever.data.synthetic import SynthSettings, write_dataset
from sever.progress import meter


def synthesize(output: Path, settings: SynthSettings) -> Path:
    """Write a synthetic data set into the new folder `output`. Raises InputError where something is there already."""
    total = settings.train + settings.test
    with meter("synth", total) as progress:
        written = 0

        def tell_meter(count: int) -> None:
            nonlocal written
            progress.advance(count - written)
            written = count

        return write_dataset(output, settings, tell_meter)
