"""Which of a model's networks go to int8: each is quantised on its training images and keeps its score, or stays."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from sever.counted import counted
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.parity import MOST_SCORE, decide_labels
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.prediction import Forward
from sever.decide.rules import resolve_rules
from sever.deliver.int8 import Quantised, quantise_graph
from sever.deliver.runtime.backends import BACKENDS
from sever.errors import InputError
from sever.pipeline.export.images import SEED, training_images
from sever.pipeline.export.trained import TrainedModel, TrainedNetwork
from sever.pipeline.inference.bundled import predict_by
from sever.progress import detail, info
from sever.store.bundle.manifest import NetworkRecord

# Of the images that ranges come from, every how many-th also says whether a layer costs score.
CONTROL_EVERY = 2
# How many rounds of control images NNCF asks for depends on what it finds, so that only their number can be shown.
SECONDS_BETWEEN_LINES = 20


def quantised(
    trained: TrainedModel, network: TrainedNetwork, record: NetworkRecord, graph: bytes, most_images: int
) -> Quantised | None:
    """The network in int8; None where that costs more score than is allowed, or NNCF can't do it."""
    table = _sample(training_images(network), most_images)
    read = ImageReader.of(network.config.data, network.facts.channels)
    images = [read(table.path(row)) for row in range(len(table))]
    control = list(range(0, len(table), CONTROL_EVERY))
    classes = len(trained.class_names)
    told, scored = time.monotonic(), 0

    def score(forward: Forward, places: Sequence[int]) -> list[float]:
        nonlocal told, scored
        scored += len(places)
        if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            info(f"{record.name}: looking for layers that int8 costs score; {counted(scored, 'image')} scored so far")
        rows = [control[place] for place in places]
        return _scores(trained, network, record, forward, [images[row] for row in rows], table, rows)

    before = BACKENDS["openvino-f32"].forward(graph, None, classes)
    everything = range(len(control))
    full = float(np.mean(score(before, everything)))
    try:
        made = quantise_graph(graph, _batches(record, before, images), score, len(control), classes, MOST_SCORE / 2)
        after = float(np.mean(score(BACKENDS["openvino-int8"].forward(made.graph, made.weights, classes), everything)))
    except InputError:
        raise
    except Exception as error:  # NNCF knows many ways to say that a graph does not suit it
        info(f"{record.name} stays in bf16: NNCF can't quantise it ({' '.join(str(error).split())[:120]})")
        return None
    detail(f"{record.name}: {full:.4f} in f32, {after:.4f} in int8, on {len(control)} training images")
    if abs(after - full) > MOST_SCORE:
        info(f"{record.name} stays in bf16: int8 changes its score by {after - full:+.4f}, more than {MOST_SCORE:g}")
        return None
    return made


def _scores(
    trained: TrainedModel,
    network: TrainedNetwork,
    record: NetworkRecord,
    forward: Forward,
    images: Sequence[np.ndarray],
    table: ImageTable,
    rows: Sequence[int],
) -> list[float]:
    """Mean Dice of each image, by the network alone under the model's rules, without its gate."""
    settings = trained.rules.model_copy(update={"gate": type(trained.rules.gate)()})
    predict, rules = predict_by(record, forward), resolve_rules(settings, len(trained.class_names))
    shown, found = table.has_class(), []
    for row, image in zip(rows, images, strict=True):
        (prediction,) = predict([image])
        if network.draws_masks:
            assert prediction.probs_chw is not None
            own, true = draw_masks(quantise(prediction.probs_chw), rules), table.mask(row)
        else:
            own, true = decide_labels(prediction), shown[row].astype(np.uint8)[:, None, None]
        found.append(float(dice_pairs(pair_counts(own, true)).mean()))
    return found


def _batches(record: NetworkRecord, forward: Forward, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the network is fed of these images: padded windows, one at a time."""
    fed: list[np.ndarray] = []

    def noting(pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        fed.append(pixels_nhwc)
        return forward(pixels_nhwc)

    predict_by(record.model_copy(update={"flips": (), "batch_size": 1}), noting)(list(images))
    return fed


def _sample(table: ImageTable, most: int) -> ImageTable:
    """Half of them with a defect, as far as there are: ranges of clean steel alone would cut defects off."""
    order = np.random.default_rng(SEED).permutation(len(table))
    shown = np.asarray(table.has_class().any(axis=1))[order]
    chosen = [*order[shown][: most // 2], *order[~shown][: most - most // 2]]
    rest = [row for row in order if row not in set(chosen)]
    return table.take(np.sort([*chosen, *rest][:most]).astype(int))
