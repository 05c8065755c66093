"""How well a run tells images that it should not judge from its own: familiarity, beside what its maps say, in one run.

    python benchmarks/familiarity.py --run saved/neu --normal data/neu_seg --other tiles=data/magnetic_tile/images

The run's own training images teach what is normal; half of its validation images calibrate, the other half are the
normal images of the test. `--other NAME=FOLDER` may be given several times; synthetic strip is always among the
others. The area under the ROC curve is 1 where every other image is stranger than every normal one.

Beside: the plain maximum probability of a pixel (mean over the image), and, where pytorch-ood is installed, its maximum
softmax, entropy and energy (mean over the pixels' logits) and its nearest neighbours on the very same features. Without
--run a tiny network is trained on strip, and told from noise, which is enough to see that it runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table, write_strip
from sklearn.metrics import roc_auc_score

from sever.config import load_config
from sever.data.images import Channels, read_image
from sever.data.synthetic import make_strip
from sever.decide.familiarity import learn_normality
from sever.models.checkpoint import load_weights
from sever.models.features import TorchFeatures
from sever.models.losses import probabilities
from sever.models.network import PixelNetwork
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.familiar import Sight
from sever.pipeline.inference.trained import new_network
from sever.store import find_run
from sever.store.checkpoints import load_weights_file

NEIGHBOURS = 10


class Seen(NamedTuple):
    """Of N images: features (N, F), the mean largest probability of a pixel (N,), and scores by pytorch-ood's name."""

    features: np.ndarray
    largest: np.ndarray
    others: dict[str, np.ndarray]


class Loaded(NamedTuple):
    network: PixelNetwork
    loss: str
    parts: dict[str, list[Path]]


def load(path: Path, root: Path | None) -> Loaded:
    run, checkpoint = find_run(path)
    config, facts = load_config(run.config_file), DatasetFacts.read(run.dataset_file)
    network = new_network(config, facts, pretrained=False)
    load_weights(network, load_weights_file(checkpoint or run.best()))
    network.eval()
    places = {place.name: place for place in (root or config.data.root).rglob("*") if place.suffix in (".jpg", ".png")}
    parts = {part: [places[Path(name).name] for name in run.part(part)] for part in ("train", "validation")}
    return Loaded(network, config.loss.name, parts)


def see(loaded: Loaded, images: list[np.ndarray], with_maps: bool = True) -> Seen:
    """One image at a time, in full precision."""
    channels: Channels = 3 if loaded.network.in_channels == 3 else 1
    sight = Sight(TorchFeatures(loaded.network), channels, loaded.network.size_multiple)
    features, largest = sight(images), []
    others: dict[str, list[float]] = {}
    for image_hwc in images if with_maps else []:
        logits = mask_logits(loaded.network, image_hwc)
        probs = probabilities(logits, loaded.loss)
        background = (1 - probs.sum(dim=1, keepdim=True)).clamp(0, 1)
        largest.append(float(torch.cat([background, probs], dim=1).amax(dim=1).mean()))
        for name, score in pixel_scores(logits).items():
            others.setdefault(name, []).append(score)
    return Seen(features, np.array(largest), {name: np.array(scores) for name, scores in others.items()})


@torch.inference_mode()
def mask_logits(network: PixelNetwork, image_hwc: np.ndarray) -> torch.Tensor:
    below, right = (-side % network.size_multiple for side in image_hwc.shape[:2])
    padded = np.pad(image_hwc, ((0, below), (0, right), (0, 0)), mode="edge")
    return network(torch.from_numpy(padded).permute(2, 0, 1)[None])[0].float()


def pixel_scores(logits: torch.Tensor) -> dict[str, float]:
    """Higher is stranger; of two outputs or more, or softmax says nothing."""
    if not find_spec("pytorch_ood") or logits.shape[1] < 2:
        return {}
    from pytorch_ood.detector import EnergyBased, Entropy, MaxSoftmax  # type: ignore[import-not-found]

    pixels = logits[0].flatten(1).T
    detectors = {"maximum softmax": MaxSoftmax, "entropy": Entropy, "energy": EnergyBased}
    return {f"pytorch-ood {name}": float(detector.score(pixels).mean()) for name, detector in detectors.items()}


def neighbours(training: np.ndarray, features: np.ndarray) -> np.ndarray:
    from pytorch_ood.detector import KNN

    knn = KNN(None, k=NEIGHBOURS).fit_features(torch.from_numpy(training), torch.zeros(len(training), dtype=torch.long))
    return knn.predict_features(torch.from_numpy(features)).numpy()


def strip_images(count: int) -> list[np.ndarray]:
    return [make_strip(0, index, 128, 256, ((), (2,), (3,))[index % 3])[0][..., None] for index in range(count)]


def noise_images(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (64, 128, 1), dtype=np.uint8) for seed in range(count)]


def read_some(paths: list[Path], most: int) -> list[np.ndarray]:
    rows = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int))
    return [read_image(paths[row], 1) for row in rows]


def tiny_run(folder: Path) -> Path:
    """A run of one epoch on strip."""
    root = write_strip(folder / "strip", 40, 64, 128)
    model = {"architecture": "Unet", "encoder": QUICK_ENCODER, "weights": "none", "in_channels": "sum"}
    rest = {"augment": {"crop": None}, "train": {"epochs": 1, "batch_size": 8, "workers": 0}, "folds": {"share": 0.4}}
    config: dict[str, Any] = {"name": "tiny", "data": {"root": str(root)}, "model": model, **rest}
    (folder / "tiny.yml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "sever", "train", "-c", str(folder / "tiny.yml"), "--saved", str(folder / "saved")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "saved" / "tiny"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--run", type=Path, help="a run with grey input; without it a tiny one is trained")
    parser.add_argument("--normal", type=Path, help="where the run's images are now, if not where they were")
    parser.add_argument("--other", action="append", default=[], help="NAME=FOLDER of images that are not its own")
    parser.add_argument("--most", type=int, default=150, help="images of each set")
    options = parse(parser, {"most": 16})
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        loaded = load(options.run or tiny_run(Path(name)), options.normal)
        training = see(loaded, read_some(loaded.parts["train"], 3 * options.most), with_maps=False)
        held_out = see(loaded, read_some(loaded.parts["validation"], 2 * options.most))
        folders = dict(each.split("=", 1) for each in options.other)
        sets = {key: read_some(sorted(Path(folder).rglob("*.*g")), options.most) for key, folder in folders.items()}
        sets |= (
            {"synthetic strip": strip_images(options.most)} if options.run else {"noise": noise_images(options.most)}
        )
    calibrates = np.arange(len(held_out.features)) % 2 == 0
    normality = learn_normality(training.features, held_out.features[calibrates])

    def scores(seen: Seen) -> dict[str, np.ndarray]:
        found = {"familiarity": normality.distances(seen.features), "maximum probability": -seen.largest, **seen.others}
        if find_spec("pytorch_ood"):
            found["pytorch-ood KNN, same features"] = neighbours(training.features, seen.features)
        return found

    normal = {name: values[~calibrates] for name, values in scores(held_out).items()}
    table: dict[str, list[float]] = {name: [] for name in normal}
    for images in sets.values():
        for name, values in scores(see(loaded, images)).items():
            is_other = np.repeat([0, 1], [len(normal[name]), len(values)])
            table[name].append(float(roc_auc_score(is_other, np.concatenate([normal[name], values]))))
    rated = normality.familiarity(held_out.features[~calibrates])
    print(
        f"\n{len(rated)} normal images: familiarity {np.quantile(rated, (0.1, 0.5, 0.9)).round(2)} at 10, 50 and 90 %"
    )
    counts = [f"{name} ({len(images)})" for name, images in sets.items()]
    print_table(("", *counts), [(name, *(f"{value:.4f}" for value in row)) for name, row in table.items()])
    ratio = np.mean(table["familiarity"]) / max(
        float(np.mean(table["maximum probability"])), 0.01
    )  # it may be all wrong
    print_ratio(float(ratio), "mean area under the ROC curve, familiarity over maximum probability")


if __name__ == "__main__":
    main()
