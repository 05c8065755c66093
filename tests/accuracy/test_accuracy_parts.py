"""Parts of benchmarks/accuracy: scores by hand, splits without leaks, budgets, and a table that keeps its rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_data import make_neu, make_tiles

from benchmarks.accuracy import protocols
from benchmarks.accuracy.budget import SPARE_SHARE, Budget, Spent, Stopwatch, processor_seconds
from benchmarks.accuracy.protocols import PROTOCOLS, Split
from benchmarks.accuracy.results import COLUMNS, add_row, find_row, read_rows
from benchmarks.accuracy.scoring import Scorer, to_labels, to_masks
from sever.data.synthetic import make_strip
from sever.errors import InputError


def scores_of(*pairs: tuple[list[list[int]], list[list[int]]], classes: int = 2) -> dict[str, str]:
    scorer = Scorer(classes)
    for number, (predicted, true) in enumerate(pairs):
        scorer.add(str(number), np.array(predicted, np.uint8), np.array(true, np.uint8))
    return scorer.scores()


def test_scores_are_those_of_a_calculation_by_hand() -> None:
    # Class 1: 2 of 3 pixels met, 1 too many, in the first image; class 2: 1 of 2 met, in the second.
    first = [[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]
    second = [[2, 0, 0], [0, 0, 0]], [[2, 2, 0], [0, 0, 0]]
    scores = scores_of(first, second)
    # IoU: class 1 2/4, class 2 1/2; background: 2 + 4 met, of 3 + 5 predicted and 3 + 4 true, so 6/9.
    assert scores["iou_per_class"] == "50.0 50.0"
    assert scores["mean_iou"] == "50.00"
    assert scores["mean_iou_background"] == f"{100 * (0.5 + 0.5 + 6 / 9) / 3:.2f}"
    # Dice: 4/6 and, empty on both sides, 1; then 1 and 2/3.
    assert scores["dice"] == f"{(4 / 6 + 1 + 1 + 2 / 3) / 4:.4f}"
    assert scores["dice_present"] == f"{(4 / 6 + 2 / 3) / 2:.4f}"


def test_iou_is_of_pooled_pixels_and_no_mean_over_images() -> None:
    scores = scores_of(([[1, 1, 1, 1]], [[1, 1, 1, 1]]), ([[1, 0, 0, 0]], [[0, 0, 0, 0]]), classes=1)
    assert scores["mean_iou"] == "80.00"


def test_average_precision_ranks_images_by_the_area_that_was_found() -> None:
    scorer = Scorer(2)
    # Areas of class 1: 3, 2, 1, 0; shown in the first and third, so 1/1 and 2/3.
    for row, classes in (([1, 1, 1, 0], {1}), ([1, 1, 0, 0], set()), ([1, 0, 0, 2], {1}), ([0, 0, 0, 0], {2})):
        scorer.add_shown(np.array([row], np.uint8), classes)
    scores = scorer.scores()
    # Class 2: called first in the third image, then all others together: one in four.
    assert scores["ap_per_class"] == f"{(1 + 2 / 3) / 2:.3f} 0.250"
    # Any: areas 3, 2, 2, 0; the two of equal area are called together: 1/1, 2/3, 3/4.
    assert scores["ap_any"] == f"{(1 + 2 / 3 + 3 / 4) / 3:.3f}"
    assert scores["mean_iou"] == ""


def test_the_strip_protocol_trains_on_drawn_strip_and_tests_on_what_images_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "severstal").mkdir()
    table = "ImageId,c1,c2,c3,c4,approx_mask,source\na.png,0,0,1,1,x,y\nb.png,0,0,0,0,x,y\n"
    (tmp_path / "severstal" / "image_labels.csv").write_text(table)
    drawn = protocols.draw_strip(tmp_path / "drawn", count=2)
    monkeypatch.setattr(protocols, "draw_strip", lambda folder: drawn)
    split = PROTOCOLS["strip"](tmp_path, 0)
    assert split.train == drawn
    assert split.shown == ({3, 4}, set())
    image_hw, masks_chw = make_strip(protocols.STRIP_SEED, 1, *protocols.STRIP_SIZE)
    assert np.array_equal(split.train[1].read_labels(), to_labels(masks_chw))
    assert np.abs(split.train[1].read_image().astype(int) - image_hw).mean() < 5  # JPEG


def test_a_label_map_survives_its_masks() -> None:
    labels_hw = np.random.default_rng(0).integers(0, 4, (5, 7)).astype(np.uint8)
    assert (to_labels(to_masks(labels_hw, 3)) == labels_hw).all()


def sides(split: Split) -> tuple[set[str], set[str]]:
    return {sample.group for sample in split.train}, {sample.group for sample in split.test}


def test_no_group_is_on_both_sides_and_every_one_is_tested_once(tmp_path: Path) -> None:
    make_neu(tmp_path)
    splits = [PROTOCOLS["neu-grouped"](tmp_path, fold) for fold in range(5)]
    tested = [group for split in splits for group in sides(split)[1]]
    assert len(tested) == len(set(tested)) == 15
    for split in splits:
        train, test = sides(split)
        assert not train & test
        assert "composite" not in train | test
        assert {group.split("_")[0] for group in test} == {"In", "Pa", "Sc"}
        assert len(split.train) + len(split.test) == 30


def test_composites_train_but_are_never_tested(tmp_path: Path) -> None:
    make_neu(tmp_path)
    plain, more = (PROTOCOLS[name](tmp_path, 0) for name in ("neu-grouped", "neu-grouped-composites"))
    assert more.test == plain.test
    assert [sample.group for sample in more.train[len(plain.train) :]] == ["composite", "composite"]


def test_the_official_split_is_the_folders_own(tmp_path: Path) -> None:
    split = PROTOCOLS["neu-official"](make_neu(tmp_path), 0)
    assert {sample.name.split("/")[0] for sample in split.train} == {"training"}
    assert {sample.name.split("/")[0] for sample in split.test} == {"test"}


def test_exposures_of_a_tile_stay_together(tmp_path: Path) -> None:
    make_tiles(tmp_path)
    splits = [PROTOCOLS["tile-grouped"](tmp_path, fold) for fold in range(3)]
    for split in splits:
        train, test = sides(split)
        assert not train & test
        assert any(sample.name.startswith("free") for sample in split.test)
    assert sorted(sample.name for split in splits for sample in split.test) == sorted(
        path.name for path in (tmp_path / "magnetic_tile" / "images").iterdir()
    )


def test_the_published_protocol_has_defective_tiles_only(tmp_path: Path) -> None:
    split = PROTOCOLS["tile-published"](make_tiles(tmp_path), 0)
    assert not any(sample.name.startswith("free") for sample in (*split.train, *split.test))
    assert len(split.test) == 12  # a fifth of 60
    assert not {s.name for s in split.train} & {s.name for s in split.test}


def test_a_fold_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    make_neu(tmp_path)
    with pytest.raises(InputError, match=r"--fold 5 .*0\.\.4"):
        PROTOCOLS["neu-grouped"](tmp_path, 5)


def test_a_budget_gives_the_steps_that_end_within_it() -> None:
    spent, step = Spent(wall=60, cpu=90), Spent(wall=2, cpu=3)
    steps = Budget("cpu", 10).steps(spent, step, num_images=100, batch_size=16)
    assert steps == (600 * (1 - SPARE_SHARE) - 90) // 3
    assert Budget("wall", 10).steps(spent, step, 100, 16) == (600 * (1 - SPARE_SHARE) - 60) // 2
    assert (
        Budget("epochs", 2).steps(Spent(), Spent(), 100, 16) == 12
    )  # whole batches, as every loop here drops the rest


def test_a_budget_too_short_for_a_step_is_told() -> None:
    with pytest.raises(InputError, match="61 s went before the first step"):
        Budget("cpu", 1).steps(Spent(0, 61), Spent(1, 1), 100, 16)


def test_a_stopwatch_goes_on_where_the_last_sitting_ended(tmp_path: Path) -> None:
    file = tmp_path / "spent.json"
    file.write_text('{"wall": 100.0, "cpu": 50.0}')
    with Stopwatch(file) as stopwatch:
        assert 100 <= stopwatch.spent().wall < 160
    again = Stopwatch(file)
    assert again.before.wall > 100
    assert again.before.cpu >= 50


def test_processor_time_counts_processes_that_were_started() -> None:
    before = processor_seconds()
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert processor_seconds() - before >= 0.4  # the kernel counts in hundredths


def make_row(**given: object) -> dict[str, object]:
    return dict.fromkeys(COLUMNS, "x") | given


def test_rows_are_added_and_a_run_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "results" / "accuracy.csv"
    add_row(file, make_row(seed=0, variant="a=1, b"))
    add_row(file, make_row(seed=1))
    rows = read_rows(file)
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert find_row(rows, make_row(seed=0, variant="a=1, b")) == rows[0]
    assert find_row(rows, make_row(seed=2)) is None
    assert find_row(rows, make_row(seed=1, host="another kind of machine")) is None


def test_a_table_of_other_columns_is_not_added_to(tmp_path: Path) -> None:
    file = tmp_path / "accuracy.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has the columns a, b"):
        add_row(file, make_row())
    assert file.read_text() == "a,b\n1,2\n"
