"""Prediction at any size: padding, tiling, batching and flips must not show in the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from sever.decide.prediction import Predict
from sever.decide.windows import Windows, axis_tiles
from sever.errors import InputError
from sever.models.forward import TorchForward
from sever.models.network import Outputs


class Pointwise(nn.Module):
    """Two logits a pixel, from that pixel alone; records what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(4.0))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, pixels_nchw: Tensor) -> Tensor:
        assert pixels_nchw.dtype == torch.uint8
        self.shapes.append(tuple(pixels_nchw.shape))
        scaled = pixels_nchw.float().mean(dim=1, keepdim=True) / 255 - 0.5
        return torch.cat([self.slope * scaled, -2 * self.slope * scaled + 0.3], dim=1)


def pointwise_by_hand(image_hwc: np.ndarray) -> np.ndarray:
    scaled = image_hwc.astype(np.float64).mean(axis=2) / 255 - 0.5
    return 1 / (1 + np.exp(-np.stack([4 * scaled, -8 * scaled + 0.3])))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class MapsOnly(nn.Module):
    """What a network of mask logits alone looks like."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_nchw: Tensor) -> Outputs:
        return Outputs(self.network(pixels_nchw))


OF_THE_FORWARD = {"precision", "channels_last"}


def make_predictor(network: nn.Module, **changes: object) -> Predict:
    usual: dict[str, object] = {"tile": (64, 64), "tile_overlap": 8, "size_multiple": 8, "batch_size": 3}
    cut = Windows(**{name: value for name, value in (usual | changes).items() if name not in OF_THE_FORWARD})  # type: ignore[arg-type]
    of_forward = {name: value for name, value in changes.items() if name in OF_THE_FORWARD}
    forward = TorchForward(network, torch.sigmoid, **of_forward)  # type: ignore[arg-type]
    return lambda images: cut.predict(images, forward)


def make(network: nn.Module, **changes: object) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """A Predict that gives maps."""
    predictor = make_predictor(MapsOnly(network), **changes)

    def predict(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        answers = predictor(images)
        assert all(answer.label_probs_c is None for answer in answers)
        return [answer.probs_chw for answer in answers if answer.probs_chw is not None]

    return predict


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(2, 60), st.data())
def test_tiles_cover_an_axis_with_weights_of_sum_1(size: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, tile - 1))
    multiple = data.draw(st.sampled_from([1, 2, 8]))
    tiles = axis_tiles(size, tile, overlap, multiple)
    total = np.zeros(size)
    for start, weights in tiles:
        assert weights.dtype == np.float32
        assert (weights > 0).all()
        total[start : start + len(weights)] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert (len(tiles) == 1) == (size <= max(tile, multiple))
    if len(tiles) > 1:
        starts = [start for start, _ in tiles]
        length = len(tiles[0][1])
        assert all(start % multiple == 0 for start in starts)
        assert length % multiple == 0
        assert length <= max(tile, multiple)
        assert starts[-1] + len(tiles[-1][1]) == size
        assert starts[-1] + length < size + multiple
        least = min(overlap, length - multiple)
        assert all(first + length - second >= least for first, second in pairwise(starts))


def test_weights_rise_linearly_by_hand() -> None:
    (first, left), (second, right) = axis_tiles(size=8, tile=6, overlap=4, multiple=1)
    assert (first, second) == (0, 2)
    np.testing.assert_allclose(left, [1, 1, 7 / 8, 5 / 8, 3 / 8, 1 / 8])
    np.testing.assert_allclose(right, [1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=4),
    st.tuples(st.integers(9, 40), st.integers(9, 40)),
    st.integers(0, 8),
    st.sampled_from([1, 7, 8]),
    st.sampled_from([(), ("width",), ("height", "both")]),
    st.integers(1, 4),
)
def test_a_pointwise_network_is_never_changed(
    sizes: list[tuple[int, int]],
    tile: tuple[int, int],
    overlap: int,
    multiple: int,
    flips: Sequence[str],
    batch_size: int,
) -> None:
    images = [noise(index, *size, 3) for index, size in enumerate(sizes)]
    predictor = make(
        Pointwise(), tile=tile, tile_overlap=overlap, size_multiple=multiple, flips=flips, batch_size=batch_size
    )
    answers = predictor(images)
    assert len(answers) == len(images)
    for image_hwc, probs_chw in zip(images, answers, strict=True):
        assert probs_chw.dtype == np.float32
        assert probs_chw.shape == (2, *image_hwc.shape[:2])
        np.testing.assert_allclose(probs_chw, pointwise_by_hand(image_hwc), atol=2e-6)


def test_order_of_mixed_sizes_survives_batching() -> None:
    sizes = [(8, 8), (16, 8), (8, 8), (16, 8), (7, 8), (8, 8), (8, 8)]
    network = Pointwise()
    images = [np.full((*size, 1), 30 * index, np.uint8) for index, size in enumerate(sizes)]
    answers = make(network)(images)
    for image_hwc, probs_chw in zip(images, answers, strict=True):
        np.testing.assert_allclose(probs_chw, pointwise_by_hand(image_hwc), atol=1e-6)
    # Five images pad to 8x8, two to 16x8; a batch holds three.
    assert sorted(network.shapes) == [(2, 1, 8, 8), (2, 1, 16, 8), (3, 1, 8, 8)]


def test_an_image_no_larger_than_the_tile_is_one_pass() -> None:
    network = Pointwise()
    make(network)([noise(0, 64, 64, 1)])
    assert network.shapes == [(1, 1, 64, 64)]


def test_tiles_of_a_large_image_go_through_in_small_batches() -> None:
    network = Pointwise()
    make(network)([noise(0, 300, 200, 1)])
    assert max(shape[0] for shape in network.shapes) == 3
    # Rows: ceil((300 - 8) / (64 - 8)) = 6; columns: ceil((200 - 8) / 56) = 4 tiles of (200 + 3 * 8) / 4 = 56 pixels.
    assert {shape[2:] for shape in network.shapes} == {(64, 56)}
    assert sum(shape[0] for shape in network.shapes) == 24


def test_tiles_are_no_larger_than_needed() -> None:
    # 100 pixels take two tiles of up to 80; in steps of 8, two of 56 that share 8 reach to 104, 4 beyond the end.
    tiles = axis_tiles(size=100, tile=80, overlap=5, multiple=8)
    assert [(start, len(weights)) for start, weights in tiles] == [(0, 56), (48, 52)]


def test_padding_repeats_the_border() -> None:
    seen = []

    class Recorder(nn.Module):
        def forward(self, pixels_nchw: Tensor) -> Tensor:
            seen.append(pixels_nchw[0, 0].tolist())
            return pixels_nchw.float()

    make(Recorder(), size_multiple=4)([np.array([[[1], [2]], [[3], [4]], [[5], [6]]], np.uint8)])
    assert seen == [[[1, 2, 2, 2], [3, 4, 4, 4], [5, 6, 6, 6], [5, 6, 6, 6]]]


def convolutions() -> nn.Module:
    class Floats(nn.Module):
        def forward(self, pixels_nchw: Tensor) -> Tensor:
            return pixels_nchw.float() / 255

    torch.manual_seed(0)
    layers = [Floats(), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 5, padding=2)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_answers_do_not_depend_on_the_batch(precision: str, channels_last: bool) -> None:
    images = [noise(index, height, width, 1) for index, (height, width) in enumerate([(24, 32), (40, 17), (24, 32)])]
    predictor = make(convolutions(), precision=precision, channels_last=channels_last)
    together = predictor(images)
    for image_hwc, probs_chw in zip(images, together, strict=True):
        np.testing.assert_allclose(predictor([image_hwc])[0], probs_chw, atol=1e-6 if precision == "no" else 2e-3)


def test_bf16_is_near_full_precision_but_not_it() -> None:
    images = [noise(3, 32, 32, 1)]
    (full,), (half,) = make(convolutions())(images), make(convolutions(), precision="bf16")(images)
    assert 0 < np.abs(full - half).max() < 0.02


class Strided(nn.Module):
    """Answers on a grid of 4 pixels, as networks do inside: shifted by less than 4, it answers otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 2, 4, stride=4)

    def forward(self, pixels_nchw: Tensor) -> Tensor:
        return nn.functional.interpolate(self.down(pixels_nchw.float() / 255), scale_factor=4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(16, 70), st.integers(0, 15))
def test_tiles_keep_to_the_grid_of_the_network(height: int, width: int, tile: int, overlap: int) -> None:
    torch.manual_seed(0)
    network, image_hwc = Strided(), noise(2, height, width, 1)
    (whole,) = make(network, tile=(152, 152), size_multiple=4)([image_hwc])
    (tiled,) = make(network, tile=(tile, tile), tile_overlap=overlap, size_multiple=4)([image_hwc])
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_tiling_hardly_shows_where_the_network_sees_little_around() -> None:
    # The receptive field is 7 pixels: each tile is wrong in the 3 at its inner borders, where weights are small.
    image_hwc = noise(5, 90, 150, 1)
    whole = make(convolutions(), tile=(96, 152))([image_hwc])[0]
    tiled = make(convolutions(), tile=(48, 64), tile_overlap=24)([image_hwc])[0]
    assert np.abs(whole - tiled).max() < 0.02
    assert np.abs(whole - tiled).mean() < 1e-3


def test_a_network_left_in_training_mode_predicts_as_in_evaluation() -> None:
    network = convolutions()
    predictor = make(network)
    image_hwc = noise(1, 16, 16, 1)
    before = predictor([image_hwc])[0]
    network.train()
    np.testing.assert_array_equal(predictor([image_hwc])[0], before)
    assert network[2].num_batches_tracked.item() == 0  # type: ignore[index]


def test_no_gradient_is_kept() -> None:
    network = Pointwise()
    answers = make(network)([noise(0, 8, 8, 1)])
    assert isinstance(answers[0], np.ndarray)
    assert network.slope.grad is None


def test_no_images_no_answers() -> None:
    assert make(Pointwise())([]) == []


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.uint8, (5, 6, 3)))
def test_images_are_left_alone(image_hwc: np.ndarray) -> None:
    before = image_hwc.copy()
    make(Pointwise(), flips=("both",))([image_hwc])
    np.testing.assert_array_equal(image_hwc, before)


# --- labels of whole images -------------------------------------------------------------------------------------------


class Brightest(nn.Module):
    """Two classes from the brightest and the top left pixel, and maps of the pixels where asked for."""

    def __init__(self, maps: bool = False) -> None:
        super().__init__()
        self.maps = maps
        self.passes = 0

    def forward(self, pixels_nchw: Tensor) -> Outputs:
        self.passes += len(pixels_nchw)
        scaled = pixels_nchw.float() / 255
        labels = torch.stack([scaled.amax(dim=(1, 2, 3)), scaled[:, 0, 0, 0]], dim=1)
        return Outputs(scaled if self.maps else None, labels)


def sigmoid(values: object) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.asarray(values, dtype=np.float64))))


@pytest.mark.parametrize("maps", [False, True])
def test_a_large_image_shows_what_any_of_its_tiles_shows(maps: bool) -> None:
    image_hwc = np.zeros((100, 150, 1), np.uint8)
    image_hwc[95, 20] = 255
    image_hwc[0, 80, 0] = 51  # a top left pixel of the tile that starts there, not of the image
    network = Brightest(maps)
    # Of 150 columns ceil((150 - 8) / 56) = 3 tiles of 56 pixels, at 0, 48 and 96; so no tile starts at 80.
    large, small = make_predictor(network)([image_hwc, np.full((8, 8, 1), 102, np.uint8)])
    np.testing.assert_allclose(large.label_probs_c, sigmoid([1, 0]), atol=1e-6)
    np.testing.assert_allclose(small.label_probs_c, sigmoid([0.4, 0.4]), atol=1e-6)
    assert network.passes == 2 * 3 + 1
    image_hwc[48, 96] = 51  # rows: two tiles of up to 64, of 56 pixels at 0 and 48
    (again,) = make_predictor(network)([image_hwc])
    np.testing.assert_allclose(again.label_probs_c, sigmoid([1, 0.2]), atol=1e-6)
    assert again.label_probs_c is not None
    assert again.label_probs_c.dtype == np.float32
    assert (again.probs_chw is not None) == maps


def test_flips_average_labels() -> None:
    image_hwc = np.array([[[0], [51]], [[102], [153]]], np.uint8)
    predictor = make_predictor(Brightest(maps=True), flips=("width", "height", "both"), size_multiple=2)
    (answer,) = predictor([image_hwc])
    corner = sigmoid([0, 0.2, 0.4, 0.6]).mean()
    np.testing.assert_allclose(answer.label_probs_c, [sigmoid(0.6), corner], atol=1e-6)
    np.testing.assert_allclose(answer.probs_chw, sigmoid(image_hwc.transpose(2, 0, 1) / 255), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "int8"}, "unknown precision 'int8'; allowed: bf16, fp16, no"),
        ({"flips": ("up",)}, "unknown flip 'up'"),
        ({"tile": (32, 64), "tile_overlap": 32}, "tile_overlap 32 must be"),
    ],
)
def test_wrong_settings(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(Pointwise(), **changes)
