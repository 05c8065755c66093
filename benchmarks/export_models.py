"""Trains the models that the table of `export.py` is about; measures nothing itself.

    python benchmarks/export_models.py -o models/strip                          # on synthetic strip
    python benchmarks/export_models.py -o models/neu --data data/neu_seg --height 200 --width 200
    python benchmarks/export.py models/strip/*

Unet-resnet18; Unet-lite0 and FPN-lite0, each of two folds and with a label head; and the blend of these two, gated by
the label heads. All but resnet18, which is one network without flips, average the flip of left and right. Two folds of
a few epochs, on synthetic strip from weights that know it, so that rules have something to decide. Typed again it
resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import write_strip

import sever

MODELS = {
    "unet-resnet18": ("Unet", "resnet18"),
    "unet-lite0": ("Unet", "tf_efficientnet_lite0"),
    "fpn-lite0": ("FPN", "tf_efficientnet_lite0"),
}


def experiment(name: str, root: Path, options: argparse.Namespace) -> dict[str, Any]:
    architecture, encoder = MODELS[name]
    gated = encoder != "resnet18"
    known = "offline" if options.data else "strip"  # weights that need no hub, of which resnet18 has none
    groups = root / "groups.csv"
    return {
        "name": name,
        "data": {"root": str(root)} | ({"groups": str(groups)} if groups.is_file() else {}),
        "folds": {"count": 2} if gated else {"share": 0.25},
        "model": {
            "architecture": architecture,
            "encoder": encoder,
            "weights": known if gated else "none",
            "in_channels": "sum",
            "label_head": gated,
        }
        | ({"decoder_channels": [96, 64, 32, 24]} if architecture == "Unet" and gated else {}),
        "augment": {"recipe": "light", "crop": [min(options.height, 128), min(options.width, 256)]},
        "optim": {"encoder_learning_rate": 5e-4, "decoder_learning_rate": 1e-3},
        "loss": {"name": "ce_dice"},
        "train": {"epochs": options.epochs, "batch_size": 8, "validate_every": None, "workers": 1},
        "predict": {"flips": ["width"] if gated else []},
        "rules": {"gate": {"kind": "veto" if gated else "none"}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the models")
    parser.add_argument("--data", type=Path, help="a data set, instead of 200 synthetic strips")
    parser.add_argument("--height", type=int, default=128, help="of an image, in pixels")
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    root = options.data or options.output.parent / f"{options.output.name}-data"
    if not root.exists():
        write_strip(root, 200, options.height, options.width)
    for name, (_, encoder) in MODELS.items():
        learn = sever.train if encoder == "resnet18" else sever.crossval
        learn(experiment(name, root, options), output=options.output / name)
    sever.blend([options.output / name for name in ("unet-lite0", "fpn-lite0")], options.output / "blend")


if __name__ == "__main__":
    main()
