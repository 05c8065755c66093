"""Probability maps on disk: what comes back, how large they are, and what is told of damaged ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from evidence_maker import make_evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.decide.postprocess import dequantise, quantise
from sever.errors import InputError
from sever.store import Evidence, ProbabilityStore


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_maps_of_any_shape_come_back_within_half_a_level(
    tmp_path_factory: pytest.TempPathFactory, classes: int, height: int, width: int, seed: int
) -> None:
    store = ProbabilityStore(tmp_path_factory.mktemp("maps"))
    probs_chw = np.random.default_rng(seed).random((classes, height, width), np.float32)
    probs_chw.flat[0], probs_chw.flat[-1] = 0, 1
    store.write("coil-7/a.b.tif", quantise(probs_chw))
    back = dequantise(store.read("coil-7/a.b.tif", classes))
    assert back.shape == probs_chw.shape
    assert np.abs(back - probs_chw).max() <= 1 / 510 + 1e-6
    assert list(store) == ["coil-7/a.b.tif"]


def test_smooth_maps_take_three_hundredths_of_float32_at_most(tmp_path: Path, strip_root: Path) -> None:
    """Maps as networks make them: sure of most pixels, with slopes where defects end."""
    evidence = Evidence(make_evidence(tmp_path / "model", strip_root, noise=0.0))
    sizes = [(evidence.maps.path(name).stat().st_size, evidence.maps.read(name, 4).size) for name in evidence.maps]
    stored, values = np.sum(sizes, axis=0)
    assert stored <= 0.03 * 4 * values


def test_a_damaged_map_is_told(tmp_path: Path) -> None:
    store = ProbabilityStore(tmp_path)
    store.write("a.jpg", np.zeros((2, 8, 8), np.uint8))
    whole = store.path("a.jpg").read_bytes()
    for content in (b"", whole[:20], cv2.imencode(".png", np.zeros((7, 8), np.uint8))[1].tobytes()):
        store.path("a.jpg").write_bytes(content)
        with pytest.raises(InputError, match="no usable map of 2 classes"):
            store.read("a.jpg", 2)
    with pytest.raises(InputError, match="no usable map"):
        store.read("b.jpg", 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_what_is_no_probability_is_not_stored_as_one(value: float) -> None:
    """NaN would become level 0, as if there were no defect, and 1.004 would wrap around to 0."""
    probs_chw = np.full((1, 2, 2), 0.5, np.float32)
    probs_chw[0, 1, 1] = value
    with pytest.raises(InputError, match="probabilities run from"):
        quantise(probs_chw)


def test_rounding_beyond_the_ends_is_cut_off() -> None:
    np.testing.assert_array_equal(quantise(np.array([[[-0.004, 1.004]]], np.float32)), [[[0, 255]]])
