"""The synthetic strip: the same wherever it is drawn, labelled where a defect was drawn, true to the statistics."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.data import rle
from sever.data.synthetic import SynthSettings, files, make_strip, statistics, strip, write_dataset
from sever.data.synthetic.background import draw_background
from sever.data.synthetic.marks import MARKS, chequer_plate
from sever.data.synthetic.noise import field, white
from sever.errors import InputError

HEIGHT, WIDTH = 128, 800
PENCIL = 5  # pixels at 128 rows: a label reaches at most this far beyond the change it labels
SMALL = SynthSettings(train=7, test=3, height=64, width=160, seed=11, workers=1)


def with_and_without(seed: int, index: int, classes: tuple[int, ...], height: int = HEIGHT, width: int = WIDTH):
    """The same strip with its defects and without, as a camera takes both; and the masks."""
    streams = [np.random.default_rng([seed, index]).spawn(5) for _ in range(2)]
    image, masks = strip.render(streams[0], height, width, classes, with_defects=True)
    clean, empty = strip.render(streams[1], height, width, classes, with_defects=False)
    assert not empty.any()
    return image.astype(int), clean.astype(int), masks


def test_same_arguments_same_strip_and_each_argument_matters() -> None:
    image, masks = make_strip(3, 5, 64, 200)
    again, masks_again = make_strip(3, 5, 64, 200)
    assert np.array_equal(image, again)
    assert np.array_equal(masks, masks_again)
    for seed, index in [(4, 5), (3, 6)]:
        assert not np.array_equal(image, make_strip(seed, index, 64, 200)[0])


def test_opencv_threads_do_not_change_a_strip() -> None:
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = make_strip(0, 1, classes=(2, 3))
        cv2.setNumThreads(2)
        together = make_strip(0, 1, classes=(2, 3))
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(alone[0], together[0])
    assert np.array_equal(alone[1], together[1])


@settings(max_examples=40, deadline=None)
@given(
    index=st.integers(0, 10_000),
    height=st.integers(64, 150),
    width=st.integers(64, 400),
    classes=st.sets(st.integers(0, 3)),
)
def test_any_size_and_classes_give_the_promised_arrays(index: int, height: int, width: int, classes: set[int]) -> None:
    image, masks = make_strip(0, index, height, width, tuple(classes))
    assert (image.shape, image.dtype) == ((height, width), np.uint8)
    assert (masks.shape, masks.dtype) == ((4, height, width), np.uint8)
    assert masks.max() <= 1
    assert masks.sum(axis=0).max() <= 1, "two classes own one pixel"
    assert not [number for number in range(4) if number not in classes and masks[number].any()]


@pytest.mark.parametrize("classes", [(0,), (1,), (2,), (3,), (0, 1, 2), (2, 3)])
def test_a_defect_changes_pixels_inside_its_label_only(classes: tuple[int, ...]) -> None:
    for index in range(6):
        image, clean, masks = with_and_without(5, index, classes)
        change = np.abs(image - clean)
        outside = masks.sum(axis=0) == 0
        assert change[outside].max() <= 1, "a change that nobody labelled (1 grey level is rounding)"
        for number in classes:
            assert masks[number].any()
            assert change[masks[number] == 1].max() >= 4, "a label on nothing"


@pytest.mark.parametrize("number", range(4))
def test_a_label_keeps_close_to_the_change(number: int) -> None:
    """Each piece of a label lies within the box of the pixels that changed in it, grown by the pencil."""
    for index in range(6):
        image, clean, masks = with_and_without(6, index, (number,))
        count, pieces = cv2.connectedComponents(masks[number])
        for piece in range(1, count):
            labelled = np.argwhere(pieces == piece)
            changed = np.argwhere((pieces == piece) & (np.abs(image - clean) >= 1))
            assert len(changed) > 0.02 * len(labelled)
            assert (labelled.min(axis=0) >= changed.min(axis=0) - PENCIL).all()
            assert (labelled.max(axis=0) <= changed.max(axis=0) + PENCIL).all()


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 600), (256, 64)])
def test_a_class_asked_for_is_there_in_the_smallest_images(number: int, height: int, width: int) -> None:
    for index in range(12):
        assert make_strip(7, index, height, width, (number,))[1][number].any()


def test_the_label_of_a_planted_change_covers_it_and_closes_gaps() -> None:
    masks = np.zeros((4, 60, 80), np.uint8)
    masks[2, :, 30:34] = 1  # what lay there before
    changed = np.zeros((20, 20), bool)
    changed[5:8, 4:8] = changed[12:15, 4:8] = True  # two parts, 4 rows apart
    spot = strip.Spot(slice(10, 30), slice(25, 45), slice(0, 20), slice(0, 20))
    strip.mark(masks, 0, changed, spot, pencil=2.0, gap=6.0)
    assert masks[0, 10:30, 25:45][changed].all()
    assert masks[0, 15:25, 29:33].all(), "the gap between the parts is not closed"
    assert masks[0].sum() < (10 + 4) * (4 + 4) + 1, "much more than the box grown by the pencil"
    assert masks[2, 40:, 30:34].all()
    assert masks.sum(axis=0).max() == 1, "the newer label takes the pixel"


@pytest.mark.parametrize("name", [*MARKS, "chequer_plate"])
def test_every_harmless_mark_shows_and_none_is_labelled(name: str) -> None:
    draw = chequer_plate if name == "chequer_plate" else MARKS[name].draw
    seen = []
    for seed in range(4):
        rng = np.random.default_rng([17, seed])
        canvas = draw_background(rng, HEIGHT, WIDTH)
        before = canvas.grey.copy()
        draw(rng, canvas)
        assert np.isfinite(canvas.grey).all()
        seen.append(np.abs(canvas.grey - before).max())
    assert max(seen) > 4
    assert not make_strip(1, 1, 64, 128, ())[1].any()


def test_combinations_hold_the_published_counts() -> None:
    table = statistics.COMBINATIONS
    assert sum(table.values()) == 12_568
    by_size = [sum(count for classes, count in table.items() if len(classes) == size) for size in range(4)]
    assert by_size == [5902, 6239, 425, 2]
    by_class = [sum(count for classes, count in table.items() if number in classes) for number in range(4)]
    assert by_class == [897, 247, 5150, 801]


def test_combinations_are_drawn_as_often_as_the_table_says() -> None:
    rng = np.random.default_rng(0)
    drawn = [statistics.draw_combination(rng, "real") for _ in range(4000)]
    for classes in [(), (2,), (0,)]:
        share = statistics.COMBINATIONS[classes] / 12_568
        assert abs(drawn.count(classes) / 4000 - share) < 4 * np.sqrt(share * (1 - share) / 4000)


def test_balanced_gives_every_class_its_turn() -> None:
    rng = np.random.default_rng(0)
    drawn = [statistics.draw_combination(rng, "balanced") for _ in range(3000)]
    assert 0.26 < drawn.count(()) / 3000 < 0.34
    shares = [sum(number in classes for classes in drawn) / 3000 for number in range(4)]
    assert min(shares) > 0.15
    assert max(shares) < 1.4 * min(shares)


@pytest.mark.parametrize(
    ("number", "mean_percent", "low_pixels"), [(0, 1.06, 548), (1, 0.82, 715), (2, 6.22, 1146), (3, 8.39, 2959)]
)
def test_drawn_areas_have_the_published_mean_and_low_quantile(
    number: int, mean_percent: float, low_pixels: float
) -> None:
    rng = np.random.default_rng(number)
    shares = np.array([statistics.draw_share(rng, statistics.FAMILIES[number]) for _ in range(20_000)])
    assert 100 * shares.mean() == pytest.approx(mean_percent, rel=0.06)
    assert np.quantile(shares, 0.02) * 256 * 1600 == pytest.approx(low_pixels, rel=0.1)


@pytest.mark.parametrize("number", range(4))
def test_labels_cover_the_area_that_was_asked_for(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the share held at its mean the sample's spread is small enough to see a drawing that loses area."""
    family = statistics.FAMILIES[number]
    monkeypatch.setattr(statistics, "draw_share", lambda rng, family: family.mean_share)
    masks = [make_strip(2, index, HEIGHT, WIDTH, (number,))[1][number] for index in range(40)]
    assert np.mean(masks) == pytest.approx(family.mean_share, rel=0.22)
    pieces = np.mean([cv2.connectedComponents(mask)[0] - 1 for mask in masks])
    assert pieces == pytest.approx(family.mean_pieces, rel=0.4)


def test_the_strip_is_as_bright_as_real_ones() -> None:
    images = [make_strip(9, index, 64, 400)[0] for index in range(60)]
    assert np.mean(images) / 255 == pytest.approx(0.344, abs=0.05)
    assert len(np.unique(np.stack(images))) > 200


def test_fields_have_deviation_one_and_the_correlation_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert white(rng, 300, 300).std() == pytest.approx(1, abs=0.02)
    sigma = 3.0
    noise = field(rng, 400, 1600, sigma, 0.5)
    assert noise.std() == pytest.approx(1, abs=0.12)
    # White noise under a Gaussian of this sigma correlates as exp(-d^2 / (4 sigma^2)).
    measured = (noise[3:] * noise[:-3]).mean() / noise.var()
    assert measured == pytest.approx(np.exp(-9 / (4 * sigma**2)), abs=0.08)


@pytest.mark.parametrize("form", ["combined", "separate"])
def test_a_data_set_has_the_severstal_layout(tmp_path: Path, form: str) -> None:
    options = SynthSettings(**{**SMALL.__dict__, "csv_form": form, "frequencies": "balanced"})
    told: list[int] = []
    root = write_dataset(tmp_path / "strip", options, told.append)
    assert told == list(range(1, 11))
    assert sorted(path.name for path in root.iterdir()) == [
        "sample_submission.csv", "test_images", "test_labels.csv", "train.csv", "train_images",
    ]  # fmt: skip
    for start, folder, labels in [(0, "train_images", "train.csv"), (7, "test_images", "test_labels.csv")]:
        names = [files.image_id(11, index) for index in range(start, 7 if start == 0 else 10)]
        assert sorted(path.name for path in (root / folder).iterdir()) == sorted(names)
        lines = [line.split(",") for line in (root / labels).read_text().splitlines()]
        expected = [lines[0]]
        for offset, name in enumerate(names):
            image, masks = files.draw_image(options, start + offset)
            stored = cv2.imread(str(root / folder / name), cv2.IMREAD_UNCHANGED)
            assert (stored == stored[..., :1]).all(), "three equal channels"
            assert np.abs(stored[..., 0].astype(int) - image).mean() < 5
            for number, mask in enumerate(masks):
                text = rle.encode(mask)
                if form == "combined":
                    expected.append([f"{name}_{number + 1}", text])
                elif text:
                    expected.append([name, str(number + 1), text])
        assert lines == expected
    assert re.fullmatch(r"[0-9a-f]{9}\.jpg", files.image_id(11, 0))
    header = "ImageId_ClassId,EncodedPixels" if form == "combined" else "ImageId,ClassId,EncodedPixels"
    for name in ("train.csv", "test_labels.csv", "sample_submission.csv"):
        assert (root / name).read_text().splitlines()[0] == header


def test_one_process_and_two_write_the_same_bytes(tmp_path: Path) -> None:
    roots = []
    for workers in (1, 2):
        options = SynthSettings(**{**SMALL.__dict__, "workers": workers})
        roots.append(write_dataset(tmp_path / f"w{workers}", options))
    names = sorted(path.relative_to(roots[0]) for path in roots[0].rglob("*") if path.is_file())
    assert len(names) == 13
    for name in names:
        assert (roots[0] / name).read_bytes() == (roots[1] / name).read_bytes(), name


def test_an_interrupted_call_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "deep" / "strip", SMALL, stop)
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_in_use_is_left_alone_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_dataset(tmp_path / "used", SMALL)
    assert (tmp_path / "used" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert (write_dataset(tmp_path / "empty", SMALL) / "train.csv").is_file()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height": 63}, "at least 64"),
        ({"width": 10}, "at least 64"),
        ({"train": 0}, "at least 1"),
        ({"test": -3}, "at least 1"),
        ({"jpeg_quality": 0}, "1..100"),
        ({"workers": -1}, "negative"),
        ({"seed": -1}, "negative"),
        ({"csv_form": "wide"}, "combined, separate"),
        ({"frequencies": "rare"}, "real, balanced"),
    ],
)
def test_bad_settings_say_what_is_allowed(change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SynthSettings(**change)  # type: ignore[arg-type]


def test_bad_arguments_of_make_strip_are_refused() -> None:
    with pytest.raises(InputError, match="at least 64"):
        make_strip(0, 0, 32, 100)
    with pytest.raises(InputError, match="classes are 0 to 3"):
        make_strip(0, 0, 64, 100, (4,))
