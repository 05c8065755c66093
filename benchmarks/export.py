"""Claim: an exported model answers as the trained one, in every backend that its file offers, and faster than torch.

For each trained model given (a run, a cross-validation, a blend): `sever export` into a temporary file, and what its
certificate says of every backend, those that were left out included. Images/s are from pixels to masks, backends in
turn on the same images, so that all meet the same load. The ratio is the fastest backend's speed over that of torch as
the model was configured, for the first model.

Without a model a small one is trained on synthetic strip, for --quick alone worth looking at.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table, write_strip

from sever.config import parse_config
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.train.starting import train_experiment
from sever.store.bundle.manifest import BundleRecord

HEAD = ("model, backend", "taken", "largest diff", "mean diff", "pixels", "rows", "score difference", "images/s")


def small_run(folder: Path) -> Path:
    """A run that trains in seconds."""
    settings = {
        "name": "small",
        "data": {"root": str(write_strip(folder / "data", images=16, height=64, width=128))},
        "folds": {"share": 0.25},
        "model": {"encoder": QUICK_ENCODER, "weights": "none", "decoder_channels": [8, 8, 8, 4, 4]},
        "augment": {"recipe": "light", "crop": [64, 64]},
        "train": {"epochs": 1, "batch_size": 4, "workers": 0},
    }
    return train_experiment(parse_config(settings, "benchmark"), folder / "saved", "cpu").folder


def rows_of(name: str, manifest: BundleRecord) -> list[tuple[str, ...]]:
    assert manifest.certificate is not None
    return [
        (
            f"{name}, {each.backend}",
            "yes" if each.taken else "no",
            f"{each.max_difference:.1e}",
            f"{each.mean_difference:.1e}",
            f"{each.pixels_changed:.4%}",
            f"{each.rows_changed} of {each.rows}",
            "-" if each.score is None else f"{each.score.mean:+.4f} [{each.score.low:+.4f}, {each.score.high:+.4f}]",
            f"{each.images_per_second:.2f}",
        )
        for each in manifest.certificate.backends
    ]


def gain_of(manifest: BundleRecord) -> float:
    """The fastest backend's speed over torch's."""
    assert manifest.certificate is not None
    speeds = {each.backend: each.images_per_second for each in manifest.certificate.backends if each.taken}
    return max(speeds.values()) / speeds.get("torch", max(speeds.values()))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="trained models")
    parser.add_argument("--images", type=int, default=100, help="at most so many images each")
    parser.add_argument("--calibration", type=int, default=64, help="training images for int8")
    options = parse(parser, {"images": 4, "calibration": 4})
    logging.basicConfig(level="INFO", format="%(message)s")  # a network that stays in bf16 is told so
    rows: list[tuple[str, ...]] = []
    gains = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, path in enumerate(options.models or [small_run(folder)]):
            order = ExportOptions(images=options.images, calibration=options.calibration)
            file = folder / f"{number}.sever"
            manifest = export_model(path, file, order)
            networks = f"{len(manifest.networks)} networks, {file.stat().st_size / 1e6:.0f} MB"
            rows += rows_of(f"{manifest.name} ({networks})", manifest)
            gains.append(gain_of(manifest))
    print(describe_machine())
    print_table(HEAD, rows)
    print_ratio(gains[0], "fastest backend over torch as configured, images/s, first model")


if __name__ == "__main__":
    main()
