"""Claim: labelling the images that `sever data next` chooses teaches more than labelling as many at random.

    python benchmarks/next_images.py --data data/neu_seg --work work

A learning curve with several seeds. Some random images are labelled first; then, round by round, more of the pool:
those that `sever data next` chooses by the model of the round before, and beside it random ones. Every network takes
the same number of steps, and is scored on images of other groups that nobody may choose. The ratio is that of the mean
IoU, over all rounds and seeds but the first round, which both share. What stands in --work is not trained again.

Without --data, strip that the program draws, which is enough to see that it runs.
"""

from __future__ import annotations

import csv
import json
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table
from label_doubts import drawn_source, experiment, groups_of
from planted_faults import plant

import sever
from sever.pipeline.data.next import choose_images
from sever.pipeline.inference.options import InferenceOptions

WAYS = ("sever data next", "random")
LEAST = 1e-9  # a mean IoU may be 0 after --quick


class Round:
    """One network: the images that it learns, and how it scores."""

    def __init__(self, root: Path, judged: list[str], place: Path, options: Namespace) -> None:
        self.root, self.judged, self.place, self.options = root, judged, place, options

    @property
    def run(self) -> Path:
        return self.place / "run"

    def score(self, labelled: list[str], seed: int) -> float:
        """Mean IoU on the judged images after training on the labelled ones."""
        result = self.place / "scores.json"
        if not result.is_file():
            self._train(labelled, seed)
            result.write_text(json.dumps(sever.evaluate(self.run, data=self.root, include=self.judged)))
        return float(json.loads(result.read_text())["mean_iou"])

    def next(self, pool: set[str], count: int, seed: int) -> list[str]:
        """What `sever data next` would label of the pool; it leaves out by itself what the run has learnt."""
        output = self.place / "next"
        if not (output / "next.csv").is_file():
            # More than are wanted, since some may be judged ones, which are not to be had.
            wanted = count + len(self.judged)
            choose_images(self.run, self.root / "images", output, wanted, InferenceOptions(), num_shown=0, seed=seed)
        with (output / "next.csv").open(encoding="utf-8") as file:
            chosen = [row["image"] for row in csv.DictReader(file)]
        return [name for name in chosen if name in pool][:count]

    def _train(self, labelled: list[str], seed: int) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        options = self.options
        epochs = max(1, round(options.steps * 8 / len(labelled)))
        settings: dict[str, Any] = experiment(self.root, epochs, options.encoder, options.weights, seed)
        settings["data"]["include"] = labelled
        settings["model"]["decoder_channels"] = [64, 32, 16, 16]
        # One image validates, since a run needs one; nothing is chosen by it.
        settings["folds"] |= {"scheme": "share", "share": 1.5 / len(labelled)}
        sever.train(settings, output=self.run)


def curve(root: Path, pool: list[str], judged: list[str], way: str, seed: int, options: Namespace) -> list[float]:
    rng = np.random.default_rng(seed)
    shuffled = [pool[at] for at in rng.permutation(len(pool))]
    labelled, scores = shuffled[: options.first], []
    for number in range(options.rounds + 1):
        name = f"{seed}-0" if number == 0 else f"{seed}-{number}-{way.rpartition(' ')[2]}"
        here = Round(root, judged, options.work / name, options)
        scores.append(here.score(labelled, seed))
        left = [image for image in shuffled if image not in labelled]
        more = left[: options.more] if way == "random" else here.next(set(left), options.more, seed)
        labelled = labelled + more
    return scores


def split(root: Path, judged: int) -> tuple[list[str], list[str]]:
    """The pool, and the last groups of the data set, of so many images or a few more, which judge."""
    rows = list(groups_of(root).items())
    apart = {group for _, group in rows[-judged:]}
    pool = [name for name, group in rows if group not in apart]
    return pool, [name for name, group in rows if group in apart]


def measure(options: Namespace) -> None:
    source = options.data or drawn_source(options.work / "source", options.images)
    root = options.work / "all"
    if not root.is_dir():
        plant(source, root, options.images, {}, 0, 0)
    pool, judged = split(root, options.judged)
    print(f"{len(pool)} images to choose from, {len(judged)} to judge")
    scores = {way: [curve(root, pool, judged, way, seed, options) for seed in range(options.seeds)] for way in WAYS}
    sizes = [options.first + number * options.more for number in range(options.rounds + 1)]
    rows = [
        (f"{way}, seed {seed}", *(f"{score:.4f}" for score in own))
        for way in WAYS
        for seed, own in enumerate(scores[way])
    ]
    rows += [(f"{way}, mean", *(f"{score:.4f}" for score in np.mean(scores[way], axis=0))) for way in WAYS]
    print(describe_machine())
    print_table(("mean IoU by labelled images", *sizes), rows)
    gains = [np.mean(np.subtract(*pair)[1:]) for pair in zip(*(scores[way] for way in WAYS), strict=True)]
    print("gain of each seed: " + ", ".join(f"{gain:+.4f}" for gain in gains))
    chosen, random = (np.mean(np.array(scores[way])[:, 1:]) for way in WAYS)
    print_ratio(float((chosen + LEAST) / (random + LEAST)), "mean IoU, chosen over random")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="NEU-Seg with its groups.csv; without it strip is drawn")
    parser.add_argument("--images", type=int, default=780, help="pool and judges together")
    parser.add_argument("--judged", type=int, default=180, help="images that judge")
    parser.add_argument("--first", type=int, default=30, help="images labelled at first")
    parser.add_argument("--more", type=int, default=30, help="images labelled in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150, help="of every training, of 8 images")
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="offline")
    parser.add_argument("--work", type=Path, help="folder to keep networks in for another run")
    quick = {"images": 18, "judged": 4, "first": 4, "more": 3, "rounds": 1, "seeds": 1, "steps": 1}
    options = parse(parser, quick | {"encoder": QUICK_ENCODER, "weights": "none"})
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        measure(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        measure(options)


if __name__ == "__main__":
    main()
